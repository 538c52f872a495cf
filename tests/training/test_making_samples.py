"""Samples made of what a scientist has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from compox_core.data import write_hdf5
from compox_core.engine.arranging import StoredFile
from compox_core.engine.samples import Samples
from compox_core.errors import DataError, InvalidInputError, NotFoundError
from compox_core.identity import new_id
from compox_core.storage import FileStore, ObjectStore
from compox_core.storage.file_pins import FilePins
from compox_core.training.samples import SampleStore
from tests.algorithms.conftest import any_store, store

__all__ = ["any_store", "store"]  # fixtures

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)
RGB = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
VOLUME = np.arange(40, dtype=np.uint16).reshape(2, 4, 5)


def samples(store: ObjectStore) -> Samples:
    files = FileStore(store)
    return Samples(SampleStore(store, files), files)


def contents(store: ObjectStore, value: Any) -> list[dict[str, Any]]:
    """Make a sample of one value, and return what its files hold."""
    (group,) = samples(store).create({"input": value}).files
    return [FileStore(store).read(file_id) for file_id in group["input"]]


def same(found: list[dict[str, Any]], *expected: dict[str, Any]) -> None:
    assert [set(each) for each in found] == [set(each) for each in expected]
    for left, right in zip(found, expected, strict=True):
        for key, value in right.items():
            np.testing.assert_array_equal(left[key], value)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (GREY, {"image": GREY}),
        (RGB, {"image": np.moveaxis(RGB, -1, 0)}),
        (np.moveaxis(RGB, -1, 0), {"image": np.moveaxis(RGB, -1, 0)}),
        (VOLUME, {"volume": VOLUME}),
        (np.arange(3), {"data": np.arange(3)}),
        ({"mask": GREY}, {"mask": GREY}),
    ],
    ids=["grey", "RGB last", "RGB first", "volume", "data", "dict"],
)
def test_an_array_is_stored_by_its_axes(store: ObjectStore, value: Any, stored: dict[str, Any]) -> None:
    """A dict of a schema as it is."""
    same(contents(store, value), stored)


def test_files_are_read_as_pictures(store: ObjectStore, tmp_path: Path) -> None:
    """A picture is an image, a grey stack a volume, each page in colour an image, an HDF5 file what it is."""
    tifffile.imwrite(tmp_path / "grey.tif", GREY)
    tifffile.imwrite(tmp_path / "stack.tif", VOLUME)
    tifffile.imwrite(tmp_path / "colours.tif", np.stack([RGB, RGB]), photometric="rgb")
    write_hdf5(tmp_path / "any.h5", {"mask": GREY, "more": 1.5})
    image = {"image": np.moveaxis(RGB, -1, 0)}
    same(contents(store, tmp_path / "grey.tif"), {"image": GREY})
    same(contents(store, str(tmp_path / "stack.tif")), {"volume": VOLUME})
    same(contents(store, tmp_path / "colours.tif"), image, image)
    same(contents(store, tmp_path / "any.h5"), {"mask": GREY, "more": 1.5})


def test_groups_may_mix_what_is_stored_and_what_is_not(any_store: ObjectStore) -> None:
    """In lists of any depth; what is there is named, and not stored again."""
    files = FileStore(any_store)
    here, there = files.save({"image": GREY}), files.save({"image": GREY})
    record = samples(any_store).create(
        [
            {"input": [here, StoredFile(there), [GREY]], "target": {"mask": GREY}},
            {"input": (here,), "target": []},
        ],
        tags=["Cell"],
    )
    first, second = record.files
    assert first["input"][:2] == [here, there]
    assert [len(names) for names in (*first.values(), *second.values())] == [3, 1, 1, 0]
    assert {info.id for info in files.list()} == set(record.file_ids) == FilePins(any_store).pinned()
    assert samples(any_store).list(["CELL"]) == [record] == list(samples(any_store))
    assert samples(any_store).get(record.sample_id) == record
    assert samples(any_store).missing_files(record) == []


def test_what_was_stored_for_a_sample_that_is_refused_goes_again(any_store: ObjectStore) -> None:
    """What was there before stays."""
    here, missing = FileStore(any_store).save({"image": GREY}), new_id()
    with pytest.raises(NotFoundError) as caught:
        samples(any_store).create({"input": [GREY, here, GREY], "target": missing})
    assert caught.value.details == {"file_ids": [missing]}
    assert [info.id for info in FileStore(any_store).list()] == [here]
    with pytest.raises(DataError):
        samples(any_store).create({"input": GREY, "target": {"mask": object()}})
    assert [info.id for info in FileStore(any_store).list()] == [here]


@pytest.mark.parametrize(
    ("groups", "error", "why"),
    [
        ([{"input": GREY}, {"target": GREY}], InvalidInputError, "same keys"),
        ([], InvalidInputError, "files"),
        ({"input": "no/such/file.tif"}, NotFoundError, "no/such/file.tif"),
        ({"input": 5}, DataError, "int"),
        ([GREY], DataError, "ndarray"),
        ({"input": GREY, "target": np.zeros((2, 4, 3, 4, 5)), "more": "nothing"}, NotFoundError, "nothing"),
    ],
    ids=["unequal keys", "none", "no file", "a number", "no dict", "late"],
)
def test_what_is_no_sample_is_refused_before_anything_is_stored(
    store: ObjectStore, groups: Any, error: type[Exception], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says what is wrong."""

    def save(self: FileStore, values: Any, schema: Any = None) -> str:
        raise AssertionError("stored")

    monkeypatch.setattr(FileStore, "save", save)
    with pytest.raises(error, match=why):
        samples(store).create(groups)


def test_one_word_is_one_tag(store: ObjectStore) -> None:
    """And not as many as it has letters."""
    assert samples(store).create({"input": GREY}, tags="Cell").tags == ["cell"]


def test_a_notebook_shows_samples_as_a_table(store: ObjectStore) -> None:
    """What clients gave is text in it."""
    record = samples(store).create({"<input>": [GREY, VOLUME]}, tags=["<b>"])
    shown = samples(store)._repr_html_()
    assert record.sample_id in shown
    assert "&lt;input&gt;" in shown
    assert "&lt;b&gt;" in shown
    assert "<td>2</td>" in shown


def test_a_sample_is_deleted_and_its_files_stay(store: ObjectStore) -> None:
    """Until somebody deletes them, or they expire."""
    record = samples(store).create({"input": GREY})
    assert not samples(store).is_empty()
    samples(store).delete(record.sample_id)
    assert samples(store).is_empty()
    FileStore(store).delete(record.file_ids[0])
