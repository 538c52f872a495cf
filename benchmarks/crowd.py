"""How the server bears many clients and many algorithms: `python -m benchmarks.crowd [--quick]`.

Status polls on 8 connections, open event streams, lists of algorithms, the first byte of a large download; each beside
a bare application of the same run (`benchmarks.bare`).
"""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import click
import h5py
import numpy as np
import psutil

import compox_core as cx
from benchmarks.common import MIB, Report, process, seconds, spread
from compox_core.algorithms.packing import open_package
from compox_core.records import ExecutionRequest, TaskStatus
from compox_http.client import Client

ENDLESS = """
import time
from compox_core.runners import BaseRunner


class Runner(BaseRunner):
    def preprocess(self, data, args=None):
        return data

    def inference(self, data, args=None):
        while True:
            time.sleep(1)
            self.set_progress(0.5)
            self.log_message("still here")

    def postprocess(self, data, args=None):
        return []
"""

PYPROJECT = """
[project]
name = "endless"
version = "1.0"

[tool.compox]
algorithm_type = "Generic"
description = "Goes on."
tags = ["benchmark"]
"""

CONFIG = """
storage:
  backend_settings: {{provider: local, path: '{path}'}}
inference:
  backend_settings: {{executor: processes, worker_number: 1}}
logging: {{console_level: WARNING, file_level: WARNING}}
log_path: ''
"""


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    seconds: float
    streams: int
    lists: tuple[int, ...]
    repeats: int
    mib: int


FULL = Size(seconds=8.0, streams=1000, lists=(200, 2000), repeats=30, mib=512)
QUICK = Size(seconds=2.0, streams=100, lists=(20, 200), repeats=5, mib=64)
TARGETS = {200: 0.010, 2000: 0.060}


@click.command()
@click.option("--quick", is_flag=True, help="Less of everything, for a first look.")
def main(quick: bool) -> None:
    """Measure the server; leave with 1 where a target does not hold."""
    folder = Path(tempfile.mkdtemp(prefix="compox-bench-"))
    try:
        report = measure(folder, QUICK if quick else FULL)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if report.show() else 1)


def measure(folder: Path, size: Size) -> Report:
    """Measure everything."""
    report = Report(f"HTTP, many clients ({psutil.cpu_count()} cores, Python {sys.version.split()[0]})")
    large = folder / "large.h5"
    with h5py.File(large, "w") as file:
        file["data"] = np.random.default_rng(0).integers(0, 255, size.mib * MIB, np.uint8)
    for count in size.lists:
        store = folder / f"store-{count}"
        _fill(folder / "algorithm", store, count)
        config = folder / f"{count}.yaml"
        config.write_text(CONFIG.format(path=store), encoding="utf-8")
        with ExitStack() as stack:
            serve = ["compox_http.main", "serve", "--config", str(config), "--port", "0"]
            server, url = stack.enter_context(process(serve))
            bare_server, bare = stack.enter_context(process(["benchmarks.bare", str(folder)]))
            if count == size.lists[0]:
                _polls(report, size, url, bare)
                _streams(report, size, (server, url), (bare_server, bare))
                _first_byte(report, size, url, bare, large)
            _lists(report, size, url, bare, count)
    return report


def _fill(source: Path, store: Path, count: int) -> None:
    source.mkdir(exist_ok=True)
    (source / "Runner.py").write_text(ENDLESS, encoding="utf-8")
    (source / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    with cx.Engine(store) as engine:
        engine.deploy(source)
        registry = engine._open_parts.registry
        for number in range(count - 1):
            with open_package(source, name=f"algorithm_{number}") as package:
                registry.deploy(package)


def _running(client: Client) -> str:
    """Return a run that goes on."""
    algorithm_id = client.algorithms.get("endless", 1).algorithm_id
    execution_id = client.executions.submit(ExecutionRequest(algorithm_id=algorithm_id, input_dataset_ids=[]))
    while client.executions.get(execution_id).status is not TaskStatus.RUNNING:
        time.sleep(0.05)
    return execution_id


def _polls(report: Report, size: Size, url: str, bare: str) -> None:
    def rate(place: str) -> float:
        poller = [sys.executable, "-m", "benchmarks.poller", place, str(size.seconds / 4)]
        return float(subprocess.run(poller, check=True, stdout=subprocess.PIPE, text=True).stdout)

    with Client(url) as client:
        execution_id = _running(client)
        ours, theirs = [], []
        for _ in range(4):  # in turns, so that a noisy moment falls on both
            ours.append(rate(f"{url}/api/v0/executions/{execution_id}"))
            theirs.append(rate(f"{bare}/nothing"))
        client.executions.stop(execution_id)
    report.add(
        "status of a run that goes on, 8 connections",
        f"{median(ours):.0f}/s",
        baseline=f"{median(theirs):.0f}/s",
        ratio=f"{median(ours) / median(theirs):.2f}",
        target="1500/s",
        met=median(ours) >= 1500,
    )


def _streams(report: Report, size: Size, ours: tuple[psutil.Process, str], theirs: tuple[psutil.Process, str]) -> None:
    with Client(ours[1]) as client:
        execution_id = _running(client)
        each = _memory(*ours, f"/api/v1/executions/{execution_id}/events", size.streams, b"event: record")
        idle = _memory(*theirs, "/nothing", size.streams, b"COMPLETED")
        client.executions.stop(execution_id)
    report.add(
        f"memory of an event stream, {size.streams} at a time (an idle connection)",
        f"{each / 1024:.1f} KiB",
        baseline=f"{idle / 1024:.1f} KiB",
        ratio=f"{each / idle:.1f}" if idle > 0 else "",
        target="100 KiB",
        met=each <= 100 * 1024,
    )


def _memory(server: psutil.Process, url: str, path: str, count: int, sign: bytes) -> float:
    """Return by how many bytes a server grows for each of so many connections that have got an answer's beginning."""
    _allow_files(count + 200)
    place = urlsplit(url)
    request = f"GET {path} HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode()
    with ExitStack() as stack:

        def connect() -> None:
            connection = stack.enter_context(socket.create_connection((place.hostname or "", place.port or 80), 30))
            connection.sendall(request)
            answer = b""
            while sign not in answer:
                answer += connection.recv(65536)

        for _ in range(20):  # what a first one brings with it
            connect()
        before = server.memory_info().rss
        for _ in range(count):
            connect()
        time.sleep(2)
        return (server.memory_info().rss - before) / count


def _allow_files(count: int) -> None:
    try:
        import resource
    except ImportError:  # on Windows there is no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


def _first_byte(report: Report, size: Size, url: str, bare: str, large: Path) -> None:
    with Client(url) as client:
        file_id = client.files.upload(large)
    place = urlsplit(bare)
    connection = http.client.HTTPConnection(place.hostname or "", place.port)
    with large.open("rb") as body:
        connection.request("POST", "/upload", body)
        connection.getresponse().read()
    ours = [_until_first(url, f"/api/v0/files/{file_id}") for _ in range(size.repeats)]
    theirs = [_until_first(bare, "/download") for _ in range(size.repeats)]
    middle, late = spread(ours)
    report.add(
        f"first byte of a {size.mib} MiB download, median (95 %)",
        f"{middle * 1e3:.1f} ms ({late * 1e3:.1f})",
        baseline=f"{median(theirs) * 1e3:.1f} ms",
        ratio=f"{middle / median(theirs):.1f}",
        target="20 ms",
        met=middle <= 0.020,
    )


def _until_first(url: str, path: str) -> float:
    """Return how long the first byte of a body takes, with a connection of its own."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port)
    connection.connect()

    def first() -> None:
        connection.request("GET", path)
        assert connection.getresponse().read(1)

    try:
        return seconds(first)
    finally:
        connection.close()
        time.sleep(0.05)  # the server gives up the rest


def _lists(report: Report, size: Size, url: str, bare: str, count: int) -> None:
    ours, theirs = _asker(url, "/api/v0/algorithm/all"), _asker(bare, "/nothing")
    assert len(json.loads(ours())) == count
    listed = [seconds(ours) for _ in range(size.repeats)]
    nothing = [seconds(theirs) for _ in range(size.repeats)]
    middle, late = spread(listed)
    target = TARGETS.get(count)
    report.add(
        f"list of {count} algorithms, median (95 %)",
        f"{middle * 1e3:.1f} ms ({late * 1e3:.1f})",
        baseline=f"{median(nothing) * 1e3:.1f} ms",
        ratio=f"{middle / median(nothing):.0f}",
        target="" if target is None else f"{target * 1e3:.0f} ms",
        met=None if target is None else middle <= target,
    )


def _asker(url: str, path: str) -> Callable[[], bytes]:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port)

    def ask() -> bytes:
        connection.request("GET", path)
        return connection.getresponse().read()

    return ask


if __name__ == "__main__":
    main()
