"""Folders that belong to this user alone."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def private_folder(path: Path) -> None:
    """Make the folder, for this user only, or check one that is there.

    Raises OSError when it belongs to another user, when others may write into it, or when it is no folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        check_private(path)


def check_private(path: Path) -> None:
    """Raise OSError unless `path` is a folder of this user's that nobody else may write into."""
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "it is no folder", str(path))
    if not hasattr(os, "geteuid"):  # Windows: a user's folders are his own unless he says otherwise
        return
    if status.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "it belongs to another user", str(path))
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(errno.EPERM, "other users may write into it", str(path))


def read_private(path: Path) -> bytes:
    """Return the content of a file of this user's; raises OSError for anything else that may lie there."""
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    if path.is_symlink():  # where there is no O_NOFOLLOW
        raise OSError(errno.ELOOP, "it is a symbolic link", str(path))
    descriptor = os.open(path, flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no file", str(path))
        if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "it belongs to another user", str(path))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)
