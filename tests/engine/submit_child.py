"""A server that submits what others submit, too: `python -m tests.engine.submit_child ARGUMENTS`, told what by JSON.

It says `ready`, waits for a line, and submits each request under its id again and again until it is told of a job;
then it waits for its end and says what became of it. With `kill` it is gone, as by a kill, in the middle of the first
submit: after so many objects that this has stored.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from compox_core.engine import Engine
from compox_core.errors import StorageError
from compox_core.records import ExecutionRequest
from compox_core.settings import load_settings
from compox_core.storage.folder import FolderStore


def die_after(objects: int) -> None:
    """Be killed when the main thread has stored so many objects more."""
    publish, main = FolderStore._publish, threading.main_thread()
    left = objects

    def counted(self: FolderStore, source: Path, collection: str, key: str, *how: Any) -> None:
        nonlocal left
        if threading.current_thread() is main:
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
        publish(self, source, collection, key, *how)

    FolderStore._publish = counted  # type: ignore[method-assign]


def main() -> None:
    """Do what the arguments say."""
    said = json.loads(sys.argv[1])
    with Engine(load_settings(said["settings"]), executor="threads", resume=True) as engine:
        desk = engine.executions._desk
        desk.upkeep.ensure()
        print("ready", flush=True)
        sys.stdin.readline()
        if said["kill"] is not None:
            die_after(said["kill"])
        deadline = time.monotonic() + 60
        jobs: dict[str, str] = {}
        for client_id, request in said["requests"].items():
            while client_id not in jobs:
                try:
                    record, _ = engine.executions.submit_once(client_id, ExecutionRequest(**request))
                except StorageError as error:
                    if not error.retryable or time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)
                else:
                    jobs[client_id] = record.task_id
        if said["kill"] is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        ends = {client_id: engine.executions.wait(task_id, 60).status for client_id, task_id in jobs.items()}
        print(json.dumps({client_id: [jobs[client_id], ends[client_id]] for client_id in jobs}), flush=True)


if __name__ == "__main__":
    main()
