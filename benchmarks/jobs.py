"""What jobs cost wherever they run: worker processes against threads, a stop, a store full of finished records.

`python -m benchmarks.jobs [--quick]`
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import compox_core as cx
from benchmarks.common import Report, seconds, spread
from benchmarks.core import write_algorithm
from compox_core.data import ImageSchema
from compox_core.identity import new_id, utc_now
from compox_core.records import ExecutionRecord, ExecutionRequest, TaskStatus
from compox_core.settings import load_settings

STUBBORN = {
    "a cooperative loop": "while True:\n    self.set_progress(0.5)\n    time.sleep(0.01)",
    "a pure-Python endless loop": "while True:\n    pass",
    "a C call that sleeps and keeps the interpreter": "ctypes.PyDLL(None).sleep(100000)",
    "a C loop that never returns": "sum(range(10**18))",
    "a process that ignores SIGTERM": (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass"
    ),
}
RUNNER = """
import ctypes
import signal
import time
from compox_core.runners import Image2ImageRunner


class Runner(Image2ImageRunner):
    def inference(self, data, args):
        self.log_message("begun")
        time.sleep(0.2)  # a call that keeps the interpreter to itself would keep the message, too
"""


class Subject:
    """An engine with one algorithm and one stored image of 1 MiB."""

    def __init__(self, folder: Path, executor: str, algorithm: Path, rungs: dict[str, float] | None = None) -> None:
        settings = {
            "storage": {"backend_settings": {"path": str(folder)}},
            "inference": {"backend_settings": {"executor": executor}, "stop": rungs or {}},
        }
        self.engine = cx.Engine(load_settings(settings)).open()
        self.algorithm_id = self.engine.deploy(algorithm).record.algorithm_id
        self.file_id = self.engine.files.save({"image": np.zeros((512, 512), np.float32)}, ImageSchema)

    def submit(self) -> str:
        """Submit a run."""
        request = ExecutionRequest(algorithm_id=self.algorithm_id, input_dataset_ids=[self.file_id])
        return self.engine.executions.submit(request).execution_id

    def run(self) -> ExecutionRecord:
        """Run to the end."""
        record = self.engine.executions.wait(self.submit())
        assert record.status is TaskStatus.COMPLETED, record.log
        return record


def measure_overhead(report: Report, folder: Path, times: int) -> None:
    """Compare a run that does nothing in a worker process with one in a thread, in turns."""
    algorithm = write_algorithm(folder / "noop", "noop")
    subjects = [Subject(folder / "store", executor, algorithm) for executor in ("threads", "processes")]
    taken: tuple[list[float], list[float]] = ([], [])
    for number in range(times + 5):
        for subject, values in zip(subjects, taken, strict=True):
            value = seconds(subject.run)
            if number >= 5:
                values.append(value)
    (threads, _), (processes, tail) = (spread(values) for values in taken)
    report.add(
        "no-op run of a stored 1 MiB image in a worker process, median (95 %)",
        f"{processes * 1000:.2f} ms ({tail * 1000:.2f})",
        baseline=f"in a thread {threads * 1000:.2f} ms",
        ratio=f"+{(processes - threads) * 1000:.2f} ms",
        target="≤ +3 ms",
        met=processes - threads <= 0.003,
    )
    for subject in subjects:
        subject.engine.close()


def measure_stops(report: Report, folder: Path, times: int) -> None:
    """Measure the time from the request to the recorded end, where nothing of the worker is left."""
    bare = statistics.median(_bare_kill() for _ in range(5))
    rungs = {"flag_seconds": 0.5, "exception_seconds": 0.5, "terminate_seconds": 0.5, "kill_seconds": 5.0}
    for number, (what, body) in enumerate(STUBBORN.items()):
        source = write_algorithm(folder / f"stubborn-{number}", f"stubborn_{number}")
        lines = "\n".join(f"        {line}" for line in body.splitlines())
        (source / "Runner.py").write_text(RUNNER + lines + "\n")
        subject = Subject(folder / f"store-{number}", "processes", source, rungs)
        taken = []
        record = None
        for _ in range(times):
            execution = subject.submit()
            while "begun" not in subject.engine.executions.get(execution).log:
                time.sleep(0.005)
            time.sleep(0.3)  # the algorithm comes to what it is to be stopped in
            began = time.perf_counter()
            subject.engine.executions.stop(execution)
            record = subject.engine.executions.wait(execution, 60)
            taken.append(time.perf_counter() - began)
            assert record.status is TaskStatus.STOPPED, record
        assert record is not None
        report.add(
            f"stop of {what}, ended by '{record.stopped_by}'; each rung has 0.5 s",
            f"{statistics.median(taken):.3f} s",
            baseline=f"kill of a bare Python {bare * 1000:.0f} ms",
        )
        subject.engine.close(wait=False)


def _bare_kill() -> float:
    child = subprocess.Popen([sys.executable, "-c", "print('begun', flush=True)\nwhile True: pass"], stdout=-1)
    assert child.stdout is not None
    child.stdout.readline()

    def kill() -> None:
        child.kill()
        child.wait()

    taken = seconds(kill)
    child.stdout.close()
    return taken


def measure_history(report: Report, folder: Path, many: int, times: int) -> None:
    """Compare runs, and the opening of a server's engine, in a store of few finished records with one of many."""
    algorithm = write_algorithm(folder / "noop", "noop")
    subjects = [Subject(folder / f"store-{count}", "threads", algorithm) for count in (10, many)]
    for subject, count in zip(subjects, (10, many), strict=True):
        stored = subject.engine._open_parts.desk.live.stores.of(ExecutionRecord.kind)
        for _ in range(count):
            record = ExecutionRecord(
                execution_id=new_id(),
                algorithm_id=subject.algorithm_id,
                input_dataset_ids=[],
                status=TaskStatus.COMPLETED,
                time_submitted=utc_now(),
                time_completed=utc_now(),
                log="done\n" * 10,
            )
            stored.save(record)
            stored.decide(record.execution_id, 1, stored.note_of(record, "benchmark"))
    taken: tuple[list[float], list[float]] = ([], [])
    opened: tuple[list[float], list[float]] = ([], [])
    for number in range(times + 5):
        for subject, values, openings in zip(subjects, taken, opened, strict=True):
            value = seconds(subject.run)
            if number < 5:
                continue
            values.append(value)
            if number % 10 == 0:
                another = cx.Engine(subject.engine.settings, executor="threads", resume=True)
                openings.append(seconds(another.open))
                another.close()
    for what, pair in (("no-op run in-process", taken), ("opening a server's engine, with its look for work", opened)):
        few, lots = (statistics.median(values) for values in pair)
        report.add(
            f"{what}, beside {many} finished records",
            f"{lots * 1000:.2f} ms",
            baseline=f"beside 10: {few * 1000:.2f} ms",
            ratio=f"{lots / few:.2f}",
            target="≤ 1.3",
            met=lots / few <= 1.3,
        )
    for subject in subjects:
        subject.engine.close()


def main() -> int:
    """Measure, print, and say by the exit status whether every target holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, fewer records")
    quick = parser.parse_args().quick
    report = Report("Jobs")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        measure_overhead(report, folder / "overhead", 50 if quick else 300)
        measure_stops(report, folder / "stops", 1 if quick else 5)
        measure_history(report, folder / "history", 2000 if quick else 50_000, 50 if quick else 200)
    return 0 if report.show() else 1


if __name__ == "__main__":
    sys.exit(main())
