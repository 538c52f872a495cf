"""One job that goes on in this process, which is the one writer of its record."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from compox_core.errors import NotFoundError, StorageError, TaskStoppedException
from compox_core.identity import utc_now
from compox_core.records import ErrorInfo, Job, MetricPoint, Rung, TaskRecord, TaskStatus
from compox_core.storage.telling import tell
from compox_core.tasks.gate import Gate
from compox_core.tasks.log import TaskLog
from compox_core.tasks.metrics import LiveMetrics
from compox_core.tasks.presence import Holder
from compox_core.tasks.store import EndNote, TaskStore

logger = logging.getLogger(__name__)


class Emergency(Protocol):
    """Where an end is kept that the store refuses; see `compox_core.storage.emergency`."""

    def keep(
        self, collection: str, record_id: str, fields: dict[str, Any], error: Exception, attempt: int
    ) -> object: ...
    def prepare(self, collections: Sequence[str]) -> object: ...
    def forget(self, collection: str, record_id: str) -> object: ...


class LiveTask:
    """One job: its record and log in memory; changes are flushed to the store every 250 ms, the end at once.

    `elsewhere` says that another process runs the job or has decided how it ended: the store knows more than this
    object.
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
        self.metrics = LiveMetrics(store, record.task_id, record.attempt)
        self.gate = Gate()
        self.done = threading.Event()
        self.stop_requested = threading.Event()
        self.stop_raised = False
        self.timed_out = False
        self.rung: Rung | None = None
        self.elsewhere = False
        self.files: set[str] = set()
        self.finished_at = 0.0
        self._record = record
        self._progress = record.progress
        self._store = store
        self._wake = wake
        self._emergency = emergency
        self._by = ""
        self._listeners: list[Callable[[], None]] = []
        self._watchers: tuple[Callable[[], None], ...] = ()
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

    def outline(self) -> TaskRecord:
        """Return the record as it is now, without the log; a copy that nobody changes."""
        with self._lock:
            return self._record.model_copy(update={"log": "", "progress": self._progress})

    def watch(self, watcher: Callable[[], None]) -> None:
        """Have `watcher` called, in any thread, at every change; it must return at once and raise nothing."""
        with self._lock:
            self._watchers = (*self._watchers, watcher)

    def unwatch(self, watcher: Callable[[], None]) -> None:
        """Call `watcher` no more."""
        with self._lock:
            self._watchers = tuple(each for each in self._watchers if each != watcher)

    def _changed(self) -> None:
        for watcher in self._watchers:
            watcher()

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

    def log_metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Add a point to the metric history; it reaches the store with one of the next flushes."""
        if self.metrics.add(values, step):
            self._wake()
        self._changed()

    def metrics_since(self, mark: int, most: int | None = None) -> tuple[list[MetricPoint], int]:
        """Return the points from number `mark` on, at most so many, and the mark to ask with next.

        Where they have left memory they are read. Raises StorageError.
        """
        return self.metrics.since(mark, most)

    def posted(self, file_id: str) -> None:
        """Note that the job has stored a file, which is of no use unless the job completes."""
        self.files.add(file_id)

    def withdrawn(self, file_id: str) -> None:
        """Note that such a file is gone again."""
        self.files.discard(file_id)

    def _touch(self) -> None:
        self._changed()
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
        """Ask the job to stop at its next call, and tell those who see to it; raises nothing."""
        self.stop_requested.set()
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            try:
                listener()
            except Exception as problem:  # whoever stops many jobs comes to the next one
                tell(logger, logging.ERROR, "Nobody may see to the stop of %s: %s", self.id, problem, exc_info=problem)

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
            self.metrics.begin(holder.incarnation)
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
            self.metrics.close()
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
            tell(
                logger,
                logging.ERROR,
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
        self.finished_at = time.monotonic()
        self.done.set()
        self._changed()
        self._wake()

    def _leave(self) -> None:
        """Have those who wait here look at the store instead."""
        self.elsewhere = True
        self.finished_at = time.monotonic()
        self._dirty = False
        self.metrics.drop()
        self.done.set()
        self._changed()
        self._wake()

    def _decide(self, final: TaskRecord) -> EndNote | None:
        """Bring an end to the store; return another's note where that came first. Raises StorageError."""
        self._undecided = final
        self.metrics.store(rest=True)  # who reads that the job has completed finds its history whole
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
        tell(
            logger,
            logging.WARNING,
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
            tell(logger, logging.WARNING, "Not even an emergency record of %s can be written: %s", self.id, problem)

    @property
    def unsettled(self) -> bool:
        """Whether it has not ended, or the store does not know yet how."""
        return not self.done.is_set() or self._dirty

    @property
    def unsaved(self) -> bool:
        """Whether the store does not know the latest."""
        return self._dirty

    def flush(self) -> None:
        """Bring the stored record up to date. Raises StorageError."""
        if not self._by or not (self._dirty or self.metrics.due):
            return  # the record of a job that waits is as it was submitted
        with self._saving:
            if self._undecided is None:
                self.metrics.store()
            if not self._dirty:
                return
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
