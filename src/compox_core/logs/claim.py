"""Which log file is this process's own: of programs that share the settings, only one can have the file they name."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

MOST = 100


class Claim:
    """A file that no other process writes while this is open. `path` says which."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    def close(self) -> None:
        """Leave the file to others."""
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def claim_file(path: Path) -> Claim:
    """Return `path`, or where another process has that one `NAME-2`, `NAME-3` and so on. Raises OSError."""
    for number in range(1, MOST):
        candidate = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
        lock = _locked(candidate.with_name(f".{candidate.name}.lock"))
        if lock is not None:
            return Claim(candidate, lock)
    raise OSError(f"{MOST} programs write log files beside it")


def _locked(path: Path) -> int | None:
    """Return the descriptor of a locked file; None where another process has locked it. The lock ends with us."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            # Not flock, which a fork of an algorithm's would go on holding when this process has ended.
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        os.close(descriptor)
        return None
    except OSError:
        pass  # a filesystem without locks: then the settings are to name a file for each program
    return descriptor
