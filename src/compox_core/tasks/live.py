"""Jobs that go on in this process, as everybody here sees them; each is the one writer of its record."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from compox_core.errors import NotFoundError, StorageError, TaskStoppedException
from compox_core.identity import utc_now
from compox_core.records import ErrorInfo, Job, Rung, TaskRecord, TaskStatus
from compox_core.tasks.gate import Gate
from compox_core.tasks.log import TaskLog
from compox_core.tasks.presence import Holder
from compox_core.tasks.store import EndNote, TaskStore, TaskStores

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 0.25
STOP_POLL_SECONDS = 0.5
FINISHED_KEPT = 256
FINISHED_SECONDS = 60.0


class Emergency(Protocol):
    """Where an end is kept that the store refuses; see `compox_core.storage.emergency`."""

    def keep(
        self, collection: str, record_id: str, fields: dict[str, Any], error: Exception, attempt: int
    ) -> object: ...
    def prepare(self, collections: Sequence[str]) -> object: ...
    def forget(self, collection: str, record_id: str) -> object: ...


class LiveTask:
    """One job: its record and log in memory; changes are flushed to the store every 250 ms, the end at once.

    `version` rises with every change, so that a follower can see whether there is something new. `elsewhere` says
    that another process runs the job or has decided how it ended: the store knows more than this object.
    """

    def __init__(
        self,
        record: TaskRecord,
        store: TaskStore,
        log_limit: int,
        wake: Callable[[], None],
        emergency: Emergency | None = None,
    ) -> None:
        self.job = Job(store.kind, record.task_id)
        self.log = TaskLog(log_limit)
        self.gate = Gate()
        self.done = threading.Event()
        self.stop_requested = threading.Event()
        self.stop_raised = False
        self.timed_out = False
        self.rung: Rung | None = None
        self.elsewhere = False
        self.files: set[str] = set()
        self.version = 0
        self.finished_at = 0.0
        self._record = record
        self._progress = record.progress
        self._store = store
        self._wake = wake
        self._emergency = emergency
        self._by = ""
        self._listeners: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._saving = threading.RLock()
        self._dirty = False
        self._undecided: TaskRecord | None = None  # an end that was told and that the store has not taken yet
        self._chunks = 0
        self._unstored: str | None = None  # a chunk of the log that the store has not taken yet
        if record.log:
            self.log.resume(record.log)

    @property
    def id(self) -> str:
        """The id of the job."""
        return self.job.id

    @property
    def status(self) -> TaskStatus:
        """The present status."""
        return self._record.status

    @property
    def progress(self) -> float:
        """The present progress in [0, 1]."""
        return self._progress

    @property
    def record(self) -> TaskRecord:
        """The record without the latest log and progress; not to be changed."""
        return self._record

    def snapshot(self) -> TaskRecord:
        """Return the record as it is now, with the log; a copy that nobody changes."""
        with self._lock:
            return self._record.model_copy(update={"log": self.log.text(), "progress": self._progress})

    # -- what work does ---------------------------------------------------------------------------------------------

    def set_progress(self, progress: float) -> None:
        """Note the progress; it reaches the store with the next flush."""
        if self._record.status.final:
            return  # a thread that outlives its run does not move the end
        self._progress = progress
        self._touch()

    def write_log(self, level: str, message: str) -> None:
        """Add to the log; it reaches the store with the next flush."""
        self.log.add(level, message)
        self._touch()

    def posted(self, file_id: str) -> None:
        """Note that the job has stored a file, which is of no use unless the job completes."""
        self.files.add(file_id)

    def withdrawn(self, file_id: str) -> None:
        """Note that such a file is gone again."""
        self.files.discard(file_id)

    def _touch(self) -> None:
        self.version += 1
        if not self._dirty:
            self._dirty = True
            self._wake()

    def update(self, **fields: Any) -> None:
        """Change fields of the record, seen here at once; they reach the store with the next flush."""
        with self._lock:
            if self._record.status.final:
                return  # an engine that closed has already said how this run ended
            self._record = self._record.model_copy(update=fields)
        self._touch()

    # -- a stop -----------------------------------------------------------------------------------------------------

    def request_stop(self) -> None:
        """Ask the job to stop at its next call, and tell those who see to it."""
        self.stop_requested.set()
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener()

    def time_out(self) -> None:
        """End the job because its time is over."""
        self.timed_out = True
        self.request_stop()

    def on_stop(self, listener: Callable[[], None]) -> None:
        """Have `listener` called, in any thread, when a stop is requested; at once where it was."""
        with self._lock:
            self._listeners.append(listener)
        if self.stop_requested.is_set():
            listener()

    def check_stop(self) -> None:
        """Raise TaskStoppedException when a stop was asked for."""
        if self.stop_requested.is_set():
            self.stop_raised = True
            raise TaskStoppedException()

    # -- beginning and end ------------------------------------------------------------------------------------------

    def claim(self, holder: Holder) -> bool:
        """Begin the present attempt; False where it has begun or ended, here or elsewhere. Raises StorageError."""
        with self._saving:
            if self.done.is_set() or self._by:
                return False  # a job may be handed to this process twice: by its broker, or by the reconciler
            if not self._store.claim(self.id, self._record.attempt, holder):
                self._leave()
                return False
            self._by = holder.incarnation
            return True

    @property
    def claimed(self) -> bool:
        """Whether this process runs the job."""
        return bool(self._by)

    def decided_elsewhere(self) -> bool:
        """Return whether somebody decided about the attempt that runs here. Raises StorageError."""
        return self.claimed and not self.done.is_set() and bool(self._store.end_of(self.id, self._record.attempt))

    def finish(self, status: TaskStatus, *, error: ErrorInfo | None = None, **result: Any) -> bool:
        """Store the end of the job, and only then tell it; return whether it counts.

        It does not where another process has taken this one for dead and decided. An end that the store refuses is
        kept as an emergency record, told, and tried again by the flusher.
        """
        with self._saving:
            if self.done.is_set():
                return False  # an engine that closed has already said how this run ended
            progress = self._progress if status is TaskStatus.STOPPED else 1.0
            with self._lock:
                final = self._record.model_copy(
                    update={
                        "status": status,
                        "error": error,
                        "progress": progress,
                        "time_completed": utc_now(),
                        "stopped_by": None if status is TaskStatus.COMPLETED else self.rung,
                        **result,
                    }
                )
            self._dirty = False  # before the log is read: a line that another thread adds meanwhile is flushed later
            problem: Exception | None = None
            try:
                other = self._decide(final)
                if other is not None:
                    self._yield_to(other)
                    return False
            except Exception as refused:  # whatever it is, those who wait must hear of the end
                problem = refused
                self._dirty = isinstance(refused, OSError)  # a StorageError is one; nothing else gets better
                self._keep(final, refused)
            self._tell(final, progress)
        if problem is not None:
            how = "could not be stored, will try again" if self._dirty else "cannot be stored"
            with suppress(Exception):  # a handler that an algorithm gave to `logging` may raise
                logger.error(
                    "The end of %s %s %s: %s",
                    self.job.kind.value,
                    self.id,
                    how,
                    problem,
                    exc_info=None if self._dirty else problem,
                )
        return True

    def _tell(self, final: TaskRecord, progress: float) -> None:
        with self._lock:
            self._record, self._progress = final, progress
        self.version += 1
        self.finished_at = time.monotonic()
        self.done.set()
        self._wake()

    def _leave(self) -> None:
        """Have those who wait here look at the store instead."""
        self.elsewhere = True
        self.finished_at = time.monotonic()
        self._dirty = False
        self.done.set()
        self._wake()

    def _decide(self, final: TaskRecord) -> EndNote | None:
        """Bring an end to the store; return another's note where that came first. Raises StorageError."""
        self._undecided = final
        whole = final.model_copy(update={"log": self.log.text()})
        decided = self._store.decide(self.id, final.attempt, self._store.note_of(whole, self._by))
        if decided.by != self._by:
            self._undecided = None
            return decided
        self._save(whole)
        self._undecided = None
        return None

    def _yield_to(self, note: EndNote) -> None:
        """Take what another process decided for the truth, also in the record that this one may have written over."""
        _say(
            "%s %s was decided by another process, which took this one for dead (%s); what was done here is dropped.",
            self.job.kind.value.capitalize(),
            self.id,
            note.decision,
        )
        with suppress(StorageError, NotFoundError):  # readers go by the ends anyway
            truth = self._store.load(self.id)
            if truth.status.final:
                self._store.save(truth)
        self._leave()

    def _keep(self, final: TaskRecord, refused: Exception) -> None:
        if self._emergency is None:
            return
        whole = final.model_copy(update={"log": self.log.text()})
        try:
            self._emergency.keep(
                self._store.about.collection, self.id, whole.model_dump(mode="json"), refused, final.attempt
            )
        except OSError as problem:
            _say("Not even an emergency record of %s can be written: %s", self.id, problem)

    @property
    def unsaved(self) -> bool:
        """Whether the store does not know the latest."""
        return self._dirty

    def flush(self) -> None:
        """Bring the stored record up to date. Raises StorageError."""
        if not self._dirty or not self._by:
            return  # the record of a job that waits is as it was submitted
        with self._saving:
            self._dirty = False
            try:
                late = self._undecided
                if late is None:
                    self._save(self.snapshot())
                    return
                other = self._decide(late)
                if other is not None:
                    self._yield_to(other)
            except OSError:
                self._dirty = True
                raise
            if self._emergency is not None:
                self._emergency.forget(self._store.about.collection, self.id)

    def whole_log(self) -> str:
        """Return every line so far: head, what is stored, what waits for it, tail. Raises StorageError."""
        with self._saving:  # no chunk is on its way then
            stored = self._store.log_chunks(self.id) if self._chunks else {}
            head, middle, tail = self.log.parts()
            between = [text for number, text in stored.items() if 0 < number <= self._chunks]
            return "".join((head, *between, self._unstored or "", middle, tail))

    def _save(self, record: TaskRecord) -> None:
        last = record.status.final
        while True:
            if self._unstored is None:
                self._unstored = self.log.take_chunk(rest=last)
            if self._unstored is None:
                break
            self._store.save_log_chunk(self.id, self._chunks + 1, self._unstored)
            self._chunks += 1
            self._unstored = None
        if last and self._chunks:
            head, _, tail = self.log.parts()
            self._store.save_log_chunk(self.id, 0, head)
            self._store.save_log_chunk(self.id, self._chunks + 1, tail)
        if last:
            self._store.close(record)
        else:
            self._store.save(record)


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

    def add(self, record: TaskRecord) -> LiveTask:
        """Take a job in; one that is here already stays what it is."""
        task = LiveTask(record, self.stores.of(record.kind), self._log_limit, self._wake.set, self._emergency)
        with self._lock:
            present = self._active.get(task.id)
            if present is not None and not present.done.is_set():
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
                self._look_for_stops()
                for call in self.every:
                    call()
            self._drop_old()

    def _flush_all(self) -> None:
        with self._lock:
            tasks = list(self._active.values())
        for task in tasks:
            try:
                task.flush()
            except OSError as problem:  # a StorageError is one
                _say("The record of %s %s could not be stored, will try again: %s", task.job.kind, task.id, problem)
                self._wake.set()
            except Exception as problem:  # a defect in one record must not end the flusher of all
                _say("The record of %s %s cannot be stored: %s", task.job.kind, task.id, problem)
            if task.done.is_set():
                self.settle(task)

    def _look_for_stops(self) -> None:
        waiting = [task for task in self.active() if not task.stop_requested.is_set()]
        if not waiting:
            return
        try:
            asked = self.stores.stops()
            for task in waiting:
                if task.id in asked:
                    self.stop(task)
        except StorageError as problem:
            _say("Stop requests could not be read: %s", problem)

    def drop_decided(self) -> None:
        """Stop what runs here though another process has decided about it, having taken this one for dead."""
        for task in self.active():
            try:
                if task.decided_elsewhere():
                    task.request_stop()
            except StorageError as problem:
                _say("It could not be read whether %s was decided elsewhere: %s", task.id, problem)
                return

    def _drop_old(self) -> None:
        deadline = time.monotonic() - FINISHED_SECONDS
        with self._lock:
            for task_id in [t.id for t in self._finished.values() if t.finished_at < deadline]:
                del self._finished[task_id]


def _say(message: str, *facts: object) -> None:
    with suppress(Exception):  # a handler that an algorithm gave to `logging` may raise
        logger.warning(message, *facts)
