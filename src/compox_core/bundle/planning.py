"""Finds out what the import of a bundle would change, and all that speaks against it, before anything is written."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping

from compox_core.algorithms.minors import is_identical
from compox_core.algorithms.shelves import HIGHEST_MINOR, Shelf, is_algorithm_id
from compox_core.algorithms.transform import HERE
from compox_core.bundle.checking import check_snapshot
from compox_core.bundle.names import Issue, Named, check_spelling, named, refused
from compox_core.bundle.plan import AlgorithmPlan, ImportPlan
from compox_core.bundle.snapshot import BundledAlgorithm, Content, Snapshot, contents_of
from compox_core.bundle.target import Target
from compox_core.errors import NotFoundError, StorageError
from compox_core.records import AlgorithmFlags, CheckpointRecord
from compox_core.storage.at_once import at_once
from compox_core.storage.folder import FolderStore
from compox_core.storage.objects import ObjectStore


def plan_import(snapshot: Snapshot, store: ObjectStore, rename: Mapping[str, str] | None = None) -> ImportPlan:
    """Return what the import of a snapshot would change. Nothing is written.

    An algorithm that is not here comes with all its minor versions; of one whose name and major version are here, the
    latest comes as the next minor version, unless it equals the latest here by its recorded hashes.

    Args:
        rename: Other names for algorithms of the bundle, by their names there.

    Raises:
        InvalidInputError: everything that speaks against it, in `details["issues"]`. Its code is that of the issues
            where they have one in common, else `bundle_not_importable`: `invalid_bundle_manifest`,
            `invalid_algorithm_name`, `algorithm_name_conflict` (names that differ by case only, or two that become
            one), `unknown_algorithm` (to be renamed and not in the bundle), `python_version_mismatch` (compiled code of
            another Python), `minor_versions_used_up`.
        ConflictError: `checkpoint_conflict`, where that is all: a checkpoint of that id is here, with other content.
        StorageError: where the store cannot be read.
    """
    check_snapshot(snapshot)
    target = Target(store)
    issues: list[Issue] = []
    found = named(snapshot, dict(rename or {}), issues)
    here = {each.identifier for each in found}
    algorithms: list[AlgorithmPlan] = []
    for each in found:
        shelf = target.catalogue.shelf(each.identifier)
        head = target.catalogue.head(shelf) if shelf.head else None
        if head is not None and shelf.living:
            check_spelling(each, head.name, issues)
        plan = _planned(target, shelf, each, here, issues)
        algorithms.append(plan if head is None else plan.model_copy(update={"name": head.name}))
    if issues:
        raise refused(issues)
    return _with_sizes(store, snapshot, algorithms)


def _planned(target: Target, shelf: Shelf, each: Named, here: set[str], issues: list[Issue]) -> AlgorithmPlan:
    bundled = each.bundled
    begun = bool(shelf.living) and target.has_begun(shelf.algorithm_id, bundled)
    latest = target.minors.latest(shelf)
    if not shelf.living or (begun and _goes_on(target, shelf, bundled)):
        step, minors = "new", _numbers(shelf, bundled)
    elif latest is not None and is_identical(latest, bundled.versions[-1]):
        step, minors = "none", {}
    else:
        step, minors = "minor", {bundled.versions[-1].minor: shelf.first_unused}
    _check_python(each, minors, issues)
    if minors and max(minors.values()) > HIGHEST_MINOR:
        issues.append(Issue("minor_versions_used_up", f"{each} has no minor version number left here."))
    new, known = _checkpoints(target, each, issues)
    alias, notes = _alias(target, each, here)
    return AlgorithmPlan(
        name=each.name,
        major=bundled.major,
        algorithm_id=each.identifier,
        bundled_name=bundled.name,
        bundled_id=bundled.algorithm_id,
        step="new" if step == "new" else "minor" if step == "minor" else "none",
        minors=minors,
        flags=None if shelf.flags and flags_here(target, shelf) == bundled.flags else bundled.flags,
        checkpoints=new,
        known=known,
        alias=alias,
        resumed=begun,
        notes=notes,
    )


def _goes_on(target: Target, shelf: Shelf, bundled: BundledAlgorithm) -> bool:
    """Return whether all that is here are the first versions of the bundle."""
    living = target.catalogue.readable_versions(shelf, shelf.living)
    pairs = zip(living, bundled.versions, strict=False)
    return len(living) == len(shelf.living) <= len(bundled.versions) and all(is_identical(*pair) for pair in pairs)


def _numbers(shelf: Shelf, bundled: BundledAlgorithm) -> dict[int, int]:
    """Return which numbers the versions that are not here would get: their own where these are free and rise."""
    numbers, first = {}, shelf.first_unused
    for version in bundled.versions[len(shelf.living) :]:
        numbers[version.minor] = max(first, version.minor)
        first = numbers[version.minor] + 1
    return numbers


def flags_here(target: Target, shelf: Shelf) -> AlgorithmFlags | None:
    """Return an algorithm's flags; None where they cannot be read."""
    try:
        return target.catalogue.flags(shelf)
    except StorageError as error:
        if error.code != "invalid_algorithm_record":
            raise
        return None


def _check_python(each: Named, minors: Mapping[int, int], issues: list[Issue]) -> None:
    for version in each.bundled.versions:
        python = version.module.python
        if version.minor in minors and python not in (None, HERE):
            issues.append(
                Issue(
                    "python_version_mismatch",
                    f"{each}.{version.minor} is compiled for Python {python}, and this is Python {HERE}: build the "
                    f"bundle from its source, or import it with Python {python}.",
                )
            )


def _checkpoints(target: Target, each: Named, issues: list[Issue]) -> tuple[list[str], list[str]]:
    new: list[str] = []
    known: list[str] = []
    for checkpoint in each.bundled.checkpoints:
        name = checkpoint.checkpoint_id
        try:
            there = target.checkpoints.get(name)
        except NotFoundError:
            new.append(name)
            continue
        except StorageError as error:
            if error.code != "invalid_checkpoint_record":
                raise
            issues.append(Issue("checkpoint_conflict", error.message))
            continue
        if not is_same_checkpoint(there, checkpoint):
            issues.append(Issue("checkpoint_conflict", f"A checkpoint {name} is here, with another content."))
        elif there.parent_algorithm_id != each.identifier:
            issues.append(
                Issue(
                    "checkpoint_conflict",
                    f"The checkpoint {name} of {each} is here as one of {there.parent_algorithm_id}: import the "
                    "algorithm under the name that this has, or delete the checkpoint there.",
                )
            )
        else:
            known.append(name)
    return new, known


def is_same_checkpoint(one: CheckpointRecord, other: CheckpointRecord) -> bool:
    """Return whether two records say the same of a checkpoint, but for what depends on the store that it is in."""

    def said(record: CheckpointRecord) -> tuple[object, ...]:
        assets = {path: entry.sha256 for path, entry in record.assets.items()}
        return record.training_id, record.properties, assets

    return said(one) == said(other)


def _alias(target: Target, each: Named, here: set[str]) -> tuple[bool, list[str]]:
    """Return whether the bundle's id is to become an alias, and what to say where it cannot."""
    alias = each.bundled.algorithm_id
    if alias == each.identifier or not is_algorithm_id(alias):
        return False, []
    if alias in here or target.catalogue.shelf(alias).living:
        return False, [f"the id {alias} does not mean it: an algorithm here has that id"]
    meant = target.aliases.target(alias)
    if meant is not None and meant != each.identifier and target.catalogue.shelf(meant).living:
        return False, [f"the id {alias} does not mean it: it means {meant} already"]
    return meant != each.identifier, []


def needed(snapshot: Snapshot, algorithms: Iterable[AlgorithmPlan]) -> list[Content]:
    """Return the contents of all that is to be written, each once."""
    found: dict[Content, None] = {}
    for bundled, each in zip(snapshot.algorithms, algorithms, strict=True):
        versions = [
            version
            for version in bundled.versions
            if version.minor in each.minors or (each.minors and each.step == "new")
        ]
        checkpoints = [one for one in bundled.checkpoints if one.checkpoint_id in each.checkpoints]
        found.update(dict.fromkeys(contents_of(versions, checkpoints)))
    return list(found)


def _with_sizes(store: ObjectStore, snapshot: Snapshot, algorithms: list[AlgorithmPlan]) -> ImportPlan:
    contents = needed(snapshot, algorithms)
    there = at_once(lambda content: _is_there(store, content), contents)
    held = [content.size for content, is_there in zip(contents, there, strict=True) if is_there]
    missing = [content.size for content, is_there in zip(contents, there, strict=True) if not is_there]
    return ImportPlan(
        algorithms=algorithms,
        missing=len(missing),
        missing_bytes=sum(missing),
        held=len(held),
        held_bytes=sum(held),
        free=shutil.disk_usage(store.root).free if isinstance(store, FolderStore) else None,
    )


def _is_there(store: ObjectStore, content: Content) -> bool:
    try:
        return store.stat(content.collection, content.sha256).size == content.size
    except NotFoundError:
        return any(info.size == content.size for info in store.list(content.collection, f"{content.sha256}."))
