"""Blocks of a disk that are held for the moment when it is full."""

from __future__ import annotations

import errno
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from compox_core.storage.atomic import sync_file
from compox_core.storage.local_errors import is_full
from compox_core.storage.telling import tell

logger = logging.getLogger(__name__)
_say = partial(tell, logger)

MIB = 1024**2
SMALLEST = 32 * 1024  # bytes; a smaller reserve holds no record
NAMES = ".emergency_reserve.*.bin"
_STALE_AFTER = 24 * 3600.0  # seconds
_BINARY = getattr(os, "O_BINARY", 0)
_PAGE = 4096  # bytes; what most filesystems give at a time
_BLOCK = 512  # bytes; what `st_blocks` counts, whatever the filesystem's own blocks are


class Reserve:
    """A file that holds blocks, to be written over by what must be kept when there are no others.

    A freed block goes to whoever asks first, most likely to the program that filled the disk. So the reserve is not
    deleted to make room: it becomes the file that must be written, and what that leaves over becomes the next reserve.
    The file begins with the JSON of its owner, so that others can tell whether the process that made it is gone.
    """

    def __init__(self, folder: Path, owner: Mapping[str, Any], size: int = MIB) -> None:
        self.path = folder / NAMES.replace("*", str(owner["incarnation"]))
        self.size = size
        self._owner = json.dumps(dict(owner)).encode() + b"\n"

    def make(self, left_over: int = 0) -> bool:
        """Hold blocks, as many as there are up to the size; return whether any are held.

        Args:
            left_over: How many bytes have just become free, as far as is known.
        """
        held = self.path.stat().st_size if self.path.exists() else 0
        size = self.size
        while size > held and size >= SMALLEST:
            try:
                self._grow(held, size)
                return True
            except OSError as problem:
                if not is_full(problem):
                    _say(logging.WARNING, "No reserve for a full disk can be held in %s: %s", self.path.parent, problem)
                    break
            size = left_over if left_over in range(size // 2, size) else size // 2
        return held > 0

    def become(self, target: Path, data: bytes) -> None:
        """Turn the reserve into the file `target` with this content, on the disk. Raises OSError where it is too small.

        `target` lies on the same filesystem.
        """
        try:
            with self.path.open("r+b", buffering=0) as file:
                held = os.fstat(file.fileno()).st_size
                if held < len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
                _write(file.fileno(), data)
                file.truncate(len(data))
                sync_file(file.fileno())
        except FileNotFoundError:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target)) from None
        except OSError as problem:
            if is_full(problem) and self.path.exists() and self.path.stat().st_size >= len(data):
                self._free_for(target, data)  # a filesystem that never writes in place needs new blocks for it
                return
            raise
        self.path.replace(target)
        with suppress(OSError):  # the next job tries again; what had to be kept is
            self.make(held - (len(data) // _PAGE + 1) * _PAGE)

    def release(self) -> None:
        """Give the blocks back."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _free_for(self, target: Path, data: bytes) -> None:
        self.path.unlink()
        write_file(target, data)

    def _grow(self, held: int, size: int) -> None:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | _BINARY, 0o600)
        try:
            if not (_allocate(descriptor, size) and _holds(descriptor, size)):
                _write(descriptor, os.urandom(size))  # nothing that a filesystem could leave out or compress
            _write(descriptor, self._owner)
            sync_file(descriptor)
            if not _holds(descriptor, size):
                _say(logging.WARNING, "The filesystem of %s does not hold the blocks of a reserve.", self.path.parent)
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, held)
            raise
        finally:
            os.close(descriptor)
            if held == 0 and self.path.stat().st_size == 0:
                self.path.unlink()


def clear_reserves(folder: Path, is_alive: Callable[[Mapping[str, Any]], bool | None]) -> None:
    """Remove the reserves in a folder whose processes are gone."""
    for path in folder.glob(NAMES):
        with suppress(OSError):  # somebody else clears it at this moment
            owner = _owner_of(path)
            stale = path.stat().st_mtime < time.time() - _STALE_AFTER
            if stale if owner is None else is_alive(owner) is False:
                path.unlink()


def write_file(path: Path, data: bytes) -> None:
    """Write a new file that nobody else may read, onto the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _BINARY, 0o600)
    try:
        _write(descriptor, data)
        sync_file(descriptor)
    finally:
        os.close(descriptor)


def _owner_of(path: Path) -> dict[str, Any] | None:
    with path.open("rb") as file:
        line = file.readline(4096)
    try:
        owner = json.loads(line)
    except ValueError:
        return None
    return owner if isinstance(owner, dict) else None


def _write(descriptor: int, data: bytes) -> None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _allocate(descriptor: int, size: int) -> bool:
    """Return whether the system gave the file its blocks without a byte written."""
    if sys.platform != "linux":  # macOS has no such call, that of FreeBSD is refused by ZFS, Windows has none either
        return False
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as problem:
        if is_full(problem):
            raise
        return False
    return True


def _holds(descriptor: int, size: int) -> bool:
    """Return whether the file has as many blocks as its size needs; True where the system does not tell."""
    blocks: int | None = getattr(os.fstat(descriptor), "st_blocks", None)
    return blocks is None or blocks * _BLOCK >= size
