"""Image files as schema data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from compox_core.data.hdf5 import read_hdf5
from compox_core.data.images.foreign import read_first_array
from compox_core.data.images.formats import HDF5, NPY, TIFF, suffix_of
from compox_core.data.images.npy import read_npy
from compox_core.data.images.pages import Array, Page, as_image, as_labels, as_volume, pages_in
from compox_core.data.images.raster import read_raster
from compox_core.data.images.tiff import read_tiff
from compox_core.data.schemas import DataSchema, ImageSchema
from compox_core.data.validation import validate
from compox_core.errors import DataError, NotFoundError

_KEYS = ("image", "volume", "data", "mask")
"""The key that a file of pictures fills: the first of these that the schema declares."""


def read_images(path: Path, schema: type[DataSchema] = ImageSchema) -> list[dict[str, Any]]:
    """Read an image file as a list of dicts that fit `schema`.

    What becomes one item depends on the key that the schema declares:

    - `image`: one item a page; (H, W), or (3, H, W) for RGB.
    - `mask`: one item a page; (H, W) with the values as stored, labels and palette indices included.
    - `volume`: one item a file; the pages are the planes of (Z, Y, X).
    - `data`: one item a file; an array as stored, a single page as an image, several as one stack.

    A multi-page TIFF has pages; an array of an NPY file is split along its first axis unless it is one picture:
    (H, W), (3, H, W) or (H, W, 3). An HDF5 file that has the schema's keys is one item; of any other the first array
    with two or three axes is taken as from NPY. An alpha channel that is opaque everywhere is dropped.

    Raises DataError (see `docs/reference/data-formats.md` for the codes), NotFoundError (file_not_found) and
    MissingExtraError where a format needs the extra `images`.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError(
            f"There is no file {path}. Check the path.", code="file_not_found", details={"file": str(path)}
        )
    suffix = suffix_of(path)
    if suffix in HDF5:
        known = read_hdf5(path, list(schema.model_fields))
        if any(value is not None for value in known.values()):
            return [_checked(schema, known, path)]
    key = _key(schema)
    try:
        values = _values(path, suffix, key)
    except DataError as error:
        raise _in_file(error, path) from error
    places = [f", picture {number} of {len(values)}" if len(values) > 1 else "" for number in range(1, len(values) + 1)]
    return [_checked(schema, {key: value}, path, place) for value, place in zip(values, places, strict=True)]


def _values(path: Path, suffix: str, key: str) -> list[Array]:
    if suffix in NPY or suffix in HDF5:
        return _from_array(read_npy(path) if suffix in NPY else read_first_array(path), key)
    read = read_tiff if suffix in TIFF else read_raster
    return _from_pages(read(path, labels=key == "mask"), key)


def _from_array(array: Array, key: str) -> list[Array]:
    if key == "data" or (key == "volume" and array.ndim != 2):
        return [array]
    if key == "volume":
        return [array[None]]
    if key == "mask":
        return [array] if array.ndim <= 2 else list(array)
    return [as_image(page) for page in pages_in(array)]


def _from_pages(pages: list[Page], key: str) -> list[Array]:
    if key == "mask":
        return [as_labels(page) for page in pages]
    if key == "volume" or (key == "data" and len(pages) > 1):
        return [as_volume(pages)]
    return [as_image(page) for page in pages]


def _key(schema: type[DataSchema]) -> str:
    for key in _KEYS:
        if key in schema.model_fields:
            return key
    raise DataError(
        f"{schema.__name__} has none of the keys {', '.join(_KEYS)}, so an image file cannot fill it: use an HDF5 file "
        f"with the datasets {', '.join(schema.model_fields)}.",
        code="no_picture_schema",
        details={"schema": schema.__name__},
    )


def _checked(schema: type[DataSchema], values: dict[str, Any], path: Path, place: str = "") -> dict[str, Any]:
    try:
        return validate(schema, values)
    except DataError as error:
        raise _in_file(error, path, place) from error


def _in_file(error: DataError, path: Path, place: str = "") -> DataError:
    message = error.message if error.message.startswith(path.name) else f"{path.name}{place}: {error.message}"
    return DataError(message, code=error.code, details={"file": path.name, **error.details})
