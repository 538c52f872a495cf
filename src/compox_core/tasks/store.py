"""Where jobs of one kind lie in the store: records, logs, the queue, and who runs and who ended what.

Under the collection of the kind:

    record/<id>          the record: a view of the job, written by whoever holds the claim or made the end
    log/<id>/<n>         the pieces of a long log
    queue/<id>.job       an index of every job that has not ended, and whose it is
    queue/<id>.claim.<n> attempt n has begun, by this process; created exclusively
    end/<id>.<n>         what became of attempt n; created exclusively, and the truth from then on
    metrics/<id>/<n>     the pieces of a metric history; created exclusively
    package/<id>         of a deploy: what is to be deployed; it is there before the job, and goes before the queue's

and in `stop-requests`, `<id>`.

    submit   .job, then the record
    begin    the claim of n, then a look for the end of n and for .job: where there is an end, or no .job any more,
             the claim came too late and goes
    end      the end of n, then the record, then .job, the claims and the stop request go

Nothing is ever decided by a clock or by reading before writing: of several processes that begin or end one attempt,
the store lets exactly one. What a killed process left half done is completed by whoever reads it (`load`) or clears
up after it (`Reconciler`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from compox_core.errors import ConflictError, InvalidInputError, NotFoundError, StorageError
from compox_core.holder import unknown_process
from compox_core.identity import utc_now
from compox_core.records import JobKind, MetricPoint, TaskRecord, TaskStatus
from compox_core.storage import STOP_REQUESTS, ObjectInfo, ObjectStore, RecordStore
from compox_core.storage.objects import object_exists
from compox_core.tasks.kinds import KINDS
from compox_core.tasks.metric_chunks import MetricChunks
from compox_core.tasks.presence import Holder

N = TypeVar("N", bound=BaseModel)

QUEUED = re.compile(r"queue/(?P<id>[^/]+?)\.(?:job|claim\.(?P<attempt>\d+))")


class EndNote(BaseModel):
    """What was decided about one attempt: the job's last record, or that the job is to begin again.

    `record` may hold some fields only; the others are as they were.
    """

    decision: Literal["final", "retry"]
    by: str
    record: dict[str, Any] | None = None


class QueueEntry(BaseModel):
    """Whose a job is that has not ended.

    `resume` says whether another server may begin it when that one is gone, `held` whether it waits in the memory of
    that process, which then has to hear when another one stops it.
    """

    home: Holder
    resume: bool = False
    held: bool = True


@dataclass
class OpenJob:
    """What the queue's index says of one job. `entry` is its `.job` object, `claims` are those of its attempts."""

    id: str
    entry: ObjectInfo | None = None
    claims: dict[int, ObjectInfo] = field(default_factory=dict)


class TaskStore:
    """The stored side of the jobs of one kind."""

    def __init__(self, store: ObjectStore, kind: JobKind) -> None:
        self.kind = kind
        self.about = KINDS[kind]
        self._store = store
        self._collection = self.about.collection
        self._records: RecordStore[TaskRecord] = RecordStore(store, self._collection, self.about.model)
        self._metrics = MetricChunks(store, self._collection)

    # -- records ----------------------------------------------------------------------------------------------------

    def create(
        self, record: TaskRecord, home: Holder, *, resume: bool, held: bool = True, contested: bool = False
    ) -> None:
        """Store a new job: whoever looks for work can find it from then on.

        Where the id is `contested`, others may be creating a job under it: then one of all succeeds, and the others
        get ConflictError (`object_exists`). So does everybody (`job_given_up`) where one of them was taken for lost
        before it came to the record: what was decided then would be the end of any job of this id.
        """
        self.adopt(record.task_id, home, resume=resume, held=held, exclusive=contested)
        if contested:
            self._check_free(record.task_id)
        try:
            self._records.create(f"record/{record.task_id}", record)
        except ConflictError:  # it is another's, so it stays
            self._store.delete(self._collection, f"queue/{record.task_id}.job")
            raise
        except BaseException:
            # The record too: a store that fails may have taken it. What cannot be removed now is ended later, by
            # whoever sees to the jobs of this process when it is gone.
            with suppress(StorageError):
                self._store.delete(self._collection, f"record/{record.task_id}")
                self._store.delete(self._collection, f"queue/{record.task_id}.job")
            raise

    def _check_free(self, task_id: str) -> None:
        """Take a job off the queue again where its id has a record, or its end is decided; raise ConflictError then."""
        try:
            # While its entry is ours nobody else makes a record, but who was taken for lost; then there is an end.
            if self._store.exists(self._collection, f"record/{task_id}"):
                raise object_exists(self._collection, f"record/{task_id}")
            if self._store.exists(self._collection, _end_key(task_id, 1)):
                raise ConflictError(
                    f"{self.about.name.capitalize()} '{task_id}' was given up before it was recorded: submit it under "
                    "another id.",
                    code="job_given_up",
                    details={"task_id": task_id},
                )
        except BaseException:
            with suppress(StorageError):
                self._store.delete(self._collection, f"queue/{task_id}.job")
            raise

    def save(self, record: TaskRecord) -> None:
        """Replace a record; only the holder of the job's claim may."""
        self._records.save(f"record/{record.task_id}", record)

    def load(self, task_id: str) -> TaskRecord:
        """Return a record as it is, by its ends where these say more. Raises NotFoundError (`…_record_not_found`)."""
        record = self.load_view(task_id)
        attempt = record.attempt
        while not record.status.final:
            note = self.end_of(task_id, attempt)
            if note is None:
                return record
            if note.decision == "final":
                return self._final(note, record)
            attempt += 1
            if record.attempt < attempt:
                record = _again(record, attempt)
        return record

    def load_view(self, task_id: str) -> TaskRecord:
        """Return a record as it is stored, which a process that is gone may have left behind the truth."""
        try:
            return self._records.load(f"record/{task_id}")
        except NotFoundError as error:
            raise self.about.not_found(task_id) from error

    def delete(self, task_id: str) -> bool:
        """Delete a record with its log, its metrics and its ends; return whether it was there."""
        for info in list(self._store.list(self._collection, f"log/{task_id}/")):
            self._store.delete(self._collection, info.key)
        if self.about.metrics:
            self._metrics.delete(task_id)
        there = self._store.delete(self._collection, f"record/{task_id}")
        for info in list(self._store.list(self._collection, f"end/{task_id}.")):  # last: they hold late writers off
            self._store.delete(self._collection, info.key)
        return there

    def ids(self) -> Iterator[str]:
        """Yield the ids of all records, oldest first."""
        for info in self._store.list(self._collection, "record/"):
            yield info.key.removeprefix("record/")

    # -- who runs it, and what became of it -------------------------------------------------------------------------

    def claim(self, task_id: str, attempt: int, holder: Holder) -> bool:
        """Begin an attempt; False where another process has begun it, or it has ended."""
        key = _claim_key(task_id, attempt)
        try:
            self._store.create(self._collection, key, holder.model_dump_json().encode())
        except ConflictError:
            there = self.holder(task_id, attempt)
            if there is None or there.incarnation != holder.incarnation:
                return False
            # An earlier try of ours reached the store, which then failed to say so.
        # The ends of a job are deleted with its record; but then it has left the queue before.
        ended = self._store.exists(self._collection, _end_key(task_id, attempt))
        if ended or not self._store.exists(self._collection, f"queue/{task_id}.job"):
            self._store.delete(self._collection, key)
            return False
        return True

    def release(self, task_id: str, attempt: int) -> None:
        """Take away the claim of an attempt that has an end."""
        self._store.delete(self._collection, _claim_key(task_id, attempt))

    def holder(self, task_id: str, attempt: int) -> Holder | None:
        """Return which process has begun an attempt; None where nobody has.

        A claim that cannot be read, which a power cut may leave, is that of a process nobody will ever hear of.
        """
        key = _claim_key(task_id, attempt)
        return self._note(key, Holder, unknown_process(key))

    def next_attempt(self, task_id: str, first: int = 1) -> int | None:
        """Return the first attempt from `first` on that has no end, None where the job has ended."""
        while True:
            note = self.end_of(task_id, first)
            if note is None:
                return first
            if note.decision == "final":
                return None
            first += 1

    def end_of(self, task_id: str, attempt: int) -> EndNote | None:
        """Return what was decided about an attempt; None where nothing is."""
        return self._note(_end_key(task_id, attempt), EndNote)

    def decide(self, task_id: str, attempt: int, note: EndNote) -> EndNote:
        """Decide about an attempt; return what is decided, which is another's note where that came first."""
        key = _end_key(task_id, attempt)
        try:
            self._store.create(self._collection, key, note.model_dump_json().encode())
        except ConflictError:
            there = self._note(key, EndNote)
            if there is None:
                raise StorageError(f"The end of {self.about.name} '{task_id}' came and went.", retryable=True) from None
            return there
        return note

    def close(self, record: TaskRecord) -> None:
        """Save the last record of a job whose end is decided, and take the job off the queue."""
        self.save(record)
        self._clear_beside(record.task_id)
        self._store.delete(self._collection, f"queue/{record.task_id}.job")
        self._store.delete(self._collection, _claim_key(record.task_id, record.attempt))
        self.clear_stop(record.task_id)

    def requeue(self, record: TaskRecord, attempt: int) -> TaskRecord:
        """Make a job wait again whose `attempt` was decided to be tried anew; return its record."""
        waiting = _again(record, attempt + 1)
        self.save(waiting)
        self._store.delete(self._collection, _claim_key(record.task_id, attempt))
        return waiting

    def note_of(self, record: TaskRecord, by: str) -> EndNote:
        """Return the note by which `record` is the job's last."""
        return EndNote(decision="final", by=by, record=record.model_dump(mode="json"))

    def _final(self, note: EndNote, view: TaskRecord) -> TaskRecord:
        try:  # of a job whose record had not come yet, whoever gave it up could say how it ended only
            final = self.about.model.model_validate({**view.model_dump(mode="json"), **(note.record or {})})
            if not final.status.final:
                raise ValueError(f"its status is {final.status.value}")
        except ValueError as error:  # a ValidationError is one
            raise StorageError(
                f"The end of {self.about.name} '{view.task_id}' cannot be read: {error}", code="invalid_record"
            ) from error
        return final

    # -- the queue --------------------------------------------------------------------------------------------------

    def open_jobs(self) -> Iterator[OpenJob]:
        """Yield the jobs that have not ended, oldest first, at the cost of one listing of these alone."""
        job: OpenJob | None = None
        for info in self._store.list(self._collection, "queue/"):
            match = QUEUED.fullmatch(info.key)
            if match is None:
                continue
            if job is None or job.id != match["id"]:
                if job is not None:
                    yield job
                job = OpenJob(match["id"])
            if match["attempt"] is None:
                job.entry = info
            else:
                job.claims[int(match["attempt"])] = info
        if job is not None:
            yield job

    def entry(self, task_id: str) -> QueueEntry | None:
        """Return whose a job is; None where it has ended, or never was. Where that cannot be read, a lost server's."""
        key = f"queue/{task_id}.job"
        return self._note(key, QueueEntry, QueueEntry(home=unknown_process(key), resume=True))

    def adopt(self, task_id: str, home: Holder, *, resume: bool, held: bool = True, exclusive: bool = False) -> None:
        """Say whose a job is; with `exclusive`, only where nobody has (ConflictError)."""
        entry = QueueEntry(home=home, resume=resume, held=held)
        write = self._store.create if exclusive else self._store.put
        write(self._collection, f"queue/{task_id}.job", entry.model_dump_json().encode())

    def drop(self, task_id: str) -> None:
        """Take off the queue whatever lies there of a job: its index object and the claims of all its attempts."""
        self._clear_beside(task_id)
        self._store.delete(self._collection, f"queue/{task_id}.job")
        for info in list(self._store.list(self._collection, f"queue/{task_id}.claim.")):
            self._store.delete(self._collection, info.key)

    def _clear_beside(self, task_id: str) -> None:
        if self.about.beside is not None:
            self._store.delete(self._collection, f"{self.about.beside}{task_id}")

    # -- the metric history -----------------------------------------------------------------------------------------

    def save_metrics(self, task_id: str, first: int, points: Sequence[MetricPoint]) -> bool:
        """Store points of which the first has this number; False where others lie there already."""
        return self._metrics.save(task_id, first, points)

    def metrics(self, task_id: str, first: int = 0) -> Iterator[MetricPoint]:
        """Yield the stored points from number `first` on; what cannot be read is left out with a warning."""
        return (point for _, point in self._metrics.read(task_id, first))

    def metrics_since(self, task_id: str, mark: int, most: int | None = None) -> tuple[list[MetricPoint], int]:
        """Return the stored points from number `mark` on, at most so many, and the mark to ask with next."""
        found = list(islice(self._metrics.read(task_id, mark), most))
        return [point for _, point in found], found[-1][0] + 1 if found else mark

    def metrics_count(self, task_id: str) -> int:
        """Return how many points are stored."""
        return self._metrics.count(task_id)

    # -- logs and stop requests -------------------------------------------------------------------------------------

    def save_log_chunk(self, task_id: str, number: int, text: str) -> None:
        """Store a piece of a long log."""
        self._store.put(self._collection, f"log/{task_id}/{number:08d}", text.encode("utf-8", "backslashreplace"))

    def log_chunks(self, task_id: str) -> dict[int, str]:
        """Return the stored pieces of a long log by number; none for a short one.

        Number 0 is the head; it is stored with the tail when the task ends, so where it is the log is whole.
        """
        return {
            int(info.key.rpartition("/")[2]): self._store.get(self._collection, info.key).decode("utf-8")
            for info in self._store.list(self._collection, f"log/{task_id}/")
        }

    def request_stop(self, task_id: str) -> None:
        """Ask whichever process runs the job to stop it."""
        request = {"task_id": task_id, "timestamp": utc_now().isoformat()}
        self._store.put(STOP_REQUESTS, task_id, json.dumps(request).encode())

    def stop_requested(self, task_id: str) -> bool:
        """Return whether somebody asked for a stop."""
        return self._store.exists(STOP_REQUESTS, task_id)

    def clear_stop(self, task_id: str) -> None:
        """Forget the request of a job that has ended."""
        self._store.delete(STOP_REQUESTS, task_id)

    def _note(self, key: str, model: type[N], broken: N | None = None) -> N | None:
        try:
            data = self._store.get(self._collection, key)
        except (NotFoundError, InvalidInputError):
            return None
        try:
            return model.model_validate_json(data)
        except ValidationError as error:
            if broken is not None:
                return broken
            raise StorageError(
                f"The object {key!r} in {self._collection} cannot be read: {error.errors()[0]['msg']}.",
                code="invalid_record",
                details={"collection": self._collection, "key": key},
            ) from error


class TaskStores:
    """The stored side of the jobs of every kind."""

    def __init__(self, store: ObjectStore) -> None:
        self.objects = store
        self._stores = {kind: TaskStore(store, kind) for kind in JobKind}

    def of(self, kind: JobKind) -> TaskStore:
        """Return the jobs of one kind."""
        return self._stores[kind]

    def __iter__(self) -> Iterator[TaskStore]:
        return iter(self._stores.values())

    def stops(self) -> set[str]:
        """Return the ids of all jobs that somebody asked to stop."""
        return {info.key for info in self.objects.list(STOP_REQUESTS)}


def _claim_key(task_id: str, attempt: int) -> str:
    return f"queue/{task_id}.claim.{attempt:04d}"


def _end_key(task_id: str, attempt: int) -> str:
    return f"end/{task_id}.{attempt:04d}"


def _again(record: TaskRecord, attempt: int) -> TaskRecord:
    return record.model_copy(
        update={"status": TaskStatus.PENDING, "progress": 0.0, "time_started": None, "attempt": attempt}
    )
