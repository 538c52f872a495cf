"""What a training costs beside its arithmetic: metrics, checkpoints, samples, copies to the local disk, memory.

`python -m benchmarks.training [--quick]`
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import compox_core as cx
from benchmarks.common import MIB, Report, seconds
from compox_core.records import SampleRequest, TaskStatus
from compox_core.settings import load_settings
from tests.training.school import settings_for, write_trainable
from tests.training.streamed import prepare, trained

POINTS = 100_000
LOGS = f"""
import time
values = {{"loss": 0.5, "accuracy": 0.25}}
begun = time.perf_counter()
for step in range({POINTS}):
    self.log_metrics(values, step)
logged = time.perf_counter()
kept = []
for step in range({POINTS}):
    kept.append((step, time.time(), dict(values)))
ended = time.perf_counter()
self.set_state({{"log": logged - begun, "append": ended - logged}})
self.save_checkpoint({{"weights.bin": b"5"}})
"""
SAVES = """
import os, time
from pathlib import Path
path = Path(args["path"])
with path.open("r+b") as file:
    file.write(os.urandom(8))  # content that is stored already is not stored again
begun = time.perf_counter()
self.save_checkpoint({"weights.bin": path})
self.set_state({"taken": [time.perf_counter() - begun]})
"""


def train(engine: cx.Engine, samples: list[str], code: str, **parameters: Any) -> dict[str, Any]:
    """Train with this code and return what it says in its state."""
    record = engine.train("sample", samples, parameters={"code": code, **parameters}).wait()
    assert record.status is TaskStatus.COMPLETED, record.log
    return record.state


def measure_metrics(report: Report, engine: cx.Engine, times: int) -> None:
    """Log points of two metrics, and append as much to a list."""
    taken = [train(engine, [], LOGS) for _ in range(times)]
    ours, bare = (min(each[what] for each in taken) / POINTS * 1e6 for what in ("log", "append"))
    report.add(
        f"log_metrics with two metrics, {POINTS} points in a thread",
        f"{ours:.1f} us",
        baseline=f"list.append with the time {bare:.2f} us",
        ratio=f"{ours / bare:.0f}",
        target="<= 30 us",
        met=ours <= 30,
    )


def measure_saves(report: Report, engine: cx.Engine, folder: Path, size: int, times: int) -> None:
    """Save a checkpoint of one file; hash and copy the same file."""
    path = folder / "weights"
    path.write_bytes(os.urandom(MIB) * (size // MIB))
    target = folder / "copy"

    def copy() -> None:
        with path.open("rb") as file:
            hashlib.file_digest(file, "sha256")
        shutil.copyfile(path, target)

    ours, bare = list[float](), list[float]()
    for _ in range(times + 1):  # the first round is for memory that the system has not given to anybody yet
        bare.append(seconds(copy))
        target.unlink()
        ours += train(engine, [], SAVES, path=str(path))["taken"]
        for checkpoint in engine.checkpoints.list():
            engine.checkpoints.delete(checkpoint.checkpoint_id)
    ours, bare = ours[1:], bare[1:]
    ratio = statistics.median(ours) / statistics.median(bare)
    report.add(
        f"save_checkpoint of a file of {size // MIB} MiB",
        f"{size / MIB / statistics.median(ours):.0f} MiB/s",
        baseline=f"SHA-256 and copyfile {size / MIB / statistics.median(bare):.0f} MiB/s",
        ratio=f"{ratio:.2f}",
        target="<= 4",
        met=ratio <= 4,
    )


def measure_samples(report: Report, engine: cx.Engine, folder: Path, count: int) -> None:
    """Create and list samples of two files each; write and read as many small files as that makes."""
    ids = [engine.files.save({"value": number}) for number in range(2)]
    request = SampleRequest(files=[{"input": [ids[0]], "target": [ids[1]]}], tags=["a"])
    content = json.dumps({"x": "y" * 300}).encode()
    folder.mkdir()

    def write() -> None:
        for number in range(count):
            for part in range(3):  # a record and two pins
                (folder / f"{number}-{part}").write_bytes(content if part == 0 else b"")

    def read() -> None:
        for number in range(count):
            json.loads((folder / f"{number}-0").read_bytes())

    made = seconds(lambda: [engine.samples.submit(request) for _ in range(count)])
    listed = seconds(lambda: engine.samples.list(["A"]))
    figures: list[tuple[str, float, Callable[[], None], float]] = [
        ("create", made, write, 20.0),
        ("list by a tag", listed, read, 20.0),
    ]
    for what, ours, act, most in figures:
        bare = seconds(act)
        report.add(
            f"{what}, {count} samples of two files in a folder",
            f"{ours / count * 1000:.2f} ms each",
            baseline=f"plain files {bare / count * 1000:.3f} ms",
            ratio=f"{ours / bare:.0f}",
            target=f"<= {most:.0f} ms",
            met=ours / count * 1000 <= most,
        )


def measure_stream(report: Report, folder: Path, count: int, limit: int) -> None:
    """Train on many large samples under a limit of address space; copy the same files plainly."""
    sample_id = prepare(folder / "store", count)
    size = count * 32
    if shutil.disk_usage(folder).free < 3 * size * MIB:
        report.add(f"training on {size} MiB of samples", "no room on the disk")
        return
    with cx.Engine(folder / "store", executor="inline") as engine:
        names = engine.samples.get(sample_id).file_ids
        paths = [engine.files.local_path(name) for name in names]

    def copy() -> None:
        target = folder / "plain"
        target.mkdir()
        for number, path in enumerate(paths):
            assert path is not None
            shutil.copyfile(path, target / str(number))

    taken = list[float]()
    for _ in range(2):  # the first copy gets memory that the system has not given to anybody yet
        taken.append(seconds(copy))
        shutil.rmtree(folder / "plain")
    bare = taken[1]
    figures = trained(folder / "store", folder / "temp", sample_id, f"={limit}")
    report.add(
        f"samples of {size} MiB to the local disk, checked and written anew",
        f"{size / figures['download']:.0f} MiB/s",
        baseline=f"copyfile {size / bare:.0f} MiB/s",
        ratio=f"{figures['download'] / bare:.2f}",
    )
    report.add(
        f"peak memory of a training on {size} MiB of samples, {limit // MIB} MiB of address space",
        f"{figures['resident_peak'] / MIB:.0f} MiB resident, {figures['peak'] / MIB:.0f} MiB of addresses",
        baseline=f"before it {figures['resident_base'] / MIB:.0f} and {figures['base'] / MIB:.0f} MiB",
        target=f"<= {limit // MIB} MiB",
        met=figures["peak"] <= limit,
    )


def main() -> int:
    """Measure, print, and say by the exit status whether every target holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, fewer samples")
    quick = parser.parse_args().quick
    report = Report("Training")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with cx.Engine(load_settings(settings_for(folder / "store", "threads", temp=folder / "temp"))) as engine:
            engine.deploy(write_trainable(folder / "algorithm"))
            measure_metrics(report, engine, 2 if quick else 5)
            measure_saves(report, engine, folder, (64 if quick else 512) * MIB, 3 if quick else 5)
            measure_samples(report, engine, folder / "plain", 200 if quick else 1000)
        if sys.platform == "linux":  # where address space can be limited, and is told
            (folder / "stream").mkdir()
            measure_stream(report, folder / "stream", 16 if quick else 64, 1024 * MIB)
    return 0 if report.show() else 1


if __name__ == "__main__":
    sys.exit(main())
