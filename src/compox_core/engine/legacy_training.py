"""What stands behind `compox.training.DebuggingTrainingHandler` of compox 3.2: a training for a script, in memory.

New scripts use an engine on `memory://`.
"""

from __future__ import annotations

import io
import json
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from compox_core.algorithms.checkpoint_contents import hashed, plain_text
from compox_core.data import DataSchema, read_hdf5
from compox_core.engine.legacy_checkpoints import AlgorithmCheckpoint, CheckpointManifest
from compox_core.engine.legacy_handler import DebuggingTaskHandler, InMemoryConnection
from compox_core.engine.legacy_samples import TrainingSample
from compox_core.errors import InvalidInputError, NotFoundError
from compox_core.identity import new_id
from compox_core.storage import FILES, TRAININGS
from compox_core.storage.collections import ASSETS
from compox_core.training.dataset import TrainingDataset
from compox_core.training.given import checked_batch, checked_metrics, checked_state, checked_step
from compox_core.training.local_samples import download_dataset, download_files, load_dataset
from compox_core.training.temp_store import PARALLEL_FILES, TempStore


class DebuggingTrainingHandler(DebuggingTaskHandler):
    """A training for a script: samples, state and checkpoints in an `InMemoryConnection`, log and metrics printed.

    The record of the training is the JSON object `training-store/<training_id>` of the connection, where somebody has
    put one; its `algorithm_id`, `tags` and `checkpoint_id` are heeded.

    Args:
        database_connection: Where everything lies; a new one when None.
        training_id: How the training is called.
        temp_store: Where files are downloaded to; one of its own when None, which goes with the handler.
        algorithm_directory: The folder that asset paths are relative to.
    """

    def __init__(
        self,
        database_connection: InMemoryConnection | None = None,
        training_id: str = "local-debug",
        temp_store: TempStore | None = None,
        algorithm_directory: str | Path = ".",
        **_: Any,
    ) -> None:
        super().__init__(training_id, database_connection, algorithm_directory)
        if temp_store is None:
            temp_store = TempStore()
            weakref.finalize(self, temp_store.cleanup)
        self.temp_store = temp_store
        self.metrics: list[dict[str, Any]] = []
        self._record = self._read_record()
        from_id = self._record.get("checkpoint_id")
        self._start = AlgorithmCheckpoint(self.database_connection, checkpoint_id=from_id) if from_id else None
        self.checkpoint = self._start.checkpoint_manifest if self._start else None

    def _read_record(self) -> dict[str, Any]:
        held: dict[str, Any] = {"training_id": self.task_id, "algorithm_id": "local-debug", "training_data": []}
        held |= {"state": {}, "tags": [], "checkpoint_id": None, "output_checkpoint_ids": []}
        if self.database_connection.check_objects_exist(TRAININGS, [self.task_id]) == [True]:
            held |= json.loads(self.database_connection.get_objects(TRAININGS, [self.task_id])[0])
        return held

    def _update(self, **fields: Any) -> None:
        self._record |= fields
        self.database_connection.put_objects(TRAININGS, [self.task_id], [json.dumps(self._record)])

    @property
    def state(self) -> dict[str, Any]:
        """What the training last said of itself; setting it replaces the whole."""
        return dict(self._record["state"])

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        self.set_state(state)

    def get_state(self) -> dict[str, Any]:
        """Return what the training last said of itself."""
        return self.state

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Replace the state. Raises InvalidInputError (`invalid_state`) for what JSON has no word for."""
        self._update(state=checked_state(state))

    def log_metrics(self, values: Mapping[str, Any], step: int | None = None) -> None:
        """Keep a point in `metrics`, and print it."""
        checked, given = checked_metrics(values), checked_step(step)
        at = given if given is not None else self.metrics[-1]["step"] + 1 if self.metrics else 0
        self.metrics.append({"step": at, **checked})
        print(f"{self.task_id} step {at} " + " ".join(f"{name}={value:g}" for name, value in checked.items()))

    def save_checkpoint(self, assets: Mapping[str, Any], properties: Mapping[str, Any] | None = None) -> str:
        """Keep a checkpoint in the connection and return its id.

        Raises InvalidInputError: `checkpoint_asset_path_invalid` for a path that leads out of the algorithm's folder,
        `checkpoint_asset_invalid`, `checkpoint_manifest_invalid`.
        """
        for path in assets:
            _check_inside(path)
        manifest = CheckpointManifest(
            parent_algorithm_id=self._record["algorithm_id"],
            training_id=self.task_id,
            properties=dict(properties or {}),
            tags=self._record["tags"],
            parent_checkpoint_id=self._record["checkpoint_id"],
        )
        with hashed(assets, lambda: self.temp_store.root / new_id()) as contents:
            for path, content in contents.items():
                manifest.assets[path] = new_id()
                self.database_connection.put_objects(ASSETS, [manifest.assets[path]], [content.path.read_bytes()])
        saved = AlgorithmCheckpoint(self.database_connection, checkpoint_manifest=manifest).register_checkpoint()
        self._update(output_checkpoint_ids=[*self._record["output_checkpoint_ids"], saved])
        print(f"{self.task_id} saved checkpoint {saved}")
        return saved

    def delete_checkpoint(self, checkpoint_id: str) -> None:
        """Drop a checkpoint. Raises NotFoundError (`checkpoint_not_found`)."""
        AlgorithmCheckpoint(self.database_connection, checkpoint_id).delete_checkpoint()
        left = [each for each in self._record["output_checkpoint_ids"] if each != checkpoint_id]
        self._update(output_checkpoint_ids=left)

    def open_asset(self, asset_path: str) -> BinaryIO:
        """Open an asset: the checkpoint's that the training goes on from, else the file of the algorithm's folder."""
        content = self._start.asset(asset_path) if self._start else None
        return super().open_asset(asset_path) if content is None else io.BytesIO(content)

    def get_training_dataset(self, training_sample_ids: Sequence[str]) -> TrainingDataset:
        """Return samples of the connection as a dataset. Raises NotFoundError (`sample_not_found`)."""
        return TrainingDataset(TrainingSample(self.database_connection, each) for each in training_sample_ids)

    def save_training_files_to_temp_store(
        self,
        folder_path: str | Path,
        files: Sequence[Mapping[str, Any]],
        schema: type[DataSchema],
        parallel: bool = True,
    ) -> list[Path]:
        """Write dicts that fit `schema` into a folder of the temp store, one file each."""
        return self.temp_store.save(folder_path, files, schema, parallel)

    def download_files_to_temp_store(
        self,
        folder_path: str | Path,
        file_ids: Sequence[str],
        schema: type[DataSchema],
        batch_size: int = PARALLEL_FILES,
        *keys: str,
    ) -> list[Path]:
        """Copy objects of the collection `data-store` into a folder of the temp store."""
        at_once = checked_batch(batch_size)
        return download_files(self, self.temp_store, folder_path, file_ids, schema, keys, at_once)

    def download_dataset_to_temp_store(
        self, dataset: TrainingDataset, schemas: Mapping[str, type[DataSchema]], batch_size: int = PARALLEL_FILES
    ) -> list[list[dict[str, list[Path]]]]:
        """Copy all files of a dataset into the temp store; return `[[{key: [paths]}]]`."""
        return download_dataset(self, self.temp_store, dataset, schemas, checked_batch(batch_size))

    def load_dataset_from_temp_store(self, local_samples: Sequence[Any]) -> list[Any]:
        """Read what `download_dataset_to_temp_store` gave into memory."""
        return load_dataset(self.temp_store, local_samples)

    def load_files_from_temp_store(
        self, paths: Sequence[str | Path], parallel: bool = True, *keys: str
    ) -> list[dict[str, Any]]:
        """Read files of the temp store into memory, in order."""
        return self.temp_store.load(paths, parallel, *keys)

    def read(self, file_id: str, *keys: str) -> dict[str, Any]:
        """Return an object of the collection `data-store`. Raises NotFoundError (`file_not_found`)."""
        if self.database_connection.check_objects_exist(FILES, [file_id]) != [True]:
            raise NotFoundError(
                f"The connection holds no file '{file_id}': put it into the collection '{FILES}'.",
                code="file_not_found",
                details={"file_id": file_id},
            )
        return read_hdf5(io.BytesIO(self.database_connection.get_objects(FILES, [file_id])[0]), keys or None)


def _check_inside(path: Any) -> None:
    parts = PurePosixPath(path).parts if isinstance(path, str) else ()
    if not parts or ".." in parts or parts[0] == "/" or "\\" in path:
        raise InvalidInputError(
            f"'{plain_text(path)}' is no asset path: name a file of the algorithm's folder, as 'files/weights.pt'.",
            code="checkpoint_asset_path_invalid",
            details={"path": plain_text(path)},
        )
