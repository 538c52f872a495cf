"""Writes a minor version as a zip that can be deployed again.

The zip holds the code at its paths relative to the root, as it is stored (source, or compiled where the author chose
`pyc_only`), and every asset, `pyproject.toml` among them. What is stored is not trusted: a name that would leave the
folder where somebody extracts it is refused, and so is content that is not what its hash says.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path, PurePosixPath
from typing import cast

from compox_core.algorithms.archives import BROKEN
from compox_core.algorithms.zipping import entry_of
from compox_core.errors import CompoxError, NotFoundError, StorageError
from compox_core.records import AlgorithmVersion, AssetEntry
from compox_core.storage.collections import ASSETS, MODULES
from compox_core.storage.objects import ObjectStore

CHUNK = 1024 * 1024
WORTH_DEFLATING = 4 * 1024 * 1024
"""Larger assets are weights, which do not get smaller."""


def export_zip(store: ObjectStore, version: AlgorithmVersion, target: Path) -> None:
    """Write a version of a store to the new file `target`; the same bytes for the same version.

    Memory does not grow with the assets. What was written by then stays in `target` when this fails.

    Raises:
        StorageError: `algorithm_export_failed` where a part is missing, or is not what its hash says;
            `algorithm_export_security_error` where a stored name would leave the folder.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in _code(store, version):
            _check_name(version, name)
            if name in archive.NameToInfo or name in version.assets:
                raise _failed(version, f"its code holds '{name}' twice, or an asset is called so, too")
            archive.writestr(entry_of(name, deflated=True), content)
        for name, asset in sorted(version.assets.items()):
            _check_name(version, name)
            deflated = asset.size < WORTH_DEFLATING
            with archive.open(entry_of(name, deflated=deflated), "w", force_zip64=not deflated) as sink:
                for chunk in _asset(store, version, name, asset):
                    sink.write(chunk)


def _code(store: ObjectStore, version: AlgorithmVersion) -> Iterator[tuple[str, bytes]]:
    module = version.module
    try:
        with store.open(MODULES, module.key) as stream:
            if hashlib.file_digest(cast(BufferedIOBase, stream), "sha256").hexdigest() != module.sha256:
                raise _failed(version, "the content of its code is not what was deployed")
            stream.seek(0)
            with zipfile.ZipFile(stream) as archive:
                for name in archive.namelist():
                    yield name, archive.read(name)
    except (NotFoundError, *BROKEN) as error:
        raise _failed(version, f"its code cannot be read: {error}") from error


def _asset(store: ObjectStore, version: AlgorithmVersion, name: str, asset: AssetEntry) -> Iterator[bytes]:
    digest = hashlib.sha256()
    try:
        with store.open(ASSETS, asset.key) as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
                yield chunk
    except NotFoundError as error:
        raise _failed(version, f"the asset '{name}' is not in the store") from error
    if digest.hexdigest() != asset.sha256:
        raise _failed(version, f"the content of the asset '{name}' is not what was deployed")


def _check_name(version: AlgorithmVersion, name: str) -> None:
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or "\0" in name:
        raise StorageError(
            f"{_named(version)} cannot be exported: its stored name {name!r} would leave the folder that somebody "
            "extracts it to. Deploy it again from its source.",
            code="algorithm_export_security_error",
            details={"algorithm_id": version.algorithm_id, "path": name},
        )


def _failed(version: AlgorithmVersion, why: str) -> CompoxError:
    return StorageError(
        f"{_named(version)} cannot be exported: {why}. Deploy it again from its source.",
        code="algorithm_export_failed",
        details={"algorithm_id": version.algorithm_id, "algorithm_minor_version": str(version.minor)},
    )


def _named(version: AlgorithmVersion) -> str:
    return f"{version.name} {version.major}.{version.minor}"
