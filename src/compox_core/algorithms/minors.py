"""Adds minor versions to an algorithm of a store, beside any number of others that do the same.

The number. With every number below `f` used, all writers that see so agree on the next one by creating
`minor-numbers/<id>/<f>` exclusively: `f` itself where a minor lives, else (the first deploy, or the first
after all minors were removed) the minor of `pyproject.toml` where that is higher. An import, which keeps the numbers
of its bundle, asks for its own where a minor lives, too. Whoever finds the object takes what it says. Then the minor is
created exclusively under that number; who loses reads the latest again, and adds nothing where that is identical.
Without the agreement two first deploys of 1.2 and 1.7 would both win.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from pydantic import Field

from compox_core.algorithms.catalogue import Catalogue, invalid_record
from compox_core.algorithms.removal import seal
from compox_core.algorithms.shelves import (
    HIGHEST_MINOR,
    Shelf,
    flags_key,
    gone_key,
    head_key,
    minor_key,
    name_prefix,
    number_key,
    parse_minor,
)
from compox_core.errors import ConflictError, NotFoundError, PackageError, StorageError
from compox_core.identity import new_token
from compox_core.records import AlgorithmFlags, AlgorithmHead, AlgorithmVersion
from compox_core.storage.collections import ALGORITHMS, SYSTEM
from compox_core.storage.objects import ObjectStore

_log = logging.getLogger(__name__)

_ATTEMPTS = 1000


class _StampedFlags(AlgorithmFlags):
    """Flags as they are stored: no two writes are equal.

    Where `ObjectInfo.version` is a hash of the content, a reader that listed flags, read the next ones and
    kept them would otherwise take these for the first when the first come back.
    """

    stamp: str = Field(default_factory=new_token)


class Minors:
    """Heads, flags and minor versions of one store, as they are written. Holds no state of its own."""

    def __init__(self, store: ObjectStore, catalogue: Catalogue) -> None:
        self._store = store
        self._catalogue = catalogue

    def head(self, shelf: Shelf, name: str, major: str, created: datetime) -> AlgorithmHead:
        """Return the head of the algorithm: who comes first creates it with this name, a later one mends it."""
        key = head_key(shelf.algorithm_id)
        head = AlgorithmHead(algorithm_id=shelf.algorithm_id, name=name, major=major, created=created)
        data = head.model_dump_json().encode()
        if shelf.head is None:
            self._mark_name(name, major)
            try:
                self._store.create(ALGORITHMS, key, data)
                return head
            except ConflictError:
                shelf = self._catalogue.shelf(shelf.algorithm_id)
        try:
            return self._catalogue.head(shelf)
        except StorageError as error:
            if error.code != "invalid_algorithm_record":
                raise
            _log.warning("Replaced: %s", error)
            self._store.put(ALGORITHMS, key, data)
            return head

    def replace_flags(self, shelf: Shelf, flags: AlgorithmFlags) -> None:
        """Set the flags; the last one wins."""
        stamped = _StampedFlags(**flags.model_dump())
        self._store.put(ALGORITHMS, flags_key(shelf.algorithm_id), stamped.model_dump_json().encode())

    def latest(self, shelf: Shelf) -> AlgorithmVersion | None:
        """Return the latest minor to compare with; None where it is broken, too: the next one mends that."""
        if not shelf.living:
            return None
        return next(iter(self._catalogue.readable_versions(shelf, shelf.living[-1:])), None)

    def add(self, shelf: Shelf, draft: AlgorithmVersion) -> tuple[Shelf, AlgorithmVersion, bool]:
        """Make a draft the latest minor; its own number counts only where no minor lives.

        Returns what was there, the version that holds the content, and whether it was added here.
        """
        for _ in range(_ATTEMPTS):
            latest = self.latest(shelf)
            if latest is not None and is_identical(latest, draft):
                return shelf, latest, False
            version = draft.model_copy(update={"minor": self._next_minor(shelf, draft.minor)})
            if self._create(version):
                return shelf, version, True
            shelf = self._catalogue.shelf(shelf.algorithm_id)
        raise _overtaken(draft)

    def add_all(self, shelf: Shelf, drafts: Sequence[AlgorithmVersion]) -> list[AlgorithmVersion]:
        """Add the minors of an algorithm that has none of others, rising, where they can be under their own numbers.

        Whoever was interrupted goes on where it stopped. As soon as somebody else's minor is seen among them, only the
        last draft is added, as `add` does. Returns the versions that were added here.
        """
        added: list[AlgorithmVersion] = []
        for _ in range(_ATTEMPTS):
            living = self._catalogue.readable_versions(shelf, shelf.living)
            done = len(shelf.living)
            if len(living) != done or not _go_together(living, drafts):
                _, version, created = self.add(shelf, drafts[-1])
                return [*added, version] if created else added
            if done >= len(drafts):  # more of them are of somebody who came when all of these were there
                return added
            draft = drafts[done]
            version = draft.model_copy(update={"minor": self._next_minor(shelf, draft.minor, gaps=True)})
            if self._create(version):
                added.append(version)
            shelf = self._catalogue.shelf(shelf.algorithm_id)
        raise _overtaken(drafts[-1])

    def _create(self, version: AlgorithmVersion) -> bool:
        """Publish `version` under its number; False when that number is taken or was used up."""
        key = minor_key(version.algorithm_id, version.minor)
        try:
            self._store.create(ALGORITHMS, key, version.model_dump_json().encode())
        except ConflictError:
            return False
        # Another deploy may have used this number, and a removal freed its key, since the shelf was read.
        try:
            removed = self._store.get(ALGORITHMS, gone_key(version.algorithm_id, version.minor))
        except NotFoundError:
            return True
        if removed == seal(version):  # this very version was published, and removed at once
            return True
        self._store.delete(ALGORITHMS, key)
        return False

    def _next_minor(self, shelf: Shelf, wanted: int, *, gaps: bool = False) -> int:
        first = shelf.first_unused
        minor = first if shelf.living and not gaps else max(first, wanted)
        if minor > HIGHEST_MINOR:
            raise _out_of_numbers(shelf.algorithm_id)
        key = number_key(shelf.algorithm_id, first)
        try:
            self._store.create(SYSTEM, key, str(minor).encode())
        except ConflictError:
            agreed = parse_minor(self._store.get(SYSTEM, key).decode(errors="replace"))
            if agreed is None:
                raise invalid_record(SYSTEM, key, "it does not hold a minor version number") from None
            return agreed
        return minor

    def _mark_name(self, name: str, major: str) -> None:
        try:
            self._store.create(SYSTEM, f"{name_prefix(name)}{major}", b"")
        except ConflictError:
            return


def is_identical(one: AlgorithmVersion, other: AlgorithmVersion) -> bool:
    """Say whether adding one on top of the other would add nothing: same code, options and assets."""
    return one.module.module_id == other.module.module_id and _hashes(one) == _hashes(other)


def _hashes(version: AlgorithmVersion) -> dict[str, str]:
    return {path: asset.sha256 for path, asset in version.assets.items()}


def _go_together(living: Sequence[AlgorithmVersion], drafts: Sequence[AlgorithmVersion]) -> bool:
    """Say whether the shorter of the two is how the longer begins."""
    return all(is_identical(one, other) for one, other in zip(living, drafts, strict=False))


def _overtaken(draft: AlgorithmVersion) -> StorageError:
    return StorageError(
        f"Algorithm {draft.name!r} could not be deployed: {_ATTEMPTS} times another deploy took the "
        "number first. Deploy again when fewer deploys of this algorithm run at once.",
        retryable=True,
    )


def _out_of_numbers(identifier: str) -> PackageError:
    return PackageError(
        f"Algorithm {identifier} has used its highest minor version {HIGHEST_MINOR}: deploy it under a new "
        "major version.",
        code="minor_versions_used_up",
        details={"algorithm_id": identifier},
    )
