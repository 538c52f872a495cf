"""TIFF and BigTIFF files by tifffile (extra `images`): the one file that imports it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from compox_core.data.images.directories import check_directories
from compox_core.data.images.pages import Array, Page, check_claim, native, page_of, visible
from compox_core.data.images.raster import decode_tiff_page
from compox_core.errors import CompoxError, DataError, MissingExtraError

_CLASSIC_BYTES = 2**32 - 2**25
"""A classic TIFF has 32-bit offsets; what is larger than this becomes a BigTIFF."""

# Numbers of the TIFF 6.0 specification: PhotometricInterpretation and Compression.
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_PLAIN = (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE)
_JPEG = (6, 7)


def read_tiff(path: Path, *, labels: bool = False) -> list[Page]:
    """Read every page of a TIFF in the order of the file; reduced copies of a page (thumbnails, pyramids) are left out.

    Hyperstacks of ImageJ are unrolled in the order of their axes. Only this file is read, even where its OME metadata
    name others. Values are as stored: a palette is taken for a look-up table of the display, and "white is zero" for
    a way to show them. 1-bit pixels become 0 and 255; `labels` stay bool.

    Raises DataError: invalid_image (damaged, cut off), image_too_large, unsupported_image.
    """
    library = _tifffile()
    try:
        with path.open("rb") as file:
            check_directories(file)
            file.seek(0)
            with library.TiffFile(file, is_ome=False, is_mmstack=False) as tiff:
                return [page for part in _parts(tiff) for page in _pages(part, path, labels)]
    except CompoxError:
        raise
    except Exception as error:  # the file is untrusted, and its parser raises whatever the damaged part leads to
        raise DataError(
            f"{path.name} is not a readable TIFF: it is cut off, damaged or of another format ({error}). "
            "Save it again.",
            code="invalid_image",
            details={"file": path.name, "reason": str(error)},
        ) from error


def write_tiff(file: BinaryIO, pages: Sequence[Array]) -> None:
    """Write pages (H, W) or (H, W, 3), one directory each, uncompressed; BigTIFF where 4 GiB would not do."""
    size = sum(page.nbytes for page in pages)
    with _tifffile().TiffWriter(file, bigtiff=size > _CLASSIC_BYTES) as writer:
        for page in pages:
            kind = "rgb" if page.ndim == 3 else "minisblack"
            writer.write(page, photometric=kind, contiguous=False, metadata=None)


def _tifffile() -> Any:
    try:
        import tifffile
    except ImportError as error:
        raise MissingExtraError(
            'TIFF files need tifffile: pip install "compox-core[images]".', details={"extra": "images"}
        ) from error
    return tifffile


def _parts(tiff: Any) -> Iterator[Any]:
    """The pages of a file, or its series where one directory may stand for many planes."""
    if tiff.is_imagej or tiff.is_shaped:
        yield from tiff.series
    else:
        yield from (page for page in tiff.pages if not page.is_reduced)


def _pages(part: Any, path: Path, labels: bool) -> Iterator[Page]:
    check_claim(part.nbytes, path.stat().st_size, path.name)
    frame = part.keyframe
    _check_colour(frame, path.name)
    pixels = _decoded(part, path)
    for plane in _planes(native(pixels if labels else visible(pixels)), part.axes):
        yield page_of(plane)


def _check_colour(frame: Any, name: str) -> None:
    as_rgb = frame.photometric == _YCBCR and frame.compression in _JPEG
    if not as_rgb and frame.photometric not in _PLAIN:
        problem = f"has its colours as {getattr(frame.photometric, 'name', frame.photometric)}"
    elif len(frame.extrasamples) > 1:
        problem = f"has {frame.samplesperpixel} channels in each pixel"
    else:
        return
    raise DataError(
        f"{name} {problem}, which is neither grey nor RGB. Save it as RGB, or each channel as a grey page.",
        code="unsupported_image",
        details={"file": name},
    )


def _decoded(part: Any, path: Path) -> Array:
    try:
        return np.asarray(part.asarray())
    except (ValueError, KeyError) as error:
        if "imagecodecs" not in str(error):
            raise
    pages = part.pages if hasattr(part, "kind") else [part]
    return np.stack([_by_pillow(page, path) for page in pages]).reshape(part.shape)


def _by_pillow(page: Any, path: Path) -> Array:
    pixels = decode_tiff_page(path, page.index)
    # Pillow reads some kinds with fewer bits; then it is no substitute.
    if pixels is None or pixels.shape != page.shape or pixels.dtype != page.dtype.newbyteorder("="):
        raise DataError(
            f"{path.name} is compressed with {page.compression.name}, which needs one more library for {page.dtype} "
            "pixels: pip install imagecodecs, or save the file without compression.",
            code="unsupported_image",
            details={"file": path.name, "compression": page.compression.name},
        )
    return _inverted(pixels) if page.photometric == _WHITE_IS_ZERO and pixels.dtype.itemsize == 1 else pixels


def _planes(pixels: Array, axes: str) -> Iterator[Array]:
    """Split an array by its axes: (…, Y, X) or (…, Y, X, S), S the channels of one pixel."""
    if "Y" not in axes or "X" not in axes:
        raise DataError(f"A TIFF with the axes {axes} holds no pictures.", code="unsupported_image")
    last = [axes.index(axis) for axis in "YXS" if axis in axes]
    ordered = np.moveaxis(pixels, last, range(-len(last), 0))
    yield from ordered.reshape(-1, *ordered.shape[-len(last) :])


def _inverted(pixels: Array) -> Array:
    """Undo that pillow shows small pixels where white is zero as they look, not as they are stored."""
    return ~pixels
