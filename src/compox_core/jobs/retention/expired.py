"""Removes what has expired: data files, records of jobs, stop requests.

Ages are told by the time that the store gives an object, against the clock of this machine. The shortest age is a day,
so that clocks that differ by minutes or hours do no harm; S3 servers refuse a client whose clock is off by more than a
quarter of an hour.

Data files expire by the time of their upload, or of the run that gave them; see `needs` for those that are kept.
The records of a job, its log, its metrics and its ends go by the age of its end, which is when its record was last
written: a listing tells, and no record is read. What belongs to a job that has not ended is never touched.

A submit that begins to use a file while a sweep decides is safe: see `compox_core.storage.expiry`. In its terms the
user is a submit, which stores the job's index object and record, and then asks `FileStore.endangered`; it refuses the
job, with `input_datasets_not_found`, where the answer is not empty. Whoever makes a training sample, the files of which
are among the `pins`, does the same: store what names them, then ask `endangered`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Container, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta

from compox_core.errors import StorageError
from compox_core.identity import since_boot
from compox_core.jobs.retention.broom import Broom
from compox_core.jobs.retention.needs import Pins, read_needs
from compox_core.storage import FILES, STOP_REQUESTS, SYSTEM, ObjectInfo
from compox_core.storage.collections import SUBMITS
from compox_core.storage.expiry import Expiry
from compox_core.storage.file_notes import is_content_note, noted_file
from compox_core.tasks import TaskStore, TaskStores
from compox_core.tasks.metric_chunks import METRICS

DECISION_SECONDS = 3600.0
"""So long a decision about files counts; then it is taken anew. Others take an announcement for forgotten after a day,
and a machine may sleep in between."""

EXPIRED = "expired files"


@dataclass(frozen=True)
class _File:
    """A data file, and what is noted of its content where that is known."""

    info: ObjectInfo
    note: ObjectInfo | None


def sweep_files(broom: Broom, stores: TaskStores, age: timedelta, pins: Collection[Pins]) -> None:
    """Remove the data files that are older than `age` and that nobody needs, each with the note of its hash.

    What is noted of no file that is there goes with its age, too.
    """
    before = broom.now - age
    old, left = _listed(broom, before)
    while old and not broom.ended():
        with nullcontext() if broom.dry_run else Expiry(broom.store).announced(before):
            old = _decide(broom, stores, before, old, pins)
            if broom.in_doubt:
                raise StorageError("A file may still be removed by a request whose answer was lost.", retryable=True)
    for note in broom.each(left):
        broom.delete(FILES, [note], "notes about files")


def _listed(broom: Broom, before: datetime) -> tuple[list[_File], list[ObjectInfo]]:
    """Return the files that were stored before some time, and the notes from before it that no file needs."""
    files: dict[str, ObjectInfo] = {}
    notes: dict[str, ObjectInfo] = {}
    left: list[ObjectInfo] = []
    for info in broom.store.list(FILES):
        noted = noted_file(info.key)
        if noted is not None:
            notes[noted] = info
        elif not is_content_note(info.key):
            files[info.key] = info
        elif info.modified < before:
            left.append(info)
    old = [_File(info, notes.get(key)) for key, info in files.items() if info.modified < before]
    return old, left + [info for key, info in notes.items() if key not in files and info.modified < before]


def _decide(
    broom: Broom, stores: TaskStores, before: datetime, old: list[_File], pins: Collection[Pins]
) -> list[_File]:
    """Remove those of the `old` that nobody needs; return those that were not come to in time."""
    needs = read_needs(stores, before, pins)
    begun = since_boot()
    for number, file in enumerate(broom.each(old)):
        why = needs.why(file.info)
        if why is not None:
            broom.ledger.kept(FILES, EXPIRED, why)
        elif since_boot() - begun > DECISION_SECONDS:
            return old[number:]
        else:
            broom.delete(FILES, [file.info] if file.note is None else [file.note, file.info], EXPIRED)
    return []


def sweep_records(broom: Broom, store: TaskStore, age: timedelta) -> None:
    """Remove the records of one kind whose jobs ended longer ago than `age`, with their logs, metrics and ends."""
    collection, what = store.about.collection, f"{store.about.name} records"
    # Before the records: a job that ends meanwhile is in the queue, or has a record that was written just now.
    queued = {job.id for job in store.open_jobs()}
    expired: dict[str, ObjectInfo] = {}
    for info in broom.store.list(collection, "record/"):
        if info.modified < broom.now - age:
            task_id = info.key.removeprefix("record/")
            if task_id in queued:
                broom.ledger.kept(collection, what, "the job has not ended")
            else:
                expired[task_id] = info
    if not expired:
        return
    # The ends last: they hold off a process that comes back late and would write the record again.
    before = [prefix for prefix in ("log/", store.about.beside, METRICS if store.about.metrics else None) if prefix]
    parts = [by_job(broom.store.list(collection, prefix), expired) for prefix in before]
    ends = by_job(broom.store.list(collection, "end/"), expired)
    for task_id, record in broom.each(list(expired.items())):
        found = [info for part in parts for info in part[task_id]]
        broom.delete(collection, [*found, record, *ends[task_id]], what)


def sweep_stops(broom: Broom, stores: TaskStores, age: timedelta) -> None:
    """Remove the stop requests that are older than `age` and whose jobs have ended."""
    queued = {job.id for store in stores for job in store.open_jobs()}
    old = [info for info in broom.store.list(STOP_REQUESTS) if info.modified < broom.now - age]
    for info in broom.each(old):
        if info.key in queued:
            broom.ledger.kept(STOP_REQUESTS, "stop requests", "the job has not ended")
        else:
            broom.delete(STOP_REQUESTS, [info], "stop requests")


def sweep_promises(broom: Broom, age: timedelta) -> None:
    """Remove what clients' own ids of executions mean, where that is older than the records of executions may be."""
    old = [info for info in broom.store.list(SYSTEM, SUBMITS) if info.modified < broom.now - age]
    for info in broom.each(old):
        broom.delete(SYSTEM, [info], "ids of submits")


def by_job(listed: Iterable[ObjectInfo], wanted: Container[str] | None = None) -> dict[str, list[ObjectInfo]]:
    """Return the objects of a listing of logs, metrics or ends by their job, of all jobs or those wanted."""
    found: dict[str, list[ObjectInfo]] = defaultdict(list)
    for info in listed:
        task_id = info.key.split("/")[1].partition(".")[0]  # of log/<id>/<n>, metrics/<id>/<n> or end/<id>.<n>
        if wanted is None or task_id in wanted:
            found[task_id].append(info)
    return found
