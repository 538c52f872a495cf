"""Runs jobs in worker processes."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence

from compox_core.errors import NotFoundError
from compox_core.jobs.executors import RETRY_SECONDS, closed_error, say_not_begun
from compox_core.jobs.failures import error_info
from compox_core.jobs.lifecycle import Lifecycle
from compox_core.jobs.processes.endings import end_all
from compox_core.jobs.processes.ladder import ProcessLadder
from compox_core.jobs.processes.launch import Launch
from compox_core.jobs.processes.slots import Slot, Slots, State
from compox_core.jobs.processes.spare import NotStartedError, Spare
from compox_core.jobs.processes.starts import Starts
from compox_core.jobs.processes.supervision import Verdict, supervise
from compox_core.jobs.processes.tickets import Ticket
from compox_core.jobs.processes.tree import clear_up
from compox_core.jobs.processes.worker import Worker
from compox_core.jobs.work import Outcome
from compox_core.records import AlgorithmTaskRecord, Job, TaskRecord, TaskStatus
from compox_core.settings.models import Stop
from compox_core.tasks import LiveTask

logger = logging.getLogger(__name__)

STARTS = 3
"""How many workers may die on a job before they have begun with it."""


class ProcessExecutor:
    """Gives each job to one of its slots; a slot is a thread here with at most one worker process.

    Args:
        lifecycle: Begins and ends jobs.
        launch: How workers are started.
        devices: The slots: the runtime device of each, None for one that takes every job.
        stop: How long the rungs of a stop take.
        warm_spare: Keep one more worker started than there are slots in use.
        route: Returns the runtime device that a job needs, None for any.
    """

    remote = False

    def __init__(
        self,
        lifecycle: Lifecycle,
        launch: Launch,
        devices: Sequence[str | None],
        stop: Stop,
        *,
        warm_spare: bool = True,
        route: Callable[[TaskRecord], str | None] = lambda record: None,
    ) -> None:
        self._lifecycle = lifecycle
        self._route = route
        self._ladder = ProcessLadder(stop)
        self._spare = Spare(launch, warm_spare)
        self._slots = Slots(devices)
        self._lock = threading.RLock()
        self._calm = threading.Condition(self._lock)
        self._turns = [threading.Condition(self._lock) for _ in self._slots.slots]
        self._workers: dict[int, Worker] = {}
        self._left: list[Job] = []
        self._starts = Starts()
        self._not_before = 0.0
        self._pid = os.getpid()
        self._started = False
        self._closed = False
        self._ended = False

    # -- what an executor does --------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start a spare worker, so that the first job does not wait for it; end what dead parents have left behind."""
        with self._lock:
            if self._started or self._closed:
                return
            self._started = True
            for slot in self._slots.slots:
                name = f"compox-slot-{slot.number}"
                threading.Thread(target=self._serve, args=(slot,), name=name, daemon=True).start()
        threading.Thread(target=clear_up, name="compox-orphans", daemon=True).start()
        self._spare.refill()

    def submit(self, job: Job) -> None:
        """Queue the job."""
        self.start()
        device = taste = None
        record = self._lifecycle.waiting(job)
        if record is not None:
            device = self._route(record)
        if isinstance(record, AlgorithmTaskRecord):
            taste = f"{record.algorithm_id} {record.resolved_minor_version}"
        with self._lock:
            if self._closed:
                raise closed_error()
            self._slots.add(job, device, _session(record), taste)
            self._match()

    def cancel(self, job: Job) -> bool:
        """Take a queued job back; return False when it runs or has run."""
        with self._lock:
            found = self._slots.cancel(job)
            self._calm.notify_all()
            return found

    def close(self, timeout: float | None) -> list[Job]:
        """Take no more jobs; wait for what runs, and with None also for what is queued; end all worker processes.

        Stops that are under way, or come now, are hurried to end within `timeout`.
        """
        if os.getpid() != self._pid:  # a fork has no threads, and the workers are not its own
            return []
        with self._lock:
            if self._ended:
                return []
            self._closed = True
            left = [] if timeout is None else self._slots.clear()
            if timeout is not None:
                self._ladder.hurry(timeout)
                for worker in self._workers.values():
                    worker.wake()
            self._calm.wait_for(lambda: not self._busy() and (timeout is not None or not len(self._slots)), timeout)
            left += self._left + self._slots.clear()  # what could not begin meanwhile
            left += [slot.ticket.job for slot in self._busy() if slot.ticket is not None]
            self._ended = True  # from now on those who wait for the workers that run on say nothing any more
            for turn in self._turns:
                turn.notify_all()
            busy = [self._workers.pop(slot.number) for slot in self._busy() if slot.number in self._workers]
            others = [*self._workers.values(), *self._spare.close()]
            self._workers.clear()
        end_all(others, busy)
        return left

    def _busy(self) -> list[Slot]:
        return [slot for slot in self._slots.slots if slot.state is State.BUSY]

    def _match(self) -> None:
        """Let slots know what there is to do; call it with the lock."""
        if self._ended or time.monotonic() < self._not_before:
            return
        for slot in self._slots.match(start=self._starts.pause() is None):
            self._turns[slot.number].notify_all()

    # -- in the thread of a slot ------------------------------------------------------------------------------------

    def _serve(self, slot: Slot) -> None:
        while True:
            with self._lock:
                self._await_turn(slot)
                if self._ended:
                    return
                state = slot.state
            if state is State.STARTING:
                self._start_worker(slot)
            else:
                self._run(slot)

    def _await_turn(self, slot: Slot) -> None:
        """Wait until there is something to do for a slot; call it with the lock.

        After a pause in which no worker was started, those who have waited in it see to it that some are again.
        """
        paused = False
        while slot.state not in (State.STARTING, State.BUSY) and not self._ended:
            pause = self._starts.pause()
            if paused and pause is None:
                self._match()
            else:
                self._turns[slot.number].wait(pause)
            paused = pause is not None

    def _start_worker(self, slot: Slot) -> None:
        try:
            self._new_worker(slot)
        except NotStartedError as problem:
            self._not_started(slot, problem)
        else:
            with self._lock:
                self._slots.idle(slot, ())
                self._match()

    def _new_worker(self, slot: Slot) -> Worker:
        def hold(worker: Worker) -> None:
            with self._lock:
                self._workers[slot.number] = worker
                ended = self._ended
            if ended:
                worker.kill()

        worker = self._spare.take(hold)
        with self._lock:
            self._starts.succeeded()
            self._match()
        return worker

    def _not_started(self, slot: Slot, problem: NotStartedError) -> None:
        """Have a start tried again after a pause; fail a job that has waited for one too long."""
        ticket = None
        with self._lock:
            if self._ended:
                return
            self._workers.pop(slot.number, None)
            if self._starts.failing(problem.patience):
                ticket = self._slots.take_unserved(slot, time.monotonic() - problem.patience)
        logger.error("%s", problem.info.message)
        refused = ticket is not None and not self._fail_unstarted(ticket, problem)  # somebody must hear of it
        with self._lock:
            if refused:
                self._return(slot)
            self._slots.empty(slot)
            self._starts.failed(RETRY_SECONDS)
            self._calm.notify_all()

    def _fail_unstarted(self, ticket: Ticket, problem: NotStartedError) -> bool:
        """Fail a job; return False where it could not be claimed, and is to be tried again."""
        try:
            task = self._begin(ticket.job)
        except Exception as refused:  # as in `_run`
            say_not_begun(ticket.job, refused)
            return False
        if task is not None and not self._ended:
            task.write_log("ERROR", problem.info.message)
            self._conclude(task, Outcome(status=TaskStatus.FAILED, error=problem.info))
        return True

    def _begin(self, job: Job) -> LiveTask | None:
        """Claim a job; None where it is not there any more, or not ours to begin."""
        try:
            return self._lifecycle.begin(job)
        except NotFoundError:
            logger.warning("Job %s is not there any more.", job.id)
            return None

    def _conclude(self, task: LiveTask, outcome: Outcome) -> None:
        try:
            self._lifecycle.conclude(task, outcome)
        except Exception:  # as above; what the store refuses is kept and tried again elsewhere
            logger.exception("The end of job %s could not be recorded.", task.id)

    def _run(self, slot: Slot) -> None:
        ticket = slot.ticket
        worker = self._workers.get(slot.number)
        assert ticket is not None
        if worker is None or worker.gone or worker.silent or worker.broken is not None:  # while it had nothing to do
            self._leave(slot, None, back=True)
            return
        try:
            task = self._begin(ticket.job)
        except Exception as problem:  # the store refuses, or there is no thread to be had; nothing else knows the job
            say_not_begun(ticket.job, problem)
            self._try_again(slot)
            return
        keep = task is None or self._run_task(slot, worker, task)
        if not keep:
            self._leave(slot, task)
            return
        with self._lock:
            if not self._ended:
                self._slots.idle(slot, self._workers[slot.number].sessions)
                self._match()
                self._calm.notify_all()

    def _run_task(self, slot: Slot, worker: Worker, task: LiveTask) -> bool:
        """Run a job that has begun, to its end; return whether its worker may do another."""
        try:
            verdict = self._supervise(slot, worker, task)
        except NotStartedError as problem:
            task.write_log("ERROR", problem.info.message)
            verdict = Verdict(Outcome(status=TaskStatus.FAILED, error=problem.info), keep=False)
        except Exception as error:  # whatever it is, the job must not stay RUNNING and the slot must live on
            logger.exception("Job %s could not be supervised.", task.id)
            verdict = Verdict(Outcome(status=TaskStatus.FAILED, error=error_info(error)), keep=False)
        with self._lock:
            if self._ended:  # `close` has returned the job as left over, and its end is said elsewhere
                return False
        self._conclude(task, verdict.outcome)
        return verdict.keep

    def _supervise(self, slot: Slot, worker: Worker, task: LiveTask) -> Verdict:
        """Have a job done, by another worker where the first died before it began, as idle ones may at any moment."""
        for left in reversed(range(STARTS)):
            self._tell_lost_session(task)
            verdict = supervise(worker, task, slot.device, self._ladder)
            if not verdict.untouched or self._ended:
                return verdict
            with self._lock:
                self._slots.lose(slot)
            if left:
                another = self._another_worker(slot, task)
                if another is None:
                    return Verdict(Outcome(status=TaskStatus.STOPPED), keep=False)
                worker = another
        raise NotStartedError("all ended before they began with the job.", worker.tail())

    def _another_worker(self, slot: Slot, task: LiveTask) -> Worker | None:
        """Return a new worker for a job that has begun and cannot go back; None where it is stopped meanwhile."""

        def wake() -> None:
            with self._lock:
                self._turns[slot.number].notify_all()

        began = time.monotonic()
        task.on_stop(wake)
        while not task.stop_requested.is_set():
            try:
                return self._new_worker(slot)
            except NotStartedError as problem:
                if self._ended or time.monotonic() - began >= problem.patience:
                    raise
                logger.error("%s", problem.info.message)
            with self._lock:
                pause = self._starts.failed(RETRY_SECONDS)
                self._turns[slot.number].wait_for(lambda: self._ended or task.stop_requested.is_set(), pause)
        return None

    def _tell_lost_session(self, task: LiveTask) -> None:
        with self._lock:
            lost = self._slots.was_lost(_session(task.record))
        if lost:
            task.write_log(
                "WARNING",
                "The worker process that held this session has ended: what earlier tasks have saved in it is lost.",
            )

    def _leave(self, slot: Slot, task: LiveTask | None, *, back: bool = False) -> None:
        """Give the worker of a slot up, whatever it is doing: no slot lets go of one that lives.

        With `back` the job of the slot, which has not begun, is queued again.
        """
        worker = self._workers.get(slot.number)
        if worker is not None:
            worker.kill()
        tokens = set(worker.sessions) if worker is not None else set()
        token = None if task is None else _session(task.record)
        with self._lock:
            if self._ended:
                return
            self._workers.pop(slot.number, None)
            if back:
                self._slots.put_back(slot)
            self._slots.empty(slot, tokens if token is None else {*tokens, token})
            self._match()
            self._calm.notify_all()

    def _try_again(self, slot: Slot) -> None:
        """Have a job tried again that could not begin, and all others wait as long: their claims go to that store."""
        with self._lock:
            if self._return(slot):
                self._not_before = time.monotonic() + RETRY_SECONDS
                self._turns[slot.number].wait_for(lambda: self._ended, RETRY_SECONDS)
                self._not_before = 0.0
            self._match()

    def _return(self, slot: Slot) -> bool:
        """Queue the job of a slot again; where the executor closes, it is left over. Return whether it is queued."""
        with self._lock:
            if self._ended:  # `close` has returned it
                return False
            if self._closed and slot.ticket is not None:
                self._left.append(slot.ticket.job)
                self._slots.idle(slot, slot.sessions)
            else:
                self._slots.put_back(slot)
            self._calm.notify_all()
            return not self._closed


def _session(record: TaskRecord | None) -> str | None:
    return (record.session_token or None) if isinstance(record, AlgorithmTaskRecord) else None
