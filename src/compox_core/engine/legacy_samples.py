"""What stands behind `compox.training.TrainingSample` and `compox.training.SampleManifest` of compox 3.2.

Old scripts make samples in the memory of an `InMemoryConnection`, and old algorithms look at what they got with
`isinstance`. New code uses `engine.samples` and `compox_core.training.dataset`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic import Field, ValidationError

from compox_core.engine.following import misfit
from compox_core.engine.legacy_handler import InMemoryConnection
from compox_core.errors import InvalidInputError, NotFoundError
from compox_core.identity import new_id, utc_now
from compox_core.records import SampleRecord, SampleRequest, normalised_tags
from compox_core.storage import SAMPLES
from compox_core.training import dataset


class SampleManifest(SampleRecord):
    """The record of a sample; its id and its time are made where they are left out."""

    sample_id: str = Field(default_factory=new_id)
    time_created: datetime = Field(default_factory=utc_now)

    def __init__(self, **fields: Any) -> None:
        """Raises InvalidInputError (`invalid_request`), which is a ValueError, where groups have unequal keys."""
        try:
            checked = SampleRequest.model_validate(fields)
            super().__init__(**{**fields, "files": checked.files, "tags": checked.tags})
        except ValidationError as error:
            raise misfit(error) from error


class _AnySample(type):
    """Makes `isinstance(sample, TrainingSample)` true of the samples that a training gives, too."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, dataset.TrainingSample)


class TrainingSample(dataset.TrainingSample, metaclass=_AnySample):
    """A sample in a connection: one that is stored there, or a new one from its manifest.

    Args:
        database_connection: Where it is kept.
        sample_id: The id of a stored sample.
        sample_manifest: A new one; either this or the id is given.

    Raises:
        InvalidInputError: `sample_source_invalid` where none of them is given, or both are.
        NotFoundError: `sample_not_found`.
    """

    def __init__(
        self,
        database_connection: InMemoryConnection,
        sample_id: str | None = None,
        sample_manifest: SampleRecord | None = None,
    ) -> None:
        if (sample_id is None) == (sample_manifest is None):
            raise InvalidInputError(
                "A TrainingSample is made from sample_id or from sample_manifest: give one of them.",
                code="sample_source_invalid",
            )
        self._connection = database_connection
        super().__init__(sample_manifest if sample_manifest is not None else self._read(str(sample_id)))

    def _read(self, sample_id: str) -> SampleRecord:
        if self._connection.check_objects_exist(SAMPLES, [sample_id]) != [True]:
            raise NotFoundError(
                f"The connection holds no sample '{sample_id}': save its manifest first.",
                code="sample_not_found",
                details={"sample_id": sample_id},
            )
        return SampleRecord.model_validate_json(self._connection.get_objects(SAMPLES, [sample_id])[0])

    def add_tags(self, tags: Iterable[str]) -> None:
        """Add tags; they are stored by the next `save_sample_manifest`."""
        self.record = self.record.model_copy(update={"tags": normalised_tags([*self.record.tags, *tags])})

    def save_sample_manifest(self) -> None:
        """Store it in the connection."""
        self._connection.put_objects(SAMPLES, [self.sample_id], [self.record.model_dump_json()])

    def delete_sample_manifest(self) -> None:
        """Drop it from the connection; one that is not there is no error."""
        self._connection.delete_objects(SAMPLES, [self.sample_id])
