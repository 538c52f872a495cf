"""The folder of one training on the local disk, and those that trainings which died have left.

`.owner.json` says which process a folder belongs to; what a process that was killed has left is told apart by it and
removed by the next training on the machine, or by a garbage collection. As long as the process lives it also holds a
lock on `.lock`, by which its life is seen where its number is not: from another container, or after a restart of the
machine.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from compox_core.holder import Holder, this_process
from compox_core.storage.local_errors import reported

PREFIX = "compox-training-"
OWNER = ".owner.json"
LOCK = ".lock"
SILENT_SECONDS = 24 * 3600.0
"""So long nobody may have written to a folder of which it is not known whether its process lives."""


class TempFolder:
    """A new folder of this process, until `remove`. Raises StorageError where it cannot be made."""

    def __init__(self, base: Path, prefix: str = PREFIX) -> None:
        with reported("write", str(base)):
            base.mkdir(parents=True, exist_ok=True)
            self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=base)).resolve()
            self._pid = os.getpid()
            self._lock: int | None = None
            try:
                self._lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
                with suppress(OSError):  # a filesystem without locks
                    _lock(self._lock)
                (self.path / OWNER).write_text(this_process("").model_dump_json(), encoding="utf-8")
            except BaseException:  # whatever it is, it is raised again
                self.remove()
                raise

    def remove(self) -> None:
        """Remove it with all that is in it; what cannot be removed stays. A fork of the process removes nothing."""
        if self._pid != os.getpid():
            return
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)
        shutil.rmtree(self.path, ignore_errors=True)


def abandoned(base: Path | None = None) -> Iterator[tuple[Path, int]]:
    """Yield the folders of trainings whose processes have ended, with their bytes."""
    with suppress(OSError):
        for path in sorted((base or Path(tempfile.gettempdir())).glob(f"{PREFIX}*")):
            with suppress(OSError):  # it is being cleared at this moment
                if path.is_dir() and not path.is_symlink() and _is_abandoned(path):
                    yield path, sum(each.lstat().st_size for each in path.rglob("*") if each.is_file())


def clear(path: Path) -> bool:
    """Remove one of `abandoned`; return whether it is gone."""
    shutil.rmtree(path, ignore_errors=True)
    return not path.exists()


def clear_abandoned(base: Path | None = None) -> int:
    """Remove them all, and return how many there were; what cannot be removed stays."""
    return sum(clear(path) for path, _ in abandoned(base))


def _is_abandoned(folder: Path) -> bool:
    try:
        gone = Holder.model_validate_json((folder / OWNER).read_text(encoding="utf-8")).gone_here()
    except (OSError, ValidationError, UnicodeDecodeError):  # it is being made, or its process was killed just then
        gone = None
    if gone is not None:
        return gone
    newest = max(each.lstat().st_mtime for each in (folder, *folder.rglob("*")))
    return time.time() - newest > SILENT_SECONDS and not _is_locked(folder / LOCK)


def _is_locked(path: Path) -> bool:
    """Return whether a process has locked it, or may have; not to be asked of a file that this process has locked."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        _lock(descriptor)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _lock(descriptor: int) -> None:
    """Lock a file until the process ends or closes it. Raises OSError where another process has, or nobody can."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        # Not flock, which a fork of an algorithm's would go on holding when this process has ended.
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
