"""Any array as a small picture for a notebook, a page or a report."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compox_core.data.png import encode_png

Array = NDArray[Any]
Picture = NDArray[np.uint8]

_LOW, _HIGH = 1.0, 99.8
"""Percentiles of the values that become black and white."""
_MOST_LABELS = 32
_LABEL_LIMIT = 256
_GAP = 4


def to_png(array: Any, *, max_side: int = 512, labels: bool | None = None) -> bytes:
    """Return a PNG that shows the array, at most `max_side` pixels wide and high.

    Shown are: (H, W) in grey; (3, H, W) and (H, W, 3) in colour, with a fourth channel left out; of more axes the
    middle entry of each leading one, so the middle slice of a volume (Z, Y, X). uint8 keeps its brightness; other
    values are stretched between the 1st and the 99.8th percentile of what is finite; NaN is black. Bool is black and
    white. `labels=True` gives each integer a colour of its own, 0 black; None decides by the values: few, small and
    not negative. Any other array (of numbers or not, empty, with one axis) still gives a picture.
    """
    return encode_png(to_picture(array, max_side=max_side, labels=labels))


def to_picture(array: Any, *, max_side: int = 512, labels: bool | None = None) -> Picture:
    """Return what `to_png` shows as uint8 pixels, (H, W) grey or (H, W, 3) RGB."""
    plane = _plane(_numbers(array))
    if plane.size == 0:
        return np.full((1, 1), 128, np.uint8)
    if plane.ndim == 2 and (labels if labels is not None else _looks_like_labels(plane)):
        return _coloured(_thinned(plane, max_side))
    # What is far larger than the picture is thinned first: its mean costs more than it shows.
    plane = _thinned(plane, 4 * max_side)
    if plane.dtype in (np.bool_, np.uint8):
        scale = 255.0 if plane.dtype == np.bool_ else 1.0
        return _shrunk(plane * np.float32(scale), max_side).round().astype(np.uint8)
    return _stretched(plane, max_side)


def montage(arrays: Sequence[Any], *, max_side: int = 256, columns: int | None = None) -> Picture:
    """Return one RGB picture (H, W, 3) with the arrays side by side on white, each as `to_picture` shows it."""
    tiles = [_as_rgb(to_picture(array, max_side=max_side)) for array in arrays]
    if not tiles:
        return np.full((1, 1, 3), 255, np.uint8)
    columns = max(1, min(columns or int(np.ceil(np.sqrt(len(tiles)))), len(tiles)))
    height, width = (max(tile.shape[axis] for tile in tiles) + _GAP for axis in (0, 1))
    sheet = np.full((-(-len(tiles) // columns) * height - _GAP, columns * width - _GAP, 3), 255, np.uint8)
    for number, tile in enumerate(tiles):
        top, left = number // columns * height, number % columns * width
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return sheet


def _numbers(array: Any) -> Array:
    values = np.ma.filled(np.ma.asarray(array), 0) if isinstance(array, np.ma.MaskedArray) else np.asarray(array)
    if values.dtype.kind == "c":
        values = np.abs(values)
    return values if values.dtype.kind in "biuf" else np.empty(0)


def _plane(values: Array) -> Array:
    """Reduce to (H, W) or (H, W, 3)."""
    while values.ndim > 2:
        if values.ndim == 3 and values.shape[0] == 3:
            return np.moveaxis(values, 0, -1)
        if values.ndim == 3 and values.shape[-1] in (3, 4):
            return values[..., :3]
        if values.shape[0] == 0:
            return np.empty(0)
        values = values[values.shape[0] // 2]
    return np.atleast_2d(values)


def _looks_like_labels(plane: Array) -> bool:
    if plane.dtype.kind not in "iu" or plane.min() < 0:
        return False
    # An 8- or 16-bit picture has few values only by chance, so there they must be small as well.
    if plane.dtype.itemsize <= 2:
        return bool(plane.max() < _MOST_LABELS)
    return bool(plane.max() < 2**31) and len(np.unique(_thinned(plane, 1024))) <= _LABEL_LIMIT


def _coloured(plane: Array) -> Picture:
    if plane.dtype.kind not in "iu":
        plane = np.nan_to_num(plane.astype(np.float64), posinf=0, neginf=0).astype(np.int64)
    known, places = np.unique(plane, return_inverse=True)
    colours = np.array([_colour(int(label)) for label in known], np.uint8)
    return colours[places.reshape(plane.shape)]


def _colour(label: int) -> tuple[int, int, int]:
    if label == 0:
        return 0, 0, 0
    # Steps of the golden angle keep the hues of neighbouring labels far apart.
    hue = label * 0.618033988749895 % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.75 if label % 2 else 0.5, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)


def _stretched(plane: Array, max_side: int) -> Picture:
    """Shrink, then spread the values between the percentiles over 0…255; what is not finite is black or white."""
    known = np.isfinite(plane)
    if not known.any():
        return np.zeros(_thinned(plane, max_side).shape, np.uint8)
    # Halved, because the difference of the largest floats is infinite.
    halves = plane.astype(np.float64) * 0.5
    least, most = halves[known].min(), halves[known].max()
    small = _shrunk(np.nan_to_num(halves, nan=least, posinf=most, neginf=least), max_side)
    low, high = np.percentile(small, (_LOW, _HIGH))
    if not high > low:
        low, high = small.min(), small.max()
    shown = np.full(small.shape, 128.0) if not high > low else (np.clip(small, low, high) - low) / (high - low) * 255
    shown[np.isnan(_thinned(plane, max_side))] = 0
    return shown.round().astype(np.uint8)


def _step(plane: Array, max_side: int) -> int:
    longest = int(max(plane.shape[:2]))
    return max(1, -(-longest // max(1, max_side)))


def _thinned(plane: Array, max_side: int) -> Array:
    step = _step(plane, max_side)
    return plane[::step, ::step]


def _shrunk(plane: Array, max_side: int) -> Array:
    """The mean of each square of pixels that becomes one."""
    step = _step(plane, max_side)
    for axis in (0, 1):
        starts = np.arange(0, plane.shape[axis], step)
        counts = np.diff(np.append(starts, plane.shape[axis]))
        shape = [-1 if other == axis else 1 for other in range(plane.ndim)]
        plane = np.add.reduceat(plane / counts.repeat(counts).reshape(shape), starts, axis=axis)
    return plane


def _as_rgb(picture: Picture) -> Picture:
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
