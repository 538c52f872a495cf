"""The scale on which the network sees every image, whatever its dtype and exposure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

PERCENTS = (1, 99)  # a few hot or dead pixels do not change the scale


class Scale(NamedTuple):
    """Which intensity becomes 0, and how many are between 0 and 1."""

    low: float
    span: float

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Return an image on this scale, float32. Most of it lies in [0, 1]; nothing is cut off."""
        return ((image.astype(np.float64) - self.low) / self.span).astype(np.float32)

    def undo(self, image: np.ndarray) -> np.ndarray:
        """Return an image as it was before, float64."""
        return image.astype(np.float64) * self.span + self.low


def scale_of(image: np.ndarray) -> Scale:
    """Return the scale of one image (H, W); its span is 0 where all pixels are equal."""
    low, high = (float(value) for value in np.percentile(image.astype(np.float64), PERCENTS))
    if low == high:  # nearly all pixels are equal
        low, high = float(image.min()), float(image.max())
    return Scale(low, high - low)
