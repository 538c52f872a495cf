"""What dead processes left is seen to: their jobs are ended truthfully, or begin again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from compox_core.errors import NotFoundError, StorageError
from compox_core.jobs.lost import lost, never_begun, never_recorded, next_attempt
from compox_core.jobs.queue_notes import QueueNotes
from compox_core.records import Job, TaskRecord
from compox_core.storage.telling import tell
from compox_core.tasks import EndNote, Holder, OpenJob, Presence, TaskStore, TaskStores
from compox_core.tasks.store import QueueEntry
from compox_core.tasks.watch import Watch

logger = logging.getLogger(__name__)
_say = partial(tell, logger)

MOST_BETWEEN = 3600.0
"""Seconds; no job that nobody begins waits longer until it is submitted once more."""

_JOIN_SECONDS = 5.0


@dataclass
class _Ready:
    """A job that waits, and whose it was when it was looked at."""

    store: TaskStore
    record: TaskRecord
    home: Holder


class Reconciler:
    """Looks through the queue at a start and every so often, and sees to what belongs to processes that are lost.

    What such a process had begun ends with `worker_lost`, or waits again where the job may be retried; what it had
    accepted and not begun is taken over. Nothing of a process that lives is touched. Any number of reconcilers may do
    so at once, and be wrong about who lives: the end of an attempt and its claim are created exclusively.

    Args:
        submit: Hands a job of this process to its executor.
        knows: Whether a job waits or runs in this process, or ended here lately.
        resume: Whether to take over jobs that wait for a process that is lost.
        republish_seconds: How long a job that is this process's own, and that it does not know, waits for somebody to
            begin it before it is submitted again; each time twice as long.
        before: Called before anything is said of lost processes, with the latest knowledge of who is: brings to the
            store what is kept elsewhere of how their jobs ended. Raises nothing.
        kept: Whether the end of this very attempt is kept elsewhere: then nobody decides otherwise before it has come.
        clock: Seconds from any start; only their differences count.
    """

    def __init__(
        self,
        stores: TaskStores,
        presence: Presence,
        watch: Watch,
        submit: Callable[[Job, TaskRecord], None],
        knows: Callable[[Job], bool],
        *,
        resume: bool,
        reconcile_seconds: float = 5.0,
        republish_seconds: float = 0.0,
        before: Callable[[], None] = lambda: None,
        kept: Callable[[TaskStore, TaskRecord], bool] = lambda store, record: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stores = stores
        self._presence = presence
        self._watch = watch
        self._submit = submit
        self._knows = knows
        self._resume = resume
        self._interval = reconcile_seconds
        self._republish = republish_seconds
        self._before = before
        self._kept = kept
        self._clock = clock
        self._running = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._notes = QueueNotes()
        self._due: dict[Job, tuple[float, float]] = {}
        self._complained: set[str] = set()
        self._failing = False

    # -- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Look through the queue every so often from now on, in a thread."""
        self._thread = threading.Thread(target=self._run_forever, name="compox-reconcile", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; a round that goes on ends with the job that it is at."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(_JOIN_SECONDS)  # the store may not answer

    def _run_forever(self) -> None:
        while not self._closed.wait(self._interval):
            try:
                self.run_once()
            except Exception as problem:  # whatever it is, the next round may go well
                if not self._failing:
                    level = logging.WARNING if isinstance(problem, OSError) else logging.ERROR
                    _say(level, "The queue cannot be looked through, will try on: %s", problem)
                self._failing = True
            else:
                self._failing = False

    # -- a round ----------------------------------------------------------------------------------------------------

    def run_once(self) -> None:
        """Look through the whole queue. Raises StorageError when the store fails; the next round then goes on."""
        with self._running:
            self._watch.observe()
            self._before()
            ready: list[_Ready] = []
            seen: set[Job] = set()
            for store in self._stores:
                for job in store.open_jobs():
                    if self._closed.is_set():
                        return
                    seen.add(Job(store.kind, job.id))
                    found = self._patiently(store, job)
                    if found is not None:
                        ready.append(found)
            for each in sorted(ready, key=lambda each: each.record.task_id):
                if self._closed.is_set():
                    return
                self._begin_again(each)
            self._watch.clear(self._notes.incarnations())
            self._notes.turn()
            self._due = {job: due for job, due in self._due.items() if job in seen}

    def _patiently(self, store: TaskStore, job: OpenJob) -> _Ready | None:
        """See to one job; return it where it is to be submitted. A broken object stops this job only."""
        try:
            return self._see_to(store, job)
        except StorageError as problem:
            if problem.code != "invalid_record":
                raise
            if problem.message not in self._complained:
                self._complained.add(problem.message)
                _say(logging.ERROR, "%s Its job is left alone.", problem)
            return None

    def _see_to(self, store: TaskStore, job: OpenJob) -> _Ready | None:
        entry = self._notes.entry(store, job)
        if not job.claims:
            return None if entry is None else self._waiting(store, job.id, entry)
        self._due.pop(Job(store.kind, job.id), None)
        holders = {attempt: self._notes.holder(store, job, attempt) for attempt in job.claims}
        if any(holder is None or not self._is_lost(holder) for holder in holders.values()):
            return None  # somebody who lives works on it, or has just ended it
        record = _load(store, job.id)
        if record is None:
            if entry is None or self._is_lost(entry.home):
                store.drop(job.id)
            return None
        holder = holders.get(record.attempt)
        if holder is not None and not record.status.final:
            again = entry is None or entry.resume or not self._is_lost(entry.home)
            record = self._decided(store, record, holder, again=again)
        return None if record is None else self._completed(store, job, entry, record)

    def _is_lost(self, holder: Holder) -> bool:
        return holder.incarnation != self._presence.incarnation and self._watch.is_lost(holder)

    # -- jobs that had begun ----------------------------------------------------------------------------------------

    def _decided(self, store: TaskStore, record: TaskRecord, holder: Holder, *, again: bool) -> TaskRecord | None:
        """Decide about an attempt whose process is lost; return None where another decided first, who sees to it.

        Args:
            again: Whether anybody may begin the job anew: its home, or whoever takes it over.
        """
        if self._kept(store, record):
            return None  # it had ended before its process did, and the store had no room for that yet
        if again and record.attempt <= record.retries:
            note = EndNote(decision="retry", by=self._presence.incarnation)
            if not self._counts(store, record, note):
                return None
            return store.requeue(next_attempt(record, holder), record.attempt)
        final = lost(record, holder)
        return final if self._counts(store, record, self._note(store, final)) else None

    def _counts(self, store: TaskStore, record: TaskRecord, note: EndNote) -> bool:
        mine = store.decide(record.task_id, record.attempt, note).by == self._presence.incarnation
        if mine:
            kind = record.kind.value.capitalize()
            _say(logging.WARNING, "%s %s lost the process that held it: %s.", kind, record.task_id, note.decision)
        return mine

    def _note(self, store: TaskStore, final: TaskRecord) -> EndNote:
        return store.note_of(final, self._presence.incarnation)

    def _completed(self, store: TaskStore, job: OpenJob, entry: QueueEntry | None, record: TaskRecord) -> _Ready | None:
        """Do what the one who decided has not come to; return the job where it waits and is to be submitted here."""
        if record.status.final:
            store.close(record)
        elif entry is None:  # before the claims go, or nothing would remind of the job
            home = self._notes.holder(store, job, max(job.claims))
            if home is None:
                return None
            entry = QueueEntry(home=home, resume=True)
            store.adopt(job.id, home, resume=True)
        for attempt in job.claims:
            store.release(job.id, attempt)
        return None if record.status.final or entry is None else self._waiting(store, job.id, entry)

    # -- jobs that nobody has begun ---------------------------------------------------------------------------------

    def _waiting(self, store: TaskStore, task_id: str, entry: QueueEntry) -> _Ready | None:
        mine = entry.home.incarnation == self._presence.incarnation
        if not (self._is_forgotten(Job(store.kind, task_id)) if mine else self._is_lost(entry.home)):
            return None
        record = _load(store, task_id)
        if record is None:
            if not mine:  # what is this process's own may be about to be written
                self._drop(store, task_id, entry.home)
        elif record.status.final:
            store.drop(task_id)
        elif mine or (entry.resume and self._resume):
            return _Ready(store, record, entry.home)
        elif not entry.resume:
            final = never_begun(record, entry.home)
            if self._counts(store, record, self._note(store, final)):
                store.close(final)
        return None

    def _drop(self, store: TaskStore, task_id: str, home: Holder) -> None:
        """Take a job off the queue that has no record. Where that comes after all, the job has ended already."""
        fields = never_recorded(store.kind, home)
        store.decide(task_id, 1, EndNote(decision="final", by=self._presence.incarnation, record=fields))
        if _load(store, task_id) is None:
            store.drop(task_id)

    def _is_forgotten(self, job: Job) -> bool:
        """Return whether a job of this process's own was long enough in the queue without being known here."""
        now = self._clock()
        if self._knows(job):
            self._due.pop(job, None)
            return False
        if job not in self._due:  # it may be on its way from the store to the executor
            self._due[job] = (now + self._republish, max(self._republish, self._interval))
            return False
        due, wait = self._due[job]
        if now < due:
            return False
        self._due[job] = (now + wait, min(wait * 2, MOST_BETWEEN))
        return True

    def _begin_again(self, ready: _Ready) -> None:
        store, task_id, mine = ready.store, ready.record.task_id, self._presence.holder
        if ready.home != mine:
            entry = store.entry(task_id)
            if entry is None or entry.home != ready.home:
                return  # it has ended, or another process was quicker
            self._presence.ensure()
            store.adopt(task_id, mine, resume=True)
        self._submit(Job(store.kind, task_id), ready.record)


def _load(store: TaskStore, task_id: str) -> TaskRecord | None:
    try:
        return store.load(task_id)
    except NotFoundError:
        return None
