"""The mark in its environment by which a worker, and whatever it starts, is known to this product."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from compox_core.tasks.presence import Holder, host_mark, process_started

VARIABLE = "COMPOX_WORKER"


@dataclass(frozen=True)
class Mark:
    """Which worker of which parent: its text is the same in every process that the worker has started."""

    host: str
    pid: int
    started: str
    incarnation: str
    number: int

    @classmethod
    def of(cls, parent: Holder, number: int) -> Mark:
        """Return the mark of the `number`-th worker of a parent."""
        return cls(_short(parent.host), parent.pid, parent.started, parent.incarnation, number)

    @classmethod
    def read(cls, text: str) -> Mark | None:
        """Return the mark that a text is; None for any other text."""
        parts = text.split("/")
        if len(parts) != 5 or not parts[1].isdecimal() or not parts[4].isdecimal():
            return None
        return cls(parts[0], int(parts[1]), parts[2], parts[3], int(parts[4]))

    def __str__(self) -> str:
        return f"{self.host}/{self.pid}/{self.started}/{self.incarnation}/{self.number}"

    @property
    def orphaned(self) -> bool:
        """Whether this machine can see that the parent has ended."""
        if self.host != _short(host_mark()):
            return False  # its number means another process here than where it was given
        try:
            return process_started(self.pid) != self.started
        except PermissionError:
            return False


def marked() -> Iterator[tuple[int, Mark]]:
    """Yield the process numbers and marks of all processes of this machine that have one, and that we may see."""
    own = os.getpid()
    for pid, text in _marked_linux() if sys.platform == "linux" else _marked_elsewhere():
        mark = Mark.read(text)
        if mark is not None and pid != own:
            yield pid, mark


def _marked_linux() -> Iterator[tuple[int, str]]:
    # psutil parses every variable of every process; this takes milliseconds where that takes tens of them.
    prefix = f"{VARIABLE}=".encode()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            content = (folder / "environ").read_bytes()
        except OSError:  # ended meanwhile, or somebody else's
            continue
        for variable in content.split(b"\0") if prefix in content else ():
            if variable.startswith(prefix):
                yield int(folder.name), os.fsdecode(variable[len(prefix) :])


def _marked_elsewhere() -> Iterator[tuple[int, str]]:
    for process in psutil.process_iter():
        try:
            text = process.environ().get(VARIABLE)
        except (psutil.Error, OSError):  # ended meanwhile, or somebody else's
            continue
        if text is not None:
            yield process.pid, text


def _short(host: str) -> str:
    return hashlib.sha256(host.encode("utf-8", "backslashreplace")).hexdigest()[:16]
