"""Which objects the registry keeps of an algorithm, and under which keys.

Everything of one algorithm lies under one prefix of `algorithm-store`, its shelf:

    <algorithm_id>/head                 AlgorithmHead, created once, never removed
    <algorithm_id>/flags                AlgorithmFlags, replaced by every deploy
    <algorithm_id>/minor-<10 digits>    AlgorithmVersion, created once, deleted with the minor
    <algorithm_id>/gone-<10 digits>     tombstone of a deleted minor, which it tells by hash; never removed

and beside it, in `system-store`:

    names/<sha256 of the case-folded name>/<major>      which majors a name has had
    minor-numbers/<algorithm_id>/<10 digits>            which number follows, see `minors`
    algorithm-aliases/<algorithm_id>                    which algorithm an id means that none here has, see `aliases`

A minor lives while its object is there and its tombstone is not.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from compox_core.storage.keys import is_key
from compox_core.storage.objects import ObjectInfo

HIGHEST_MINOR = 9_999_999_999

_ALGORITHM_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MINOR = re.compile(r"0|[1-9][0-9]{0,9}")
_NUMBERED = re.compile(r"(minor|gone)-([0-9]{10})")
_MAJOR = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")


def is_algorithm_id(text: str) -> bool:
    """Say whether `text` has the form of an algorithm id (and is therefore safe in a key)."""
    return _ALGORITHM_ID.fullmatch(text) is not None


def is_major(text: str) -> bool:
    """Say whether `text` can be the major version of a stored algorithm (and is therefore safe in a key)."""
    return _MAJOR.fullmatch(text) is not None and is_key(text)


def parse_minor(minor: str | int) -> int | None:
    """Return the number that `minor` writes in its one canonical form ("3", not "03" or "-1"), else None."""
    text = str(minor)
    return int(text) if _MINOR.fullmatch(text) else None


def prefix(algorithm_id: str) -> str:
    """Return the prefix of `algorithm-store` under which everything of an algorithm lies."""
    return f"{algorithm_id}/"


def head_key(algorithm_id: str) -> str:
    """Return the key of an algorithm's head."""
    return f"{algorithm_id}/head"


def flags_key(algorithm_id: str) -> str:
    """Return the key of an algorithm's flags."""
    return f"{algorithm_id}/flags"


def minor_key(algorithm_id: str, minor: int) -> str:
    """Return the key of a minor version."""
    return f"{algorithm_id}/minor-{minor:010d}"


def gone_key(algorithm_id: str, minor: int) -> str:
    """Return the key of a minor version's tombstone."""
    return f"{algorithm_id}/gone-{minor:010d}"


def name_prefix(name: str) -> str:
    """Return the prefix of `system-store` under which the majors of a name are marked."""
    return f"names/{hashlib.sha256(name.casefold().encode()).hexdigest()}/"


def number_key(algorithm_id: str, first: int) -> str:
    """Return the key of `system-store` that says which minor is next when all below `first` have been
    used."""
    return f"minor-numbers/{algorithm_id}/{first:010d}"


@dataclass(frozen=True)
class Shelf:
    """What one listing saw of an algorithm: the objects that are there, none of them read.

    `minors` holds every minor object, dead ones too; use `living` for those that a reader may see.
    """

    algorithm_id: str
    head: ObjectInfo | None = None
    flags: ObjectInfo | None = None
    minors: dict[int, ObjectInfo] = field(default_factory=dict)
    gone: frozenset[int] = frozenset()

    @classmethod
    def of(cls, algorithm_id: str, infos: Iterable[ObjectInfo]) -> Shelf:
        """Return the shelf that a listing of the prefix of `algorithm_id` shows; foreign keys are ignored."""
        single: dict[str, ObjectInfo] = {}
        minors: dict[int, ObjectInfo] = {}
        gone = set()
        for info in infos:
            name = info.key.removeprefix(prefix(algorithm_id))
            numbered = _NUMBERED.fullmatch(name)
            if numbered is None:
                single[name] = info
            elif numbered[1] == "minor":
                minors[int(numbered[2])] = info
            else:
                gone.add(int(numbered[2]))
        return cls(algorithm_id, single.get("head"), single.get("flags"), minors, frozenset(gone))

    @cached_property
    def living(self) -> list[int]:
        """The numbers of the minors that a reader may see, rising."""
        return sorted(self.minors.keys() - self.gone)

    @property
    def first_unused(self) -> int:
        """The number after the highest that was ever used, living or not; 0 when none was."""
        return max(itertools.chain(self.minors, self.gone), default=-1) + 1


def shelves(infos: Iterable[ObjectInfo]) -> Iterator[Shelf]:
    """Yield the shelf of every algorithm in a listing of the whole `algorithm-store`, which is sorted by
    key."""
    for name, group in itertools.groupby(infos, key=lambda info: info.key.partition("/")[0]):
        if is_algorithm_id(name):
            yield Shelf.of(name, group)
