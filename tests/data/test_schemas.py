"""What fits a schema, what does not, and what the error says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compox_core.data import (
    AlignmentSchema,
    DataSchema,
    EmbeddingSchema,
    GenericSchema,
    ImageSchema,
    MeshSchema,
    MultiRegionSegmentationSchema,
    SegmentationSchema,
    VolumeSchema,
    validate,
)
from compox_core.errors import DataError

IMAGE = np.zeros((4, 5), np.uint8)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 5), (3, 3, 3), (0, 5)])
def test_images_are_grey_or_channel_first_rgb_of_five_dtypes(dtype: str, shape: tuple[int, ...]) -> None:
    """Grey and RGB images of the five dtypes fit, and the array is passed on, not copied."""
    image = np.zeros(shape, dtype)
    assert validate(ImageSchema, {"image": image})["image"] is image


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (np.array(1, np.uint8), "must be (H, W)"),
        (np.zeros(3, np.uint8), "must be (H, W)"),
        (np.zeros((4, 5, 3), np.uint8), "channels are last"),
        (np.zeros((4, 5, 4), np.uint8), "fourth channel"),
        (np.zeros((2, 5, 6), np.uint8), "one by one"),
        (np.zeros((2, 3, 5, 6), np.uint8), "must be (H, W)"),
        (np.zeros((4, 5), ">u2"), "bytes are swapped"),
        (np.zeros((4, 5), np.int8), "astype(numpy.float32)"),
        (np.zeros((4, 5), np.int64), "numpy.uint16 where all values fit"),
        (np.zeros((4, 5), bool), "schema for masks"),
        (np.zeros((4, 5), complex), "must be one of"),
        ([[1, 2]], "must be a numpy array"),
        (None, "is required"),
    ],
)
def test_what_is_no_image_is_refused_with_the_way_out(image: Any, says: str) -> None:
    """An image that does not fit is a DataError that names schema, key, rule and what was given."""
    with pytest.raises(DataError) as caught:
        validate(ImageSchema, {"image": image})
    assert says in caught.value.message
    assert caught.value.code == "invalid_data"
    assert caught.value.details["schema"] == "ImageSchema"
    assert caught.value.details["errors"][0]["key"] == "image"


@pytest.mark.parametrize("values", [IMAGE, [IMAGE], "image", None])
def test_data_that_is_no_dict_is_told_which_keys_to_have(values: Any) -> None:
    """An array in place of a dict is a DataError, not a failure of Python."""
    with pytest.raises(DataError, match="a dict with the keys image, mask, points"):
        validate(ImageSchema, values)


def test_unknown_keys_are_dropped_and_defaults_filled_in() -> None:
    """The result has exactly the fields of the schema."""
    assert validate(ImageSchema, {"image": IMAGE, "other": object()}) == {"image": IMAGE, "mask": None, "points": None}


def test_stacked_arrays_are_split_where_the_schema_says_list() -> None:
    """What HDF5 stacks comes back as the list, the numbers and the tuple that were written."""
    points = np.arange(12.0).reshape(2, 3, 2)
    aligned = validate(AlignmentSchema, {"points1": points, "confidence": np.array([0.5, 1], np.float32)})
    assert [p.tolist() for p in aligned["points1"]] == points.tolist()
    assert aligned["confidence"] == [0.5, 1.0]
    assert (aligned["points2"], aligned["transform_matrix"]) == ([], None)
    embedded = validate(EmbeddingSchema, {"features": points, "input_size": np.array([4, 5]), "original_size": (8, 10)})
    assert embedded["input_size"] == (4, 5)
    assert isinstance(embedded["input_size"][0], np.integer)


@pytest.mark.parametrize(
    ("schema", "values"),
    [
        (GenericSchema, {"data": np.zeros((1, 2, 3, 4), complex)}),
        (SegmentationSchema, {"mask": np.zeros((2, 3), bool)}),
        (SegmentationSchema, {"mask": np.zeros(4, np.int64)}),
        (VolumeSchema, {"volume": np.zeros((2, 3, 4), np.int16), "stats": "n=1"}),
        (MeshSchema, {"vertices": np.zeros((4, 3)), "faces": np.zeros((2, 3), int)}),
        (MultiRegionSegmentationSchema, {"region_names": [], "region_masks": []}),
        (MultiRegionSegmentationSchema, {"region_names": ["a", "b"], "region_masks": np.zeros((2, 3, 4), bool)}),
        (AlignmentSchema, {}),
    ],
)
def test_valid_data_of_the_other_schemas(schema: type[DataSchema], values: dict[str, Any]) -> None:
    """Each schema takes what it is made for."""
    assert set(validate(schema, values)) == set(schema.model_fields)


@pytest.mark.parametrize(
    ("schema", "values", "says"),
    [
        (GenericSchema, {"data": "text"}, "`data`: must be a numpy array"),
        (GenericSchema, {}, "`data`: is required"),
        (VolumeSchema, {"volume": np.zeros((2, 3))}, "three axes (Z, Y, X)"),
        (MeshSchema, {"vertices": np.zeros((4, 3)), "faces": np.zeros((2, 3), np.int16)}, "`faces`: must be int"),
        (MeshSchema, {"vertices": np.zeros((4, 3), np.float32), "faces": np.zeros((2, 3), int)}, "must be float64"),
        (MeshSchema, {"vertices": np.zeros((4, 2)), "faces": np.zeros((2, 3), int)}, "must be (N, 3)"),
        (EmbeddingSchema, {"features": IMAGE}, "`input_size`: is required"),
        (MultiRegionSegmentationSchema, {"region_names": ["a"], "region_masks": []}, "equally long"),
        (MultiRegionSegmentationSchema, {"region_names": ["a"], "region_masks": [np.zeros(3)]}, "two axes"),
        (
            MultiRegionSegmentationSchema,
            {"region_names": ["a", "b"], "region_masks": [np.zeros((2, 2)), np.zeros((2, 3))]},
            "share a shape",
        ),
        (AlignmentSchema, {"points1": np.zeros(3)}, "`points1.0`: must be a numpy array"),
    ],
)
def test_what_does_not_fit_the_other_schemas(schema: type[DataSchema], values: dict[str, Any], says: str) -> None:
    """The error names the schema and the broken rule."""
    with pytest.raises(DataError, match="does not fit") as caught:
        validate(schema, values)
    assert schema.__name__ in caught.value.message
    assert says in caught.value.message


def test_an_authors_schema_may_hold_arrays_texts_and_numbers() -> None:
    """A subclass of DataSchema declares its datasets as annotated fields, names like `model_…` included."""

    class Cells(DataSchema):
        centres: np.ndarray
        names: list[str] | None = None
        model_scale: float = 1.0

    values = validate(Cells, {"centres": np.zeros((2, 2)), "model_scale": np.float64(2)})
    assert (values["names"], values["model_scale"]) == (None, 2.0)
