"""How fast the server is, and how little memory it takes: `python -m benchmarks.http [--quick]`.

Each figure stands beside that of a bare application in the same run (`benchmarks.bare`). Clients are plain
`http.client` for bytes, and `compox_http.client` for runs.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click
import h5py
import numpy as np
import psutil

from benchmarks.common import MIB, Memory, Report, process, seconds, spread
from compox_core.engine import Engine
from compox_core.records import ExecutionRequest
from compox_http.client import Client

POLL_SECONDS = 0.005
CLIENTS = 8

NOOP = """
from compox_core.runners import Image2ImageRunner


class Runner(Image2ImageRunner):
    def inference(self, data, args=None):
        return data
"""

PYPROJECT = """
[project]
name = "noop"
version = "1.0"

[tool.compox]
algorithm_type = "Image2Image"
"""

CONFIG = """
storage:
  backend_settings: {{provider: local, path: '{path}'}}
inference:
  backend_settings: {{executor: processes, worker_number: 2}}
logging: {{console_level: WARNING}}
log_path: '{path}.log'
"""


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    runs: int
    seconds: float
    mib: int
    repeats: int


FULL = Size(runs=300, seconds=6.0, mib=512, repeats=5)
QUICK = Size(runs=50, seconds=2.0, mib=64, repeats=2)


@click.command()
@click.option("--quick", is_flag=True, help="Less of everything, for a first look.")
def main(quick: bool) -> None:
    """Measure the server; leave with 1 where a target does not hold."""
    size = QUICK if quick else FULL
    folder = Path(tempfile.mkdtemp(prefix="compox-bench-"))
    try:
        report = measure(folder, size)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if report.show() else 1)


def measure(folder: Path, size: Size) -> Report:
    """Start both servers and measure everything."""
    report = Report(f"HTTP ({psutil.cpu_count()} cores, Python {sys.version.split()[0]})")
    _deploy(folder)
    image = _hdf5(folder / "image.h5", "image", np.random.default_rng(0).random((512, 512), np.float32))
    large = _hdf5(folder / "large.h5", "data", np.random.default_rng(0).integers(0, 255, size.mib * MIB, np.uint8))
    config = folder / "config.yaml"
    config.write_text(CONFIG.format(path=folder / "store"), encoding="utf-8")
    serve = ["compox_http.main", "serve", "--config", str(config), "--port", "0"]
    with process(serve) as (server, url), process(["benchmarks.bare", str(folder)]) as (_, bare):
        _round_trips(report, size, url, bare, image)
        _transfers(report, size, server, url, bare, large)
        _throughput(report, size, server, url, image)
    return report


def _round_trips(report: Report, size: Size, url: str, bare: str, image: Path) -> None:
    with Client(url) as client:
        algorithm_id = client.algorithms.get("noop", 1).algorithm_id
        file_id = client.files.upload(image)
        request = ExecutionRequest(algorithm_id=algorithm_id, input_dataset_ids=[file_id])
        for _ in range(10):
            _round_trip(client, request)
        stored = [seconds(lambda: _round_trip(client, request)) for _ in range(size.runs)]
        whole = [seconds(lambda: _whole_trip(client, algorithm_id, image)) for _ in range(size.runs // 3)]
        ids = [client.executions.submit(request)]
        client.executions.wait(ids[0])
        status = [seconds(lambda: client.executions.get(ids[0])) for _ in range(size.runs)]
    with Client(bare) as plain:
        nothing = [seconds(lambda: plain._connection.json("GET", "/nothing")) for _ in range(size.runs)]
    middle, late = spread(stored)
    least = 2 * median(nothing) + POLL_SECONDS
    report.add(
        "no-op run of a stored 1 MiB image, 5 ms polling, median (95 %)",
        f"{middle * 1e3:.1f} ms ({late * 1e3:.1f})",
        baseline=f"{least * 1e3:.1f} ms",
        ratio=f"{middle / least:.1f}",
        target="15 ms",
        met=middle <= 0.015,
    )
    middle, late = spread(whole)
    report.add("the same with upload and download of the image", f"{middle * 1e3:.1f} ms ({late * 1e3:.1f})")
    ours, theirs = median(status), median(nothing)
    report.add(
        "one status request",
        f"{ours * 1e3:.2f} ms",
        baseline=f"{theirs * 1e3:.2f} ms",
        ratio=f"{ours / theirs:.2f}",
    )


def _throughput(report: Report, size: Size, server: psutil.Process, url: str, image: Path) -> None:
    with Client(url) as first:
        algorithm_id = first.algorithms.get("noop", 1).algorithm_id
        file_id = first.files.upload(image)
    command = [sys.executable, "-m", "benchmarks.caller", url, algorithm_id, file_id, str(size.seconds)]
    callers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(CLIENTS)
    ]
    for caller in callers:
        assert caller.stdout is not None and caller.stdout.readline() == "ready\n"
    _settle()
    before = server.cpu_times()
    for caller in callers:
        assert caller.stdin is not None
        caller.stdin.write("go\n")
        caller.stdin.flush()
    rate = sum(float(caller.communicate()[0]) for caller in callers)
    after = server.cpu_times()
    inside = _inside(image.parent, size)
    report.add(
        f"executions a second, {CLIENTS} client processes, 2 workers (baseline: one thread, without HTTP)",
        f"{rate:.0f}/s",
        baseline=f"{inside:.0f}/s",
        ratio=f"{rate / inside:.2f}",
        target="100/s",
        met=rate >= 100,
    )
    busy = (after.user + after.system - before.user - before.system) / (rate * size.seconds)
    report.add("the server's CPU time for one of these", f"{busy * 1e3:.1f} ms")


def _inside(folder: Path, size: Size) -> float:
    """Return how many runs a second the engine makes when nothing else is in its process."""
    with Engine(folder / "inside") as engine:
        engine.deploy(folder / "noop")
        algorithm_id = engine.algorithms.get("noop").algorithm_id
        request = ExecutionRequest(
            algorithm_id=algorithm_id, input_dataset_ids=[engine.files.upload(folder / "image.h5")]
        )
        engine.executions.wait(engine.executions.submit(request).execution_id)
        began = time.perf_counter()
        ids = [engine.executions.submit(request).execution_id for _ in range(size.runs)]
        for execution_id in ids:
            engine.executions.wait(execution_id)
        return size.runs / (time.perf_counter() - began)


def _settle() -> None:
    """Have what was written reach the disk, so that nobody pays for what somebody else wrote."""
    if hasattr(os, "sync"):
        os.sync()


def _transfers(report: Report, size: Size, server: psutil.Process, url: str, bare: str, large: Path) -> None:
    up: list[tuple[float, float]] = []
    down: list[tuple[float, float]] = []
    growth: list[int] = []
    for _ in range(size.repeats):
        _settle()
        plain = seconds(lambda: _upload(bare, "/upload", large))
        _settle()
        with Memory(server) as memory:
            began = time.perf_counter()
            file_id = _upload(url, "/api/v0/files", large)
            up.append((time.perf_counter() - began, plain))
        growth.append(memory.growth)
        plain = seconds(lambda: _download(bare, "/download", large))
        with Memory(server) as memory:
            began = time.perf_counter()
            _download(url, f"/api/v0/files/{file_id}", large)
            down.append((time.perf_counter() - began, plain))
        growth.append(memory.growth)
        with Client(url) as client:
            client.files.delete(file_id)
    for what, times in (("upload", up), ("download", down)):
        ours, theirs = median(t for t, _ in times), median(t for _, t in times)
        report.add(
            f"{what} of {size.mib} MiB",
            f"{size.mib / ours:.0f} MiB/s",
            baseline=f"{size.mib / theirs:.0f} MiB/s",
            ratio=f"{theirs / ours:.2f}",
            target="0.80",
            met=theirs / ours >= 0.8,
        )
    grown = max(growth) / MIB
    report.add("growth of the server's memory meanwhile", f"{grown:.1f} MiB", target="32 MiB", met=grown < 32)


def _deploy(folder: Path) -> None:
    source = folder / "noop"
    source.mkdir()
    (source / "Runner.py").write_text(NOOP, encoding="utf-8")
    (source / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    with Engine(folder / "store") as engine:
        engine.deploy(source)


def _hdf5(path: Path, key: str, values: np.ndarray) -> Path:  # type: ignore[type-arg]
    with h5py.File(path, "w") as file:
        file[key] = values
    return path


def _round_trip(client: Client, request: ExecutionRequest) -> None:
    record = client.executions.wait(client.executions.submit(request))
    assert record.status == "COMPLETED", record.log


def _whole_trip(client: Client, algorithm_id: str, image: Path) -> None:
    file_id = client.files.upload(image)
    request = ExecutionRequest(algorithm_id=algorithm_id, input_dataset_ids=[file_id])
    record = client.executions.wait(client.executions.submit(request))
    client.files.download(record.output_dataset_ids[0])


def _upload(url: str, path: str, source: Path) -> str:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), blocksize=MIB)
    with source.open("rb") as file:
        connection.request("POST", path, file, {"Content-Length": str(source.stat().st_size)})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 200, body
    return str(json.loads(body)["file_id"])


def _download(url: str, path: str, source: Path) -> None:
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    connection.request("GET", path)
    answer = connection.getresponse()
    buffer = bytearray(MIB)
    received = 0
    while count := answer.readinto(buffer):
        received += count
    connection.close()
    assert received == source.stat().st_size


if __name__ == "__main__":
    main()
