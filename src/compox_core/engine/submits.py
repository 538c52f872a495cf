"""Submits that a client may repeat: whatever becomes of the answer, the job is there once.

In `system-store`: `submits/<SHA-256 of the client's id>`, created exclusively, with the id that the job gets and what
was asked. Whoever comes second finds the first one's job or, where that died in between, makes it under that id: a
record is created by one of several racers only.

Where one who had begun to was taken for lost, and its job was given up before it had a record, no job under that id
would ever run: the client's id then means the next promise, `submits/<SHA-256>.2` and so on. The last one counts.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from contextlib import suppress
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
        submit: Submits the request under an id; raises ConflictError as `TaskStore.create` does for a contested one.
        load: Returns the record of an id. Raises NotFoundError.

    Raises:
        InvalidInputError: `invalid_client_id`, or what `submit` raises; then the id is free again.
        NotFoundError: what `submit` raises; then the id is free again.
        ConflictError: `submit_conflict` where the same id was used for another request.
        StorageError: where the store failed, or another process has not come to its end: the same may be tried again.
    """
    _check_id(client_id)
    asked = Promise(task_id=new_id(), request=hashlib.sha256(request.model_dump_json().encode()).hexdigest())
    key = _last_key(store, client_id)
    for _ in range(_LOOKS):
        promise = _promised(store, key, asked)
        if promise.request != asked.request:
            raise ConflictError(
                f"The id '{client_id}' was used for another request: take a new one, or send the same request again.",
                code="submit_conflict",
                details={"client_id": client_id, "task_id": promise.task_id},
            )
        if promise is not asked:
            with suppress(NotFoundError):  # whoever promised it has not come to it, and may never
                return load(promise.task_id), False
        try:
            return submit(promise.task_id), True
        except ConflictError as error:
            if error.code == "job_given_up":
                key, asked = _next(key), Promise(task_id=new_id(), request=asked.request)
            elif error.code == "object_exists":
                time.sleep(_LOOK_SECONDS)
            else:
                raise
        except (InvalidInputError, NotFoundError):
            with suppress(NotFoundError):  # somebody else has submitted it meanwhile
                return load(promise.task_id), False
            store.delete(SYSTEM, key)  # nothing was submitted, and a better request may follow under this id
            raise
    raise StorageError(
        "The same request is being submitted by another process, which has not come to its end: try again.",
        code="storage_unavailable",
        retryable=True,
    )


def promised_id(store: ObjectStore, client_id: str) -> str | None:
    """Return which job a client's id means; None where it means none."""
    if not _CLIENT_ID.fullmatch(client_id):
        return None
    key = _last_key(store, client_id)
    return _read(store, key).task_id if store.exists(SYSTEM, key) else None


def forget_promise(store: ObjectStore, client_id: str, task_id: str) -> None:
    """Free a client's id, if it means the job of this id, whose record was deleted."""
    if promised_id(store, client_id) != task_id:
        return
    first, last = _first_key(client_id), _last_key(store, client_id)
    for number in range(_number(last), 1, -1):  # the first one last: it leads to the others
        store.delete(SYSTEM, f"{first}.{number}")
    store.delete(SYSTEM, first)


def _check_id(client_id: str) -> None:
    if not _CLIENT_ID.fullmatch(client_id):
        raise InvalidInputError(
            f"{client_id[:200]!r} cannot be the id of a submit: use 1 to 128 letters, digits, '.', '_', ':' and '-', "
            "the first of them a letter or digit.",
            code="invalid_client_id",
            details={"client_id": client_id[:200]},
        )


def _first_key(client_id: str) -> str:
    return SUBMITS + hashlib.sha256(client_id.encode()).hexdigest()


def _last_key(store: ObjectStore, client_id: str) -> str:
    key = _first_key(client_id)
    while store.exists(SYSTEM, _next(key)):
        key = _next(key)
    return key


def _next(key: str) -> str:
    return f"{key.partition('.')[0]}.{_number(key) + 1}"


def _number(key: str) -> int:
    return int(key.partition(".")[2] or 1)


def _promised(store: ObjectStore, key: str, mine: Promise) -> Promise:
    """Return what is promised: `mine` where nothing was."""
    try:
        store.create(SYSTEM, key, mine.model_dump_json().encode())
    except ConflictError:
        return _read(store, key)
    return mine


def _read(store: ObjectStore, key: str) -> Promise:
    try:
        return Promise.model_validate_json(store.get(SYSTEM, key))
    except (NotFoundError, ValidationError) as error:
        raise StorageError(
            "What was promised under this id cannot be read: try again.", code="invalid_record", retryable=True
        ) from error
