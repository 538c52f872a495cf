"""Imports the bundle that comes with a server when it starts: once, however many servers of a store start together.

Who imports a bundle holds its highest claim, `bundle-claims/<SHA-256 of the file>/<n>` in `system-store`, with who that
is. A claim is created exclusively; one whose holder is lost is followed by the next number. The others wait, and find
the bundle imported, or take note that it could not be. Where a holder was only taken for lost, two import at once,
which does no harm: an import adds nothing that is there.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from io import BufferedIOBase
from pathlib import Path
from typing import cast

from pydantic import ValidationError

from compox_core.bundle.importing import Progress, import_bundle
from compox_core.bundle.keys import Signer, Unlock
from compox_core.bundle.opening import open_bundle
from compox_core.bundle.planning import plan_import
from compox_core.bundle.state import MigrationState, import_state, save_state
from compox_core.errors import CompoxError, ConflictError, NotFoundError, StorageError
from compox_core.holder import Holder, unknown_process
from compox_core.storage.collections import SYSTEM
from compox_core.storage.local_errors import reported
from compox_core.storage.objects import ObjectStore
from compox_core.tasks.presence import Presence
from compox_core.tasks.watch import Watch

logger = logging.getLogger(__name__)

CLAIMS = "bundle-claims/"
_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class StartBundle:
    """A bundle that comes with a server; None for `path`, and no `unlocks`, where the settings name none."""

    path: Path | None
    unlocks: Sequence[Unlock] = field(default=(), repr=False)
    trusted_signers: Collection[Signer] | None = None


def import_at_start(
    store: ObjectStore,
    bundle: StartBundle,
    presence: Presence,
    watch: Watch,
    *,
    progress: Progress = lambda done, total: None,
    stopped: threading.Event | None = None,
) -> MigrationState:
    """See to it that the bundle of a server is in its store, and return what came of it.

    COMPLETED says that it is, by this call, another server or an earlier start; SKIPPED that there is none, or nothing
    that opens it; FAILED, with the error, that it could not be imported. Nothing but a store that does not answer makes
    this raise.

    Args:
        presence: Shows others that this process lives, as long as it imports.
        watch: Tells whether another importer is lost.
        stopped: Ends the wait for another one.

    Raises:
        StorageError: where the store does not answer.
    """
    missing = _missing(bundle)
    if bundle.path is None or missing is not None:
        return _skip(store, missing or "there is no bundle")
    try:
        sha256 = _hash(bundle.path)
    except StorageError as error:
        return _settle(store, import_state(store).failed(error), error)
    presence.ensure()
    claims = _Claims(store, sha256, presence.holder)
    waited: Holder | None = None
    while True:
        state = import_state(store)
        if state.has(sha256):
            return state.found()
        if waited is not None and (state.last_import_status, state.importer) == ("FAILED", waited.incarnation):
            return state
        other = claims.take(watch)
        if other is None:
            break
        if other != waited:
            logger.info("The bundle %s is being imported by %s: waiting for it.", bundle.path, other)
        waited = other
        if (stopped or threading.Event()).wait(_LOOK_SECONDS):
            return state
    try:
        return _import(store, bundle, bundle.path, sha256, presence.holder, progress)
    finally:
        claims.release()


def _import(
    store: ObjectStore, bundle: StartBundle, path: Path, sha256: str, holder: Holder, progress: Progress
) -> MigrationState:
    state = import_state(store)
    if state.has(sha256):  # while the claim was taken
        return state.found()
    state = state.running(sha256, holder.incarnation)
    save_state(store, state)
    try:
        with open_bundle(path, bundle.unlocks, trusted_signers=bundle.trusted_signers) as source:
            report = import_bundle(source, plan_import(source.snapshot, store), store, progress)
    except Exception as error:  # whatever a bundle does, the server says it and goes on
        return _settle(store, state.failed(error), error)
    state = state.completed(report)
    save_state(store, state)
    logger.info("The bundle %s was imported:\n%s", path, report)
    return state


def _settle(store: ObjectStore, state: MigrationState, error: Exception) -> MigrationState:
    defect = None if isinstance(error, CompoxError) else error
    logger.error("The bundle of this server was not imported: %s", error, exc_info=defect)
    try:
        save_state(store, state)
    except StorageError as problem:
        logger.error("That could not be stored: %s", problem)
    return state


def _missing(bundle: StartBundle) -> str | None:
    if bundle.path is None:
        return "no bundle is set (storage.builtin_storage_bundle_path)"
    if not bundle.path.is_file():
        return f"there is no bundle {bundle.path} (storage.builtin_storage_bundle_path)"
    if not bundle.unlocks:
        return "no key of the bundle is set (storage.builtin_storage_bundle_key)"
    return None


def _skip(store: ObjectStore, reason: str) -> MigrationState:
    """Say that there is nothing to import; what the store remembers of an earlier import stays."""
    state = import_state(store)
    skipped = state.skipped(reason)
    if state.last_import_status is None:
        save_state(store, skipped)
    return skipped


def _hash(path: Path) -> str:
    with reported("read", str(path)), path.open("rb") as file:
        return hashlib.file_digest(cast(BufferedIOBase, file), "sha256").hexdigest()


class _Claims:
    """The claims of one bundle in one store, as one process takes them."""

    def __init__(self, store: ObjectStore, sha256: str, mine: Holder) -> None:
        self._store = store
        self._prefix = f"{CLAIMS}{sha256}/"
        self._mine = mine
        self._taken = 0

    def take(self, watch: Watch) -> Holder | None:
        """Take the claim; return who has it instead, as far as can be told."""
        watch.observe()
        numbers = self._numbers()
        if numbers:
            holder = self._holder(numbers[-1])
            if holder is not None and not watch.is_lost(holder):
                return holder
            if holder is None:  # it has just been released
                return unknown_process(self._key(numbers[-1]))
        number = numbers[-1] + 1 if numbers else 1
        try:
            self._store.create(SYSTEM, self._key(number), self._mine.model_dump_json().encode())
        except ConflictError:
            return self._holder(number) or unknown_process(self._key(number))
        self._taken = number
        return None

    def release(self) -> None:
        """Give it back, with those that lost processes left before it."""
        try:
            for number in range(1, self._taken + 1):
                self._store.delete(SYSTEM, self._key(number))
        except StorageError as error:
            logger.warning("The claim of an import stays until this process ends: %s", error)

    def _numbers(self) -> list[int]:
        found = [info.key.removeprefix(self._prefix) for info in self._store.list(SYSTEM, self._prefix)]
        return sorted(int(name) for name in found if name.isdecimal())

    def _key(self, number: int) -> str:
        return f"{self._prefix}{number:010d}"

    def _holder(self, number: int) -> Holder | None:
        """Return who holds a claim; None where it is gone."""
        try:
            return Holder.model_validate_json(self._store.get(SYSTEM, self._key(number)))
        except NotFoundError:
            return None
        except ValidationError:
            return unknown_process(self._key(number))
