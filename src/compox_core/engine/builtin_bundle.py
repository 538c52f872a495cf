"""The bundle of algorithms that comes with a server: imported beside it when it starts."""

from __future__ import annotations

import logging
import threading
from typing import NamedTuple

from pydantic import SecretStr

from compox_core.bundle.keys import Passphrase, Signer, Unlock, parse_unlock
from compox_core.bundle.start import StartBundle, import_at_start
from compox_core.bundle.state import MigrationState
from compox_core.errors import (
    CompoxError,
    InvalidInputError,
    SettingsError,
    StateError,
    StorageError,
    TaskStoppedException,
)
from compox_core.settings import Settings
from compox_core.settings.locations import resolve_path
from compox_core.storage import ObjectStore
from compox_core.tasks import Presence
from compox_core.tasks.watch import Watch

logger = logging.getLogger(__name__)

AGAIN_SECONDS = 60.0
"""How long after a failure that may pass by itself, such as a full disk, it is tried again."""
_CLOSE_SECONDS = 10.0


class _Problem(NamedTuple):
    """Why the bundle is not in the store."""

    code: str
    why: str


class BuiltinBundle:
    """Sees to it that the bundle that the settings name is in the store. Lives as long as its engine is open.

    Nothing happens before `begin`, nor where the settings name no bundle.
    """

    def __init__(self, settings: Settings, store: ObjectStore, presence: Presence) -> None:
        self._settings = settings
        self._store = store
        self._presence = presence
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._settled = threading.Event()
        self._stopped = threading.Event()
        self._problem: _Problem | None = None
        self._progress = (0, 0)

    def begin(self) -> None:
        """Begin the import, in a thread of its own; a second call does nothing. Raises SettingsError."""
        path = resolve_path(self._settings, "storage.builtin_storage_bundle_path")
        with self._lock:
            if path is None or self._thread is not None or self._stopped.is_set():
                return
            bundle = StartBundle(path, settings_unlocks(self._settings), trusted_signers(self._settings))
            self._thread = threading.Thread(target=self._run, args=(bundle,), name="compox-bundle", daemon=True)
            self._thread.start()

    def finish(self) -> None:
        """Begin, wait for the first attempt to end, and raise StateError (`bundle_import_failed`) where the bundle is
        not in the store then. Does nothing where the settings name no bundle."""
        self.begin()
        if self._thread is None:
            return
        self._settled.wait()
        if self._problem is not None:
            raise _failed(self._problem.code, self._problem.why)

    def check(self) -> None:
        """Raise StateError where the algorithms of the bundle are not all there; asks the store for nothing.

        Its code is `bundle_importing` while the import goes on, with how far it is in `details`, in bytes, and
        `bundle_import_failed` when it could not be done, with the code of that in `details`. What it says may be told
        to everybody.
        """
        if self._thread is None:
            return
        if self._problem is not None:
            raise _failed(self._problem.code, "its log says why")
        if not self._settled.is_set():
            done, total = self._progress
            raise StateError(
                "The algorithms that come with this server are being imported.",
                code="bundle_importing",
                details={"done": done, "total": total},
                retryable=True,
            )

    def close(self) -> None:
        """Stop an import that goes on: what it has published stays, and the next start does the rest."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)  # it may hang in a store that does not answer

    def _run(self, bundle: StartBundle) -> None:
        again = True
        while again:
            try:
                again = self._attempt(bundle)
            except TaskStoppedException:
                self._problem = _Problem("engine_closed", "the server ended")
                again = False
            self._settled.set()
            if again and self._stopped.wait(AGAIN_SECONDS):
                return

    def _attempt(self, bundle: StartBundle) -> bool:
        """Import it, and return whether it is worth another attempt."""
        watch = Watch(self._store, self._settings.inference.queue.lost_after_seconds)
        try:
            state = import_at_start(
                self._store, bundle, self._presence, watch, progress=self._advance, stopped=self._stopped
            )
        except Exception as error:  # of a store that does not answer; whatever it is, the server goes on
            defect = None if isinstance(error, StorageError) else error
            logger.error("The bundle of this server was not imported: %s", error, exc_info=defect)
            code = error.code if isinstance(error, CompoxError) else type(error).__name__
            self._problem = _Problem(code, str(error))
            return isinstance(error, StorageError)
        self._problem = self._judge(state)
        return self._problem is not None and state.retryable is True

    def _advance(self, done: int, total: int) -> None:
        if self._stopped.is_set():
            raise TaskStoppedException
        self._progress = (done, total)

    def _judge(self, state: MigrationState) -> _Problem | None:
        if state.last_import_status == "FAILED":
            return _Problem(state.error_code or "unknown", state.error or "its log says why")
        if state.last_import_status == "SKIPPED":
            if self._settings.storage.builtin_storage_bundle_required:
                return _Problem("bundle_skipped", state.reason or "there was nothing to import")
            logger.warning("No algorithms were imported at this start: %s.", state.reason)
        return None


def trusted_signers(settings: Settings) -> list[Signer] | None:
    """Return whose bundles are accepted; None where no signature is asked for. Raises SettingsError."""
    try:
        return [Signer.parse(text) for text in settings.storage.trusted_signers] or None
    except InvalidInputError as error:
        raise _unusable("storage.trusted_signers", error) from error


def settings_unlocks(settings: Settings) -> list[Unlock]:
    """Return what opens the bundle that the settings name; nothing where they say nothing. Raises SettingsError."""
    storage = settings.storage
    found: list[Unlock] = []
    try:
        if key := _text(storage.builtin_storage_bundle_key):
            found.append(parse_unlock(key))
    except InvalidInputError as error:
        raise _unusable("storage.builtin_storage_bundle_key", error) from error
    if words := _text(storage.builtin_storage_bundle_passphrase):
        found.append(Passphrase(words))
    return found


def _text(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()


def _unusable(key: str, error: InvalidInputError) -> SettingsError:
    return SettingsError(f"{key}: {error.message}", details={"key": key})


def _failed(code: str, why: str) -> StateError:
    return StateError(
        f"The algorithms that come with this server were not imported ({code}): {why}",
        code="bundle_import_failed",
        details={"code": code},
    )
