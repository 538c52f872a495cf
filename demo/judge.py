"""How good a result is, against a truth that is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from skimage.measure import label


def psnr(truth: np.ndarray, image: np.ndarray, peak: float = 255.0) -> float:
    """Return the peak signal-to-noise ratio in decibels; infinite for equal images.

    Args:
        truth: The image as it should be, any shape.
        image: The image that is judged, of the same shape.
        peak: The largest value that a pixel can have.
    """
    error = np.mean((truth.astype(np.float64) - image.astype(np.float64)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(peak**2 / error))


def iou(first: np.ndarray, second: np.ndarray) -> float:
    """Return the intersection over union of two masks, in [0, 1]; 1 for two empty ones."""
    first, second = first.astype(bool), second.astype(bool)
    union = np.count_nonzero(first | second)
    return 1.0 if union == 0 else float(np.count_nonzero(first & second) / union)


def found_objects(mask: np.ndarray, reference: np.ndarray, share: float = 0.5) -> tuple[int, int]:
    """Return how many objects of `reference` a mask finds, and how many there are.

    An object is a connected region; it is found when more than `share` of its pixels are in the mask, and of that part
    of the mask no pixel belongs to another object.
    """
    objects, parts = label(reference > 0), label(mask > 0)
    numbers = range(1, int(objects.max()) + 1)
    found = 0
    for number in numbers:
        inside = parts[objects == number]
        main = int(np.bincount(inside[inside > 0], minlength=1).argmax()) if inside.any() else 0
        alone = main > 0 and set(np.unique(objects[parts == main])) <= {0, number}
        found += bool(alone and np.mean(inside == main) > share)
    return found, len(numbers)


def shift_errors(homographies: Sequence[np.ndarray], places: Sequence[tuple[float, float]]) -> list[float]:
    """Return how many pixels each translation is off.

    Args:
        homographies: N-1 matrices (3, 3); number i maps image i+1 onto image i.
        places: (y, x) of each of the N images in one common picture, in pixels.
    """
    true = np.diff(np.asarray(places, float), axis=0)
    found = np.array([(matrix[1, 2], matrix[0, 2]) for matrix in homographies]).reshape(-1, 2)
    if len(found) != len(true):
        raise ValueError(f"{len(places)} images have {len(true)} shifts between them, not {len(found)}.")
    return [float(distance) for distance in np.hypot(*(found - true).T)]
