"""From what a scientist has to stored inputs, and from stored outputs back to what a scientist expects."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from compox_core.data.images.pages import as_image, pages_in
from compox_core.engine.result import ResultArray, ResultDict, ResultList
from compox_core.errors import DataError, NotFoundError
from compox_core.records import ExecutionRecord

GENERIC = ("Generic", "Undefined")
STACK_SUFFIXES = (".tif", ".tiff", ".npy")
HDF5_SUFFIXES = (".h5", ".hdf5")
Array = np.ndarray[Any, Any]


class Layout(Enum):
    """How the inputs came, which is how the outputs go back."""

    SINGLE = "single"
    STACK = "stack"
    LIST = "list"


@dataclass(frozen=True)
class StoredFile:
    """An input that lies in the store already."""

    id: str


@dataclass(frozen=True)
class Arranged:
    """The inputs of a run, one entry a file.

    An item is a dict to be stored, the path of an HDF5 file to be uploaded as it is, or a file of the store.
    `channels_last` says that RGB images came as (H, W, 3) and go back so.
    """

    items: list[dict[str, Any] | Path | StoredFile]
    layout: Layout
    channels_last: bool = False


def arrange_inputs(data: Any, algorithm_type: str) -> Arranged:
    """Say what files `data` is stored as, for an algorithm of that type.

    Args:
        data: An array, a dict of a schema, a path, a file id, or a list of those. Arrays for image algorithms:
            (H, W); (3, H, W) or (H, W, 3) for RGB; a stack (N, H, W), (N, 3, H, W) or (N, H, W, 3); an alpha
            channel that is opaque is dropped. An array of shape (3, H, W) is one RGB image; give three grey images
            as a list. For a Generic algorithm an array of 2 axes is stored as `image`, of 3 axes (Z, Y, X) as
            `volume`, any other as `data`.
        algorithm_type: As `[tool.compox]` declares it.

    Raises:
        DataError: when `data` is none of these.
        NotFoundError: when a path does not exist.
    """
    if isinstance(data, list | tuple):
        return _many(list(data), algorithm_type)
    if isinstance(data, Mapping):
        return Arranged([dict(data)], Layout.SINGLE)
    if isinstance(data, StoredFile):
        return Arranged([data], Layout.SINGLE)
    if isinstance(data, str | os.PathLike):
        return _from_path(data, algorithm_type)
    array = _as_array(data)
    return _from_array(array, algorithm_type)


def _many(entries: list[Any], algorithm_type: str) -> Arranged:
    if not entries:
        raise DataError(
            "The list of inputs is empty: give at least one image, dict, path or file id.", code="no_inputs"
        )
    parts = [arrange_inputs(entry, algorithm_type) for entry in entries]
    return Arranged(
        [item for part in parts for item in part.items],
        Layout.LIST,
        any(part.channels_last for part in parts),
    )


def _from_path(source: str | os.PathLike[str], algorithm_type: str) -> Arranged:
    path = Path(source)
    if not path.exists():
        if isinstance(source, str) and _looks_like_id(source):
            return Arranged([StoredFile(source)], Layout.SINGLE)
        raise NotFoundError(
            f"There is no file '{source}', and it is not the id of a stored file either.",
            code="input_not_found",
            details={"input": str(source)},
        )
    from compox_core.data import IMAGE_SUFFIXES  # only where image files are read

    if path.is_dir():
        paths = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        if not paths:
            raise DataError(f"The folder '{path}' holds no image file ({', '.join(IMAGE_SUFFIXES)}).", code="no_inputs")
        return _many(list(paths), algorithm_type)
    if path.suffix.lower() in HDF5_SUFFIXES:
        return Arranged([path], Layout.SINGLE)
    items = _read(path, algorithm_type)
    layout = Layout.SINGLE if len(items) == 1 else Layout.STACK
    return Arranged(list(items), layout, channels_last=path.suffix.lower() != ".npy")


def _read(path: Path, algorithm_type: str) -> list[dict[str, Any]]:
    from compox_core.data import ImageSchema, SegmentationSchema, VolumeSchema, read_images

    if algorithm_type == "Segmentation2Segmentation":
        return read_images(path, SegmentationSchema)
    if algorithm_type in GENERIC and path.suffix.lower() in STACK_SUFFIXES:
        try:
            volume = read_images(path, VolumeSchema)[0]["volume"]
        except DataError:
            return read_images(path, ImageSchema)  # pages in colour are no volume
        return [{"image": volume[0]}] if volume.shape[0] == 1 else [{"volume": volume}]
    return read_images(path, ImageSchema)


def _from_array(array: Array, algorithm_type: str) -> Arranged:
    if algorithm_type in GENERIC:
        key = {2: "image", 3: "volume"}.get(array.ndim, "data")
        return Arranged([{key: array}], Layout.SINGLE)
    if algorithm_type == "Segmentation2Segmentation":
        return _from_masks(array)
    pages = pages_in(array)
    single = array.ndim == 2 or (array.ndim == 3 and (array.shape[0] == 3 or array.shape[-1] in (3, 4)))
    channels_last = array.ndim > 2 and array.shape[-1] in (3, 4) and array.shape[-3] != 3
    return Arranged([{"image": as_image(page)} for page in pages], _layout(single), channels_last)


def _from_masks(array: Array) -> Arranged:
    if array.ndim not in (2, 3):
        raise DataError(
            f"An array of shape {array.shape} holds no masks: use (H, W), or a stack (N, H, W).",
            code="unsupported_image",
            details={"shape": list(array.shape)},
        )
    single = array.ndim == 2
    return Arranged([{"mask": mask} for mask in ([array] if single else array)], _layout(single))


def _layout(single: bool) -> Layout:
    return Layout.SINGLE if single else Layout.STACK


def _as_array(data: Any) -> Array:
    if isinstance(data, np.ndarray):
        return np.asarray(data)
    if hasattr(data, "__array__"):
        return np.asarray(data)
    raise DataError(
        f"A run takes numpy arrays, dicts of a schema, paths, file ids, or lists of those, not {type(data).__name__}.",
        code="invalid_input",
    )


def _looks_like_id(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


OUTPUT_KEYS = {
    "Image2Image": "image",
    "Image2Segmentation": "mask",
    "Segmentation2Segmentation": "mask",
    "Image2Alignment": "transform_matrix",
    "Image2Embedding": "features",
}


def arrange_outputs(
    outputs: Sequence[Mapping[str, Any]],
    arranged: Arranged,
    algorithm_type: str,
    record: ExecutionRecord | None = None,
) -> ResultArray | ResultList | ResultDict:
    """Give the stored outputs back as the inputs came.

    One image gives one array, a stack gives a stack, a list gives a list. An alignment gives the matrices (N-1, 3, 3).
    Named regions give `{name: mask}` for each image. Outputs of a Generic algorithm that hold one array each count as
    arrays; others are dicts.
    """
    stored = [dict(output) for output in outputs]
    if algorithm_type == "Image2MultiRegionSegmentation":
        values: list[Any] = [
            dict(zip(output["region_names"], output["region_masks"], strict=True)) for output in stored
        ]
    else:
        key = OUTPUT_KEYS.get(algorithm_type)
        values = [_value(output, key) for output in stored]
    if arranged.channels_last:
        values = [_channels_last(value) for value in values]
    if arranged.layout is Layout.SINGLE and len(values) == 1 and algorithm_type != "Image2Alignment":
        if isinstance(values[0], np.ndarray):
            return ResultArray(values[0], stored, record)
        return ResultDict(values[0], stored, record)
    one_shape = values and all(isinstance(value, np.ndarray) for value in values)
    stackable = one_shape and len({value.shape for value in values}) == 1
    if stackable and (arranged.layout is not Layout.LIST or algorithm_type == "Image2Alignment"):
        return ResultArray(np.stack(values), stored, record)
    return ResultList(values, stored, record)


def _value(output: dict[str, Any], key: str | None) -> Any:
    """Return the array that an output is about, or the whole dict where that is not clear."""
    if key is not None and isinstance(output.get(key), np.ndarray):
        return output[key]
    present = [value for value in output.values() if value is not None]
    if len(present) == 1 and isinstance(present[0], np.ndarray):
        return present[0]
    return output


def _channels_last(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.ndim == 3 and value.shape[0] == 3:
        return np.moveaxis(value, 0, -1)
    return value
