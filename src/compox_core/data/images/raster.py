"""PNG and JPEG files by pillow (extra `images`): the one file that imports it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from compox_core.data.images.pages import Array, Page, page_of, visible
from compox_core.errors import CompoxError, DataError, MissingExtraError

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_raster(path: Path, *, labels: bool = False) -> list[Page]:
    """Read the one picture of a PNG or JPEG; a JPEG is turned upright as its camera says.

    Grey has 8 or 16 bits, RGB 8. A palette is resolved to RGB and 2 or 4 bits of grey are spread to 0…255; for
    `labels` palette indices and grey values stay as they are stored. One bit becomes
    0 and 255, for `labels` bool.

    Raises DataError: invalid_image (damaged, cut off), image_too_large (pillow's limit), unsupported_image (CMYK,
    16-bit colour, animation).
    """
    image_module = _pillow()
    try:
        with image_module.open(path, formats=("PNG", "JPEG")) as image:
            return [_page(image, *_png_header(path), path.name, labels)]
    except CompoxError:
        raise
    except image_module.DecompressionBombError as error:
        raise DataError(
            f"{path.name} has more pixels than pillow decodes safely ({error}). Save it as .tif.",
            code="image_too_large",
            details={"file": path.name},
        ) from error
    except Exception as error:  # the file is untrusted, and its parser raises whatever the damaged part leads to
        raise DataError(
            f"{path.name} is not a readable PNG or JPEG: it is cut off, damaged or of another format. Save it again.",
            code="invalid_image",
            details={"file": path.name, "reason": str(error).replace(str(path), path.name)},
        ) from error


def write_raster(file: BinaryIO, pixels: Array, form: str) -> None:
    """Write uint8 (H, W) or (H, W, 3), or uint16 (H, W), as `form` PNG or JPEG (quality 95, full colour)."""
    options: dict[str, Any] = {"quality": 95, "subsampling": 0} if form == "JPEG" else {}
    _pillow().fromarray(np.ascontiguousarray(pixels)).save(file, format=form, **options)


def decode_tiff_page(path: Path, index: int) -> Array | None:
    """Decode a page whose compression tifffile lacks (LZW, JPEG, CCITT), or return None where pillow cannot either."""
    image_module = _pillow()
    try:
        with image_module.open(path, formats=("TIFF",)) as image:
            image.seek(index)
            return np.array(image)
    except Exception:  # a second opinion on an untrusted file: the first reader's error is the one to report
        return None


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError(
            'PNG and JPEG files need pillow: pip install "compox-core[images]".', details={"extra": "images"}
        ) from error
    return Image


def _png_header(path: Path) -> tuple[int, int]:
    """Bits for each channel and the colour type of a PNG; (8, 0) for other files."""
    with path.open("rb") as file:
        head = file.read(26)
    return (head[24], head[25]) if head.startswith(_PNG_SIGNATURE) else (8, 0)


def _page(image: Any, depth: int, colour_type: int, name: str, labels: bool) -> Page:
    if image.format == "PNG" and getattr(image, "n_frames", 1) > 1:
        raise _unsupported(name, f"is an animation of {image.n_frames} pictures", "Save them as a multi-page .tif.")
    if depth == 16 and colour_type != 0:
        raise _unsupported(name, "has 16 bits for each colour, which would be cut to 8", "Save it as .tif.")
    if image.mode in ("CMYK", "YCCK", "LAB", "HSV"):
        raise _unsupported(name, f"is in {image.mode}, made for print", "Convert it to RGB or grey.")
    if image.format != "PNG":
        return page_of(np.array(_upright(image)))
    return _png_page(image, depth, labels)


def _png_page(image: Any, depth: int, labels: bool) -> Page:
    if image.mode == "P" and labels:
        return Page(np.array(image))
    if "transparency" in image.info and image.mode != "I;16":
        image = image.convert("LA" if image.mode in ("1", "L") else "RGBA")
    if image.mode == "P":
        image = image.convert("RGB")
    pixels = np.array(image)
    page = page_of(pixels if labels else visible(pixels))
    if image.mode == "I;16" and "transparency" in image.info:
        return Page(page.pixels, np.uint8(255) * (page.pixels != image.info["transparency"]))
    spread = {2: 85, 4: 17}.get(depth)
    if labels and spread and page.pixels.ndim == 2:
        return Page(page.pixels // spread, page.alpha)
    return page


def _upright(image: Any) -> Any:
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)


def _unsupported(name: str, what: str, instead: str) -> DataError:
    return DataError(f"{name} {what}. {instead}", code="unsupported_image", details={"file": name})
