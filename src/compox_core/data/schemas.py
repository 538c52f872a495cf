"""What one data file holds: a named set of arrays and texts, with the rules of its kind.

A schema is a pydantic model whose fields are the datasets of one HDF5 file. Unknown keys are dropped, a stacked array
is split where a list of arrays is declared, and an author derives from `DataSchema` for data of another kind.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, field_validator, model_validator

IMAGE_DTYPES: tuple[np.dtype[Any], ...] = tuple(
    np.dtype(name) for name in ("uint8", "uint16", "float16", "float32", "float64")
)


class DataSchema(BaseModel):
    """The base of every schema: declare the datasets of a file as annotated fields.

    Fields may be arrays, lists of arrays, numbers, texts and lists of texts. Numbers come back from a file as numpy
    scalars. A field with the default None may be absent from the file.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, protected_namespaces=())


class GenericSchema(DataSchema):
    """Any one array: `data` of any shape and dtype."""

    data: NDArray[Any]


class SegmentationSchema(DataSchema):
    """A segmentation: `mask` of any shape and dtype, as a rule (H, W) with bool or integer labels."""

    mask: NDArray[Any]


class ImageSchema(DataSchema):
    """One image, grey or RGB.

    `image` is (H, W), or (3, H, W) with the channels red, green, blue; its dtype is uint8, uint16, float16, float32
    or float64 in native byte order. `mask` (any shape) and `points` (a list of arrays) are optional.
    """

    image: NDArray[Any]
    mask: NDArray[Any] | None = None
    points: list[NDArray[Any]] | None = None

    @field_validator("image")
    @classmethod
    def _is_image(cls, image: NDArray[Any]) -> NDArray[Any]:
        if not (image.ndim == 2 or (image.ndim == 3 and image.shape[0] == 3)):
            raise ValueError(f"must be (H, W) or channel-first RGB (3, H, W).{_axis_hint(image)}")
        if image.dtype not in IMAGE_DTYPES:
            allowed = ", ".join(dtype.name for dtype in IMAGE_DTYPES)
            raise ValueError(f"must be one of {allowed} in native byte order.{_dtype_hint(image)}")
        return image


class VolumeSchema(DataSchema):
    """One volume: `volume` is (Z, Y, X) of any dtype; `mask`, `points` and the text `stats` are optional."""

    volume: NDArray[Any]
    mask: NDArray[Any] | None = None
    points: list[NDArray[Any]] | None = None
    stats: str | None = None

    @field_validator("volume")
    @classmethod
    def _is_volume(cls, volume: NDArray[Any]) -> NDArray[Any]:
        if volume.ndim != 3:
            raise ValueError("must have three axes (Z, Y, X); stack single images with numpy.stack(images).")
        return volume


class MeshSchema(DataSchema):
    """A triangle mesh: `vertices` (N, 3) float64, x y z; `faces` (M, 3) platform int, indices of vertices."""

    vertices: NDArray[Any]
    faces: NDArray[Any]
    stats: str | None = None

    @field_validator("vertices")
    @classmethod
    def _are_vertices(cls, vertices: NDArray[Any]) -> NDArray[Any]:
        return _triples(vertices, np.dtype(np.float64))

    @field_validator("faces")
    @classmethod
    def _are_faces(cls, faces: NDArray[Any]) -> NDArray[Any]:
        return _triples(faces, np.dtype(int))


class AlignmentSchema(DataSchema):
    """How one image lies on the next: matched points, their confidence, and the matrices found from them.

    `transform_matrix` and `translation_matrix` are as an algorithm made them, as a rule (3, 3) homographies in pixels.
    """

    points1: list[NDArray[Any]] | None = []
    points2: list[NDArray[Any]] | None = []
    confidence: list[float] | None = []
    transform_matrix: NDArray[Any] | None = None
    translation_matrix: NDArray[Any] | None = None


class EmbeddingSchema(DataSchema):
    """The features of one image: `features` of any shape, and two sizes in pixels, as a rule (H, W).

    `input_size` is what the model saw, `original_size` what the image had.
    """

    features: NDArray[Any]
    input_size: tuple[Any, ...]
    original_size: tuple[Any, ...]


class MultiRegionSegmentationSchema(DataSchema):
    """Named regions of one image: as many `region_names` as `region_masks`, all masks (H, W) of one shape."""

    region_names: list[str]
    region_masks: list[NDArray[Any]]

    @model_validator(mode="after")
    def _regions_match(self) -> MultiRegionSegmentationSchema:
        names, masks = len(self.region_names), len(self.region_masks)
        if names != masks:
            raise ValueError(f"region_names and region_masks must be equally long, but have {names} and {masks}.")
        shapes = {mask.shape for mask in self.region_masks}
        if any(len(shape) != 2 for shape in shapes):
            raise ValueError("every mask in region_masks must have two axes (H, W).")
        if len(shapes) > 1:
            raise ValueError(f"all masks in region_masks must share a shape, but have {sorted(shapes)}.")
        return self


def _triples(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if array.ndim != 2 or array.shape[1] != 3:
        raise ValueError("must be (N, 3).")
    if array.dtype != dtype:
        raise ValueError(f"must be {dtype.name}; convert it with array.astype(numpy.{dtype.name}).")
    return array


def _axis_hint(image: NDArray[Any]) -> str:
    if image.ndim == 3 and image.shape[-1] == 3:
        return " Its channels are last: move them with numpy.moveaxis(image, -1, 0)."
    if image.ndim == 3 and image.shape[-1] == 4:
        return " It has a fourth channel: drop it with numpy.moveaxis(image[..., :3], -1, 0)."
    if image.ndim == 3:
        return " Give the images of a stack one by one, or use a schema for volumes."
    return ""


def _dtype_hint(image: NDArray[Any]) -> str:
    if image.dtype.newbyteorder("=") in IMAGE_DTYPES:
        return ' Its bytes are swapped: image.astype(image.dtype.newbyteorder("=")).'
    if image.dtype == np.bool_:
        return " Convert it with image.astype(numpy.uint8) * 255, or use a schema for masks."
    if image.dtype.kind in "iu":
        return " Convert it with image.astype(numpy.float32), or numpy.uint16 where all values fit."
    return " Convert it with image.astype(numpy.float32)."
