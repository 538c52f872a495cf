"""An algorithm's folder as one file that can travel."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from compox_core.algorithms.archives import ArchiveLimits, check_zip
from compox_core.algorithms.folders import walk
from compox_core.errors import PackageError

CHUNK = 1024 * 1024
EPOCH = (1980, 1, 1, 0, 0, 0)


def zip_folder(root: Path, target: Path, limits: ArchiveLimits) -> None:
    """Write a zip of what a deploy of the folder would pack: the same bytes for the same files, whenever it is done.

    Nothing is compressed: weights of models do not get smaller, and the zip does not live long.

    Raises:
        PackageError: as `walk`; `invalid_file` for what cannot be read; `invalid_deployment_zip` where there is more
            than a zip may hold, or a name that it may not.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for relative, path in walk(root, limits.max_archive_members).files.items():
            _add(archive, relative, path)
    check_zip(target, limits)


def entry_of(name: str, *, deflated: bool = False) -> zipfile.ZipInfo:
    """Return what a zip says of a member, the same whenever and wherever it is made."""
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.create_system = 3  # else it tells the system that it was made on
    entry.external_attr = 0o100644 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
    return entry


def _add(archive: zipfile.ZipFile, relative: str, path: Path) -> None:
    entry = entry_of(relative)
    try:
        source = path.open("rb")
    except OSError as error:
        raise PackageError(
            f"'{relative}' cannot be read: {error.strerror}.", code="invalid_file", details={"path": relative}
        ) from error
    with source, archive.open(entry, "w", force_zip64=True) as sink:
        shutil.copyfileobj(source, sink, CHUNK)


@contextmanager
def called(path: Path, name: str) -> Iterator[None]:
    """Have the errors of the block call the file `path` by the name that people know it by."""
    try:
        yield
    except PackageError as error:
        replaced = PackageError(
            _renamed(error.message, path, name),
            code=error.code,
            details={
                key: _renamed(value, path, name) if isinstance(value, str) else value
                for key, value in error.details.items()
            },
            retryable=error.retryable,
        )
        raise replaced from error.__cause__


def _renamed(text: str, path: Path, name: str) -> str:
    return text.replace(str(path), name).replace(path.name, name.replace("\\", "/").rpartition("/")[2])
