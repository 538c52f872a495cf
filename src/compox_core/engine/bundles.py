"""The bundles that an engine builds and imports, as a user of it sees them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, cast

from compox_core.algorithms.registry import Registry
from compox_core.bundle.collecting import Collected, collected
from compox_core.bundle.comparing import BundleDiff, compare
from compox_core.bundle.importing import import_bundle
from compox_core.bundle.keys import (
    BundleKey,
    Identity,
    Lock,
    Passphrase,
    Recipient,
    Signer,
    SigningKey,
    Unlock,
    parse_lock,
    parse_unlock,
)
from compox_core.bundle.opening import BundleInfo, info_of, inspect_bundle, open_bundle
from compox_core.bundle.plan import ImportPlan, ImportReport
from compox_core.bundle.planning import plan_import
from compox_core.bundle.snapshot import Snapshot
from compox_core.bundle.v1.reader import V1Source
from compox_core.bundle.v1.writer import create_v1
from compox_core.bundle.v2 import V2Source, write_v2
from compox_core.errors import InvalidInputError
from compox_core.storage.objects import ObjectStore

Progress = Callable[[int, int], None]
"""Told the bytes done and the bytes in all, between pieces."""

Given: TypeAlias = str | BundleKey | Passphrase | Recipient | Identity
"""A key as its text, or any of what opens bundles or they are built for."""


@dataclass(frozen=True)
class BuiltBundle:
    """A bundle that was built: its file, its size in bytes, what is in it. `notes` say what was left out, and why."""

    path: Path
    size: int
    snapshot: Snapshot
    notes: list[str]

    def __str__(self) -> str:
        names = ", ".join(
            f"{each.name} {each.major}.{'/'.join(str(version.minor) for version in each.versions)}"
            for each in self.snapshot.algorithms
        )
        return "\n".join([f"{self.path}, {self.size} bytes: {names}", *self.notes])


class Bundles:
    """Algorithms in encrypted files: built from this store, looked into, imported into it.

    Wherever a `key` is asked for, it is the text of one, an object of `compox_core.bundle.keys` (a `BundleKey`, a
    `Passphrase`, a `Recipient` to build for, an `Identity` to open with), or several of these.
    """

    def __init__(
        self, store: ObjectStore, registry: Registry, trusted_signers: Collection[Signer] | None = None
    ) -> None:
        self._store = store
        self._registry = registry
        self._trusted = trusted_signers

    def new_key(self) -> str:
        """Return the text of a new key, from the system's secure source."""
        return BundleKey.generate().text()

    def build(
        self,
        target: str | Path,
        algorithms: Iterable[str] | None = None,
        *,
        key: Given | Sequence[Given],
        format: int = 2,
        signing_key: SigningKey | str | None = None,
        include_unexportable: bool = False,
        replace: bool = False,
        progress: Progress | None = None,
    ) -> BuiltBundle:
        """Write algorithms with their checkpoints as a bundle, which appears under its name when it is whole.

        Args:
            target: The file.
            algorithms: Which ones, as `name`, `name:major`, `name@minor` or `name:major@minor`; None for all. A name
                alone is that of the highest major version, with all its minor versions.
            key: What opens it: each of several does.
            format: 2, or 1 for compox 3.2, which knows one key and no signature.
            signing_key: Whose signature is put under it.
            include_unexportable: Whether algorithms that may not be exported go along. Otherwise they are left out,
                and refused where they were named.
            replace: Whether a file of that name is replaced.

        Raises:
            InvalidInputError: `invalid_bundle_key`, `invalid_algorithm_selection`, `bundle_empty`,
                `bundle_object_too_large` (format 1), `bundle_checksum_mismatch` (the store is damaged).
            NotFoundError: `algorithm_not_found`, `minor_version_not_found`.
            ConflictError: `algorithm_not_exportable`, `bundle_exists`.
            StorageError: `disk_full` and what else the store or the disk refuses.
        """
        path = Path(target).expanduser().absolute()
        locks = _locks(key)
        signs = SigningKey.parse(signing_key) if isinstance(signing_key, str) else signing_key
        if format not in (1, 2):
            raise InvalidInputError(
                f"There is no format {format} of bundles: 1 or 2.", code="unsupported_bundle_format"
            )
        chosen = [algorithms] if isinstance(algorithms, str) else list(algorithms or ())
        with collected(self._store, self._registry, chosen, include_unexportable=include_unexportable) as found:
            if format == 1:
                _write_v1(path, found, locks, signs, replace, progress)
            else:
                write_v2(path, found, locks, signing_key=signs, progress=progress, replace=replace)
            return BuiltBundle(path, path.stat().st_size, found.snapshot, found.notes)

    def inspect(
        self,
        path: str | Path,
        *,
        key: Given | Sequence[Given] | None = None,
        trusted_signers: Collection[Signer] | None = None,
    ) -> BundleInfo:
        """Return what can be told of a bundle: without a key, what it tells to everybody.

        Raises as `import_`.
        """
        return inspect_bundle(path, _unlocks(key), trusted_signers=self._signers(trusted_signers))

    def verify(
        self,
        path: str | Path,
        *,
        key: Given | Sequence[Given],
        trusted_signers: Collection[Signer] | None = None,
        progress: Progress | None = None,
    ) -> BundleInfo:
        """Read all of a bundle and use nothing; return what can be told of it. Raises as `import_`."""
        with self._opened(path, key, trusted_signers) as bundle:
            bundle.verify(progress)
            return info_of(path, bundle)

    def plan(
        self,
        path: str | Path,
        *,
        key: Given | Sequence[Given],
        rename: Mapping[str, str] | None = None,
        trusted_signers: Collection[Signer] | None = None,
    ) -> ImportPlan:
        """Return what `import_` would change; nothing is written. Raises as `import_`."""
        with self._opened(path, key, trusted_signers) as bundle:
            return plan_import(bundle.snapshot, self._store, rename)

    def import_(
        self,
        path: str | Path,
        *,
        key: Given | Sequence[Given],
        rename: Mapping[str, str] | None = None,
        trusted_signers: Collection[Signer] | None = None,
        progress: Progress | None = None,
    ) -> ImportReport:
        """Bring the algorithms of a bundle, of either format, into this store.

        An algorithm that is not here comes with all its minor versions; of one that is here by name and major version,
        the latest comes as the next minor version unless it equals the latest here. The same again changes nothing.

        Args:
            rename: Other names for algorithms of the bundle, by their names there.
            trusted_signers: Who must have signed it; None asks for no signature.
            progress: May raise TaskStoppedException, which ends the import.

        Raises:
            InvalidInputError: the bundle is broken or changed, the key is another, it is not signed by whom it must be;
                or what `plan_import` finds that speaks against it. Nothing was changed.
            NotFoundError: `bundle_not_found`, `bundle_object_not_found`.
            ConflictError: `checkpoint_conflict`.
            StorageError: `disk_full`, and what else the store refuses.
        """
        with self._opened(path, key, trusted_signers) as bundle:
            plan = plan_import(bundle.snapshot, self._store, rename)
            return import_bundle(bundle, plan, self._store, progress or (lambda done, total: None))

    def diff(
        self,
        path: str | Path,
        *,
        key: Given | Sequence[Given],
        rename: Mapping[str, str] | None = None,
        trusted_signers: Collection[Signer] | None = None,
    ) -> BundleDiff:
        """Return how the algorithms of a bundle and those here differ. Raises as `import_`."""
        with self._opened(path, key, trusted_signers) as bundle:
            return compare(bundle.snapshot, self._registry, rename)

    def _opened(
        self, path: str | Path, key: Given | Sequence[Given], trusted_signers: Collection[Signer] | None
    ) -> V1Source | V2Source:
        return open_bundle(path, _unlocks(key), trusted_signers=self._signers(trusted_signers))

    def _signers(self, given: Collection[Signer] | None) -> Collection[Signer] | None:
        return self._trusted if given is None else given


def _write_v1(
    path: Path,
    found: Collected,
    locks: list[Lock],
    signing_key: SigningKey | None,
    replace: bool,
    progress: Progress | None,
) -> None:
    key = locks[0] if len(locks) == 1 else None
    if not isinstance(key, BundleKey) or signing_key is not None:
        raise InvalidInputError(
            "A bundle of format 1 is built for one key, and is not signed: give one key of 43 characters, or build it "
            "in format 2.",
            code="invalid_bundle_key",
        )
    create_v1(path, found.snapshot, found.open, key, progress=progress, replace=replace)


def _several(key: Given | Sequence[Given] | None) -> list[Given]:
    if key is None:
        return []
    return list(key) if isinstance(key, list | tuple | set | frozenset) else [cast(Given, key)]


def _unlocks(key: Given | Sequence[Given] | None) -> list[Unlock]:
    found: list[Unlock] = []
    for each in _several(key):
        given = parse_unlock(each) if isinstance(each, str) else each
        if isinstance(given, Recipient):
            raise InvalidInputError(
                "A recipient opens nothing: give the identity that belongs to it.", code="invalid_bundle_key"
            )
        found.append(given)
    return found


def _locks(key: Given | Sequence[Given]) -> list[Lock]:
    found: list[Lock] = []
    for each in _several(key):
        given = parse_lock(each) if isinstance(each, str) else each
        found.append(given.recipient if isinstance(given, Identity) else given)
    return found
