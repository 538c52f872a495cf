"""Ends of jobs that the store refused, kept in files of this machine until it takes them.

Several processes share the folder. Each writes the ends of its own jobs; those of one that is gone belong to whoever
comes first. What belongs to another store, or was not written by this program, is never touched.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from compox_core.storage import atomic
from compox_core.storage.kept import Kept, file_name, record_of, shortened, stated, written
from compox_core.storage.keys import known_collection
from compox_core.storage.local_errors import is_full
from compox_core.storage.private import check_private, private_folder
from compox_core.storage.reserve import MIB, Reserve, clear_reserves, write_file
from compox_core.storage.telling import tell

logger = logging.getLogger(__name__)
_say = partial(tell, logger)

_DRAFTS = ".compox_emergency_*.tmp"
_STALE_AFTER = 24 * 3600.0  # seconds

IsAlive = Callable[[Mapping[str, Any]], bool | None]
"""Says of a holder whether its process lives; None where that cannot be known."""


class EmergencyRecords:
    """The records that one store has refused to take from the processes of this machine.

    Nothing is made before it is needed: see `prepare`. What goes wrong with the files is logged, never raised.

    Args:
        folders: Where they may lie, the best place first; see `settings.emergency_folders`.
        store: Which store they belong to, as text without secrets; the same in every process that opens this store.
        holder: This process, as it signs what it keeps; plain JSON with an `incarnation`.
        is_alive: Whether the process of such a holder lives.
        reserve_bytes: How much room is held for the moment when the disk is full.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        store: str,
        holder: Mapping[str, Any],
        is_alive: IsAlive,
        *,
        reserve_bytes: int = MIB,
    ) -> None:
        self.store = store
        self._candidates = list(folders)
        self._holder = dict(holder)
        self._is_alive = is_alive
        self._reserve_bytes = reserve_bytes
        self._reserves: dict[Path, Reserve] = {}
        self._lock = threading.RLock()
        self._told: set[object] = set()

    # -- before anything happens ------------------------------------------------------------------------------------

    def prepare(self, collections: Sequence[str] = ()) -> None:
        """Make the folder and hold the reserve in it; clear what processes that are gone have left of theirs.

        Later calls see to it that the reserve is whole again.
        """
        with self._lock:
            for folder in self._candidates:
                if self._usable(folder):
                    self._prepare(folder, collections)
                    return

    def close(self) -> None:
        """Give the reserve back."""
        with self._lock:
            for reserve in self._reserves.values():
                reserve.release()
            self._reserves.clear()

    def _prepare(self, folder: Path, collections: Sequence[str]) -> None:
        try:
            for name in collections:  # on a full disk there may be no room even for a folder
                private_folder(folder / name)
            if folder not in self._reserves:
                self._clear(folder)
                self._reserves[folder] = Reserve(folder, self._holder, self._reserve_bytes)
            if not self._reserves[folder].make():
                self._say_once((folder, "reserve"), "There is no room in %s for a reserve for the full disk", folder)
        except OSError as problem:
            self._say_once(folder, "The folder for emergency records %s is not ready: %s", folder, problem)

    def _clear(self, folder: Path) -> None:
        clear_reserves(folder, lambda owner: self._is_own(owner) or self._is_alive(owner))
        oldest = time.time() - _STALE_AFTER
        for draft in folder.glob(f"*/{_DRAFTS}"):
            with suppress(OSError):  # somebody else clears it at this moment
                if draft.lstat().st_mtime < oldest:
                    draft.unlink()

    # -- keeping ----------------------------------------------------------------------------------------------------

    def keep(self, collection: str, record_id: str, fields: Mapping[str, Any], error: Exception, attempt: int) -> bool:
        """Keep the end of an attempt that the store refused with this error; return whether that could be done.

        Args:
            fields: The record as JSON holds it.
        """
        kept = Kept(known_collection(collection), record_id, attempt, self._holder, dict(fields), self.store)
        short = shortened(kept)
        with self._lock:
            place = self._put(kept, written(kept, error))
            if place is None and short is not None:
                place = self._put(short, written(short, error))
        if place is None:
            _say(
                logging.CRITICAL,
                "The store refused the end of %s in %s, and it can be kept nowhere on this machine: it is lost with "
                "this process unless the store takes it before.",
                record_id,
                collection,
            )
            return False
        _say(
            logging.WARNING,
            "The store refused the end of %s; it is kept as %s until the store takes it.",
            record_id,
            place,
        )
        return True

    def _put(self, kept: Kept, data: bytes) -> Path | None:
        for folder in self._candidates:
            target = self._path(folder, kept.collection, kept.record_id)
            if target is None or not self._usable(folder):
                continue
            try:
                self._check_free(target, kept.attempt)
                private_folder(target.parent)
                self._write(folder, target, data)
                return target
            except OSError as problem:
                _say(logging.WARNING, "%s cannot be written: %s", target, problem)
        return None

    def _check_free(self, target: Path, attempt: int) -> None:
        """Raise FileExistsError where another's file has the name, or that of a later attempt."""
        if not os.path.lexists(target):
            return
        there = self._found(target)
        if there is None:
            raise FileExistsError(f"a file that is not of this store has the name {target}")
        if there.attempt > attempt:
            raise FileExistsError(f"attempt {there.attempt} has ended already: {target}")

    def _write(self, folder: Path, target: Path, data: bytes) -> None:
        draft = target.with_name(f".{target.name}.{self._holder['incarnation']}.tmp")
        try:
            try:
                write_file(draft, data)
            except OSError as problem:
                if not is_full(problem) or folder not in self._reserves:
                    raise
                draft.unlink(missing_ok=True)
                self._reserves[folder].become(draft, data)
            atomic.publish_over(draft, target)
        except OSError:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            raise
        with suppress(OSError):  # the file is there; only a power cut could still take its name
            atomic.sync_folder(target.parent)

    # -- what is kept -----------------------------------------------------------------------------------------------

    def read(self, collection: str, record_id: str) -> Kept | None:
        """Return what is kept of a record of this store, whoever keeps it; None where nothing is."""
        return next((kept for _, kept in self._all_of(collection, record_id)), None)

    def waiting(self) -> Iterator[Kept]:
        """Yield what is to be brought to this store: ends of this process's jobs, and those of processes that are gone.

        What another living process keeps is left to it.
        """
        strangers = 0
        for folder in self._readable():
            for path in self._files(folder):
                kept = self._parsed(path)
                if kept is None:
                    continue
                if kept.store != self.store:
                    strangers += 1
                elif self._is_own(kept.holder) or self._is_alive(kept.holder) is False:
                    yield kept
        if strangers:
            self._say_once("strangers", "%d emergency records here belong to other stores; left as they are", strangers)

    def forget(self, collection: str, record_id: str) -> None:
        """Drop what this process keeps of a record: the store has it."""
        for path, kept in self._all_of(collection, record_id):
            if self._is_own(kept.holder):
                self._remove(path)

    def delivered(self, kept: Kept) -> None:
        """Drop what was brought to the store, or decided there by somebody else."""
        for path, there in self._all_of(kept.collection, kept.record_id):
            if (there.holder, there.attempt) == (kept.holder, kept.attempt):
                self._remove(path)

    def _remove(self, path: Path) -> None:
        try:
            atomic.patiently(path.unlink)
            _say(logging.INFO, "The store knows the end that was kept as %s.", path)
        except FileNotFoundError:
            pass  # another process has delivered it too
        except OSError as problem:
            self._say_once(path, "%s is of no use any more and cannot be removed: %s", path, problem)

    def _all_of(self, collection: str, record_id: str) -> Iterator[tuple[Path, Kept]]:
        for folder in self._readable():
            path = self._path(folder, collection, record_id)
            kept = self._found(path) if path is not None else None
            if path is not None and kept is not None:
                yield path, kept

    def _found(self, path: Path) -> Kept | None:
        kept = self._parsed(path)
        return kept if kept is not None and kept.store == self.store else None

    def _path(self, folder: Path, collection: str, record_id: str) -> Path | None:
        name = file_name(record_id)
        return None if name is None else folder / collection / name

    def _files(self, folder: Path) -> list[Path]:
        homes = [home for home in self._entries(folder) if home.is_dir() and not home.is_symlink()]
        return [path for home in homes for path in self._entries(home) if record_of(path.name)]

    def _entries(self, folder: Path) -> list[Path]:
        try:
            return sorted(folder.iterdir())
        except OSError as problem:
            self._say_once(folder, "The folder for emergency records %s cannot be read: %s", folder, problem)
            return []

    def _parsed(self, path: Path) -> Kept | None:
        """Return what a file holds; None, and one line in the log, where it is none of ours."""
        try:
            return stated(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as problem:
            self._say_once(path, "%s is left as it is, because it cannot be used: %s", path, problem)
            return None

    # -- places -----------------------------------------------------------------------------------------------------

    def _usable(self, folder: Path) -> bool:
        try:
            private_folder(folder)
        except OSError as problem:
            self._say_once(folder, "Emergency records are not kept in %s: %s", folder, problem)
            return False
        return True

    def _readable(self) -> list[Path]:
        return [folder for folder in self._candidates if self._is_readable(folder)]

    def _is_readable(self, folder: Path) -> bool:
        try:
            check_private(folder)
        except FileNotFoundError:
            return False
        except OSError as problem:
            self._say_once(folder, "Emergency records are not kept in %s: %s", folder, problem)
            return False
        return True

    def _is_own(self, holder: Mapping[str, Any]) -> bool:
        return bool(holder.get("incarnation") == self._holder["incarnation"])

    def _say_once(self, subject: object, message: str, *facts: object) -> None:
        if subject not in self._told:
            self._told.add(subject)
            _say(logging.WARNING, message, *facts)
