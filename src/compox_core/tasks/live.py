"""The jobs that go on in this process, as everybody here sees them."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from compox_core.errors import StorageError
from compox_core.records import TaskRecord
from compox_core.storage.telling import tell
from compox_core.tasks.live_task import Emergency, LiveTask
from compox_core.tasks.store import TaskStores

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 0.25
STOP_POLL_SECONDS = 0.5
FINISHED_KEPT = 256
FINISHED_SECONDS = 60.0


class LiveTasks:
    """All jobs of this process, and the thread that flushes them and looks for stop requests of other processes."""

    def __init__(self, stores: TaskStores, log_limit: int, emergency: Emergency | None = None) -> None:
        self.stores = stores
        self.stop: Callable[[LiveTask], None] = LiveTask.request_stop
        self.every: list[Callable[[], object]] = []
        self._emergency = emergency
        self._log_limit = log_limit
        self._lock = threading.Lock()
        self._active: dict[str, LiveTask] = {}
        self._finished: OrderedDict[str, LiveTask] = OrderedDict()
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._flusher: threading.Thread | None = None
        self._stopping = False
        self._complained = ""

    def add(self, record: TaskRecord) -> LiveTask:
        """Take a job in; one that is here already stays what it is."""
        task = LiveTask(record, self.stores.of(record.kind), self._log_limit, self._wake.set, self._emergency)
        with self._lock:
            present = self._active.get(task.id)
            if present is not None and present.unsettled:
                return present
            self._finished.pop(task.id, None)  # it has ended here once, and begins again
            if self._stopping:
                task.stop_requested.set()
            self._active[task.id] = task
            self._wake.set()  # the flusher looks for stop requests while there are runs
            if self._flusher is None and not self._closed.is_set():
                flusher = threading.Thread(target=self._flush_forever, name="compox-flush", daemon=True)
                flusher.start()
                self._flusher = flusher
        return task

    def prepare(self) -> None:
        """See to it that the end of a job that now begins can be kept, should the store refuse it. Raises nothing."""
        if self._emergency is not None:
            self._emergency.prepare([store.about.collection for store in self.stores])

    def get(self, task_id: str) -> LiveTask | None:
        """Return a job that waits or goes on here, or ended here lately; no I/O."""
        with self._lock:
            task = self._active.get(task_id) or self._finished.get(task_id)
        return None if task is None or task.elsewhere else task

    def active(self) -> list[LiveTask]:
        """Return the runs that have not ended, oldest first."""
        with self._lock:
            return [task for task in self._active.values() if not task.done.is_set()]

    def discard(self, task: LiveTask) -> None:
        """Drop a job that never began here."""
        with self._lock:
            if self._active.get(task.id) is task and not task.claimed:
                del self._active[task.id]

    def stop_all(self) -> None:
        """Ask every run to stop, and those that may still come."""
        with self._lock:
            self._stopping = True
            tasks = list(self._active.values())
        for task in tasks:  # outside the lock: listeners may ask for other tasks
            task.request_stop()

    def forget(self, task_id: str) -> None:
        """Drop an ended run from memory."""
        with self._lock:
            self._finished.pop(task_id, None)
            task = self._active.get(task_id)
            if task is not None and task.done.is_set():
                del self._active[task_id]  # else the flusher would store it again

    def settle(self, task: LiveTask) -> None:
        """Move an ended run out of the active ones once the store knows its end."""
        if task.unsaved:
            return
        with self._lock:
            if self._active.get(task.id) is not task:
                return
            del self._active[task.id]
            if not task.elsewhere:
                self._finished[task.id] = task
            while len(self._finished) > FINISHED_KEPT:
                self._finished.popitem(last=False)

    def close(self) -> None:
        """Flush what is not stored and end the flusher."""
        self._closed.set()
        self._wake.set()
        if self._flusher is not None:
            self._flusher.join()
            self._flusher = None
        self._flush_all()

    def _flush_forever(self) -> None:
        looked_for_stops = 0.0
        while not self._closed.is_set():
            self._wake.wait(timeout=STOP_POLL_SECONDS if self._active else FINISHED_SECONDS)
            # What a short run says on its way costs no write: its end is stored before it is told.
            self._closed.wait(FLUSH_SECONDS)
            self._wake.clear()
            if self._closed.is_set():
                return
            self._flush_all()
            now = time.monotonic()
            if now - looked_for_stops >= STOP_POLL_SECONDS:
                looked_for_stops = now
                for call in (self._look_for_stops, *self.every):
                    self._safely(call)
            self._drop_old()

    def _safely(self, call: Callable[[], object]) -> None:
        """Do something that must not end the flusher of all."""
        try:
            call()
        except Exception as problem:  # whatever it is, it is tried again soon; the same is told once
            if str(problem) != self._complained:
                defect = None if isinstance(problem, OSError) else problem
                tell(logger, logging.WARNING, "Will try again what failed: %s", problem, exc_info=defect)
            self._complained = str(problem)

    def _flush_all(self) -> None:
        with self._lock:
            tasks = list(self._active.values())
        for task in tasks:
            try:
                task.flush()
            except OSError as problem:  # a StorageError is one
                tell(
                    logger,
                    logging.WARNING,
                    "The record of %s %s could not be stored, will try again: %s",
                    task.job.kind,
                    task.id,
                    problem,
                )
                self._wake.set()
            except Exception as problem:  # a defect in one record must not end the flusher of all
                tell(
                    logger, logging.WARNING, "The record of %s %s cannot be stored: %s", task.job.kind, task.id, problem
                )
            if task.done.is_set():
                self.settle(task)

    def _look_for_stops(self) -> None:
        waiting = [task for task in self.active() if not task.stop_requested.is_set()]
        if not waiting:
            return
        asked = self.stores.stops()
        for task in waiting:
            if task.id in asked:
                self.stop(task)

    def drop_decided(self) -> None:
        """Stop what runs here though another process has decided about it, having taken this one for dead."""
        for task in self.active():
            try:
                if task.decided_elsewhere():
                    task.request_stop()
            except StorageError as problem:
                tell(
                    logger,
                    logging.WARNING,
                    "It could not be read whether %s was decided elsewhere: %s",
                    task.id,
                    problem,
                )
                return

    def _drop_old(self) -> None:
        deadline = time.monotonic() - FINISHED_SECONDS
        with self._lock:
            for task_id in [t.id for t in self._finished.values() if t.finished_at < deadline]:
                del self._finished[task_id]
