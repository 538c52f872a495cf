"""Removes what jobs and processes that died have left: notes and pins without a record, heartbeats, announcements.

A thing is left when what it belongs to is not there a day after it was written. Whoever is at work writes one soon
after the other.
"""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import timedelta

from pydantic import ValidationError

from compox_core.errors import NotFoundError
from compox_core.jobs.retention.broom import Broom
from compox_core.jobs.retention.expired import by_job
from compox_core.storage import SAMPLES, SYSTEM, ObjectInfo
from compox_core.storage.expiry import Expiry
from compox_core.storage.file_pins import FilePins
from compox_core.tasks import Holder, TaskStore
from compox_core.tasks.metric_chunks import METRICS
from compox_core.tasks.presence import PROCESSES
from compox_core.training.samples import RECORDS

LEFT_AFTER = timedelta(days=1)


def remove_notes(broom: Broom, store: TaskStore) -> None:
    """Remove logs, metrics, ends and queue objects of jobs of one kind that have no record."""
    collection = store.about.collection
    found: dict[str, dict[str, list[ObjectInfo]]] = {}
    for what, prefix in (("logs", "log/"), ("ends", "end/")):
        found[what] = by_job(broom.store.list(collection, prefix))
    if store.about.metrics:
        found["metrics"] = by_job(broom.store.list(collection, METRICS))
    queued: dict[str, list[ObjectInfo]] = defaultdict(list)
    for job in store.open_jobs():
        queued[job.id] = [*job.claims.values(), *([job.entry] if job.entry else [])]
    found["queue entries"] = queued
    if store.about.beside is not None:
        found[f"{store.about.beside.strip('/')}s"] = by_job(broom.store.list(collection, store.about.beside))
    # After them: what belongs to a job that is submitted meanwhile is not among the records that are listed before.
    records = {info.key.removeprefix("record/") for info in broom.store.list(collection, "record/")}
    for what, by_id in found.items():
        left = [task_id for task_id, infos in by_id.items() if task_id not in records and _is_old(broom, infos)]
        for task_id in broom.each(left):
            broom.delete(collection, by_id[task_id], f"{what} without a record")


def remove_pins(broom: Broom) -> None:
    """Remove the pins of samples that have no record: those that nobody finished, or that are half deleted."""
    held = FilePins(broom.store).by_holder()
    # After them: a sample that comes meanwhile is not among the records that are listed before.
    samples = {info.key.removeprefix(RECORDS) for info in broom.store.list(SAMPLES, RECORDS)}
    left = [pins for holder, pins in held.items() if holder not in samples and _is_old(broom, pins)]
    for pins in broom.each(left):
        broom.delete(SAMPLES, pins, "pins without a sample")


def remove_signs(broom: Broom) -> None:
    """Remove the heartbeats of processes that ended, and the announcements of sweeps that did."""
    dead = [info for info in broom.store.list(SYSTEM, PROCESSES) if _has_ended(broom, info)]
    for info in broom.each(dead):
        broom.delete(SYSTEM, [info], "heartbeats of processes that died")
    for info in broom.each(Expiry(broom.store).stale(broom.now)):
        broom.delete(SYSTEM, [info], "announcements of sweeps that died")


def _is_old(broom: Broom, infos: list[ObjectInfo]) -> bool:
    return all(broom.now - info.modified > LEFT_AFTER for info in infos)


def _has_ended(broom: Broom, info: ObjectInfo) -> bool:
    """Return whether a heartbeat is of a process that has ended; where nobody here can know, did not beat for a day."""
    try:
        holder = Holder.model_validate(json.loads(broom.store.get(SYSTEM, info.key))["holder"])
    except NotFoundError:
        return False
    except (ValidationError, ValueError, KeyError, TypeError):
        return _is_old(broom, [info])
    gone = holder.gone_here()
    return _is_old(broom, [info]) if gone is None else gone
