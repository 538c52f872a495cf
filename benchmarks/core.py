"""What the engine costs in-process: progress, import, look-up among many algorithms, a run that does nothing.

`python -m benchmarks.core [--quick]`
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import compox_core as cx
from benchmarks.common import Report
from compox_core.algorithms.packing import open_package

REPORTS = 100_000

RUNNER = """
import time
from compox_core.runners import Image2ImageRunner


class Runner(Image2ImageRunner):
    def inference(self, data, args):
        calls = int(args.get("calls", 0))
        if calls:
            started = time.perf_counter()
            for n in range(calls):
                self.set_progress(n / calls)
            self.log_message(f"each {(time.perf_counter() - started) / calls * 1e6:.3f} us")
        return data
"""


def write_algorithm(folder: Path, name: str) -> Path:
    """Write an algorithm that does nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Runner.py").write_text(textwrap.dedent(RUNNER))
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "{name}"\nversion = "1.0"\n[tool.compox]\nalgorithm_type = "Image2Image"\n'
        'tags = ["bench"]\ndescription = "Does nothing."\nobfuscate = false\n'
    )
    return folder


def median_of(function: Callable[[], object], times: int) -> float:
    """Return the median seconds of one call."""
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def measure_import(report: Report, times: int) -> None:
    """Start a Python with and without `import compox_core`."""

    def child(code: str) -> float:
        return median_of(lambda: subprocess.run([sys.executable, "-c", code], check=True), times)

    bare, ours, dependencies = child("pass"), child("import compox_core"), child("import numpy, h5py, pydantic, fsspec")
    report.add(
        "import compox_core",
        f"{(ours - bare) * 1000:.0f} ms",
        baseline=f"its bare dependencies {(dependencies - bare) * 1000:.0f} ms",
        ratio=f"{(ours - bare) / (dependencies - bare):.2f}",
        target="< 300 ms",
        met=ours - bare < 0.3,
    )


def measure_progress(report: Report, engine: cx.Engine, calls: int) -> None:
    """Report progress many times within one run."""
    image = np.zeros((8, 8), np.float32)
    result = engine.run("noop", image, calls=calls, progress=False)
    record = result.record  # type: ignore[union-attr]
    assert record is not None
    each = float(record.log.partition("each ")[2].split()[0])
    holder = {"progress": 0.0}

    def assign() -> None:
        for n in range(calls):
            holder["progress"] = n / calls

    bare = median_of(assign, 3) / calls * 1e6
    report.add(
        "set_progress, on average",
        f"{each:.2f} µs",
        baseline=f"a dict assignment {bare:.3f} µs",
        ratio=f"{each / bare:.0f}",
        target="< 20 µs",
        met=each < 20,
    )


def measure_runs(report: Report, engine: cx.Engine, times: int) -> None:
    """Run the algorithm that does nothing on a stored 1 MiB image."""
    image = np.zeros((512, 512), np.float32)
    file_id = engine.files.save({"image": image})
    engine.run("noop", file_id, progress=False)
    ours = median_of(lambda: engine.submit("noop", file_id).wait(), times)
    path = Path(tempfile.mkdtemp()) / "x.h5"

    def bare() -> None:
        from compox_core.data import read_hdf5, write_hdf5

        stored = engine.files.local_path(file_id)
        assert stored is not None
        write_hdf5(path, read_hdf5(stored))

    baseline = median_of(bare, times)
    report.add(
        "no-op run of a stored 1 MiB image, in-process, folder store",
        f"{ours * 1000:.2f} ms",
        baseline=f"HDF5 read + write {baseline * 1000:.2f} ms",
        ratio=f"{ours / baseline:.1f}",
    )


def measure_look_up(report: Report, folder: Path, kind: str, many: int, times: int) -> None:
    """Compare look-ups in a store of ten algorithms with those in a store of many."""
    source = write_algorithm(folder / "source", "noop")
    figures: dict[str, list[float]] = {"by name": [], "by id": []}
    engines = []
    for count in (10, many):
        engine = cx.Engine("memory://" if kind == "memory" else folder / f"store-{count}").open()
        registry = engine._open_parts.registry
        for number in range(count):
            with open_package(source, name=f"algorithm_{number}") as package:
                registry.deploy(package)
        engines.append(engine)
    # In turns, so that a noisy moment falls on both.
    samples: dict[tuple[int, str], list[float]] = {}
    for _ in range(10):
        for index, engine in enumerate(engines):
            record = engine.algorithms.get("algorithm_7", 1)
            by_name = median_of(lambda engine=engine: engine.algorithms.get("algorithm_7", 1), times)  # type: ignore[misc]
            by_id = median_of(
                lambda engine=engine, record=record: engine.algorithms.find(record.algorithm_id),  # type: ignore[misc]
                times,
            )
            samples.setdefault((index, "by name"), []).append(by_name)
            samples.setdefault((index, "by id"), []).append(by_id)
    for what in figures:
        few, lots = (statistics.median(samples[(index, what)]) for index in (0, 1))
        report.add(
            f"look-up {what} among {many}, {kind}",
            f"{lots * 1e6:.0f} µs",
            baseline=f"among 10: {few * 1e6:.0f} µs",
            ratio=f"{lots / few:.2f}",
            target="≤ 1.3",
            met=lots / few <= 1.3,
        )
    for engine in engines:
        engine.close()


def main() -> int:
    """Measure, print, and say by the exit status whether every target holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    quick = parser.parse_args().quick
    report = Report("The core")
    measure_import(report, 3 if quick else 9)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with cx.Engine(folder / "store") as engine:
            engine.deploy(write_algorithm(folder / "noop", "noop"))
            measure_progress(report, engine, REPORTS // 10 if quick else REPORTS)
            measure_runs(report, engine, 30 if quick else 200)
        for kind in ("folder", "memory"):
            measure_look_up(report, folder / kind, kind, 200 if quick else 2000, 50 if quick else 200)
    return 0 if report.show() else 1


if __name__ == "__main__":
    sys.exit(main())
