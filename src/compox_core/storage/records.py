"""Records: pydantic models kept as JSON objects in one collection."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from compox_core.errors import NotFoundError, StorageError
from compox_core.storage.objects import ObjectInfo, ObjectStore

M = TypeVar("M", bound=BaseModel)

_log = logging.getLogger(__name__)


class RecordStore(Generic[M]):
    """The records of one kind, each a JSON object named by its id."""

    def __init__(self, store: ObjectStore, collection: str, model: type[M]) -> None:
        self.store = store
        self.collection = collection
        self.model = model

    def load(self, record_id: str) -> M:
        """Return the record of this id.

        Raises:
            NotFoundError: There is none (`record_not_found`).
            StorageError: What lies there is not such a record (`invalid_record`).
        """
        try:
            return self._parse(record_id, self.store.get(self.collection, record_id))
        except NotFoundError:
            raise NotFoundError(
                f"There is no record {record_id!r} in {self.collection}.",
                code="record_not_found",
                details={"collection": self.collection, "id": record_id},
            ) from None

    def save(self, record_id: str, record: M) -> None:
        """Write the record, replacing the one that was there."""
        self.store.put(self.collection, record_id, record.model_dump_json().encode())

    def create(self, record_id: str, record: M) -> None:
        """Write a record that must not exist yet, else raise `ConflictError` (code `object_exists`)."""
        self.store.create(self.collection, record_id, record.model_dump_json().encode())

    def delete(self, record_id: str) -> bool:
        """Remove the record and return True, or return False when there was none."""
        return self.store.delete(self.collection, record_id)

    def ids(self, prefix: str = "") -> Iterator[str]:
        """Yield the ids that begin with `prefix`, in order, without reading the records."""
        return (info.key for info in self.infos(prefix))

    def infos(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield size, time and version of the records whose ids begin with `prefix`, in order of id."""
        return self.store.list(self.collection, prefix)

    def list(self, prefix: str = "") -> Iterator[M]:
        """Yield the records whose ids begin with `prefix`, in order of id; a broken one is logged and left out."""
        for record_id in self.ids(prefix):
            try:
                yield self._parse(record_id, self.store.get(self.collection, record_id))
            except NotFoundError:
                continue  # deleted since it was listed
            except StorageError as error:
                if error.code != "invalid_record":
                    raise
                _log.warning("%s It is left out of the list.", error)

    def _parse(self, record_id: str, data: bytes) -> M:
        try:
            return self.model.model_validate_json(data)
        except ValidationError as error:
            issues = [f"{'.'.join(map(str, i['loc'])) or 'content'}: {i['msg']}" for i in error.errors()]
            raise StorageError(
                f"The record {record_id!r} in {self.collection} cannot be read: {'; '.join(issues[:5])}. "
                "Delete it, or repair the object by hand.",
                code="invalid_record",
                details={"collection": self.collection, "id": record_id, "issues": issues},
            ) from error
