"""Lists of records in pages: the newest first, at a bounded cost a page."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from compox_core.errors import InvalidInputError
from compox_core.records import TaskRecord, TaskStatus

R = TypeVar("R", bound=TaskRecord)

DEFAULT_PAGE = 50
MAX_PAGE = 500
MOST_READ = 2000
"""So many records are read for a page at most, whatever the filter lets through."""

_READERS = 8
_BATCH = 64
_CURSOR = re.compile(r"[A-Za-z0-9._-]{1,255}")


@dataclass(frozen=True)
class Page(Generic[R]):
    """Some records, newest first, and the cursor of the page that follows; None where none does.

    A page may hold fewer than were asked for, or none, although others follow: a filter that lets little through is
    not paid for at once.
    """

    records: list[R]
    next_cursor: str | None


def passes(status: TaskStatus | None, algorithm_ids: Collection[str] | None) -> Callable[[TaskRecord], bool]:
    """Return what says whether a record passes a filter."""

    def passing(record: TaskRecord) -> bool:
        if status is not None and record.status is not status:
            return False
        return algorithm_ids is None or getattr(record, "algorithm_id", None) in algorithm_ids

    return passing


def read_page(
    ids: Iterable[str],
    read: Callable[[str], R | None],
    passing: Callable[[R], bool],
    limit: int,
    cursor: str | None,
) -> Page[R]:
    """Return a page of the records that `ids` name, which sort by time.

    Raises InvalidInputError (`invalid_cursor`, `invalid_limit`).
    """
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidInputError(
            f"A page holds 1 to {MAX_PAGE} records, not {limit}: give another limit.",
            code="invalid_limit",
            details={"limit": limit, "max": MAX_PAGE},
        )
    if cursor is not None and not _CURSOR.fullmatch(cursor):
        raise InvalidInputError(
            "The cursor is none that an earlier page gave: leave it out to begin with the newest.",
            code="invalid_cursor",
        )
    older = sorted((task_id for task_id in ids if cursor is None or task_id < cursor), reverse=True)
    found: list[R] = []
    last: str | None = None
    for task_id, record in _read_ahead(older[:MOST_READ], read, limit):
        if record is not None and passing(record):
            if len(found) == limit:
                return Page(found, last)
            found.append(record)
        last = task_id
    return Page(found, last if len(older) > MOST_READ else None)


def _read_ahead(ids: list[str], read: Callable[[str], R | None], first: int) -> Iterator[tuple[str, R | None]]:
    """Yield the records in order, read by several threads where the first ones did not do."""
    for task_id in ids[: first + 1]:
        yield task_id, read(task_id)
    rest = iter(ids[first + 1 :])
    with ThreadPoolExecutor(_READERS, thread_name_prefix="compox-list") as pool:
        while batch := list(islice(rest, _BATCH)):
            yield from zip(batch, pool.map(read, batch), strict=True)
