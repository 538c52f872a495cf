"""What the parent tells a worker, read by a thread of its own."""

from __future__ import annotations

import io
import os
import queue
import select
import sys
import threading
from typing import NoReturn

from compox_core.jobs.processes.child_task import ChildTask
from compox_core.jobs.processes.marks import VARIABLE, Mark
from compox_core.jobs.processes.messages import Exit, Lines, MessageError, Open, Raise, Run, Stop
from compox_core.jobs.processes.tree import ProcessTree

CHUNK = 64 * 1024
LOOK_SECONDS = 2.0


class Commands:
    """Passes what is to be done to the main thread, does at once what must not wait for it.

    When the pipe ends, so has the parent, and the worker ends with everything that it has started.
    """

    def __init__(self, stream: io.FileIO) -> None:
        self.inbox: queue.SimpleQueue[Open | Run | Exit] = queue.SimpleQueue()
        self.task: ChildTask | None = None
        self._stream = stream
        self._stopped = 0
        mark = _own_mark()  # a parent that died while this process started is not its parent any more
        self._parent = os.getppid() if mark is None else mark.pid

    def start(self) -> None:
        """Begin to read."""
        threading.Thread(target=self._read_forever, name="compox-commands", daemon=True).start()

    def stopping(self, number: int) -> bool:
        """Return whether the parent wants that job to stop."""
        return self._stopped >= number

    def _read_forever(self) -> None:
        try:
            self._read()
        except Exception as problem:  # whatever it is: a worker that hears nothing any more is of no use
            print(f"The pipe of commands is broken: {problem}", file=sys.__stderr__, flush=True)
        finally:
            end_with_parent()

    def _read(self) -> None:
        lines = Lines()
        while True:
            self._wait()
            data = self._stream.read(CHUNK)
            if not data:
                return
            for message in lines.feed(data):
                self._take(message)

    def _wait(self) -> None:
        # Where another child of the parent holds the pipe too (a fork that it made), the pipe does not end with it.
        while sys.platform != "win32" and not select.select([self._stream], [], [], LOOK_SECONDS)[0]:
            if os.getppid() != self._parent:
                end_with_parent()

    def _take(self, message: object) -> None:
        task = self.task
        if isinstance(message, Stop):
            self._stopped = message.number
        elif isinstance(message, Raise):
            if task is not None and task.number == message.number:
                task.gate.raise_in_thread()
        elif isinstance(message, Open | Run | Exit):
            self.inbox.put(message)
        else:
            raise MessageError(f"{type(message).__name__} is not for a worker.")


def end_with_parent() -> NoReturn:
    """End this process at once, with everything that it has started."""
    try:
        mark = _own_mark()
        if mark is not None:
            ProcessTree(os.getpid(), mark).kill(worker=False)
    finally:
        os._exit(1)


def _own_mark() -> Mark | None:
    return Mark.read(os.environ.get(VARIABLE, ""))
