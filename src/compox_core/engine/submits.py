"""Submits that a client may repeat: whatever becomes of the answer, the job is there once.

In `system-store`: `submits/<SHA-256 of the client's id>`, created exclusively, with the id that the job gets and what
was asked. Whoever comes second finds the first one's job or, where that died in between, makes it under that id: a
record is created by one of several racers only.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from compox_core.errors import ConflictError, InvalidInputError, NotFoundError, StorageError
from compox_core.identity import new_id
from compox_core.records import TaskRecord
from compox_core.storage import SYSTEM, ObjectStore
from compox_core.storage.collections import SUBMITS

_LOOKS, _LOOK_SECONDS = 40, 0.05
_CLIENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")

R = TypeVar("R", bound=TaskRecord)


class Promise(BaseModel):
    """Which job a client's id means, and the SHA-256 of what was asked."""

    task_id: str
    request: str


def submit_once(
    store: ObjectStore,
    client_id: str,
    request: BaseModel,
    submit: Callable[[str], R],
    load: Callable[[str], R],
) -> tuple[R, bool]:
    """Return the job that `client_id` means, and whether this call has submitted it.

    Args:
        submit: Submits the request under an id; raises ConflictError (`object_exists`) where that has a record.
        load: Returns the record of an id. Raises NotFoundError.

    Raises:
        InvalidInputError: `invalid_client_id`.
        ConflictError: `submit_conflict` where the same id was used for another request.
        CompoxError: what `submit` raises; then the id is free again.
    """
    if not _CLIENT_ID.fullmatch(client_id):
        raise InvalidInputError(
            f"{client_id[:200]!r} cannot be the id of a submit: use 1 to 128 letters, digits, '.', '_', ':' and '-', "
            "the first of them a letter or digit.",
            code="invalid_client_id",
            details={"client_id": client_id[:200]},
        )
    key = _key(client_id)
    asked = hashlib.sha256(request.model_dump_json().encode()).hexdigest()
    mine = Promise(task_id=new_id(), request=asked)
    try:
        store.create(SYSTEM, key, mine.model_dump_json().encode())
        promise = mine
    except ConflictError:
        promise = _read(store, key)
    if promise.request != asked:
        raise ConflictError(
            f"The id '{client_id}' was used for another request: take a new one, or send the same request again.",
            code="submit_conflict",
            details={"client_id": client_id, "task_id": promise.task_id},
        )
    if promise is not mine:
        try:
            return load(promise.task_id), False
        except NotFoundError:  # whoever promised it has not come to it, and may never
            pass
    try:
        return submit(promise.task_id), True
    except ConflictError as error:
        if error.code != "object_exists":
            raise
        return _theirs(promise, load), False
    except (InvalidInputError, NotFoundError):
        store.delete(SYSTEM, key)  # nothing was submitted, and a better request may follow under this id
        raise


def promised_id(store: ObjectStore, client_id: str) -> str | None:
    """Return which job a client's id means; None where it means none."""
    if not _CLIENT_ID.fullmatch(client_id) or not store.exists(SYSTEM, _key(client_id)):
        return None
    return _read(store, _key(client_id)).task_id


def forget_promise(store: ObjectStore, client_id: str) -> None:
    """Free a client's id, whose job's record was deleted."""
    store.delete(SYSTEM, _key(client_id))


def _key(client_id: str) -> str:
    return SUBMITS + hashlib.sha256(client_id.encode()).hexdigest()


def _theirs(promise: Promise, load: Callable[[str], R]) -> R:
    """Return the job that somebody else submits at this moment, as soon as it has a record."""
    for _ in range(_LOOKS):
        try:
            return load(promise.task_id)
        except NotFoundError:
            time.sleep(_LOOK_SECONDS)
    raise StorageError(
        "The same request is being submitted by another process, which has not come to its end: try again.",
        code="storage_unavailable",
        retryable=True,
    )


def _read(store: ObjectStore, key: str) -> Promise:
    try:
        return Promise.model_validate_json(store.get(SYSTEM, key))
    except (NotFoundError, ValidationError) as error:
        raise StorageError(
            "What was promised under this id cannot be read: try again.", code="invalid_record", retryable=True
        ) from error
