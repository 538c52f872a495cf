"""The samples of a training as they were when it was submitted: it learns from these, whatever is deleted meanwhile.

In `training-store`: `dataset/<training id>`, stored before the job, gone when it has ended.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError

from compox_core.errors import NotFoundError, StorageError
from compox_core.records import SampleRecord
from compox_core.storage import TRAININGS, ObjectStore
from compox_core.tasks.kinds import DATASETS

_SAMPLES = TypeAdapter(list[SampleRecord])


def save_snapshot(store: ObjectStore, training_id: str, samples: Sequence[SampleRecord]) -> None:
    """Store the samples of a training that is about to be queued."""
    store.put(TRAININGS, DATASETS + training_id, _SAMPLES.dump_json(list(samples)))


def delete_snapshot(store: ObjectStore, training_id: str) -> None:
    """Remove what was stored of a training that was not queued."""
    store.delete(TRAININGS, DATASETS + training_id)


def load_snapshot(store: ObjectStore, training_id: str) -> list[SampleRecord]:
    """Return the samples of a training that has not ended. Raises NotFoundError (`training_samples_not_found`)."""
    try:
        return _SAMPLES.validate_json(store.get(TRAININGS, DATASETS + training_id))
    except NotFoundError as error:
        raise NotFoundError(
            f"The samples of training '{training_id}' are not in the store: train again.",
            code="training_samples_not_found",
            details={"training_id": training_id},
        ) from error
    except ValidationError as error:
        raise StorageError(
            f"The samples of training '{training_id}' cannot be read ({error.errors()[0]['msg']}): train again.",
            code="invalid_record",
            details={"collection": TRAININGS, "key": DATASETS + training_id},
        ) from error
