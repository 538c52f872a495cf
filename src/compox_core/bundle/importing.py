"""Brings a bundle into a store that others use meanwhile.

Order: pin the contents; store those that are not there; then, of one algorithm after the other, create the head where
there is none, set the flags, create the minor versions, rising, then the checkpoints, each after the one that it goes
back to, then the alias; unpin. Until the first record nothing is visible, and whatever ends the import leaves nothing.
From then on a store that the import dies in works with what it has got, and a second import brings the rest: all that
it writes is created once, and what is there already is recognised by its hashes. `Target` says how the versions of a
new algorithm are, and `compox_core.algorithms.minors` what happens where others deploy the same algorithm.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from compox_core.algorithms.blobs import Blob, BlobWriter
from compox_core.algorithms.catalogue import blobs_of
from compox_core.algorithms.manifests import assets_of
from compox_core.algorithms.minors import is_identical
from compox_core.algorithms.removal import discard
from compox_core.algorithms.shelves import Shelf
from compox_core.bundle.checking import parents_first
from compox_core.bundle.container import BlobStream
from compox_core.bundle.plan import AlgorithmPlan, ImportPlan, ImportReport
from compox_core.bundle.planning import flags_here, is_same_checkpoint, needed
from compox_core.bundle.snapshot import BundledAlgorithm, BundleSource, Content
from compox_core.bundle.target import Target
from compox_core.errors import (
    CompoxError,
    ConflictError,
    NotFoundError,
    StorageError,
    TaskStoppedException,
)
from compox_core.records import AlgorithmVersion, AssetEntry, CheckpointRecord
from compox_core.storage.at_once import at_once
from compox_core.storage.collections import ASSETS, MODULES
from compox_core.storage.objects import ObjectStore

Progress = Callable[[int, int], None]
"""Told the bytes stored and the bytes in all."""


def import_bundle(
    source: BundleSource, plan: ImportPlan, store: ObjectStore, progress: Progress = lambda done, total: None
) -> ImportReport:
    """Do what a plan for the bundle says, and return what was done.

    Memory does not grow with the contents, which go straight into the store. `progress` is called between pieces and
    may raise TaskStoppedException.

    Raises:
        StorageError: `disk_full`, before anything is written where that can be told; `storage_…`. Where the store
            failed while records were written, a part of the bundle may be there: import it again.
        InvalidInputError: the bundle was changed or damaged. Nothing of it was imported.
        NotFoundError: `bundle_object_not_found`: the bundle does not hold a content that it names; then nothing was
            imported. `algorithm_not_found`: an algorithm was removed meanwhile.
        ConflictError: `checkpoint_conflict`: another checkpoint of that id came meanwhile.
    """
    if plan.free is not None and plan.missing_bytes > plan.free:
        raise _no_room(plan, store)
    return _Import(source, plan, store, progress).run()


class _Import:
    """One import. `_keys` maps collection and SHA-256 of each content to its key in the store."""

    def __init__(self, source: BundleSource, plan: ImportPlan, store: ObjectStore, progress: Progress) -> None:
        self._source = source
        self._plan = plan
        self._target = Target(store)
        self._progress = progress
        self._done = 0
        self._bytes = 0
        self._keys: dict[tuple[str, str], str] = {}
        self._named: set[Blob] = set()

    def run(self) -> ImportReport:
        algorithms = list(zip(self._source.snapshot.algorithms, self._plan.algorithms, strict=True))
        contents = needed(self._source.snapshot, self._plan.algorithms)
        stored: set[Blob] = set()
        writer = None
        try:
            with self._target.blobs.writer({each.sha256 for each in contents}, self._passed) as writer:
                writer.publishing = False
                stored = writer.stored
                self._store(writer, contents)
                writer.publishing = True
                report = [self._publish(bundled, each) for bundled, each in algorithms]
        except BaseException as error:
            told = isinstance(error, CompoxError | TaskStoppedException) and not isinstance(error, StorageError)
            if told or (writer is not None and not writer.publishing):
                self._discard(stored)
            raise
        self._discard(stored)
        return ImportReport(algorithms=report, stored=len(stored), stored_bytes=self._bytes)

    def _passed(self, size: int) -> None:
        self._done += size
        self._progress(self._done, self._plan.missing_bytes)

    def _discard(self, stored: Collection[Blob]) -> None:
        discard(self._target.store, self._target.catalogue, set(stored) - self._named)

    # -- contents ---------------------------------------------------------------------------------------------------

    def _store(self, writer: BlobWriter, contents: list[Content]) -> None:
        """Store those contents that are not there."""
        missing: dict[tuple[str, str], Content] = {}
        for content, blob in zip(contents, at_once(lambda each: writer.held(*each), contents), strict=True):
            if blob is None:
                missing[content.collection, content.sha256] = content
            else:
                self._keys[content.collection, content.sha256] = blob.key
        wanted = {content.sha256 for content in missing.values()}
        for content, stream in self._source.contents(wanted) if wanted else ():
            if missing.pop((content.collection, content.sha256), None) is None:
                continue
            compared = isinstance(stream, BlobStream)  # which gives its last piece when it has the SHA-256
            self._keys[content.collection, content.sha256] = writer.put_stream(*content, stream, compared=compared).key
            self._bytes += content.size
        if missing:
            raise _not_there(list(missing.values()))

    def _entry(self, entry: AssetEntry) -> AssetEntry:
        return entry.model_copy(update={"key": self._keys[ASSETS, entry.sha256]})

    # -- records ----------------------------------------------------------------------------------------------------

    def _publish(self, bundled: BundledAlgorithm, plan: AlgorithmPlan) -> AlgorithmPlan:
        done = plan
        if plan.minors or plan.flags or plan.checkpoints:
            with self._target.changes.announced():
                done = self._publish_records(bundled, plan)
        if plan.resumed and not plan.minors:
            self._target.end(plan.algorithm_id)  # whoever began had brought all of them
        if plan.alias and not self._target.aliases.create(plan.bundled_id, plan.algorithm_id):
            self._target.aliases.replace(plan.bundled_id, plan.algorithm_id)  # what it meant is gone
        return done

    def _publish_records(self, bundled: BundledAlgorithm, plan: AlgorithmPlan) -> AlgorithmPlan:
        target = self._target
        shelf = target.catalogue.shelf(plan.algorithm_id)
        added: dict[int, int] = {}
        if plan.minors:
            head = target.minors.head(shelf, plan.name, plan.major, bundled.created)
            name = head.name
        if plan.flags is not None and not (shelf.flags and flags_here(target, shelf) == plan.flags):
            target.minors.replace_flags(shelf, plan.flags)  # before the versions, which they may protect
        if plan.minors:
            versions = bundled.versions if plan.step == "new" else bundled.versions[-1:]
            drafts = [self._draft(version, plan.algorithm_id, name, plan.major) for version in versions]
            added = self._add(shelf, bundled, drafts)
        if plan.checkpoints:
            self._publish_checkpoints(bundled, plan)
        return plan.model_copy(update={"minors": added})

    def _draft(self, version: AlgorithmVersion, algorithm_id: str, name: str, major: str) -> AlgorithmVersion:
        key = self._keys[MODULES, version.module.sha256]
        return version.model_copy(
            update={
                "algorithm_id": algorithm_id,
                "name": name,
                "major": major,
                "module": version.module.model_copy(update={"key": key}),
                "assets": {path: self._entry(entry) for path, entry in version.assets.items()},
            }
        )

    def _add(self, shelf: Shelf, bundled: BundledAlgorithm, drafts: list[AlgorithmVersion]) -> dict[int, int]:
        """Add versions and return the numbers that they got, by those in the bundle."""
        target = self._target
        if len(drafts) == 1:
            _, version, created = target.minors.add(shelf, drafts[0])
            added = [version] if created else []
        else:
            target.begin(shelf.algorithm_id, bundled)
            added = target.minors.add_all(shelf, drafts)
            target.end(shelf.algorithm_id)
        self._named.update(*map(blobs_of, added))
        return {_bundled_minor(version, drafts): version.minor for version in added}

    def _publish_checkpoints(self, bundled: BundledAlgorithm, plan: AlgorithmPlan) -> None:
        target = self._target
        numbers = self._numbers(bundled, plan.algorithm_id)
        for checkpoint in parents_first(bundled.checkpoints)[0]:
            if checkpoint.checkpoint_id not in plan.checkpoints:
                continue
            record = checkpoint.model_copy(
                update={
                    "parent_algorithm_id": plan.algorithm_id,
                    "algorithm_minor_version": numbers.get(checkpoint.algorithm_minor_version or ""),
                    "assets": {path: self._entry(entry) for path, entry in checkpoint.assets.items()},
                }
            )
            if target.checkpoints.adopt(record):
                self._named |= assets_of(record)
            else:
                _check_same(target.checkpoints.get(record.checkpoint_id), record)

    def _numbers(self, bundled: BundledAlgorithm, algorithm_id: str) -> dict[str, str]:
        """Return which minor versions here are those of the bundle, by their hashes."""
        shelf = self._target.catalogue.shelf(algorithm_id)
        living = self._target.catalogue.readable_versions(shelf, shelf.living)
        found = {}
        for version in bundled.versions:
            same = [each.minor for each in living if is_identical(each, version)]
            if same:
                found[str(version.minor)] = str(version.minor if version.minor in same else same[-1])
        return found


def _bundled_minor(version: AlgorithmVersion, drafts: list[AlgorithmVersion]) -> int:
    """Return the number that a version had in the bundle: its own, or that of the last draft that equals it."""
    same = [draft.minor for draft in drafts if is_identical(draft, version)]
    return version.minor if version.minor in same else same[-1]


def _check_same(there: CheckpointRecord, mine: CheckpointRecord) -> None:
    if not is_same_checkpoint(there, mine) or there.parent_algorithm_id != mine.parent_algorithm_id:
        raise ConflictError(
            f"Another checkpoint {mine.checkpoint_id} came meanwhile, with another content: it was left as it is.",
            code="checkpoint_conflict",
            details={"checkpoint_id": mine.checkpoint_id},
        )


def _not_there(missing: list[Content]) -> NotFoundError:
    shown = ", ".join(f"{each.sha256} ({each.size} bytes)" for each in missing[:5])
    return NotFoundError(
        f"The bundle does not hold {len(missing)} of the contents that it names, and nothing of it was imported: "
        f"{shown}. Build it anew.",
        code="bundle_object_not_found",
        details={"contents": [each.sha256 for each in missing[:100]]},
    )


def _no_room(plan: ImportPlan, store: ObjectStore) -> StorageError:
    return StorageError(
        f"The bundle was not imported: it needs {plan.missing_bytes} bytes in {store.url}, where {plan.free} are free. "
        "Free some space.",
        code="disk_full",
        details={"needed": plan.missing_bytes, "free": plan.free, "where": store.url},
        retryable=True,
    )
