"""What must hold of a snapshot before anything is done with it: whoever built the bundle had a key, and no more."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from compox_core.algorithms.shelves import HIGHEST_MINOR, is_major
from compox_core.bundle.snapshot import BundledAlgorithm, Snapshot
from compox_core.errors import InvalidInputError
from compox_core.identity import is_id
from compox_core.records import AssetEntry, CheckpointRecord
from compox_core.records.plain import written
from compox_core.storage.keys import is_key

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_SHOWN = 20


def check_snapshot(snapshot: Snapshot) -> None:
    """Raise InvalidInputError (`invalid_bundle_manifest`), which says all that is wrong, where a snapshot names what
    cannot be: contents by no hash, paths that leave their folder, versions twice, checkpoints without those that they
    go back to."""
    issues = [issue for each in snapshot.algorithms for issue in _algorithm(each)]
    issues += _checkpoint_ids(snapshot)
    if issues:
        raise bad_manifest(issues)


def bad_manifest(issues: list[str]) -> InvalidInputError:
    """Return the error of a bundle that is authentic and says what cannot be."""
    more = [f"and {len(issues) - _MOST_SHOWN} more"] if len(issues) > _MOST_SHOWN else []
    return InvalidInputError(
        "The bundle cannot be used; whatever built it did not keep to the format:\n"
        + "\n".join(f"  {issue}" for issue in [*issues[:_MOST_SHOWN], *more]),
        code="invalid_bundle_manifest",
        details={"issues": issues[:_MOST_SHOWN]},
    )


def _algorithm(each: BundledAlgorithm) -> Iterator[str]:
    what = f"{written(each.name)} {written(each.major)}"
    if not is_major(each.major):
        yield f"{what}: that is no major version"
    minors = [version.minor for version in each.versions]
    if not minors or minors != sorted(set(minors)) or minors[0] < 0 or minors[-1] > HIGHEST_MINOR:
        yield f"{what}: its minor versions are {minors[:_MOST_SHOWN]}, and must be numbers that rise"
    for version in each.versions:
        module = version.module
        if not _SHA256.fullmatch(module.sha256) or module.size < 0 or not _SHA256.fullmatch(module.module_id):
            yield f"{what}.{version.minor}: its code is not named by a SHA-256 and a size"
        yield from _assets(f"{what}.{version.minor}", version.assets)
    for checkpoint in each.checkpoints:
        yield from _assets(f"the checkpoint {written(checkpoint.checkpoint_id)}", checkpoint.assets)
        if not is_id(checkpoint.checkpoint_id):
            yield f"{what}: {written(checkpoint.checkpoint_id)} is no id of a checkpoint"
        if not is_key(checkpoint.training_id) or "/" in checkpoint.training_id:
            yield f"{what}: {written(checkpoint.training_id)} is no id of a training"


def _assets(what: str, assets: Mapping[str, AssetEntry]) -> Iterator[str]:
    for path, entry in assets.items():
        if not _SHA256.fullmatch(entry.sha256) or entry.size < 0:
            yield f"{what}: the asset {written(path)} is not named by a SHA-256 and a size"
        if _leaves(path):
            yield f"{what}: the asset {written(path)} would leave the folder that it belongs in"


def _leaves(name: str) -> bool:
    path = PurePosixPath(name)
    return not name or path.is_absolute() or ".." in path.parts or any(each in name for each in "\\:\0")


def _checkpoint_ids(snapshot: Snapshot) -> Iterator[str]:
    checkpoints = [checkpoint for each in snapshot.algorithms for checkpoint in each.checkpoints]
    for name, count in Counter(each.checkpoint_id for each in checkpoints).items():
        if count > 1:
            yield f"the checkpoint {written(name)} is there {count} times"
    for each in snapshot.algorithms:
        for name in parents_first(each.checkpoints)[1]:
            yield f"the checkpoint {written(name)} goes back to one that the bundle does not have, or to itself"


def parents_first(checkpoints: Iterable[CheckpointRecord]) -> tuple[list[CheckpointRecord], list[str]]:
    """Return checkpoints so that each comes after the one that it goes back to, and the ids of those that cannot."""
    waiting = {each.checkpoint_id: each for each in checkpoints}
    children: dict[str | None, list[str]] = {}
    for each in waiting.values():
        children.setdefault(each.parent_checkpoint_id, []).append(each.checkpoint_id)
    order: list[CheckpointRecord] = []
    ready = list(reversed(children.get(None, [])))
    while ready:
        name = ready.pop()
        order.append(waiting.pop(name))
        ready += reversed(children.get(name, []))
    return order, sorted(waiting)
