"""Runs jobs in worker processes."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence

from compox_core.errors import CompoxError, NotFoundError, StorageError
from compox_core.jobs.executors import RETRY_SECONDS, closed_error
from compox_core.jobs.failures import error_info
from compox_core.jobs.lifecycle import Lifecycle
from compox_core.jobs.processes.ladder import ProcessLadder
from compox_core.jobs.processes.launch import Launch
from compox_core.jobs.processes.slots import Slot, Slots, State
from compox_core.jobs.processes.spare import NotStartedError, Spare
from compox_core.jobs.processes.supervision import Verdict, supervise
from compox_core.jobs.processes.tree import clear_up
from compox_core.jobs.processes.worker import Worker
from compox_core.jobs.work import Outcome
from compox_core.records import AlgorithmTaskRecord, ErrorInfo, Job, TaskRecord, TaskStatus
from compox_core.settings.models import Stop
from compox_core.tasks import LiveTask

logger = logging.getLogger(__name__)

STARTS = 3
END_SECONDS = 1.0


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
        self._failed_starts = 0
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
            left += self._slots.clear()  # what could not begin meanwhile
            left += [slot.ticket.job for slot in self._busy() if slot.ticket is not None]
            self._ended = True  # from now on those who wait for the workers that run on say nothing any more
            for turn in self._turns:
                turn.notify_all()
            busy = {slot.number for slot in self._busy()}
            endings = [(worker, 0 if number in busy else END_SECONDS) for number, worker in self._workers.items()]
            endings += [(worker, END_SECONDS) for worker in self._spare.close()]
            self._workers.clear()
        _end_all(endings)
        return left

    def _busy(self) -> list[Slot]:
        return [slot for slot in self._slots.slots if slot.state is State.BUSY]

    def _match(self) -> None:
        """Let slots know what there is to do; call it with the lock."""
        if self._ended or time.monotonic() < self._not_before:
            return
        for slot in self._slots.match():
            self._turns[slot.number].notify_all()

    # -- in the thread of a slot ------------------------------------------------------------------------------------

    def _serve(self, slot: Slot) -> None:
        while True:
            with self._lock:
                self._turns[slot.number].wait_for(
                    lambda: slot.state in (State.STARTING, State.BUSY) or self._ended,
                )
                if self._ended:
                    return
                state = slot.state
            if state is State.STARTING:
                self._start_worker(slot)
            else:
                self._run(slot)

    def _start_worker(self, slot: Slot) -> None:
        try:
            self._new_worker(slot)
        except NotStartedError as problem:
            self._not_started(slot, problem.info)
        else:
            with self._lock:
                self._slots.idle(slot, ())
                self._match()

    def _new_worker(self, slot: Slot) -> Worker:
        def hold(worker: Worker) -> None:
            with self._lock:
                self._workers[slot.number] = worker
                if self._ended:
                    worker.kill()

        worker = self._spare.take(hold)
        with self._lock:
            self._failed_starts = 0
        return worker

    def _not_started(self, slot: Slot, error: ErrorInfo) -> None:
        with self._lock:
            if self._ended:
                return
            self._workers.pop(slot.number, None)
            self._failed_starts += 1
            ticket = self._slots.take_any(slot) if self._failed_starts >= STARTS else None
        logger.error("%s", error.message)
        if ticket is not None:  # somebody must hear of it; the next job tries again
            self._conclude_unstarted(ticket.job, Outcome(status=TaskStatus.FAILED, error=error))
        with self._lock:
            self._slots.empty(slot)
            self._match()
            self._calm.notify_all()

    def _conclude_unstarted(self, job: Job, outcome: Outcome) -> None:
        try:
            task = self._lifecycle.begin(job)
            if task is not None and outcome.error is not None:
                task.write_log("ERROR", outcome.error.message)
                self._lifecycle.conclude(task, outcome)
        except CompoxError as problem:  # the reconciler finds the job again
            logger.error("Job %s cannot be ended: %s", job.id, problem)

    def _run(self, slot: Slot) -> None:
        ticket = slot.ticket
        worker = self._workers.get(slot.number)
        assert ticket is not None
        if worker is None or worker.gone:  # died while it had nothing to do
            with self._lock:
                self._slots.put_back(slot)
                self._leave(slot, None)
            return
        try:
            task = self._lifecycle.begin(ticket.job)
        except NotFoundError:
            logger.warning("Job %s is not there any more.", ticket.job.id)
            task = None
        except StorageError as problem:
            logger.warning("Job %s cannot begin, will try again: %s", ticket.job.id, problem)
            self._put_back(slot)
            return
        except Exception:  # a record that cannot be read, say; the slot must live on
            logger.exception("Job %s cannot begin.", ticket.job.id)
            task = None
        keep = task is None or self._run_task(slot, worker, task)
        with self._lock:
            if self._ended:
                return
            if keep:
                self._slots.idle(slot, self._workers[slot.number].sessions)
                self._match()
                self._calm.notify_all()
            else:
                self._leave(slot, task)

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
        try:
            self._lifecycle.conclude(task, verdict.outcome)
        except Exception:  # as above; what the store refuses is kept and tried again elsewhere
            logger.exception("The end of job %s could not be recorded.", task.id)
        return verdict.keep

    def _supervise(self, slot: Slot, worker: Worker, task: LiveTask) -> Verdict:
        """Have a job done, by another worker where the first died before it began, as idle ones may at any moment."""
        for _ in range(STARTS):
            self._tell_lost_session(task)
            verdict = supervise(worker, task, slot.device, self._ladder)
            if not verdict.untouched or self._ended:
                return verdict
            with self._lock:
                self._slots.lose(slot)
            worker = self._new_worker(slot)
        raise NotStartedError("all ended before they began with the job.", worker.tail())

    def _tell_lost_session(self, task: LiveTask) -> None:
        with self._lock:
            lost = self._slots.was_lost(_session(task.record))
        if lost:
            task.write_log(
                "WARNING",
                "The worker process that held this session has ended: what earlier tasks have saved in it is lost.",
            )

    def _leave(self, slot: Slot, task: LiveTask | None) -> None:
        """Give the worker of a slot up; call it with the lock."""
        worker = self._workers.pop(slot.number, None)
        tokens = set(worker.sessions) if worker is not None else set()
        token = None if task is None else _session(task.record)
        self._slots.empty(slot, tokens if token is None else {*tokens, token})
        self._match()
        self._calm.notify_all()

    def _put_back(self, slot: Slot) -> None:
        """Have a job tried again that could not begin, and all others wait as long: their claims go to that store."""
        with self._lock:
            self._slots.put_back(slot)
            self._calm.notify_all()
            self._not_before = time.monotonic() + RETRY_SECONDS
            self._turns[slot.number].wait_for(lambda: self._ended, RETRY_SECONDS)
            self._not_before = 0.0
            self._match()


def _session(record: TaskRecord | None) -> str | None:
    return (record.session_token or None) if isinstance(record, AlgorithmTaskRecord) else None


def _end_all(endings: Sequence[tuple[Worker, float]]) -> None:
    """End workers, all at a time, each with the seconds that it may take to end by itself."""
    threads = [threading.Thread(target=worker.end, args=(grace,), daemon=True) for worker, grace in endings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
