"""How a finished file becomes visible under its name in one step, on POSIX and on Windows.

fsspec's local filesystem offers neither an atomic replacement nor an exclusive creation, so this is done with
the operating system's own calls: `link` (refuses an existing name) and `rename` (replaces it) on POSIX; on
Windows `rename`, which refuses an existing name, and `replace`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

R = TypeVar("R")

WINDOWS = sys.platform == "win32"
_PATIENCE = 2.0  # seconds; on Windows a file that somebody reads cannot be replaced, and readers are quick


def publish_new(source: Path, target: Path) -> None:
    """Change the name of a finished file to `target`; `FileExistsError` when that name is taken."""
    if WINDOWS:
        source.rename(target)
        return
    try:
        target.hardlink_to(source)
    except FileExistsError:
        # A network filesystem repeats a request whose answer was lost, and is told that the name is taken: by us.
        if not source.samefile(target):
            raise
    with suppress(OSError):  # it is published; a left-over second name is cleared with the other temporary files
        source.unlink()


def publish_link(source: Path, target: Path) -> None:
    """Give a file the name `target` beside its own; `FileExistsError` when that name is taken, by the same file too."""
    target.hardlink_to(source)  # that the two are one file does not tell who made the second name


def publish_over(source: Path, target: Path) -> None:
    """Change the name of a finished file to `target`, in place of the file that has it."""
    patiently(lambda: source.replace(target))


def patiently(action: Callable[[], R]) -> R:
    """Return `action()`, tried again for two seconds on Windows while another process has the file open."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return action()
        except PermissionError:
            if not WINDOWS or time.monotonic() > deadline:
                raise
            time.sleep(0.005)


def sync_file(descriptor: int) -> None:
    """Return when the file's content is on the disk, as far as system and disk keep their word."""
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)  # fsync alone leaves the data in the drive's cache there
    else:
        os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Return when the names in `folder` are on the disk. Windows has no such call; NTFS keeps a journal."""
    if WINDOWS:
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
