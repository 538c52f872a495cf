"""Takes from a store what goes into a bundle.

The contents are pinned as long as the bundle is written, so that a removal or a garbage collection beside it takes none
of them away: see `compox_core.algorithms.blobs`. What was collected is looked up again when the pin is there; only then
is it known to be what the pin holds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

from compox_core._version import __version__
from compox_core.algorithms.blobs import BlobStore
from compox_core.algorithms.registry import Registry
from compox_core.bundle.selecting import Choice
from compox_core.bundle.snapshot import BundledAlgorithm, Content, Snapshot
from compox_core.errors import ConflictError, InvalidInputError, NotFoundError, StorageError
from compox_core.identity import utc_now
from compox_core.records import AlgorithmFlags, AlgorithmRecord, AlgorithmVersion, AssetEntry, CheckpointRecord
from compox_core.storage.collections import ASSETS, MODULES
from compox_core.storage.objects import ObjectStore

_ATTEMPTS = 20


@dataclass
class Collected:
    """What goes into a bundle. `notes` say what was left out, and why, for whoever builds it."""

    store: ObjectStore
    snapshot: Snapshot
    notes: list[str]
    keys: dict[tuple[str, str], str] = field(repr=False)
    names: dict[tuple[str, str], str] = field(repr=False)

    def open(self, content: Content) -> BinaryIO:
        """Return a stream of a content; the caller closes it. Raises StorageError (`bundle_content_missing`)."""
        place = (content.collection, content.sha256)
        try:
            return self.store.open(content.collection, self.keys[place])
        except NotFoundError as error:
            raise StorageError(
                f"{self.names[place]} is not in the store, so the bundle was not built. Where the algorithm is being "
                "removed, build again; else deploy it again from its source.",
                code="bundle_content_missing",
                details={"collection": content.collection, "key": self.keys[place]},
            ) from error

    def name_of(self, content: Content) -> str:
        """Return what people know a content by."""
        return self.names[content.collection, content.sha256]


@contextmanager
def collected(
    store: ObjectStore,
    registry: Registry,
    selection: Iterable[str] = (),
    *,
    include_unexportable: bool = False,
) -> Iterator[Collected]:
    """Give the algorithms of a store, or those that `selection` chooses, with their checkpoints, to be bundled.

    Of the checkpoints, those go along whose assets fit a minor version that does, and every one that these go back to.
    What they name stays in the store for as long as the block lasts.

    Args:
        selection: Texts as `Choice` reads them; none means all algorithms.
        include_unexportable: Whether algorithms that may not be exported go along. Otherwise they are left out, with a
            note.

    Raises:
        InvalidInputError: `invalid_algorithm_selection`; `bundle_empty` where nothing would be in the bundle.
        NotFoundError: `algorithm_not_found`, `minor_version_not_found`.
        ConflictError: `algorithm_not_exportable`, for one that was chosen by its name.
        StorageError: where something cannot be read.
    """
    choices = [Choice.parse(text) for text in selection]
    for _ in range(_ATTEMPTS):
        found = _gather(store, registry, choices, include_unexportable)
        pinned = {content.sha256 for content in found.snapshot.contents()}
        with BlobStore(store).writer(pinned) as writer:
            writer.publishing = False  # nothing new will name them
            found = _gather(store, registry, choices, include_unexportable)
            if pinned.issuperset(content.sha256 for content in found.snapshot.contents()):
                yield found
                return
    raise StorageError(
        f"The algorithms changed {_ATTEMPTS} times while they were looked at: build the bundle when nobody deploys.",
        retryable=True,
    )


def _gather(store: ObjectStore, registry: Registry, choices: list[Choice], include_unexportable: bool) -> Collected:
    found = Collected(
        store, Snapshot(created=utc_now(), made_by=f"compox-core {__version__}", algorithms=[]), [], {}, {}
    )
    for record, minors in _chosen(registry, choices):
        if not record.exportable and not include_unexportable:
            if choices:
                raise _not_exportable(record)
            found.notes.append(f"{record.name} {record.major} was left out: it may not be exported.")
            continue
        bundled = _bundled(registry, record, minors, found)
        if bundled is not None:
            found.snapshot.algorithms.append(bundled)
    if not found.snapshot.algorithms:
        why = " " + " ".join(found.notes) if found.notes else " The store has no algorithm."
        raise InvalidInputError(
            f"There is nothing to bundle.{why}", code="bundle_empty", details={"notes": found.notes}
        )
    return found


def _chosen(registry: Registry, choices: list[Choice]) -> list[tuple[AlgorithmRecord, list[int] | None]]:
    """Return each algorithm once, with the minors that were named; None stands for all of them."""
    if not choices:
        return [(record, None) for record in registry.list()]
    records: dict[str, AlgorithmRecord] = {}
    minors: dict[str, list[int | None]] = defaultdict(list)
    for choice in choices:
        record = registry.get(choice.name, choice.major)
        if choice.minor is not None:
            registry.version(record.algorithm_id, choice.minor)  # or it is said now that there is none
        records[record.algorithm_id] = record
        minors[record.algorithm_id].append(choice.minor)
    named = {
        each: None if None in numbers else sorted({number for number in numbers if number is not None})
        for each, numbers in minors.items()
    }
    return sorted(
        ((record, named[each]) for each, record in records.items()),
        key=lambda pair: (pair[0].name.casefold(), pair[0].major),
    )


def _bundled(
    registry: Registry, record: AlgorithmRecord, minors: list[int] | None, found: Collected
) -> BundledAlgorithm | None:
    versions = []
    for minor in record.minors if minors is None else minors:
        try:
            version = registry.version(record.algorithm_id, minor)
        except NotFoundError:
            continue  # it was removed since it was listed
        versions.append(_portable(version, found))
    if not versions:
        return None
    return BundledAlgorithm(
        algorithm_id=record.algorithm_id,
        name=record.name,
        major=record.major,
        created=record.created,
        flags=AlgorithmFlags(removable=record.removable, exportable=record.exportable),
        versions=versions,
        checkpoints=_checkpoints(registry, record, versions, found),
    )


def _portable(version: AlgorithmVersion, found: Collected) -> AlgorithmVersion:
    """Return a version whose keys are its hashes."""
    what = f"{version.name} {version.major}.{version.minor}"
    module = version.module
    found.keys[MODULES, module.sha256] = module.key
    found.names[MODULES, module.sha256] = f"the code of {what}"
    return version.model_copy(
        update={
            "module": module.model_copy(update={"key": module.sha256}),
            "assets": _portable_assets(version.assets, what, found),
        }
    )


def _portable_assets(assets: Mapping[str, AssetEntry], what: str, found: Collected) -> dict[str, AssetEntry]:
    for path, entry in assets.items():
        found.keys[ASSETS, entry.sha256] = entry.key
        found.names[ASSETS, entry.sha256] = f"the asset '{path}' of {what}"
    return {path: entry.model_copy(update={"key": entry.sha256}) for path, entry in assets.items()}


def _checkpoints(
    registry: Registry, record: AlgorithmRecord, versions: list[AlgorithmVersion], found: Collected
) -> list[CheckpointRecord]:
    """Return the checkpoints that fit one of the versions, and all that they go back to, oldest first."""
    known = {each.checkpoint_id: each for each in registry.checkpoints.list(algorithm_id=record.algorithm_id)}
    fitting = [
        each for each in known.values() if any(each.assets.keys() <= version.assets.keys() for version in versions)
    ]
    taken: dict[str, CheckpointRecord] = {}
    while fitting:
        checkpoint = fitting.pop()
        if checkpoint.checkpoint_id in taken:
            continue
        parent = checkpoint.parent_checkpoint_id
        if parent is not None and parent not in known:
            found.notes.append(
                f"The checkpoint {checkpoint.checkpoint_id} of {record.name} {record.major} goes back to {parent}, "
                "which was deleted: in the bundle it goes back to none."
            )
            checkpoint = checkpoint.model_copy(update={"parent_checkpoint_id": None})
        elif parent is not None:
            fitting.append(known[parent])
        taken[checkpoint.checkpoint_id] = checkpoint.model_copy(
            update={"assets": _portable_assets(checkpoint.assets, f"the checkpoint {checkpoint.checkpoint_id}", found)}
        )
    if len(taken) < len(known):
        found.notes.append(
            f"{len(known) - len(taken)} checkpoints of {record.name} {record.major} were left out: they fit none of "
            "the minor versions that are bundled."
        )
    return sorted(taken.values(), key=lambda each: (each.created_at, each.checkpoint_id))


def _not_exportable(record: AlgorithmRecord) -> ConflictError:
    return ConflictError(
        f"Algorithm {record.name} {record.major} may not be exported: its author, or who deployed it, said so. Leave "
        "it out, or have unexportable algorithms included.",
        code="algorithm_not_exportable",
        details={"algorithm_name": record.name, "algorithm_major_version": record.major},
    )
