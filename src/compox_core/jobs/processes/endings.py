"""The end of all workers of an executor."""

from __future__ import annotations

import time
from collections.abc import Sequence

from compox_core.jobs.processes.worker import DRAIN_SECONDS, Worker

END_SECONDS = 1.0


def end_all(workers: Sequence[Worker], busy: Sequence[Worker]) -> None:
    """End workers: those that wait for jobs may end by themselves, within a second; the `busy` ones are killed.

    Without threads, which nobody can start any more when the interpreter exits.
    """
    asked = [worker for worker in workers if worker.ready]
    for worker in asked:
        worker.bid_end()
    deadline = time.monotonic() + END_SECONDS
    for worker in (*busy, *(worker for worker in workers if worker not in asked)):
        worker.kill()
    for worker in asked:
        if not worker.wait_gone(deadline - time.monotonic()):
            worker.kill()
    deadline = time.monotonic() + DRAIN_SECONDS
    for worker in (*workers, *busy):
        worker.wait_gone(deadline - time.monotonic())
