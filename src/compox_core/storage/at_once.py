"""The same store operation on many objects, several at a time: a store far away answers no faster one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_THREADS = 16
_WORTH_THREADS = 32


def at_once(action: Callable[[T], R], things: Sequence[T], *, fewest: int = _WORTH_THREADS) -> list[R]:
    """Return what `action` gives for each thing, in their order; an error of one is raised, and the rest left out.

    Fewer things than `fewest` are not worth the start of threads.
    """
    if len(things) < fewest:
        return [action(thing) for thing in things]
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="compox-store") as pool:
        return list(pool.map(action, things))
