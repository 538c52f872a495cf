"""What a sweep or a garbage collection did, or would do."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Removed:
    """So many things of one sort were removed from one place, with so many bytes.

    `place` is a collection of the store, or `temporary files` or `module cache` on this machine.
    """

    place: str
    what: str
    count: int
    bytes: int


@dataclass(frozen=True)
class Kept:
    """So many things of one sort that looked as if they could go were kept, for this reason."""

    place: str
    what: str
    why: str
    count: int


@dataclass(frozen=True)
class Report:
    """What was removed, what was kept and why, and what could not be done; with `dry_run`, what would have been."""

    dry_run: bool
    removed: tuple[Removed, ...] = ()
    kept: tuple[Kept, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many things were removed."""
        return sum(each.count for each in self.removed)

    @property
    def bytes(self) -> int:
        """How many bytes were in them."""
        return sum(each.bytes for each in self.removed)

    def as_dict(self) -> dict[str, Any]:
        """Return the report for programs."""
        return {**asdict(self), "count": self.count, "bytes": self.bytes}

    def __str__(self) -> str:
        done = ", ".join(f"{each.count} {each.what} of {each.place}" for each in self.removed) or "nothing"
        return f"{'Would remove' if self.dry_run else 'Removed'} {done} ({self.bytes} bytes)"


class Ledger:
    """A report while it is written. One thread writes it."""

    def __init__(self) -> None:
        self._removed: dict[tuple[str, str], tuple[int, int]] = {}
        self._kept: Counter[tuple[str, str, str]] = Counter()
        self._problems: list[str] = []

    def removed(self, place: str, what: str, size: int, count: int = 1) -> None:
        """Note that something was removed."""
        before = self._removed.get((place, what), (0, 0))
        self._removed[place, what] = (before[0] + count, before[1] + size)

    def kept(self, place: str, what: str, why: str, count: int = 1) -> None:
        """Note that something was kept."""
        if count:
            self._kept[place, what, why] += count

    def problem(self, text: str) -> None:
        """Note what could not be done; the same is noted once."""
        if text not in self._problems:
            self._problems.append(text)

    def report(self, *, dry_run: bool) -> Report:
        """Return what was noted, in order of place."""
        return Report(
            dry_run,
            tuple(Removed(*key, *value) for key, value in sorted(self._removed.items())),
            tuple(Kept(*key, count) for key, count in sorted(self._kept.items())),
            tuple(self._problems),
        )
