"""Which algorithms and minor versions a store holds.

The registry only ever adds: a minor version is one immutable object, created exclusively, and a removal
leaves a tombstone, so that a number is never used twice. Nothing is read, changed and written back, so
nothing is locked and processes that deploy and remove at once lose nothing. `shelves` has the keys,
`publishing`, `minors`, `removal` and `blobs` the orders of writing that make this so, and what a crash leaves.
"""

from __future__ import annotations

import builtins
import unicodedata
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from compox_core.algorithms.aliases import Aliases
from compox_core.algorithms.catalogue import Catalogue
from compox_core.algorithms.changes import Changes
from compox_core.algorithms.checkpoints import CheckpointStore
from compox_core.algorithms.filters import AlgorithmFilter
from compox_core.algorithms.publishing import Deployment, Publisher
from compox_core.algorithms.removal import remove_minors
from compox_core.algorithms.shelves import Shelf, is_algorithm_id, name_prefix, parse_minor
from compox_core.errors import ConflictError, NotFoundError, StorageError
from compox_core.identity import algorithm_id as id_of
from compox_core.records import AlgorithmFlags, AlgorithmRecord, AlgorithmVersion
from compox_core.storage.collections import SYSTEM
from compox_core.storage.objects import ObjectStore

if TYPE_CHECKING:
    from compox_core.algorithms.packing import AlgorithmPackage

__all__ = ["Deployment", "Registry"]

_T = TypeVar("_T")

_CACHE_LIMIT = 16 << 20
_ATTEMPTS = 100
_KEPT_LIMIT = 20_000  # algorithms


class Registry:
    """The algorithms of one store.

    Every call sees what other processes have deployed and removed up to then. Records that were read stay in
    memory (up to `cache_limit` bytes of JSON, and as much of checkpoints) and are handed out shared: do not
    change them. Looking one algorithm up lists that algorithm alone, however many the store holds.
    `checkpoints` are those of these algorithms. An id that an algorithm had where it was bundled means the one that it
    was imported as, wherever an id is given, unless an algorithm here has that very id. Thread-safe.
    """

    def __init__(self, store: ObjectStore, *, cache_limit: int = _CACHE_LIMIT) -> None:
        self._store = store
        self._catalogue = Catalogue(store, cache_limit)
        self._aliases = Aliases(store)
        self._publisher = Publisher(store, self._catalogue)
        self.checkpoints = CheckpointStore(store, self._catalogue)
        self._changes = Changes(store)
        self._kept: tuple[str, builtins.list[AlgorithmRecord]] | None = None

    def deploy(
        self,
        package: AlgorithmPackage,
        *,
        removable: bool | None = None,
        exportable: bool | None = None,
        passed: Callable[[int], None] = lambda size: None,
    ) -> Deployment:
        """Make `package` the latest minor version of its algorithm.

        Content that equals the latest minor (same code, options and assets) adds nothing. Other content
        becomes the next minor: the number after the highest ever used or, where no minor lives, that of
        `pyproject.toml` if it is higher. Names that differ only by case are one algorithm, which keeps its
        first name. `removable` and `exportable` are set for the algorithm as a whole, from the package where
        they are None; the last deploy wins.

        `passed` is told of every piece of code and assets that is stored by its size in bytes. It may raise
        TaskStoppedException: then nothing is published.

        Raises PackageError where a file changed since it was packed (code `algorithm_assets_store_failed` or
        `algorithm_module_store_failed`) or a version number cannot be stored; nothing is published then.
        """
        config = package.config
        flags = AlgorithmFlags(
            removable=config.removable if removable is None else removable,
            exportable=config.exportable if exportable is None else exportable,
        )
        return self._publisher.publish(package, flags, passed)

    def get(self, name: str, major: str | int | None = None) -> AlgorithmRecord:
        """Return an algorithm by name, in any case, and major version; None means the highest there is.

        Raises NotFoundError (code `algorithm_not_found`), whose message names the majors that do exist.
        """
        name = _printable(unicodedata.normalize("NFC", name))
        majors = self._majors(name) if major is None else [_printable(major)]
        for candidate in reversed(majors):
            record = self._find(id_of(name, candidate))
            if record is not None:
                return record
        raise _no_such_name(name, major, [each for each in self._majors(name) if self._find(id_of(name, each))])

    def majors(self, name: str) -> builtins.list[AlgorithmRecord]:
        """Return an algorithm, whose name may have any case, in each of its major versions, lowest first.

        Raises NotFoundError (code `algorithm_not_found`).
        """
        name = _printable(unicodedata.normalize("NFC", name))
        found = [record for major in self._majors(name) if (record := self._find(id_of(name, major))) is not None]
        if not found:
            raise _no_such_name(name, None, [])
        return found

    def find(self, algorithm_id: str) -> AlgorithmRecord:
        """Return an algorithm by its id; raises NotFoundError (code `algorithm_not_found`)."""
        record = self._find(algorithm_id) if is_algorithm_id(algorithm_id) else None
        if record is None:
            target = self._aliases.target(algorithm_id)
            record = None if target is None else self._find(target)
        if record is None:
            raise _no_such_id(algorithm_id)
        return record

    def resolve(self, algorithm_id: str) -> str:
        """Return the id, here, of the algorithm that an id means; raises NotFoundError (code `algorithm_not_found`)."""
        return self._living_shelf(algorithm_id).algorithm_id

    def version(self, algorithm_id: str, minor: str | int | None = None) -> AlgorithmVersion:
        """Return a minor version, the latest where `minor` is None.

        Raises NotFoundError, with code `algorithm_not_found` or, naming the minors there are,
        `minor_version_not_found`.
        """

        def read() -> AlgorithmVersion:
            shelf = self._living_shelf(algorithm_id)
            return self._catalogue.version(shelf, _choose(shelf, minor))

        return _settled(read)

    def list(
        self,
        *,
        positive_tags: Iterable[str] = (),
        negative_tags: Iterable[str] = (),
        algorithm_type: str | None = None,
        supported_devices: Iterable[str] = (),
    ) -> builtins.list[AlgorithmRecord]:
        """Return the algorithms that pass every filter, sorted by name and major.

        `positive_tags` must all be there, `negative_tags` must not (exact, case matters); `algorithm_type`
        must be equal and one of `supported_devices` must be supported (case does not matter). An algorithm
        whose records are broken is left out with a warning in the log.
        """
        wanted = AlgorithmFilter.of(positive_tags, negative_tags, algorithm_type, supported_devices)
        return [record for record in self._all() if wanted.admits(record)]

    def _all(self) -> builtins.list[AlgorithmRecord]:
        """Return every algorithm in order; as they were read before, where nothing has changed since."""
        before = self._changes.generation()
        kept = self._kept
        if before is not None and kept is not None and kept[0] == before:
            return kept[1]
        found = sorted(self._catalogue.records(), key=lambda record: (record.name.casefold(), _rank(record.major)))
        if before is not None and len(found) <= _KEPT_LIMIT:
            self._kept = before, found
        return found

    def remove(self, algorithm_id: str, minor: str | int | None = None, *, force: bool = False) -> None:
        """Remove one minor version, or the algorithm with all of them where `minor` is None.

        Code and assets go where no other version of any algorithm uses them. The numbers stay used. With its
        last minor the algorithm is gone for readers. `force` removes one that is not removable.

        Raises NotFoundError as `version` does, ConflictError (code `algorithm_not_removable`).
        """
        shelf = self._living_shelf(algorithm_id)
        minors = shelf.living if minor is None else [_choose(shelf, minor)]
        if not force and not self._catalogue.flags(shelf).removable:
            raise ConflictError(
                f"Algorithm {algorithm_id} is not removable: deploy it again with removable set, or force the removal.",
                code="algorithm_not_removable",
                details={"algorithm_id": algorithm_id},
            )
        remove_minors(self._store, self._catalogue, shelf, minors)

    def _find(self, algorithm_id: str) -> AlgorithmRecord | None:
        def read() -> AlgorithmRecord | None:
            shelf = self._catalogue.shelf(algorithm_id)
            return self._catalogue.record(shelf) if shelf.living else None

        return _settled(read)

    def _living_shelf(self, algorithm_id: str) -> Shelf:
        shelf = self._catalogue.shelf(algorithm_id) if is_algorithm_id(algorithm_id) else Shelf(algorithm_id)
        if not shelf.living:
            target = self._aliases.target(algorithm_id)
            shelf = shelf if target is None else self._catalogue.shelf(target)
        if not shelf.living:
            raise _no_such_id(algorithm_id)
        return shelf

    def _majors(self, name: str) -> builtins.list[str]:
        """Return the majors that `name` ever had, lowest first."""
        prefix = name_prefix(name)
        return sorted((info.key.removeprefix(prefix) for info in self._store.list(SYSTEM, prefix)), key=_rank)


def _settled(read: Callable[[], _T]) -> _T:
    """Return `read()`, done again while removals take away what it has just listed."""
    for _ in range(_ATTEMPTS):
        try:
            return read()
        except NotFoundError as error:
            if error.code != "object_not_found":
                raise
            cause = error
    raise StorageError(
        "An algorithm could not be read: each time, a minor version was removed between its listing and its "
        "reading. Try again.",
        retryable=True,
    ) from cause


def _rank(major: str) -> tuple[int, int, str]:
    """Order majors by number, and those that are none before them by text."""
    return (1, int(major), major) if major.isascii() and major.isdigit() else (0, 0, major)


def _choose(shelf: Shelf, minor: str | int | None) -> int:
    if minor is None:
        return shelf.living[-1]
    number = parse_minor(minor)
    if number is None or number not in shelf.living:
        there = ", ".join(map(str, shelf.living))
        raise NotFoundError(
            f"Algorithm {shelf.algorithm_id} has no minor version {_printable(minor)!r}; there are: {there}.",
            code="minor_version_not_found",
            details={
                "algorithm_id": shelf.algorithm_id,
                "algorithm_minor_version": _printable(minor),
                "algorithm_minor_versions": [str(number) for number in shelf.living],
            },
        )
    return number


def _no_such_name(name: str, major: str | int | None, living: list[str]) -> NotFoundError:
    if major is not None and living:
        what = f"Algorithm {name!r} has no major version {_printable(major)!r}; there are: {', '.join(living)}."
    else:
        what = f"There is no algorithm {name!r} in this store: deploy it, or list the algorithms there are."
    return NotFoundError(
        what,
        code="algorithm_not_found",
        details={
            "algorithm_name": name,
            "algorithm_major_version": None if major is None else _printable(major),
        },
    )


def _no_such_id(algorithm_id: str) -> NotFoundError:
    shown = _printable(algorithm_id)
    return NotFoundError(
        f"There is no algorithm with the id {shown!r} in this store: look it up by name, or list the "
        "algorithms there are.",
        code="algorithm_not_found",
        details={"algorithm_id": shown},
    )


def _printable(given: str | int) -> str:
    """Return what a caller gave as text that can be encoded: '?' for a lone surrogate, which no name has."""
    return str(given).encode(errors="replace").decode()
