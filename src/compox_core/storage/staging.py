"""Files under construction: how they are written, finished, and cleared when their writer has died."""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from compox_core.errors import SettingsError
from compox_core.identity import new_token
from compox_core.storage.atomic import publish_new, sync_file
from compox_core.storage.local_errors import storage_error

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_STALE_AFTER = 24 * 3600.0  # seconds
_CANNOT = {
    errno.EPERM,
    errno.EINVAL,
    errno.ENOSYS,
    errno.EXDEV,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
}  # of link and rename


class TemporaryFile(io.FileIO):
    """A new file whose failing writes say which object they were for."""

    def __init__(self, path: Path, where: str) -> None:
        super().__init__(path, "xb")
        self.path = path
        self.where = where

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise storage_error(error, "write", self.where) from error


def finish(stream: io.BufferedWriter[TemporaryFile], file: TemporaryFile, *, fsync: bool) -> None:
    """Bring everything that was written into the file, with `fsync` onto the disk, and close it."""
    if not stream.closed:  # a writer on top of the stream may have closed it
        stream.flush()
        if fsync:
            sync_file(file.fileno())
        stream.close()
    elif fsync:
        sync_path(file.path)


def sync_path(path: Path) -> None:
    """Bring the content of a finished file onto the disk."""
    with path.open("r+b", buffering=0) as file:
        sync_file(file.fileno())


def clear_stale(folder: Path, pattern: str = "*", *, own_only: bool = False, dry_run: bool = False) -> tuple[int, int]:
    """Remove from a folder of temporary files those that nobody has written to for a day; return count and bytes.

    With `own_only`, leave alone what belongs to another user; with `dry_run`, only count.
    """
    oldest = time.time() - _STALE_AFTER
    count = size = 0
    for path in folder.glob(pattern):
        with suppress(OSError):  # somebody else clears it at this moment, or holds it open: it can wait
            newest, held = _extent(path)
            if newest >= oldest or (own_only and not _is_ours(path)):
                continue
            if not dry_run:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            count, size = count + 1, size + held
    return count, size


def _extent(path: Path) -> tuple[float, int]:
    """Return when something in a file or folder was last written, and how many bytes there are."""
    inside = path.rglob("*") if path.is_dir() and not path.is_symlink() else ()
    found = [each.lstat() for each in (path, *inside)]
    size = sum(status.st_size for status in found if stat.S_ISREG(status.st_mode))
    return max(status.st_mtime for status in found), size


def _is_ours(path: Path) -> bool:
    return os.name != "posix" or path.lstat().st_uid == os.getuid()


def check_exclusive(source_folder: Path, target_folder: Path) -> None:
    """Try whether a name goes to one file only, and raise `SettingsError` on a filesystem that cannot."""
    token = new_token()
    target = target_folder / f"{token}-target"
    sources = [source_folder / f"{token}-{number}" for number in range(2)]
    try:
        for source in sources:
            source.write_bytes(b"")
        publish_new(sources[0], target)
        publish_new(sources[1], target)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        reason = error.strerror
    else:
        reason = "it gave one name to two files"
    finally:
        for path in (*sources, target):
            path.unlink(missing_ok=True)
    raise SettingsError(
        f"The filesystem of {target_folder} cannot create a file exclusively ({reason}), so two writers could "
        "both believe that they were first. Put the store on a filesystem with hard links, such as ext4, XFS, "
        "APFS or NTFS.",
        code="unsupported_filesystem",
        details={"where": str(target_folder)},
    )
