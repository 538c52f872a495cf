"""What the demo works on: scikit-image's pictures, spoiled in known ways, and the truth about them.

All four pictures come with scikit-image and are read without a network: `cell` (a cell in a phase image, Paul Müller
and others, CC0), `immunohistochemistry` (stained tissue in colour, Center for Microscopy And Molecular Imaging),
`microaneurysms` (part of a retina, Andreas Maier, CC0), `coins` (Brooklyn Museum).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage import data
from skimage.filters import sobel
from skimage.measure import label
from skimage.morphology import remove_small_objects
from skimage.segmentation import watershed

NOISE = 25.0  # standard deviation, of 255 grey values
PICTURES = {"cell": "cell", "tissue": "immunohistochemistry", "retina": "microaneurysms", "coins": "coins"}
COINS = 24  # counted by eye
PLACES = [(0.0, 0.0), (14.3, -22.6), (-9.7, 17.2), (25.4, 8.9), (-18.8, -13.5)]  # (y, x) of each frame, pixels
FRAME = slice(106, 406)  # rows and columns of the frame at (0, 0)
MARGIN = 40  # pixels beyond the frame that the interpolation may look at
BALLS = 40


@dataclass(frozen=True)
class Series:
    """Frames (N, H, W, 3), uint8, that a camera would take of one specimen while it drifts, and (y, x) of each."""

    frames: np.ndarray
    places: list[tuple[float, float]]


@dataclass(frozen=True)
class Balls:
    """A volume (Z, Y, X), uint8, of noisy balls, and the centres (N, 3) of these."""

    volume: np.ndarray
    centres: np.ndarray


def clean(name: str) -> np.ndarray:
    """Return one of `PICTURES` as scikit-image has it: uint8, (H, W), or (H, W, 3) in colour."""
    picture: np.ndarray = getattr(data, PICTURES[name])()
    return picture


def noisy(picture: np.ndarray, seed: int, deviation: float = NOISE) -> np.ndarray:
    """Return a picture with Gaussian noise, the same for the same seed; uint8."""
    noise = np.random.default_rng(seed).normal(0, deviation, picture.shape)
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


def coins_reference() -> np.ndarray:
    """Return the mask of the coins (H, W), bool, against which segmentations are judged.

    It is made from the clean picture by another method than thresholding: a watershed on the gradient from markers
    that are surely coin or surely background. That its 24 regions are the 24 coins, edges included, was checked by eye.
    """
    coins = data.coins()
    markers = np.zeros(coins.shape, np.int32)
    markers[coins < 30] = 1
    markers[coins > 150] = 2
    filled = ndimage.binary_fill_holes(watershed(sobel(coins), markers) == 2)
    reference: np.ndarray = remove_small_objects(label(filled), max_size=100) > 0
    return reference


def drifting_tissue() -> Series:
    """Return five noisy frames of tissue, each cut at a known fraction of a pixel from the others."""
    around = slice(FRAME.start - MARGIN, FRAME.stop + MARGIN)
    channels = np.moveaxis(data.immunohistochemistry()[around, around].astype(np.float64), -1, 0)
    frames = []
    for number, (y, x) in enumerate(PLACES):
        # What moves the picture by (-y, -x) shows at each place what lay (y, x) further on.
        moved = np.stack([ndimage.shift(channel, (-y, -x), order=3, mode="nearest") for channel in channels], axis=-1)
        frames.append(noisy(moved[MARGIN:-MARGIN, MARGIN:-MARGIN], seed=100 + number, deviation=10))
    return Series(np.stack(frames), PLACES)


def scattered_balls(count: int = BALLS, shape: tuple[int, int, int] = (48, 192, 192)) -> Balls:
    """Return a made-up volume of balls that do not touch, of radius 5 to 11 voxels, blurred and noisy."""
    rng = np.random.default_rng(7)
    volume = np.full(shape, 30.0)
    centres: list[np.ndarray] = []
    radii: list[float] = []
    while len(centres) < count:
        radius = rng.uniform(5, 11)
        centre = rng.uniform(radius + 2, np.array(shape) - radius - 3)
        if all(np.linalg.norm(centre - c) > radius + r + 4 for c, r in zip(centres, radii, strict=True)):
            _put_ball(volume, centre, radius, brightness=rng.uniform(110, 220))
            centres.append(centre)
            radii.append(radius)
    return Balls(noisy(ndimage.gaussian_filter(volume, 1), seed=8), np.array(centres))


def _put_ball(volume: np.ndarray, centre: np.ndarray, radius: float, brightness: float) -> None:
    around = tuple(slice(int(c - radius), int(c + radius) + 2) for c in centre)
    distance = sum((axis - c) ** 2 for axis, c in zip(np.mgrid[around], centre, strict=True))
    volume[around][distance <= radius**2] = brightness
