"""The program that a worker process is: does one job after the other in its main thread, until it is told to end."""

from __future__ import annotations

import faulthandler
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from typing import Any, NoReturn

from compox_core.jobs.bench import Workbench, make_bench, open_settings_store
from compox_core.jobs.failures import error_info
from compox_core.jobs.processes.child_streams import WorkerStreams, relay_logs
from compox_core.jobs.processes.child_task import ChildTask
from compox_core.jobs.processes.commands import Commands
from compox_core.jobs.processes.events import Events
from compox_core.jobs.processes.messages import Done, Open, Ready, Run, Taken
from compox_core.jobs.processes.pipes import Pipes, flush_all, take_pipes
from compox_core.jobs.processes.surroundings import Surroundings
from compox_core.jobs.work import Outcome, Work, perform
from compox_core.jobs.works import works
from compox_core.records import JobKind, TaskStatus
from compox_core.settings import Settings
from compox_core.tasks.kinds import KINDS


class Child:
    """A worker at work."""

    def __init__(self, pipes: Pipes, marker: str, events: Events, commands: Commands) -> None:
        self._native = pipes.native
        self._marker = marker
        self._events = events
        self._commands = commands
        self._streams = WorkerStreams(lambda: commands.task)
        self._streams.put()
        self._surroundings = Surroundings()

    def serve(self, bench: Workbench, todo: Mapping[JobKind, Work]) -> None:
        """Do jobs until the parent says that it is enough."""
        self._events.put(Ready())
        idle = bench.settings.inference.runner_idle_seconds
        while True:
            try:
                command = self._commands.inbox.get(timeout=idle)
            except queue.Empty:
                command = None
            if idle is not None:
                bench.runners.drop_idle(idle)
            if command is None:
                continue
            if not isinstance(command, Run):
                return
            bench.device = command.device
            self._run(command, bench, todo)

    def _run(self, run: Run, bench: Workbench, todo: Mapping[JobKind, Work]) -> None:
        self._events.put(Taken(run.number))
        kind = JobKind(run.kind)
        record = KINDS[kind].model.model_validate(run.record)
        task = ChildTask(run.number, record, self._events, self._commands.stopping)
        before = set(threading.enumerate())
        self._streams.put()
        self._surroundings.restore()  # a thread of an earlier job may have changed them since
        self._commands.task = task
        try:
            outcome = perform(task, todo[kind], bench.runners.clear)
        finally:
            self._surroundings.restore()
            self._streams.finish(task)
            self._commands.task = None
            task.close()
        after = (thread for thread in threading.enumerate() if thread not in before and not thread.daemon)
        tokens = bench.sessions.tokens() if bench.sessions is not None else []
        self._events.put(Done(run.number, _plain(outcome), tokens, any(thread.is_alive() for thread in after)))
        flush_all()
        os.write(self._native, f"{self._marker}{run.number}\n".encode("ascii"))


def _plain(outcome: Outcome) -> dict[str, Any]:
    try:
        return outcome.model_dump(mode="json")
    except Exception as error:  # a result that no record could hold either
        return Outcome(status=TaskStatus.FAILED, error=error_info(error), raised=outcome.raised).model_dump(mode="json")


def main() -> NoReturn:
    """Be a worker, and end at once, whatever threads and exit handlers algorithms have left behind."""
    status = 1
    try:
        _work(take_pipes())
        status = 0
    except BaseException:  # whatever it is, the parent finds it on stderr and says that this worker is lost
        traceback.print_exc()
    flush_all()
    os._exit(status)


def _work(pipes: Pipes) -> None:
    faulthandler.enable(pipes.native)
    _be_nobodys_main_module()
    commands = Commands(pipes.commands)
    events = Events(pipes.events, pipes.native, lambda: commands.task.gate if commands.task is not None else None)
    events.start()
    commands.start()
    _raise_stops_on_signal(commands)
    opening = commands.inbox.get()
    if isinstance(opening, Open):
        sys.path.extend(entry for entry in opening.path if entry not in sys.path)
        relay_logs(events, opening.log_level)
        settings = Settings.model_validate(opening.settings)
        bench = make_bench(settings, open_settings_store(settings, opening.url))
        Child(pipes, opening.marker, events, commands).serve(bench, works(bench))


def _raise_stops_on_signal(commands: Commands) -> None:
    # Not SIGINT, which a person at a keyboard, `subprocess` and libraries mean something else by; not SIGTERM, which is
    # the next rung and must work where no Python code runs. SIGUSR1 is handled in the main thread alone, where the
    # algorithm is, and interrupts the waits of the system there.
    def raise_stop(number: int, frame: object) -> None:
        task = commands.task
        if task is not None:
            task.gate.raise_here()

    if sys.platform != "win32":
        signal.signal(signal.SIGUSR1, raise_stop)


def _be_nobodys_main_module() -> None:
    """Keep children that an algorithm spawns from importing this program again as theirs, which takes a second."""
    main_module = sys.modules["__main__"]
    main_module.__spec__ = None
    if hasattr(main_module, "__file__"):
        del main_module.__file__


if __name__ == "__main__":
    main()
