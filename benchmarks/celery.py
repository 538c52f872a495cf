"""How many jobs a second go through a message broker: Redis and RabbitMQ against threads in one process.

`python -m benchmarks.celery [--quick]`. It starts brokers of its own; one whose program is missing is left out.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import compox_core as cx
from benchmarks.common import Report
from benchmarks.core import write_algorithm
from compox_core.data import ImageSchema
from compox_core.records import ExecutionRequest, TaskStatus
from compox_core.settings import load_settings
from tests.brokers import BROKERS, DEBIAN

WORKERS = 2


def jobs_per_second(engine: cx.Engine, algorithm: Path, jobs: int) -> float:
    """Run so many jobs that do nothing, submitted at once, and return how many completed in a second."""
    algorithm_id = engine.deploy(algorithm).record.algorithm_id
    file_id = engine.files.save({"image": np.zeros((8, 8), np.float32)}, ImageSchema)
    request = ExecutionRequest(algorithm_id=algorithm_id, input_dataset_ids=[file_id])
    for _ in range(4):  # workers are warm, and have loaded the algorithm
        engine.executions.wait(engine.executions.submit(request).execution_id)
    began = time.perf_counter()
    submitted = [engine.executions.submit(request).execution_id for _ in range(jobs)]
    for execution in submitted:
        record = engine.executions.wait(execution)
        assert record.status is TaskStatus.COMPLETED, record.log
    return jobs / (time.perf_counter() - began)


def measure(report: Report, folder: Path, name: str, algorithm: Path, jobs: int, baseline: float) -> None:
    """Measure one broker with one worker program that has two processes."""
    if shutil.which(BROKERS[name].program) is None and not (name == "rabbitmq" and DEBIAN.exists()):
        report.add(f"jobs/s through Celery and {name}", "not installed")
        return
    broker = BROKERS[name](folder / name)
    broker.start()
    config = folder / f"{name}.yaml"
    config.write_text(
        f"storage: {{backend_settings: {{path: {folder / name / 'store'}}}}}\n"
        "inference:\n"
        f"  backend_settings: {{executor: celery, broker_url: '{broker.url}', worker_number: {WORKERS}}}\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "compox_cli.main", "worker", "--config", str(config)]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert worker.stdout is not None
        assert "takes jobs" in worker.stdout.readline()
        with cx.Engine(load_settings(config)) as engine:
            rate = jobs_per_second(engine, algorithm, jobs)
    finally:
        worker.terminate()
        worker.wait(60)
        broker.kill()
    report.add(
        f"jobs/s through Celery and {name}, one worker with {WORKERS} processes",
        f"{rate:.0f}/s",
        baseline=f"{WORKERS} threads of one process {baseline:.0f}/s",
        ratio=f"{rate / baseline:.2f}",
    )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer jobs")
    jobs = 100 if parser.parse_args().quick else 500
    report = Report("Celery")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        algorithm = write_algorithm(folder / "noop", "noop")
        local = {
            "storage": {"backend_settings": {"path": str(folder / "store")}},
            "inference": {"backend_settings": {"executor": "threads", "worker_number": WORKERS}},
        }
        with cx.Engine(load_settings(local)) as engine:
            baseline = jobs_per_second(engine, algorithm, jobs)
        for broker in BROKERS:
            measure(report, folder, broker, algorithm, jobs, baseline)
    return 0 if report.show() else 1


if __name__ == "__main__":
    sys.exit(main())
