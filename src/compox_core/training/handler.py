"""What one running training may do to the world, beside what every task may."""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from compox_core.algorithms.checkpoints import CheckpointStore
from compox_core.data import DataSchema
from compox_core.errors import InvalidInputError, NotFoundError, StateError
from compox_core.records import AlgorithmVersion, CheckpointRecord, SampleRecord, TrainingRecord
from compox_core.records.plain import written
from compox_core.storage import FileStore, ObjectStore
from compox_core.tasks import Task, TaskHandler
from compox_core.tasks.handler import ours
from compox_core.training.dataset import TrainingDataset, TrainingSample
from compox_core.training.given import checked_batch, checked_metrics, checked_state, checked_step
from compox_core.training.local_samples import (
    LocalSamples,
    check_schemas,
    download_dataset,
    download_files,
    load_dataset,
)
from compox_core.training.temp_store import PARALLEL_FILES, TempStore


class TrainingHandler(TaskHandler):
    """A running training as its algorithm sees it: beside what every task has, samples, state, metrics, checkpoints.

    `version` has the assets of the checkpoint that the training goes on from, `declared` is that version as it was
    deployed. `samples` are those that the training was submitted with.
    """

    def __init__(
        self,
        task: Task,
        store: ObjectStore,
        files: FileStore,
        version: AlgorithmVersion,
        *,
        declared: AlgorithmVersion,
        checkpoint: CheckpointRecord | None,
        samples: Sequence[SampleRecord],
        more_samples: Callable[[Sequence[str]], Sequence[SampleRecord]],
        checkpoints: CheckpointStore,
        temp_store: TempStore,
    ) -> None:
        super().__init__(task, store, files, version, None, checkpoint)
        self.temp_store = temp_store
        self._declared = declared
        self._samples = {sample.sample_id: sample for sample in samples}
        self._more_samples = more_samples
        self._checkpoints = checkpoints
        self._odd_metrics: set[str] = set()
        self._naming = threading.Lock()

    def _training(self) -> TrainingRecord:
        record = self._task.snapshot()
        assert isinstance(record, TrainingRecord)
        return record

    # -- state and metrics ------------------------------------------------------------------------------------------

    @property
    def state(self) -> dict[str, Any]:
        """What the training last said of itself; setting it replaces the whole."""
        return copy.deepcopy(self._training().state)  # which is the record's own

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        self.set_state(state)

    def get_state(self) -> dict[str, Any]:
        """Return what the training last said of itself."""
        return self.state

    @ours
    def set_state(self, state: Mapping[str, Any]) -> None:
        """Say something of the training to whoever looks at its record; it replaces what was said before, as a whole.

        Raises InvalidInputError (`invalid_state`) for what JSON has no word for, numbers that are not finite too.
        """
        self._task.check_stop()
        self._task.update(state=checked_state(state))

    @ours
    def log_metrics(self, values: Mapping[str, Any], step: int | None = None) -> None:
        """Add a point to the metric history: numbers by name.

        Args:
            values: Real numbers, of numpy and PyTorch too; NaN and infinities are kept as they are.
            step: What the point is of (an epoch, a batch), from 0; None for one more than the last.

        Raises:
            InvalidInputError: `invalid_metrics` for anything else.
        """
        self._task.check_stop()
        checked, number = checked_metrics(values), checked_step(step)
        for name, value in checked.items():
            if not math.isfinite(value) and name not in self._odd_metrics:
                self._odd_metrics.add(name)
                self._task.write_log("WARNING", f"The metric '{name}' is {value} (said once).")
        self._task.log_metrics(checked, number)

    # -- checkpoints ------------------------------------------------------------------------------------------------

    @ours
    def save_checkpoint(self, assets: Mapping[str, Any], properties: Mapping[str, Any] | None = None) -> str:
        """Store what was learned so far, and return the id of the checkpoint. It outlives the training.

        Args:
            assets: For paths of assets that the algorithm was deployed with, what is to stand there: bytes, the path
                of a file, or an open binary file. Files are streamed.
            properties: What to say of it: numbers, texts, lists and dicts, of numpy too.

        Raises:
            InvalidInputError: `checkpoint_asset_path_invalid`, `checkpoint_manifest_invalid`.
            StorageError: Where the store refuses; nothing is stored then.
        """
        self._task.check_stop()
        record = self._training()
        saved = self._checkpoints.save(
            algorithm_id=self._declared.algorithm_id,
            minor=self._declared.minor,
            training_id=record.training_id,
            parent_checkpoint_id=record.checkpoint_id,
            allowed_paths=self._declared.assets,
            assets=assets,
            properties={} if properties is None else properties,
            tags=record.tags,
            passed=lambda size: self._task.check_stop(),
        )
        with self._naming:  # threads of the algorithm may save at a time
            self._task.update(output_checkpoint_ids=[*self._training().output_checkpoint_ids, saved.checkpoint_id])
        self._task.write_log("INFO", f"Saved checkpoint {saved.checkpoint_id} ({saved.size} bytes).")
        return saved.checkpoint_id

    @ours
    def delete_checkpoint(self, checkpoint_id: str) -> None:
        """Delete a checkpoint that this training has saved. Raises NotFoundError (`checkpoint_not_found`)."""
        self._task.check_stop()
        if checkpoint_id not in self._training().output_checkpoint_ids:
            raise NotFoundError(
                f"This training has saved no checkpoint '{checkpoint_id}'.",
                code="checkpoint_not_found",
                details={"checkpoint_id": checkpoint_id},
            )
        self._checkpoints.delete(checkpoint_id)
        with self._naming:
            left = [each for each in self._training().output_checkpoint_ids if each != checkpoint_id]
            self._task.update(output_checkpoint_ids=left)

    # -- samples and files ------------------------------------------------------------------------------------------

    @ours
    def get_training_dataset(self, training_sample_ids: Sequence[str]) -> TrainingDataset:
        """Return samples as a dataset, in the order of their ids.

        Raises NotFoundError (`training_samples_not_found`), InvalidInputError where their keys differ.
        """
        self._task.check_stop()
        lone = isinstance(training_sample_ids, str) or not isinstance(training_sample_ids, Iterable)
        ids = [] if lone else list(training_sample_ids)
        if lone or not all(isinstance(each, str) for each in ids):
            raise InvalidInputError(
                f"get_training_dataset takes a list of sample ids, not {written(training_sample_ids)}.",
                code="training_dataset_retrieval_failed",
            )
        missing = [each for each in dict.fromkeys(ids) if each not in self._samples]
        found = dict(self._samples)
        if missing:
            try:
                found |= {sample.sample_id: sample for sample in self._more_samples(missing)}
            except NotFoundError as error:
                raise NotFoundError(error.message, code="training_samples_not_found", details=error.details) from error
        return TrainingDataset(TrainingSample(found[each]) for each in ids)

    @ours
    def save_training_files_to_temp_store(
        self,
        folder_path: str | Path,
        files: Sequence[Mapping[str, Any]],
        schema: type[DataSchema],
        parallel: bool = True,
    ) -> list[Path]:
        """Write dicts that fit `schema` into a folder of the temp store, one file each; return the files in order."""
        self._task.check_stop()
        return self.temp_store.save(folder_path, files, schema, parallel)

    @ours
    def download_files_to_temp_store(
        self,
        folder_path: str | Path,
        file_ids: Sequence[str],
        schema: type[DataSchema],
        batch_size: int = PARALLEL_FILES,
        *keys: str,
    ) -> list[Path]:
        """Copy stored files into a folder of the temp store, `batch_size` at a time; return the files in order.

        With `keys` only these are read and written. Raises StorageError (`disk_full`) before anything is copied.
        """
        self._task.check_stop()
        at_once = checked_batch(batch_size)
        if isinstance(file_ids, str):
            raise InvalidInputError(
                f"download_files_to_temp_store takes a list of file ids, not the one string '{file_ids}'.",
                code="temp_store_download_failed",
            )
        self._make_room(list(file_ids))
        return download_files(self._files, self.temp_store, folder_path, list(file_ids), schema, keys, at_once)

    @ours
    def download_dataset_to_temp_store(
        self,
        dataset: TrainingDataset,
        schemas: Mapping[str, type[DataSchema]],
        batch_size: int = PARALLEL_FILES,
    ) -> LocalSamples:
        """Copy all files of a dataset into the temp store; return `[[{key: [paths]}]]`: samples, groups, keys."""
        self._task.check_stop()
        at_once = checked_batch(batch_size)
        check_schemas(dataset, schemas)
        self._make_room([name for sample in dataset for name in sample[:, :]])
        return download_dataset(self._files, self.temp_store, dataset, schemas, at_once)

    @ours
    def load_dataset_from_temp_store(self, local_samples: Sequence[Any]) -> list[Any]:
        """Read what `download_dataset_to_temp_store` gave into memory: `[[{key: [dicts]}]]`.

        Where a key has one file, that file's keys may be asked for directly: `group["input"]["image"]`.
        """
        self._task.check_stop()
        return load_dataset(self.temp_store, local_samples)

    @ours
    def load_files_from_temp_store(
        self, paths: Sequence[str | Path], parallel: bool = True, *keys: str
    ) -> list[dict[str, Any]]:
        """Read files of the temp store into memory, in order; with `keys` only those."""
        self._task.check_stop()
        return self.temp_store.load(paths, parallel, *keys)

    def _make_room(self, file_ids: Sequence[str]) -> None:
        wanted = list(dict.fromkeys(file_ids))
        sizes = dict(zip(wanted, self.temp_store.each(self._size, wanted, parallel=True), strict=True))
        self.temp_store.make_room(sum(sizes[name] for name in file_ids))

    def _size(self, file_id: str) -> int:
        return self._files.info(file_id).size

    # -- what a training has not ------------------------------------------------------------------------------------

    def _live_session(self) -> Any:
        raise StateError(
            "A training has no session: keep what it needs on self, or in the temp store.",
            code="task_session_not_initialized",
        )
