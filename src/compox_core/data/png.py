"""The smallest PNG writer that shows a picture, so that a preview needs no imaging library.

PNG: W3C Recommendation, https://www.w3.org/TR/png/. One IDAT chunk, 8 bits, grey or RGB, every row with filter 0.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB = 0, 2


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Return the PNG file of uint8 pixels (H, W) grey or (H, W, 3) RGB, both sides at least 1."""
    height, width = pixels.shape[:2]
    rows = np.zeros((height, 1 + pixels[0].size), np.uint8)
    rows[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, _GREY if pixels.ndim == 2 else _RGB, 0, 0, 0)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", _deflated(rows)) + _chunk(b"IEND", b"")


def _deflated(rows: NDArray[Any]) -> bytes:
    return zlib.compress(rows.tobytes(), 6)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
