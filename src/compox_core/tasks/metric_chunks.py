"""The metric histories of jobs as they are stored: pieces that are written once.

Under the collection of the kind, `metrics/<id>/<n>` holds points as JSON lines, the first of which is the history's
n-th from 0, in ten digits. A piece is created exclusively and never written again, so that of two processes that both
take a job for theirs, none changes what the other has stored.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from compox_core.errors import ConflictError, NotFoundError
from compox_core.records import MetricPoint
from compox_core.storage import ObjectStore
from compox_core.storage.telling import tell

logger = logging.getLogger(__name__)

METRICS = "metrics/"
NUMBER = re.compile(r"\d{10}")


class MetricChunks:
    """The stored histories of the jobs of one collection. Every method raises StorageError."""

    def __init__(self, store: ObjectStore, collection: str) -> None:
        self._store = store
        self._collection = collection

    def save(self, task_id: str, first: int, points: Sequence[MetricPoint]) -> bool:
        """Store points of which the first has this number; False where others lie there already.

        True where the same ones do: an earlier try reached the store, which then failed to say so.
        """
        key = _key(task_id, first)
        data = b"".join(point.model_dump_json().encode() + b"\n" for point in points)
        try:
            self._store.create(self._collection, key, data)
        except ConflictError:
            try:
                return self._store.get(self._collection, key) == data
            except NotFoundError:  # deleted with its job
                return False
        return True

    def read(self, task_id: str, first: int = 0) -> Iterator[tuple[int, MetricPoint]]:
        """Yield the points from number `first` on with their numbers; what cannot be read is left out with a warning.

        The number after the last is where the points go on that are stored later.
        """
        numbers = self._numbers(task_id)
        for number, following in zip(numbers, [*numbers[1:], None], strict=False):
            if following is None or following > first:
                yield from self._points(task_id, number, first)

    def count(self, task_id: str) -> int:
        """Return how many points are stored, which is the number of the next one; the unreadable count, too."""
        last = next(reversed(self._numbers(task_id)), None)
        if last is None:
            return 0
        try:
            data = self._store.get(self._collection, _key(task_id, last))
        except NotFoundError:
            return last
        return last + max(len(data.splitlines()), 1)  # an empty piece, which a power cut may leave, holds its number

    def delete(self, task_id: str) -> None:
        """Remove the history of a job."""
        for info in list(self._store.list(self._collection, f"{METRICS}{task_id}/")):
            self._store.delete(self._collection, info.key)

    def _numbers(self, task_id: str) -> list[int]:
        prefix = f"{METRICS}{task_id}/"
        names = (info.key.removeprefix(prefix) for info in self._store.list(self._collection, prefix))
        return [int(name) for name in names if NUMBER.fullmatch(name)]

    def _points(self, task_id: str, number: int, first: int) -> Iterator[tuple[int, MetricPoint]]:
        key = _key(task_id, number)
        try:
            lines = self._store.get(self._collection, key).splitlines()
        except NotFoundError:
            return
        broken: str | None = None
        for index, line in enumerate(lines, number):
            if index < first:
                continue
            try:
                yield index, MetricPoint.model_validate_json(line)
            except ValidationError as error:
                broken = broken or f"{error.errors()[0]['msg']}"
        if broken is not None:
            message = "Points of the metric history %s in %s cannot be read and are left out: %s"
            tell(logger, logging.WARNING, message, key, self._collection, broken)


def _key(task_id: str, number: int) -> str:
    return f"{METRICS}{task_id}/{number:010d}"
