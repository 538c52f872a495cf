"""Ends of jobs that the store refused reach it once it takes them again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from pydantic import ValidationError

from compox_core.errors import NotFoundError, StorageError
from compox_core.records import TaskRecord
from compox_core.settings import Settings, emergency_folders
from compox_core.storage import EmergencyRecords, Kept, ObjectStore, store_identity
from compox_core.storage.telling import tell
from compox_core.tasks import Holder, TaskStore, TaskStores

logger = logging.getLogger(__name__)
_say = partial(tell, logger)


class Delivery:
    """Brings what is kept of ended jobs to the store, and shows it to readers until it is there.

    A round belongs before every look for lost processes: how a job of such a process ended may be known here, and then
    nobody must say that its worker was lost. Any number of processes may deliver the same end at once.

    Args:
        unsaved: Whether this process still has the end of this job in memory, and brings it to the store by itself.
    """

    def __init__(
        self, stores: TaskStores, emergency: EmergencyRecords, unsaved: Callable[[str], bool] = lambda task_id: False
    ) -> None:
        self._stores = {store.about.collection: store for store in stores}
        self._emergency = emergency
        self._unsaved = unsaved
        self._told: set[object] = set()
        self._refused = False

    def run_once(self) -> None:
        """Deliver what waits. Raises nothing: what the store still refuses stays where it is, for the next round."""
        for kept in self._emergency.waiting():
            store = self._stores.get(kept.collection)
            if store is None or self._unsaved(kept.record_id):
                continue
            try:
                self._deliver(store, kept)
            except OSError as problem:  # a StorageError is one
                if getattr(problem, "code", "") == "invalid_record":
                    self._leave(kept, problem)
                    continue
                if not self._refused:
                    _say(logging.WARNING, "Ends of jobs that are kept on this machine still have to wait: %s", problem)
                self._refused = True
                return
        self._refused = False

    def load(self, store: TaskStore, task_id: str) -> TaskRecord:
        """Return a record by what the store says, or by what is kept here of an end that the store does not know.

        Raises NotFoundError (`…_record_not_found`), and StorageError where the store fails and nothing is kept.
        """
        try:
            record = store.load(task_id)
        except NotFoundError:
            raise
        except StorageError:
            kept = self._kept(store, task_id)
            if kept is None:
                raise
            return kept
        if record.status.final:
            return record
        kept = self._kept(store, task_id)
        return record if kept is None or kept.attempt < record.attempt else kept

    def keeps(self, store: TaskStore, record: TaskRecord) -> bool:
        """Return whether it is kept here how this attempt of a job ended."""
        kept = self._kept(store, record.task_id)
        return kept is not None and kept.attempt == record.attempt

    def forget(self, store: TaskStore, task_id: str) -> None:
        """Drop what is kept of a job whose record was deleted."""
        kept = self._emergency.read(store.about.collection, task_id)
        if kept is not None:
            self._emergency.delivered(kept)

    def _kept(self, store: TaskStore, task_id: str) -> TaskRecord | None:
        kept = self._emergency.read(store.about.collection, task_id)
        if kept is None:
            return None
        with suppress(ValueError, RecursionError):
            return _record(store, kept)
        return None

    def _deliver(self, store: TaskStore, kept: Kept) -> None:
        try:
            record = _record(store, kept)
            note = store.note_of(record, str(kept.holder.get("incarnation", "")))
            note.model_dump_json()  # a file may hold what no store can: half a character, lists in lists without end
            store.load_view(kept.record_id)
        except (ValueError, RecursionError, NotFoundError) as problem:
            self._leave(kept, problem)
            return
        decided = store.decide(kept.record_id, kept.attempt, note)
        truth = store.load(kept.record_id)
        what = f"{record.kind.value.capitalize()} {record.task_id}"
        if decided.by != note.by:
            _say(
                logging.WARNING,
                "%s, attempt %d: another process decided (%s) before the end that is kept here, %s, could be stored; "
                "that one is dropped.",
                *(what, kept.attempt, decided.decision, record.status.value),
            )
        if truth.status.final and (not store.load_view(kept.record_id).status.final or store.entry(kept.record_id)):
            store.close(truth)
        self._emergency.delivered(kept)
        if decided.by == note.by:
            _say(logging.INFO, "%s: that it is %s has reached the store.", what, record.status.value)

    def _leave(self, kept: Kept, problem: Exception) -> None:
        """Say once why an end is not delivered."""
        subject = (kept.collection, kept.record_id, kept.attempt)
        if subject not in self._told:
            self._told.add(subject)
            _say(logging.ERROR, "The end of %s that is kept here cannot be delivered: %s", kept.record_id, problem)


def _record(store: TaskStore, kept: Kept) -> TaskRecord:
    """Return what is kept as a record. Raises ValueError where it is none that could be kept."""
    try:
        record = store.about.model.model_validate(kept.fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if record.task_id != kept.record_id or record.attempt != kept.attempt or not record.status.final:
        raise ValueError("it is not the last record of the attempt that it names")
    return record


def emergency_records(
    settings: Settings, store: ObjectStore, holder: Holder, is_lost: Callable[[Holder], bool]
) -> EmergencyRecords | None:
    """Return where this process keeps the ends that the store refuses; None for a store that ends with the process."""
    if not store.shared:
        return None
    return EmergencyRecords(
        emergency_folders(settings), store_identity(store), holder.model_dump(mode="json"), alive_by(is_lost)
    )


def alive_by(is_lost: Callable[[Holder], bool]) -> Callable[[Mapping[str, Any]], bool | None]:
    """Return what tells emergency records whether the process of a holder lives, given what tells lost ones."""

    def is_alive(holder: Mapping[str, Any]) -> bool | None:
        try:
            return not is_lost(Holder.model_validate(holder))
        except ValidationError:
            return None

    return is_alive
