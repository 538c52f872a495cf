"""The samples of a training on the local disk: fetched in batches, nested as they are, read as the guide says."""

from __future__ import annotations

import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compox_core.errors import CompoxError, InvalidInputError, StorageError
from tests.training.school import PairSchema, School, completed, failed_with, save

SCHEMAS = {"input": PairSchema, "target": PairSchema}


def passes(school: School, lesson: Callable[[Any, list[str]], None], *samples: str) -> None:
    """Train with `lesson` and expect the training to complete."""

    def both(self: Any, data: list[str]) -> None:
        lesson(self, data)
        save(self)

    completed(school.train(both, *samples))
    assert school.folders() == []


def refused(act: Callable[[], object], code: str, match: str | None = None) -> None:
    with pytest.raises(CompoxError, match=match) as caught:
        act()
    assert caught.value.code == code


def test_a_dataset_is_nested_as_its_samples_are(school: School) -> None:
    """Samples, groups, keys, paths, in folders that say which; loaded, arrays in place of the paths."""
    sample = school.make_sample(1.0, 2.0, files=2)

    def lesson(self: Any, data: list[str]) -> None:
        dataset = self.get_training_dataset(data)
        local = self.download_dataset_to_temp_store(dataset, SCHEMAS)
        assert [[{key: len(paths) for key, paths in group.items()} for group in each] for each in local] == [
            [{"input": 2, "target": 2}, {"input": 2, "target": 2}],
            [{"input": 1, "target": 1}],
        ]
        root = self.task_handler.temp_store.root
        assert local[0][1]["target"][0].parent == root / sample.sample_id / "file_000001" / "target"
        assert all(isinstance(path, Path) and path.is_file() for path in local[1][0]["input"])
        loaded = self.load_dataset_from_temp_store(local)
        assert [float(file["image"][0, 0]) for file in loaded[0][1]["input"]] == [2.0, 3.0]
        assert loaded[1][0]["input"]["image"].shape == (4, 4)

    passes(school, lesson, sample.sample_id, school.sample.sample_id)


def test_a_leaf_of_one_file_is_read_by_key_and_of_several_by_number_first(school: School) -> None:
    """As a list it always is one; the error says how to write it."""
    several = school.make_sample(1.0, files=2)

    def lesson(self: Any, data: list[str]) -> None:
        dataset = self.get_training_dataset(data)
        local = self.download_dataset_to_temp_store(dataset, SCHEMAS)
        (two,), (one,) = self.load_dataset_from_temp_store(local)
        assert one["input"]["image"] is one["input"][0]["image"]
        assert [len(leaf) for leaf in (one["input"], two["input"])] == [1, 2]
        assert [file["image"].shape for file in two["input"]] == [(4, 4)] * 2
        with pytest.raises(TypeError, match=r"2 files.*\[0\]\['image'\]"):
            two["input"]["image"]
        with pytest.raises(KeyError):
            one["input"]["other"]

    passes(school, lesson, several.sample_id, school.sample.sample_id)


def test_a_key_may_be_any_text(school: School) -> None:
    """One that can be no folder gets one all the same."""
    names = ["../../etc", "a/b", "", "ü", "x" * 5000, "\\", "key_0", "."]
    image = {"image": np.zeros((2, 2))}
    sample = school.engine.samples.create(dict.fromkeys(names, image))

    def lesson(self: Any, data: list[str]) -> None:
        dataset = self.get_training_dataset(data)
        root = self.task_handler.temp_store.root
        [[group]] = self.download_dataset_to_temp_store(dataset, dict.fromkeys(names, PairSchema))
        assert list(group) == names
        folders = {path.parent for [path] in group.values()}
        assert {folder.parent for folder in folders} == {root / sample.sample_id / "file_000000"}
        assert self.load_dataset_from_temp_store([[group]])[0][0]["../../etc"]["image"].shape == (2, 2)

    passes(school, lesson, sample.sample_id)


@pytest.mark.parametrize("batch_size", [1, 2, 8, 1000, np.int64(2)])
def test_files_are_copied_in_their_order_whatever_the_batch(school: School, batch_size: Any) -> None:
    """A file that is asked for twice is there twice; at most so many are in memory at a time."""
    sample = school.make_sample(*range(12))

    def lesson(self: Any, data: list[str]) -> None:
        ids = self.get_training_dataset(data)[0, "input"]
        paths = self.download_files_to_temp_store("in/put", [*ids, ids[0]], PairSchema, batch_size)
        assert len(set(paths)) == 13
        loaded = self.load_files_from_temp_store(paths, False)
        assert [float(each["image"][0, 0]) for each in loaded] == [*range(12), 0]
        assert self.download_files_to_temp_store("in/put", [], PairSchema) == []

    passes(school, lesson, sample.sample_id)


@pytest.mark.parametrize("batch_size", [0, -1, 1.5, "8", None, True, np.float64(8)])
def test_a_batch_size_that_is_no_whole_number_is_refused(school: School, batch_size: Any) -> None:
    """Before anything is copied."""

    def lesson(self: Any, data: list[str]) -> None:
        dataset = self.get_training_dataset(data)
        for act in (
            lambda: self.download_files_to_temp_store("a", dataset[0, :], PairSchema, batch_size),
            lambda: self.download_dataset_to_temp_store(dataset, SCHEMAS, batch_size),
        ):
            refused(act, "invalid_batch_size", "from 1 on")

    passes(school, lesson)


def test_only_what_is_asked_for_is_copied_and_read(school: School) -> None:
    """The fields of the schema, and of these the keys that are named; what a file has not is None."""

    class Wide(PairSchema):
        mask: np.ndarray | None = None

    image = np.ones((2, 2))
    sample = school.engine.samples.create({"input": {"image": image, "mask": image, "other": image}})

    def lesson(self: Any, data: list[str]) -> None:
        ids = self.get_training_dataset(data)[0, :]
        [path] = self.download_files_to_temp_store("a", ids, Wide)
        [values] = self.load_files_from_temp_store([path], True, "image", "other")
        assert (sorted(self.load_files_from_temp_store([path])[0]), values["other"]) == (["image", "mask"], None)
        [part] = self.download_files_to_temp_store("a", ids, Wide, 8, "image")
        assert sorted(self.load_files_from_temp_store([part])[0]) == ["image"]

    passes(school, lesson, sample.sample_id)


def test_every_argument_has_the_name_that_is_documented(school: School) -> None:
    """The older names of the schemas too; the new ones count where both are given."""

    def lesson(self: Any, data: list[str]) -> None:
        dataset = self.get_training_dataset(training_sample_ids=data)
        ids = dataset[0, :]
        files = [{"image": np.zeros(2)}]
        for name in ("schema", "pydantic_data_schema"):
            given: Any = {name: PairSchema}
            [made] = self.save_training_files_to_temp_store(folder_path="a", files=files, parallel=False, **given)
            paths = self.download_files_to_temp_store(folder_path="b", file_ids=ids, batch_size=1, **given)
        for name in ("schemas", "pydantic_data_schemas"):
            given = {name: SCHEMAS}
            local = self.download_dataset_to_temp_store(dataset=dataset, batch_size=1, **given)
        assert len(self.load_files_from_temp_store(paths=[made, *paths], parallel=True)) == 3
        assert len(self.load_dataset_from_temp_store(local_samples=local)) == 1
        self.save_checkpoint(checkpoint={"weights.bin": b"5"}, properties={})
        self.log_metrics(metrics={"a": 1}, step=3)

    passes(school, lesson)


def test_what_is_missing_or_no_list_is_told_before_anything_is_copied(school: School) -> None:
    """A schema for a key, a list of ids, a dataset."""

    def lesson(self: Any, data: list[str]) -> None:
        dataset = self.get_training_dataset(data)
        root = self.task_handler.temp_store.root
        before = sorted(root.rglob("*"))
        for schemas in ({"input": PairSchema}, {}, None, PairSchema):
            refused(
                lambda schemas=schemas: self.download_dataset_to_temp_store(dataset, schemas),
                "training_data_schema_missing",
            )
        refused(lambda: self.download_dataset_to_temp_store(data, SCHEMAS), "training_dataset_download_failed", "data")
        refused(lambda: self.download_files_to_temp_store("a", data[0], PairSchema), "temp_store_download_failed")
        for ids in (data[0], [7], None):
            refused(lambda ids=ids: self.get_training_dataset(ids), "training_dataset_retrieval_failed")
        refused(lambda: self.get_training_dataset([*data, "no", "no"]), "training_samples_not_found", "no")
        refused(lambda: self.download_files_to_temp_store("../a", dataset[0, :], PairSchema), "temp_store_save_failed")
        assert sorted(root.rglob("*")) == before

    passes(school, lesson)


def test_samples_with_other_keys_cannot_be_learned_together(school: School) -> None:
    """The error names the sample and both sets of keys; caught by nobody it is the cause of the failure."""
    other = school.engine.samples.create({"image": {"image": np.zeros((2, 2))}})
    record = school.train(lambda self, data: self.get_training_dataset(data), school.sample.sample_id, other.sample_id)
    assert other.sample_id in failed_with(record, "invalid_training_dataset")


def test_a_sample_that_was_not_submitted_can_be_used(school: School) -> None:
    """A validation set that the algorithm knows, say; a list without ids is an empty dataset."""
    other = school.make_sample(9.0)

    def lesson(self: Any, data: list[str]) -> None:
        dataset = self.get_training_dataset([other.sample_id, *data, other.sample_id])
        assert [sample.sample_id for sample in dataset] == [other.sample_id, *data, other.sample_id]
        assert len(self.get_training_dataset([])) == 0
        assert self.download_dataset_to_temp_store(self.get_training_dataset([]), {}) == []

    passes(school, lesson)


def test_a_file_that_does_not_fit_its_schema_is_told(school: School) -> None:
    """With what the schema says of it."""

    class Masks(PairSchema):
        mask: np.ndarray

    def lesson(self: Any, data: list[str]) -> None:
        dataset = self.get_training_dataset(data)
        self.download_dataset_to_temp_store(dataset, {**SCHEMAS, "target": Masks})

    record = school.train(lesson)
    assert record.error is not None
    assert "mask" in record.error.message
    assert school.folders() == []


def test_room_on_the_disk_is_looked_for_before_a_download(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would not fit is not begun, and the training fails with `disk_full` where nobody catches it."""
    usage = namedtuple("usage", "total used free")

    def lesson(self: Any, data: list[str]) -> None:
        dataset = self.get_training_dataset(data)
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "disk_usage", lambda path: usage(100, 90, 10))
            for act in (
                lambda: self.download_files_to_temp_store("a", dataset[0, :], PairSchema),
                lambda: self.download_dataset_to_temp_store(dataset, SCHEMAS),
            ):
                with pytest.raises(StorageError) as caught:
                    act()
                assert (caught.value.code, caught.value.details["free"]) == ("disk_full", 10)
                assert not list(self.task_handler.temp_store.root.glob("a*"))
            self.download_dataset_to_temp_store(dataset, SCHEMAS)

    failed_with(school.train(lesson), "disk_full")
    assert school.folders() == []


def test_several_files_are_loaded_without_a_list_being_one(school: School) -> None:
    """A single path in place of a list is refused, as everywhere."""

    def lesson(self: Any, data: list[str]) -> None:
        [path] = self.save_training_files_to_temp_store("a", [{"image": np.zeros(2)}], PairSchema)
        for one in (path, str(path)):
            with pytest.raises(InvalidInputError, match="a list"):
                self.load_files_from_temp_store(one)

    passes(school, lesson)
