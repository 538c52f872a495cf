"""An engine with real worker processes, and one algorithm that does whatever a test asks of it."""

from __future__ import annotations

import json
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from compox_core.data import ImageSchema
from compox_core.engine import Engine
from compox_core.jobs.processes.executor import ProcessExecutor
from compox_core.jobs.processes.marks import VARIABLE
from compox_core.records import ExecutionRecord, ExecutionRequest
from compox_core.settings import load_settings
from tests.engine.authors import image_runner, write_algorithm

DEADLINE = 60.0
PATIENT = 60.0
BODY = """
scope = {"self": self, "args": args, "data": data}
exec(compile(args["code"], "<code of the test>", "exec"), scope)
return data
"""


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait until `condition` is true and return its value; fail with `what` when it never is."""
    deadline = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.01)
    return value


class Shop:
    """Runs code in the worker processes of an engine."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        runner = write_algorithm(folder / "algorithm", image_runner(BODY))
        self.algorithm = engine.deploy(runner).record.algorithm_id
        self.input = engine.files.save({"image": np.zeros((2, 2), np.float32)}, ImageSchema)

    @property
    def executor(self) -> ProcessExecutor:
        executor = self.engine._open_parts.desk.executor
        assert isinstance(executor, ProcessExecutor)
        return executor

    def submit(self, code: str, *, session: str | None = None, timeout_s: float | None = None, **args: Any) -> str:
        """Have a worker run `code`, in which `self` is the runner and `args` are those given here."""
        request = ExecutionRequest(
            algorithm_id=self.algorithm,
            input_dataset_ids=[self.input],
            additional_parameters={"code": textwrap.dedent(code), **args},
            session_token=session,
            timeout_s=timeout_s,
        )
        return self.engine.executions.submit(request).execution_id

    def ended(self, task_id: str) -> ExecutionRecord:
        """Wait for the end of a run and return its record."""
        record = self.engine.executions.wait(task_id, DEADLINE)
        assert record.status.final, f"still {record.status}: {record.log}"
        return record

    def run(self, code: str, **fields: Any) -> ExecutionRecord:
        """Run code to its end and return the record."""
        return self.ended(self.submit(code, **fields))

    def stopped(self, code: str, **fields: Any) -> ExecutionRecord:
        """Run code, stop it when its log says `begun`, and return the record."""
        task_id = self.submit(code, **fields)
        self.logged(task_id, "begun")
        self.engine.executions.stop(task_id)
        return self.ended(task_id)

    def logged(self, task_id: str, text: str) -> str:
        """Wait until the log of a run that goes on has `text`; return the log."""

        def log() -> str | None:
            record = self.engine.executions.get(task_id)
            assert text in record.log or not record.status.final, record.log
            return record.log if text in record.log else None

        found: str = until(log, f"{text!r} in the log")
        return found

    def worker(self) -> int:
        """Return the number of the process that runs jobs."""
        return told(self.run("import os; print('tells', os.getpid())"))[0]


def told(record: ExecutionRecord) -> Any:
    """Return what a run has printed after the word `tells`, as JSON lists each line's words."""
    lines = [line.split(" tells ", 1)[1] for line in record.log.splitlines() if " tells " in line]
    return [json.loads(line) if line[:1] in '0123456789[{"' else line for line in lines]


def messages(record: ExecutionRecord) -> list[str]:
    """Return the lines of a log without their time."""
    return [line.split(" ", 1)[1] for line in record.log.splitlines() if line[:2] == "20" and " " in line]


@contextmanager
def opened(
    folder: Path,
    *,
    flag: float = PATIENT,
    exception: float = PATIENT,
    terminate: float = PATIENT,
    kill: float = PATIENT,
    **backend: Any,
) -> Iterator[Shop]:
    """Open an engine with one worker and no spare; every rung of the ladder waits long where it is not told."""
    settings = {
        "storage": {"backend_settings": {"path": str(folder / "store")}},
        "inference": {
            "backend_settings": {"executor": "processes", "warm_spare": False, **backend},
            "stop": {
                "flag_seconds": flag,
                "exception_seconds": exception,
                "terminate_seconds": terminate,
                "kill_seconds": kill,
            },
        },
    }
    engine = Engine(load_settings(settings))
    try:
        yield Shop(engine, folder)
    finally:
        engine.close(wait=False)


def alive(pid: int) -> bool:
    """Return whether a process lives; one that has ended and was not waited for does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def dead(*pids: int) -> bool:
    """Return whether none of these processes lives."""
    return not any(alive(pid) for pid in pids)


def workers_of(pid: int) -> list[int]:
    """Return the worker processes, and what they started, whose mark says that their parent is `pid`."""
    found = []
    for process in psutil.process_iter():
        try:
            mark = process.environ().get(VARIABLE, "")
            if mark.split("/")[1:2] == [str(pid)] and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found
