"""A server of its own for tests of the queue: `python -m tests.jobs.racer ARGUMENTS`, told what by JSON.

It opens an engine like any other, but what its jobs do is to take a little while. It accepts some jobs, runs what it
finds, and notes in a file that all such servers share what it did and what it was told. Its wall clock is wrong and
jumps. It says `ready`, and ends when its input does.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from datetime import datetime, timedelta, tzinfo
from typing import Any

from compox_core import identity
from compox_core.engine import Engine, wiring
from compox_core.engine.tasks import Tasks
from compox_core.errors import StorageError
from compox_core.identity import new_id, utc_now
from compox_core.jobs import Lifecycle, Outcome
from compox_core.records import ExecutionRecord, JobKind
from compox_core.settings import load_settings
from compox_core.tasks import EndNote, LiveTask, Task, TaskStore, presence


class Notes:
    """The file in which every server notes what it did; a line reaches it whole or not at all."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def __call__(self, what: str, task_id: str, *facts: object) -> None:
        """Note a line."""
        os.write(self._file, (" ".join(map(str, (what, task_id, *facts, os.getpid()))) + "\n").encode())


def summary(note: EndNote) -> str:
    """Return in a word what was decided."""
    return note.decision if note.record is None else str(note.record["status"])


def disturb_clock(skew: float) -> None:
    """Let every wall clock that the product asks be wrong, each time by another time."""
    real, real_ns = time.time, time.time_ns
    pick = random.Random(skew)

    class Disturbed(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) + timedelta(seconds=skew + pick.uniform(-3, 3))

    identity.datetime = Disturbed  # type: ignore[misc]
    time.time = lambda: real() + skew + pick.uniform(-3, 3)
    time.time_ns = lambda: real_ns() + int((skew + pick.uniform(-3, 3)) * 1e9)


class Runs(Tasks[ExecutionRecord]):
    """Executions of nothing."""

    kind = JobKind.EXECUTION

    def accept(self, retries: int) -> str:
        """Accept a job."""
        record = ExecutionRecord(
            execution_id=new_id(), algorithm_id="a", input_dataset_ids=[], time_submitted=utc_now(), retries=retries
        )
        return self._queue(record).execution_id


def prepare(note: Notes, pick: random.Random, longest: float) -> None:
    """Have jobs do nothing for a while, and have it noted what is begun, decided and told."""

    def work(task: Task) -> dict[str, Any]:
        attempt = task.snapshot().attempt
        note("start", task.id, attempt)
        until = time.monotonic() + (longest * pick.random() if pick.random() < 0.6 else 0.01)
        while time.monotonic() < until:
            task.check_stop()
            task.set_progress(pick.random())
            time.sleep(0.01)
        if pick.random() < 0.1:
            raise RuntimeError("it failed")
        return {"output_dataset_ids": [f"{task.id}-{attempt}-{os.getpid()}"]}

    class Telling(Lifecycle):
        def conclude(self, task: LiveTask, outcome: Outcome) -> None:
            super().conclude(task, outcome)
            while task.unsaved:  # the store refused; the truth comes out when it is back
                time.sleep(0.01)
            note("refused" if task.elsewhere else "told", task.id, task.record.attempt, task.status.value)

    decide = TaskStore.decide

    def deciding(self: TaskStore, task_id: str, attempt: int, asked: EndNote) -> EndNote:
        answer = decide(self, task_id, attempt, asked)
        note("decided", task_id, attempt, summary(answer), int(answer.by == asked.by))
        return answer

    wiring.works = lambda bench: {JobKind.EXECUTION: work}  # type: ignore[assignment]
    wiring.Lifecycle = Telling  # type: ignore[misc]
    TaskStore.decide = deciding  # type: ignore[method-assign]


def accept(runs: Runs, note: Notes, pick: random.Random, jobs: int, seconds: float) -> None:
    """Accept jobs over a while."""
    for _ in range(jobs):
        time.sleep(pick.uniform(0, 2 * seconds / jobs))
        try:
            note("accepted", runs.accept(retries=pick.choice((0, 0, 1, 2))))
        except StorageError as problem:
            print(problem, file=sys.stderr)
    note("finished", "-")


def main() -> None:
    """Do what the arguments say."""
    said = json.loads(sys.argv[1])
    pick = random.Random(said["seed"])
    note = Notes(said["notes"])
    prepare(note, pick, said["longest"])
    disturb_clock(pick.uniform(-5000, 5000))
    if said["alone"]:  # a machine of its own: nobody else can see whether this process has ended
        mark = f"machine-{os.getpid()}|{said['seed']}"
        presence.host_mark = lambda: mark  # type: ignore[assignment]
    with Engine(load_settings(said["settings"]), executor="threads", resume=True) as engine:
        runs = Runs(engine._open_parts.desk)
        print("ready", flush=True)
        arguments = (runs, note, pick, said["jobs"], said["seconds"])
        threading.Thread(target=accept, args=arguments, daemon=True).start()
        sys.stdin.read()


if __name__ == "__main__":
    main()
