"""The pictures of an image file as arrays of a schema, whatever the format.

A file holds RGB as (H, W, 3), a schema as (3, H, W): the change is made here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compox_core.errors import DataError

Array = NDArray[Any]


@dataclass(frozen=True)
class Page:
    """One picture as a file holds it: `pixels` (H, W) grey or (H, W, 3) RGB, and `alpha` (H, W) where it has one."""

    pixels: Array
    alpha: Array | None = None


def page_of(pixels: Array) -> Page:
    """Take the alpha channel off pixels (H, W), (H, W, 1), (H, W, 2), (H, W, 3) or (H, W, 4).

    Raises DataError(code="unsupported_image") for other channels.
    """
    if pixels.ndim == 2:
        return Page(pixels)
    if pixels.ndim == 3 and pixels.shape[-1] in (1, 2, 3, 4):
        colours = pixels.shape[-1] - (pixels.shape[-1] + 1) % 2
        alpha = pixels[..., -1] if colours < pixels.shape[-1] else None
        return Page(pixels[..., 0] if colours == 1 else pixels[..., :3], alpha)
    raise DataError(
        f"A picture of shape {pixels.shape} is neither grey (H, W) nor RGB (H, W, 3): save each channel as a grey "
        "page of its own.",
        code="unsupported_image",
        details={"shape": list(pixels.shape)},
    )


def as_image(page: Page) -> Array:
    """Return the page as an image: (H, W), or (3, H, W) for RGB.

    Raises DataError(code="alpha_channel") for a page that is transparent anywhere.
    """
    pixels = _opaque(page)
    return pixels if pixels.ndim == 2 else np.ascontiguousarray(np.moveaxis(pixels, -1, 0))


def as_labels(page: Page) -> Array:
    """Return the page as a mask (H, W) with its values as they are.

    RGB whose three channels are equal is grey. Raises DataError: mask_in_colour, alpha_channel.
    """
    pixels = _opaque(page)
    if pixels.ndim == 2:
        return pixels
    if np.array_equal(pixels[..., 0], pixels[..., 1]) and np.array_equal(pixels[..., 0], pixels[..., 2]):
        return np.ascontiguousarray(pixels[..., 0])
    raise DataError(
        "A mask has one value for each pixel, but this picture is in colour: save it in grey or with a palette.",
        code="mask_in_colour",
    )


def as_volume(pages: Iterable[Page]) -> Array:
    """Stack the pages to a volume (Z, Y, X). Raises DataError(code="unequal_pages") unless all are grey and alike."""
    planes = [_opaque(page) for page in pages]
    kinds = {(plane.shape, plane.dtype) for plane in planes}
    if len(kinds) == 1 and planes[0].ndim == 2:
        return np.stack(planes)
    listed = ", ".join(sorted(f"{dtype} {shape}" for shape, dtype in kinds))
    raise DataError(
        f"The planes of a volume are grey and share a shape and a dtype, but these pages have {listed}: "
        "read the file as images, or save it as a grey stack.",
        code="unequal_pages",
    )


def pages_in(array: Array) -> list[Page]:
    """Split an array without a file format's own pages into pictures.

    (H, W); RGB as (3, H, W), (H, W, 3) or with alpha (H, W, 4); else a stack of those along the first axis. So three
    grey pictures in one array (3, H, W) are taken for one RGB picture. Raises DataError(code="unsupported_image").
    """
    if array.ndim == 2:
        return [Page(array)]
    if array.ndim == 3 and array.shape[0] == 3:
        return [Page(np.moveaxis(array, 0, -1))]
    if array.ndim == 3 and array.shape[-1] in (3, 4):
        return [page_of(array)]
    if array.ndim == 3 or (array.ndim == 4 and (array.shape[1] == 3 or array.shape[-1] in (3, 4))):
        return [page for part in array for page in pages_in(part)]
    raise DataError(
        f"An array of shape {array.shape} holds no pictures: use (H, W), (3, H, W), (H, W, 3), or a stack of those "
        "along the first axis.",
        code="unsupported_image",
        details={"shape": list(array.shape)},
    )


def visible(array: Array) -> Array:
    """Return 1-bit pixels as uint8 0 and 255, any other as they are."""
    return array.astype(np.uint8) * np.uint8(255) if array.dtype == np.bool_ else array


def native(array: Array) -> Array:
    """Return the array in native byte order."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def check_claim(claimed: int, stored: int, where: str) -> None:
    """Refuse a file that claims more pixels than any compression could have put into it (DataError image_too_large)."""
    if claimed > 256 * 2**20 and claimed > stored * 1100:
        raise DataError(
            f"{where} claims {claimed} bytes of pixels but has {stored} bytes in all: it is damaged or made to exhaust "
            "memory. Save it again.",
            code="image_too_large",
            details={"file": where, "claimed": claimed, "stored": stored},
        )


def _opaque(page: Page) -> Array:
    if page.alpha is None:
        return page.pixels
    most = 1.0 if page.alpha.dtype.kind == "f" else np.iinfo(page.alpha.dtype).max
    if not (page.alpha == most).all():
        raise DataError(
            "The picture is transparent in places, and an image has no alpha channel: flatten it onto a background "
            "before saving.",
            code="alpha_channel",
        )
    return page.pixels
