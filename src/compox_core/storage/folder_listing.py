"""How the files of a collection's folder are listed: in order of key, lazily, reading no folder needlessly."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from compox_core.storage.keys import TEMPORARY, is_key, listable_prefix
from compox_core.storage.objects import ObjectInfo


def info_of(key: str, status: os.stat_result) -> ObjectInfo:
    """Return what the file's status says of the object; `IsADirectoryError` when it is no file."""
    if not stat.S_ISREG(status.st_mode):
        raise IsADirectoryError(key)
    # Two writes of the same size within one tick of the filesystem's clock still differ by the file's number.
    version = f"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"
    return ObjectInfo(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC), version)


def listed(folder: Path, prefix: str) -> Iterator[ObjectInfo]:
    """Yield the objects below a collection's folder whose keys begin with `prefix`, in order of key."""
    if not listable_prefix(prefix):
        return
    parent, slash, start = prefix.rpartition("/")
    yield from _walk(folder / parent, parent + slash, start)


def _walk(folder: Path, path: str, start: str) -> Iterator[ObjectInfo]:
    for name, entry in _entries(folder, start):
        key = path + entry.name
        if name.endswith("/"):
            yield from _walk(folder / entry.name, key + "/", "")
        elif is_key(key):
            try:
                yield info_of(key, entry.stat())
            except (FileNotFoundError, IsADirectoryError):
                continue  # deleted since its folder was read


def _entries(folder: Path, start: str) -> list[tuple[str, os.DirEntry[str]]]:
    """Return the entries that begin with `start`, in order of key: hence the `/` after a folder's name."""
    try:
        with os.scandir(folder) as entries:
            found = [
                (entry.name + "/" if entry.is_dir() else entry.name, entry)
                for entry in entries
                if entry.name.startswith(start) and not entry.name.startswith(TEMPORARY)
            ]
    except (FileNotFoundError, NotADirectoryError):
        return []
    found.sort(key=lambda pair: pair[0])
    return found
