"""A disk small enough to be filled: a file system in memory, mounted for one test."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

MIB = 1024**2


@dataclass
class SmallDisk:
    """A disk of its own. What a test puts there is gone afterwards."""

    path: Path

    @property
    def filler(self) -> Path:
        """The file that takes all room."""
        return self.path / "filler"

    def fill(self, *, leave: int = 0) -> None:
        """Take all room but `leave` bytes."""
        with self.filler.open("ab", buffering=0) as file:
            size = MIB
            while size >= 512:
                try:
                    while file.write(b"\1" * size) == size:
                        pass
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                size //= 2
            if leave:
                file.truncate(file.tell() - leave)

    def free(self) -> None:
        """Give the room back."""
        self.filler.unlink()

    @property
    def room(self) -> int:
        """Bytes that are free."""
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk of 8 MiB. Only root can mount one, on Linux; where the tests run by themselves as root it must be had."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk, on Linux")
    path = tmp_path / "small-disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={8 * MIB},mode=700", "compox-test", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = f"no small disk can be mounted: {done.stderr.strip()}"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
