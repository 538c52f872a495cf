"""Executors inside this process."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from contextlib import suppress

from compox_core.errors import NotFoundError, StateError
from compox_core.jobs.ladder import ThreadLadder
from compox_core.jobs.local import LocalRun
from compox_core.records import Job
from compox_core.settings.models import Stop
from compox_core.storage.telling import tell
from compox_core.tasks import LiveTask

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
"""How long a job waits that could not begin because the store refused its claim."""


class InlineExecutor:
    """Runs a job at once, in the thread that submits it."""

    remote = False

    def __init__(self, run: LocalRun, stop: Stop) -> None:
        self._run = run
        self._ladder = ThreadLadder(stop, run.give_up)
        self._closed = False

    def submit(self, job: Job) -> None:
        """Run the job before returning."""
        if self._closed:
            raise closed_error()
        self._run(job, self._ladder)

    def cancel(self, job: Job) -> bool:
        """Return False: every job has begun."""
        return False

    def close(self, timeout: float | None) -> list[Job]:
        """Take no more jobs and hand none back: one that runs is in its caller's thread, which alone waits for it."""
        self._closed = True
        self._ladder.close()
        return []


class ThreadExecutor:
    """Runs jobs in a fixed number of threads, first come, first served.

    The threads are daemons: a program that ends does not wait for an algorithm that never returns. A thread whose job
    nothing ends is given up, and another one takes its place. `Engine` closes its executor when the interpreter exits,
    so that no record stays RUNNING.
    """

    remote = False

    def __init__(self, run: LocalRun, stop: Stop, workers: int = 1) -> None:
        self._run = run
        self._ladder = ThreadLadder(stop, self._give_up)
        self._workers = max(workers, 1)
        self._changed = threading.Condition()
        self._queue: deque[Job] = deque()
        self._running: dict[Job, threading.Thread] = {}
        self._threads: set[threading.Thread] = set()
        self._started = 0
        self._idle = 0
        self._left: list[Job] = []
        self._closed = False

    def submit(self, job: Job) -> None:
        """Queue the job."""
        with self._changed:
            if self._closed:
                raise closed_error()
            if self._idle <= len(self._queue) and len(self._threads) < self._workers:
                self._start_thread()  # where the system has none to give, nothing is queued and the next job tries
            self._queue.append(job)
            self._changed.notify()

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._work, name=f"compox-worker-{self._started}", daemon=True)
        thread.start()
        self._started += 1
        self._threads.add(thread)

    def cancel(self, job: Job) -> bool:
        """Take a queued job back; return False when it runs or has run."""
        with self._changed:
            try:
                self._queue.remove(job)
            except ValueError:
                return False
            self._changed.notify_all()
            return True

    def close(self, timeout: float | None) -> list[Job]:
        """Take no more jobs; wait for what runs, and with None also for what is queued.

        Stops that are under way, or come now, are hurried to end within `timeout`.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        if timeout is not None:
            self._ladder.hurry(timeout)
        with self._changed:
            self._closed = True
            left = [] if timeout is None else list(self._queue)
            if timeout is not None:
                self._queue.clear()
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: not self._running and not self._queue,
                None if deadline is None else max(deadline - time.monotonic(), 0),
            )
            self._ladder.close()
            return left + self._left + list(self._running)

    def _give_up(self, task: LiveTask) -> None:
        """Leave the thread of a job behind that nothing ends, and have another one take its place."""
        with self._changed:
            thread = self._running.pop(task.job, None)
            if thread is not None:
                self._threads.discard(thread)
                with suppress(RuntimeError):  # no thread to be had: the next job tries
                    self._start_thread()
            self._changed.notify_all()
        self._run.give_up(task)

    def _work(self) -> None:
        me = threading.current_thread()
        while True:
            with self._changed:
                self._idle += 1
                self._changed.wait_for(lambda: self._queue or self._closed)
                self._idle -= 1
                if not self._queue:
                    return
                job = self._queue.popleft()
                if job in self._running:
                    continue  # it was submitted twice
                self._running[job] = me
            again = self._run_safely(job)
            with self._changed:
                if self._running.get(job) is not me:
                    return  # given up meanwhile: another thread works in this one's place
                del self._running[job]
                if again and self._closed:
                    self._left.append(job)
                elif again:
                    self._queue.appendleft(job)
                self._changed.notify_all()
                if again:
                    self._changed.wait_for(lambda: self._closed, RETRY_SECONDS)

    def _run_safely(self, job: Job) -> bool:
        """Run a job; return whether it is to be tried again because it could not begin."""
        try:
            self._run(job, self._ladder)
        except NotFoundError:
            logger.warning("Job %s is not there any more.", job.id)
        except KeyboardInterrupt as error:
            tell(logger, logging.DEBUG, "Job %s ended with an exception.", job.id, exc_info=error)
        except BaseException as problem:  # the thread must live on, or everything queued would wait for ever
            say_not_begun(job, problem)
            return True  # what an algorithm raises is an outcome: where the job has begun, it has ended, too
        return False


def closed_error() -> StateError:
    """Return the error for a job that comes after `close`."""
    return StateError("The engine is closed: it takes no more jobs. Open a new one.", code="engine_closed")


def say_not_begun(job: Job, problem: BaseException) -> None:
    """Log why a job could not begin that waits on; with the place where that is no failure of the store."""
    cause = None if isinstance(problem, OSError) else problem
    tell(logger, logging.WARNING, "Job %s cannot begin, will try again: %s", job.id, problem, exc_info=cause)
