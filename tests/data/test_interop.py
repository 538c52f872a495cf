"""The files of compox 3.2 and ours are the same."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from compox_core.data import (
    DataSchema,
    ImageSchema,
    MultiRegionSegmentationSchema,
    SegmentationSchema,
    read_hdf5,
    validate,
    write_hdf5,
)

FOLDER = Path(__file__).parent.parent / "artefacts" / "interop" / "data"
FILES = sorted(FOLDER.glob("*.h5"))
SCHEMAS: list[type[DataSchema]] = [SegmentationSchema, ImageSchema, MultiRegionSegmentationSchema]


def schema_of(values: dict[str, Any]) -> type[DataSchema]:
    """The schema that the file was written with; its field order is the order of writing."""
    return next(schema for schema in SCHEMAS if values.keys() <= schema.model_fields.keys())


def inventory(source: Any) -> dict[str, Any]:
    """All that a file holds, down to types and storage, without the values."""
    with h5py.File(source) as file:
        return {
            name: (item.shape, item.dtype, h5py.check_string_dtype(item.dtype), item.chunks, dict(item.attrs))
            for name, item in file.items()
        }


def test_the_artefacts_are_there() -> None:
    """All sixteen files of the ancestor are in the checkout."""
    assert len(FILES) == 16


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_of_the_ancestor_is_read_and_written_back_the_same(path: Path) -> None:
    """Its values fit our schema, and our file of them has the same datasets, types, shapes and values."""
    values = read_hdf5(path)
    ours = io.BytesIO()
    write_hdf5(ours, validate(schema_of(values), values))
    assert inventory(ours) == inventory(path)
    again = read_hdf5(ours)
    assert again.keys() == values.keys()
    assert all(np.array_equal(again[key], values[key]) for key in values)


@pytest.mark.skipif(h5py.version.hdf5_version_tuple[0] != 2, reason="the ancestor's HDF5 library was version 2")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_our_file_is_the_ancestors_to_the_byte(path: Path) -> None:
    """With the same HDF5 library, even the layout inside the file is the same."""
    values = read_hdf5(path)
    ours = io.BytesIO()
    write_hdf5(ours, validate(schema_of(values), values))
    assert ours.getvalue() == path.read_bytes()
