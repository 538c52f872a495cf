"""Schema data as image files that other programs open."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from compox_core.data.hdf5 import write_hdf5
from compox_core.data.images.formats import HDF5, JPEG, NPY, TIFF, suffix_of
from compox_core.data.images.npy import write_npy
from compox_core.data.images.pages import Array, visible
from compox_core.data.images.raster import write_raster
from compox_core.data.images.tiff import write_tiff
from compox_core.errors import DataError, StorageError

_KEYS = ("image", "volume", "mask", "data")
"""The key whose array an image file gets: the first of these that an item has."""


@dataclass(frozen=True)
class Picture:
    """The array of one item and the key it stood under, which says what it means."""

    key: str
    array: Array

    @property
    def pages(self) -> list[Array]:
        """The array as pages of a file, (H, W) or (H, W, 3): an RGB image is one page, a volume one for each plane."""
        if self.array.ndim == 2:
            return [self.array]
        if self.key == "image":
            return [np.moveaxis(self.array, 0, -1)]
        return list(self.array)


def write_images(items: Sequence[Mapping[str, Any]], path: Path) -> list[Path]:
    """Write dicts of a schema as image files and return the files, in order; the suffix of `path` says the format.

    A file gets the first of `image`, `volume`, `mask`, `data` that an item has; what a picture cannot hold (points,
    texts, a mask beside an image) is left out, and an HDF5 file keeps it all.

    - `.tif`, `.tiff`, `.btf`: any real numbers as they are. Items of one page each share one multi-page file; else
      each has its own file, a volume with one page for each plane.
    - `.png`: grey of 8 or 16 bits, RGB of 8. `.jpg`: grey or RGB of 8 bits, and no masks, since JPEG changes values.
    - `.npy`: any array. `.h5`: the whole item.

    Several files are numbered, `name_000.png`. RGB (3, H, W) is written as (H, W, 3). In pictures a bool mask becomes
    uint8 0 and 255, so that it can be seen; integer labels keep their values, in PNG as 8 or 16 bits. Nothing is
    scaled, rounded or cut: what a format cannot hold is DataError(code="unsupported_output"), which names a suffix
    that can. All files appear whole, after all are written; their folder is made. Raises StorageError
    (image_write_failed), and MissingExtraError where a format needs the extra `images`.
    """
    path = Path(path)
    suffix = suffix_of(path)
    if not items:
        raise DataError("There is nothing to write: the list of items is empty.", code="no_items")
    writers = _writers(items, suffix, path.name)
    names = [path.name] if len(writers) == 1 else _numbered(path, len(writers))
    return _publish(path.parent, dict(zip(names, writers, strict=True)))


Writer = Callable[[BinaryIO], None]


def _writers(items: Sequence[Mapping[str, Any]], suffix: str, name: str) -> list[Writer]:
    """One function for each file, made after all that can be refused has been refused."""
    if suffix in HDF5:
        return [partial(write_hdf5, values=item) for item in items]
    pictures = [_picture(item, name) for item in items]
    if suffix in NPY:
        return [partial(write_npy, array=picture.array) for picture in pictures]
    if suffix in TIFF:
        sheets = [[_tiff_page(page, name) for page in picture.pages] for picture in pictures]
        if all(len(pages) == 1 for pages in sheets):
            sheets = [[page for pages in sheets for page in pages]]
        return [partial(write_tiff, pages=pages) for pages in sheets]
    form = "JPEG" if suffix in JPEG else "PNG"
    ready = [_raster_page(picture, form, name) for picture in pictures]
    return [partial(write_raster, pixels=pixels, form=form) for pixels in ready]


def _picture(item: Mapping[str, Any], name: str) -> Picture:
    for key in _KEYS:
        array = item.get(key)
        if isinstance(array, np.ndarray):
            return Picture(key, np.asarray(array))
    keys = ", ".join(str(key) for key, value in item.items() if value is not None)
    raise _unsupported(name, f"an item with the keys {keys or '(none)'} is no picture", ".h5")


def _tiff_page(page: Array, name: str) -> Array:
    if page.ndim not in (2, 3) or (page.ndim == 3 and page.shape[-1] != 3) or page.size == 0:
        raise _unsupported(name, f"pages of shape {page.shape} are no pictures", ".npy")
    if page.dtype.kind not in "buif" or page.dtype.itemsize > 8:
        raise _unsupported(name, f"TIFF has no pixels of type {page.dtype}", ".npy")
    return visible(page)


def _raster_page(picture: Picture, form: str, name: str) -> Array:
    pages = picture.pages
    if len(pages) != 1:
        raise _unsupported(name, f"a {form} has one page and this {picture.key} has {len(pages)}", ".tif")
    page = _tiff_page(pages[0], name)
    if form == "JPEG" and picture.key == "mask":
        raise _unsupported(name, "JPEG changes values, and those of a mask must stay", ".png")
    page = _smallest(page)
    allowed = (np.uint8, np.uint16) if form == "PNG" and page.ndim == 2 else (np.uint8,)
    if page.dtype not in allowed:
        kind = "RGB" if page.ndim == 3 else "grey"
        raise _unsupported(name, f"{form} has no {kind} pixels of type {picture.array.dtype} with these values", ".tif")
    return page


def _smallest(page: Array) -> Array:
    """Integers of other types as uint8 or uint16, where all values fit."""
    if page.dtype.kind not in "iu" or page.dtype in (np.uint8, np.uint16):
        return page
    for dtype in (np.uint8, np.uint16):
        if page.min() >= 0 and page.max() <= np.iinfo(dtype).max:
            return page.astype(dtype)
    return page


def _numbered(path: Path, count: int) -> list[str]:
    digits = max(3, len(str(count - 1)))
    return [f"{path.stem}_{number:0{digits}d}{path.suffix}" for number in range(count)]


def _publish(folder: Path, writers: Mapping[str, Writer]) -> list[Path]:
    """Write every file beside its place, then move all of them there; on any error none of them is left."""
    token = secrets.token_hex(6)
    drafts = {folder / f".{name}.{token}.part": folder / name for name in writers}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for draft, write in zip(drafts, writers.values(), strict=True):
            with draft.open("w+b") as file:
                write(file)
        for draft, place in drafts.items():
            draft.replace(place)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        names = ", ".join(writers)
        raise StorageError(
            f"{names} could not be written to {folder}: {error}. Check free space and permissions of the folder.",
            code="image_write_failed",
            details={"files": list(writers)},
        ) from error
    finally:
        for draft in drafts:
            draft.unlink(missing_ok=True)
    return list(drafts.values())


def _unsupported(name: str, why: str, instead: str) -> DataError:
    return DataError(
        f"{name} cannot hold the data: {why}. Use the suffix {instead} instead.",
        code="unsupported_output",
        details={"file": name, "instead": instead},
    )
