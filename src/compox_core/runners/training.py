"""What an algorithm that can be trained writes and calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from compox_core.errors import InvalidInputError, StateError
from compox_core.runners.context import Handler
from compox_core.runners.given import given_schema

if TYPE_CHECKING:
    from compox_core.data import DataSchema


class TrainingTask(Protocol):
    """What a runner may ask of a training. `compox_core.training.TrainingHandler` is the one that counts."""

    def set_state(self, state: Mapping[str, Any]) -> None: ...
    def get_state(self) -> dict[str, Any]: ...
    def log_metrics(self, values: Mapping[str, Any], step: int | None = None) -> None: ...
    def save_checkpoint(self, assets: Mapping[str, Any], properties: Mapping[str, Any] | None = None) -> str: ...
    def get_training_dataset(self, training_sample_ids: Sequence[str]) -> Any: ...
    def save_training_files_to_temp_store(
        self,
        folder_path: str | Path,
        files: Sequence[Mapping[str, Any]],
        schema: type[DataSchema],
        parallel: bool = True,
    ) -> list[Path]: ...
    def download_files_to_temp_store(
        self,
        folder_path: str | Path,
        file_ids: Sequence[str],
        schema: type[DataSchema],
        batch_size: int = 8,
        *keys: str,
    ) -> list[Path]: ...
    def download_dataset_to_temp_store(
        self, dataset: Any, schemas: Mapping[str, type[DataSchema]], batch_size: int = 8
    ) -> list[list[dict[str, list[Path]]]]: ...
    def load_dataset_from_temp_store(self, local_samples: Sequence[Any]) -> list[Any]: ...
    def load_files_from_temp_store(
        self, paths: Sequence[str | Path], parallel: bool = True, *keys: str
    ) -> list[dict[str, Any]]: ...


class _CheckpointInUse:
    """The record of the checkpoint that this run uses, or that this training goes on from; None without one.

    Its `properties` are what the training that saved it said of it; `fetch_asset` gives its weights. It is no property,
    so that an algorithm may call something of its own `self.checkpoint`.
    """

    def __get__(self, runner: TrainingCalls | None, cls: type) -> Any:
        return self if runner is None else getattr(runner.task_handler, "checkpoint", None)


class TrainingCalls:
    """The part of a Runner that is about training; see `BaseRunner`.

    The calls work in `train` alone: elsewhere they raise StateError (`training_handler_required`).
    """

    if TYPE_CHECKING:

        @property
        def task_handler(self) -> Handler: ...

    checkpoint = _CheckpointInUse()

    def save_checkpoint(self, checkpoint: Mapping[str, Any], properties: Mapping[str, Any] | None = None) -> str:
        """Store what was learned so far, and return the id of the checkpoint.

        Args:
            checkpoint: For paths of assets that the algorithm was deployed with, what is to stand there in runs with
                this checkpoint: bytes, a `pathlib.Path`, or an open binary file.
            properties: What to say of it: numbers, texts, lists and dicts, of numpy too.
        """
        return self._training("save_checkpoint").save_checkpoint(checkpoint, properties)

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Say something of the training in its record, in place of what was said before; JSON must be able to hold
        it."""
        self._training("set_state").set_state(state)

    def get_state(self) -> dict[str, Any]:
        """Return what `set_state` said last."""
        return self._training("get_state").get_state()

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Add a point to the metric history: numbers by name, at a step (one more than the last where it is left out).

        The history is readable while the training goes on. Costs microseconds.
        """
        self._training("log_metrics").log_metrics(metrics, step)

    def get_training_dataset(self, training_sample_ids: Sequence[str]) -> Any:
        """Return samples as a `TrainingDataset`: which files there are, by sample, group and key."""
        return self._training("get_training_dataset").get_training_dataset(training_sample_ids)

    def save_training_files_to_temp_store(
        self,
        folder_path: str | Path,
        files: Sequence[Mapping[str, Any]],
        schema: type[DataSchema] | None = None,
        parallel: bool = True,
        *,
        pydantic_data_schema: type[DataSchema] | None = None,
    ) -> list[Path]:
        """Write dicts that fit `schema` as files on the local disk, which go when the training ends.

        Args:
            folder_path: A folder in the training's own, made where it is not there.
            files: One dict a file.
            schema: The schema that each must fit.
            parallel: Write several at a time.
            pydantic_data_schema: The older name of `schema`.
        """
        caller = "save_training_files_to_temp_store"
        chosen = given_schema(schema, pydantic_data_schema, caller)
        return self._training(caller).save_training_files_to_temp_store(folder_path, files, chosen, parallel)

    def download_files_to_temp_store(
        self,
        folder_path: str | Path,
        file_ids: Sequence[str],
        schema: type[DataSchema] | None = None,
        batch_size: int = 8,
        *keys: str,
        pydantic_data_schema: type[DataSchema] | None = None,
    ) -> list[Path]:
        """Copy stored files that fit `schema` to the local disk, and return their paths in order.

        Args:
            folder_path: A folder in the training's own, made where it is not there.
            file_ids: Ids of stored files.
            schema: The schema that each must fit; only its fields are copied.
            batch_size: So many are in memory at a time.
            keys: Copy only these keys.
            pydantic_data_schema: The older name of `schema`.
        """
        caller = "download_files_to_temp_store"
        chosen = given_schema(schema, pydantic_data_schema, caller)
        return self._training(caller).download_files_to_temp_store(folder_path, file_ids, chosen, batch_size, *keys)

    def download_dataset_to_temp_store(
        self,
        dataset: Any,
        schemas: Mapping[str, type[DataSchema]] | None = None,
        batch_size: int = 8,
        *,
        pydantic_data_schemas: Mapping[str, type[DataSchema]] | None = None,
    ) -> list[list[dict[str, list[Path]]]]:
        """Copy all files of a dataset to the local disk; return `[[{key: [paths]}]]`: samples, groups, keys.

        Args:
            dataset: What `get_training_dataset` gave.
            schemas: A schema for each key.
            batch_size: So many files are in memory at a time.
            pydantic_data_schemas: The older name of `schemas`.
        """
        caller = "download_dataset_to_temp_store"
        chosen = schemas if schemas is not None else pydantic_data_schemas
        if chosen is None:
            raise InvalidInputError(
                f"{caller} needs a schema for each key, for example `{caller}(dataset, {{'input': ImageSchema}})`.",
                code="training_data_schema_missing",
            )
        return self._training(caller).download_dataset_to_temp_store(dataset, chosen, batch_size)

    def load_dataset_from_temp_store(self, local_samples: Sequence[Any]) -> list[Any]:
        """Read what `download_dataset_to_temp_store` gave into memory: `[[{key: [dicts]}]]`.

        Where a key of a group has one file, its arrays may be asked for directly: `group["input"]["image"]`; where it
        has several, by number first: `group["input"][0]["image"]`.
        """
        return self._training("load_dataset_from_temp_store").load_dataset_from_temp_store(local_samples)

    def load_files_from_temp_store(
        self, paths: Sequence[str | Path], parallel: bool = True, *keys: str
    ) -> list[dict[str, Any]]:
        """Read files from the local disk into memory, in order; with `keys` only those, an absent one as None."""
        return self._training("load_files_from_temp_store").load_files_from_temp_store(paths, parallel, *keys)

    def _training(self, caller: str) -> TrainingTask:
        handler: Any = self.task_handler
        if not hasattr(handler, caller):
            raise StateError(
                f"{caller} is for `train`: this run is no training. Submit one with `engine.train`, or over HTTP.",
                code="training_handler_required",
            )
        return cast(TrainingTask, handler)
