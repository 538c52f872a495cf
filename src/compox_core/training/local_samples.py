"""The files of a dataset on the local disk: downloaded in batches, and read back in the same nesting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from compox_core.data import DataSchema
from compox_core.errors import InvalidInputError
from compox_core.records.plain import written
from compox_core.training.dataset import TrainingDataset
from compox_core.training.temp_store import PARALLEL_FILES, TempStore

LocalSamples = list[list[dict[str, list[Path]]]]
"""Samples, their groups, and for each key the files."""


class Readable(Protocol):
    """Stored files, as `FileStore` reads them."""

    def read(self, file_id: str, *keys: str) -> dict[str, Any]: ...


class Leaf(list[dict[str, Any]]):
    """The files under one key of one group. Where there is one file its keys can be asked for directly."""

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, str):
            return super().__getitem__(index)
        if len(self) != 1:
            raise TypeError(
                f"There are {len(self)} files here, so say which: [0][{index!r}] for the first. Only where there is "
                "one file can its keys be asked for directly."
            )
        return super().__getitem__(0)[index]


def download_files(
    files: Readable,
    store: TempStore,
    folder: str | Path,
    file_ids: Sequence[str],
    schema: type[DataSchema],
    keys: Sequence[str] = (),
    at_once: int = PARALLEL_FILES,
) -> list[Path]:
    """Copy stored files that fit `schema` into a folder of the temp store, `at_once` in memory at a time.

    Only the fields of the schema are written, of these only `keys` where they are given. Raises NotFoundError
    (`file_not_found`), DataError, StorageError.
    """
    place = store.mkdir(folder)

    def copy(file_id: str) -> Path:
        return store.write(place, files.read(file_id, *keys), schema)

    return store.each(copy, file_ids, parallel=True, at_once=at_once)


def download_dataset(
    files: Readable,
    store: TempStore,
    dataset: TrainingDataset,
    schemas: Mapping[str, type[DataSchema]],
    at_once: int = PARALLEL_FILES,
) -> LocalSamples:
    """Copy the files of a dataset into `<sample id>/file_<group>/<key>/` and return their paths.

    Raises InvalidInputError (`training_data_schema_missing`) for a key without a schema before anything is copied,
    and what `download_files` raises.
    """
    check_schemas(dataset, schemas)
    wanted: list[tuple[Path, str, type[DataSchema]]] = []
    for sample in dataset:
        for number, group in enumerate(sample.get_file_list()):
            for at, (key, names) in enumerate(group.items()):
                folder = f"{sample.sample_id}/file_{number:06d}/{_folder_name(key, at)}"
                place = store.mkdir(folder)
                wanted.extend((place, name, schemas[key]) for name in names)

    def copy(one: tuple[Path, str, type[DataSchema]]) -> Path:
        place, file_id, schema = one
        return store.write(place, files.read(file_id), schema)

    copied = iter(store.each(copy, wanted, parallel=True, at_once=at_once))
    return [
        [{key: list(islice(copied, len(names))) for key, names in group.items()} for group in sample]
        for sample in dataset
    ]


def check_schemas(dataset: TrainingDataset, schemas: Mapping[str, type[DataSchema]]) -> None:
    """Raise InvalidInputError (`training_data_schema_missing`) where a key of the dataset has no schema."""
    if not isinstance(dataset, TrainingDataset):
        raise InvalidInputError(
            f"A dataset is needed, not {written(dataset)}: self.get_training_dataset(training_data) gives it.",
            code="training_dataset_download_failed",
        )
    keys = dataset.get_sample_keys()
    missing = [key for key in keys if not isinstance(schemas, Mapping) or key not in schemas]
    if missing:
        raise InvalidInputError(
            f"The samples have the keys {', '.join(keys)}, and no schema is given for {', '.join(missing)}: "
            f"download_dataset_to_temp_store(dataset, {{'{missing[0]}': ImageSchema, …}}).",
            code="training_data_schema_missing",
            details={"keys": missing},
        )


def _folder_name(key: str, number: int) -> str:
    """Return a folder's name for a key, which may be any text: its own where that can be one."""
    plain = key.isascii() and key.replace("_", "").replace("-", "").isalnum() and len(key) <= 64
    return key if plain else f"key_{number}"


def load_dataset(store: TempStore, local: Sequence[Sequence[Mapping[str, Sequence[str | Path]]]]) -> list[Any]:
    """Read all files of `download_dataset` into memory, in the same nesting: at the leaves lists of dicts.

    The leaf of a single file can be asked for the keys of that file; see `Leaf`.
    """
    return [
        [{key: Leaf(store.load(paths, len(paths) > 1)) for key, paths in group.items()} for group in sample]
        for sample in local
    ]
