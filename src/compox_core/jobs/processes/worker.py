"""One worker process, as its parent holds it."""

from __future__ import annotations

import logging
import os
import queue
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any

from compox_core.jobs.failures import without_places
from compox_core.jobs.processes.launch import Launch
from compox_core.jobs.processes.marks import Mark
from compox_core.jobs.processes.messages import (
    Exit,
    FromJob,
    Lines,
    Log,
    Message,
    Metrics,
    Open,
    Posted,
    Progress,
    Raise,
    Ready,
    Relay,
    Run,
    Stop,
    Taken,
    Update,
    Withdrawn,
    encode,
)
from compox_core.jobs.processes.native import NativeOutput
from compox_core.jobs.processes.tree import KILL, End, ProcessTree, await_end
from compox_core.jobs.processes.windows_job import WindowsJob
from compox_core.jobs.work import Outcome
from compox_core.logs import log_relayed
from compox_core.records import TaskRecord
from compox_core.records.metric import metric_from_json
from compox_core.tasks import LiveTask

logger = logging.getLogger(__name__)

CHUNK = 64 * 1024
DRAIN_SECONDS = 5.0
EXIT_SECONDS = 2.0
"""How long a process may live on after the end of what it says; one with a GPU takes its time to end."""


class Worker:
    """A process that does jobs one by one.

    Whoever waits for something of it waits on `changed`. Messages to it are written, and its pipes are read, by threads
    of their own: a process that hangs, or is suspended, blocks nobody here.

    Attributes:
        ready: It waits for jobs, or does one.
        gone: It has ended, with everything that it started, and all it said has been read.
        taken: It has begun with its job.
        outcome: How its job ended; None until then.
        leftovers: The job left threads behind that a program would wait for.
        sessions: The tokens of the sessions that live in it.
        status: The exit status, negative for a signal; None while it lives, and where the system did not tell it here.
        broken: Why what it said could not be understood.
        silent: It lived on after the end of what it said, and was killed.
    """

    def __init__(self, launch: Launch, number: int) -> None:
        self.number = number
        self.changed = threading.Condition()
        self.ready = False
        self.gone = False
        self.taken = False
        self.outcome: Outcome | None = None
        self.leftovers = False
        self.sessions: frozenset[str] = frozenset()
        self.status: int | None = None
        self.broken: str | None = None
        self.silent = False
        self._launch = launch
        self._mark = Mark.of(launch.holder, number)
        self._marker = f"\x1ecompox {secrets.token_hex(8)} "
        self._native = NativeOutput(self._marker, self._native_line, self._native_end)
        self._task: LiveTask | None = None
        self._jobs = 0
        self._drained = 0
        self._heard = 0
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._signals = threading.Lock()
        self._reaped = False
        self._over = threading.Event()

    # -- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the process. Raises OSError."""
        self._process = process = self._launch.start(self._mark)
        self._job = WindowsJob() if sys.platform == "win32" else None
        self._tree = ProcessTree(process.pid, self._mark, self._job)
        try:
            if self._job is not None:
                self._job.hold(int(process._handle))  # type: ignore[attr-defined]  # it has started nothing yet
            self._attend(process)
        except BaseException:  # no thread to be had, say
            with self._signals:
                process.kill()
                process.wait()
                self._reaped = True
            self._let_go()
            raise

    def _attend(self, process: subprocess.Popen[bytes]) -> None:
        launch = self._launch
        level = logging.getLogger("compox.task").getEffectiveLevel()
        self.send(Open(launch.revealed(), launch.url, launch.path(), self._marker, level))
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        readers = [
            self._thread("events", self._read_events, process.stdout),
            self._thread("output", self._read_output, process.stderr),
        ]
        self._thread("commands", self._write_commands, process.stdin)
        self._thread("exit", self._watch, readers)

    def _thread(self, what: str, target: Callable[..., None], *args: Any) -> threading.Thread:
        name = f"compox-process-{self.number}-{what}"
        thread = threading.Thread(target=target, args=args, name=name, daemon=True)
        thread.start()
        return thread

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def settled(self) -> bool:
        """Whether nothing more will be heard of the job."""
        return self.outcome is not None or self.gone

    def tail(self) -> str:
        """Return the last of what it wrote on stderr."""
        return self._native.tail()

    # -- a job ------------------------------------------------------------------------------------------------------

    def assign(self, task: LiveTask, device: str | None) -> None:
        """Have it do a job."""
        record = task.record.model_dump(mode="json", exclude={"log"})
        with self.changed:
            self._jobs += 1
            self._task = task
            self.taken = False
            self.outcome = None
            self._native.forget()
            task.on_stop(self.wake)
        self.send(Run(self._jobs, task.job.kind.value, record, device))

    def release(self) -> None:
        """Have nothing more that it says count for its job."""
        with self.changed:
            self._task = None

    def wake(self) -> None:
        """Have those who wait on `changed` look again."""
        with self.changed:
            self.changed.notify_all()

    def all_read(self, seconds: float) -> bool:
        """Wait until what the job wrote past Python has been read; False once nothing comes for `seconds`."""
        with self.changed:
            while True:
                heard = self._heard
                if self.changed.wait_for(lambda: self._drained >= self._jobs or self.gone, seconds):
                    return True
                if self._heard == heard:
                    return False

    def send(self, message: Message) -> None:
        """Tell it something; never waits."""
        self._outbox.put(encode(message))

    # -- its end ----------------------------------------------------------------------------------------------------

    def ask_to_stop(self) -> None:
        """Ask the job to stop at its next call."""
        self.send(Stop(self._jobs))

    def raise_stop(self) -> None:
        """Have the stop raised in the algorithm's code."""
        if sys.platform == "win32":
            self.send(Raise(self._jobs))
        else:
            self._signal(signal.SIGUSR1)

    def terminate(self) -> None:
        """Ask the process and its children to end, by the system's own means."""
        with self._signals:
            if not self._reaped:
                self._tree.terminate()

    def kill(self, seconds: float = DRAIN_SECONDS) -> None:
        """Kill the process with everything that it has started."""
        with self._signals:
            if not self._reaped:
                self._tree.kill(seconds=seconds)

    def bid_end(self) -> None:
        """Have it end by itself once its job is done; nothing can be told to it after this."""
        self.send(Exit())
        self._outbox.put(None)

    def wait_gone(self, seconds: float) -> bool:
        """Wait for its end; return whether it came."""
        with self.changed:
            return self.changed.wait_for(lambda: self.gone, max(seconds, 0))

    def has_children(self) -> bool:
        """Return whether something that it has started is alive."""
        with self._signals:
            return not self._reaped and bool(self._tree.children())

    def _signal(self, number: int) -> None:
        with self._signals:
            if not self._reaped:
                with suppress(OSError):
                    os.kill(self.pid, number)

    def _watch(self, readers: list[threading.Thread]) -> None:
        """Notice the end of the process; whatever happens here, all who wait for that end hear of it."""
        end = End(None, held=False)
        try:
            end = await_end(self._process)
            self._clear(end)
        finally:
            with self._signals:
                self._reaped = True
            self._let_go()
            for reader in readers:
                reader.join(DRAIN_SECONDS)  # what it has started is dead, so the pipes have come to their end
            if self._job is not None:
                self._job.close()
            with self.changed:
                self.status = end.status
                # One that was about to end when it was killed has kept the status that it had chosen.
                self.silent = self.silent and (sys.platform == "win32" or end.status in (None, -KILL))
                self.gone = True
                self.changed.notify_all()

    def _clear(self, end: End) -> None:
        """Kill what an ended process has started, and only then give its number back to the system."""
        with self._signals:
            try:
                self._tree.kill(worker=end.held)
            finally:
                self._process.wait()
                self._reaped = True

    def _let_go(self) -> None:
        """Have nobody wait for the process who serves its pipes."""
        self._over.set()
        self._outbox.put(None)

    # -- its pipes --------------------------------------------------------------------------------------------------

    def _write_commands(self, pipe: IO[bytes]) -> None:
        with suppress(OSError), pipe:  # a process that has ended reads no more
            while (line := self._outbox.get()) is not None:
                view = memoryview(line)
                while view:
                    view = view[pipe.write(view) :]

    def _read_events(self, pipe: IO[bytes]) -> None:
        lines = Lines()
        with pipe:
            try:
                while data := os.read(pipe.fileno(), CHUNK):
                    for message in lines.feed(data):
                        self._take(message)
            except Exception as problem:  # whatever it is, a job whose worker is not understood must not wait for ever
                logger.error("Worker process %d is not understood and is ended: %s", self.pid, problem)
                self.broken = str(problem)
                self.kill()
                return
        if not self._over.wait(EXIT_SECONDS):
            logger.error("Worker process %d says nothing any more and is ended.", self.pid)
            self.silent = True
            self.kill()

    def _read_output(self, pipe: IO[bytes]) -> None:
        with pipe:
            while data := os.read(pipe.fileno(), CHUNK):
                self._native.feed(data)
            self._native.finish()

    def _take(self, message: Message) -> None:
        if isinstance(message, Relay):
            log_relayed(message.logger, message.level, message.text, message.facts)
        elif isinstance(message, Ready):
            with self.changed:
                self.ready = True
                self.changed.notify_all()
        elif isinstance(message, FromJob):
            task = self._task
            if task is not None and message.number == self._jobs and self.outcome is None:
                self._take_from_job(task, message)
        else:
            raise ValueError(f"{type(message).__name__} is not for a parent.")

    def _take_from_job(self, task: LiveTask, message: FromJob) -> None:
        if isinstance(message, Taken):
            self.taken = True
        elif isinstance(message, Progress):
            task.set_progress(message.value)
        elif isinstance(message, Log):
            task.write_log(message.level, message.text)
        elif isinstance(message, Update):
            task.update(**typed(task.record, message.values))
        elif isinstance(message, Metrics):
            values = {name: float(metric_from_json(value)) for name, value in message.values.items()}
            task.log_metrics(values, message.step)
        elif isinstance(message, Posted):
            task.posted(message.file_id)
        elif isinstance(message, Withdrawn):
            task.withdrawn(message.file_id)
        else:
            outcome = Outcome.model_validate(message.outcome)
            outcome.fields = typed(task.record, outcome.fields)
            with self.changed:
                self.sessions = frozenset(message.sessions)
                self.leftovers = message.leftovers
                self.outcome = outcome
                self.changed.notify_all()

    def _native_line(self, line: str) -> None:
        self._heard += 1
        task = self._task
        if task is None:
            logger.info("Worker process %d: %s", self.pid, line)
        else:
            task.write_log("INFO", without_places(line))

    def _native_end(self, number: int) -> None:
        with self.changed:
            self._drained = number
            self.changed.notify_all()


def typed(record: TaskRecord, values: dict[str, Any]) -> dict[str, Any]:
    """Return fields of a record as its model has them, from what JSON has of them. Raises ValidationError."""
    if not values:
        return {}
    whole = type(record).model_validate({**record.model_dump(exclude={"log"}), **values})
    return {name: getattr(whole, name) for name in values}
