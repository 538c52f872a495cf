"""Translations between consecutive images, by phase correlation.

A shift here is (y, x) in pixels, and is what moves an image onto its reference: `reference[p] = image[p - shift]`.

Method: phase correlation (C. Kuglin, D. Hines, "The phase correlation image alignment method", 1975) of the smoothed
images finds the shift to a pixel; a cross-correlation of what the two images share, upsampled by a matrix Fourier
transform (M. Guizar-Sicairos, S. Thurman, J. Fienup, Optics Letters 33, 2008; in scikit-image), refines it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import fft
from scipy.ndimage import gaussian_filter
from skimage.color import rgb2gray
from skimage.filters import window
from skimage.registration import phase_cross_correlation

SMOOTHING = 2.0  # pixels; what is finer than this is noise as a rule
UPSAMPLING = 50  # steps in a pixel
LARGEST_CORRECTION = 2.0  # pixels; a refinement that moves further has found something else
SMALLEST_OVERLAP = 16  # pixels along an axis; less cannot be refined


class Match(NamedTuple):
    """The best whole-pixel shift within the bound, and whether a larger one fitted better."""

    shift: tuple[int, int]
    larger_is_better: bool


def register_images(
    images: np.ndarray,
    max_translation: float,
    report: Callable[[float], None] = lambda fraction: None,
    warn: Callable[[str], None] = lambda message: None,
) -> list[np.ndarray]:
    """Return the N-1 homographies between consecutive images, as arrays (3, 3) of float64.

    Number i maps the pixel (x, y, 1) of image i+1, a column vector with x to the right and y down, to the place in
    image i that shows the same: `H = [[1, 0, tx], [0, 1, ty], [0, 0, 1]]`.

    Args:
        images: (N, H, W), or (N, 3, H, W) for RGB, which is judged by its luminance; at least two.
        max_translation: The largest |ty| as a fraction of H and |tx| as a fraction of W. Where a larger shift fits
            better, the best one within the bound is taken all the same.
        report: Called after each pair with the fraction that is done.
        warn: Called with a text when a pair cannot be trusted.

    Raises:
        ValueError: when there are fewer than two images, or one holds NaN or infinite values.
    """
    if len(images) < 2:
        raise ValueError(
            "Registration compares consecutive images, so it needs at least two. "
            "(An array of shape (3, H, W) is one RGB image: give three grey images as a list.)"
        )
    homographies = []
    reference = _prepared(images, 0)
    for number in range(1, len(images)):
        moving = _prepared(images, number)
        pair = f"Images {number} and {number + 1}"
        if np.ptp(reference) == 0 or np.ptp(moving) == 0:
            warn(f"{pair}: one of them has no contrast, so the shift between them is unknown and is taken as none.")
            shift = np.zeros(2)
        else:
            match = find_shift(reference, moving, max_translation)
            if match.larger_is_better:
                warn(f"{pair}: a shift beyond max_translation = {max_translation:g} fits better and was not used.")
            shift = refine_shift(reference, moving, match.shift, max_translation)
        homographies.append(homography(shift))
        reference = moving
        report(number / (len(images) - 1))
    return homographies


def homography(shift: np.ndarray) -> np.ndarray:
    """Return the matrix (3, 3) that moves points (x, y, 1) by a shift (y, x)."""
    matrix = np.eye(3)
    matrix[:2, 2] = shift[1], shift[0]
    return matrix


def find_shift(reference: np.ndarray, moving: np.ndarray, max_translation: float) -> Match:
    """Return the whole-pixel shift within the bound at which two images (H, W) correlate best."""
    surface = phase_correlation(reference, moving)
    height, width = surface.shape
    # The correlation is periodic: index k stands for a shift by k and one by k minus the length of the axis.
    rows, columns = (np.minimum(np.arange(n), n - np.arange(n)) <= max_translation * n for n in surface.shape)
    allowed = rows[:, None] & columns
    y, x = (int(i) for i in np.unravel_index(np.argmax(np.where(allowed, surface, -np.inf)), surface.shape))
    shifts = [
        (dy, dx)
        for dy in (y, y - height)
        for dx in (x, x - width)
        if abs(dy) <= max_translation * height and abs(dx) <= max_translation * width
    ]
    best = max(shifts, key=lambda shift: likeness(*overlap(reference, moving, shift)))
    return Match(best, bool(surface.max() > surface[y, x]))


def phase_correlation(reference: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """Return how well two images (H, W) fit at each periodic shift, with what is finer than `SMOOTHING` left out."""
    # Tapered edges, because the Fourier transform sees a jump where the image ends.
    taper = window(("tukey", 0.25), reference.shape)
    spectrum = fft.rfft2((reference - reference.mean()) * taper)
    spectrum *= np.conj(fft.rfft2((moving - moving.mean()) * taper))
    spectrum /= np.maximum(np.abs(spectrum), np.finfo(spectrum.real.dtype).tiny)
    frequency = fft.fftfreq(reference.shape[0])[:, None] ** 2 + fft.rfftfreq(reference.shape[1]) ** 2
    spectrum *= np.exp(-2 * (np.pi * SMOOTHING) ** 2 * frequency)
    return fft.irfft2(spectrum, s=reference.shape)


def refine_shift(
    reference: np.ndarray, moving: np.ndarray, shift: tuple[int, int], max_translation: float
) -> np.ndarray:
    """Return a whole-pixel shift with its fraction of a pixel, within the bound: (y, x), float64."""
    first, second = overlap(reference, moving, shift)
    refined = np.array(shift, float)
    if min(first.shape) >= SMALLEST_OVERLAP:
        taper = window("hann", first.shape)
        parts = [gaussian_filter(part - part.mean(), SMOOTHING) * taper for part in (first, second)]
        correction = phase_cross_correlation(*parts, upsample_factor=UPSAMPLING, normalization=None)[0]
        if np.abs(correction).max() <= LARGEST_CORRECTION:
            refined += correction
    bound = max_translation * np.array(reference.shape)
    return np.clip(refined, -bound, bound)


def overlap(reference: np.ndarray, moving: np.ndarray, shift: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the parts of two images of one shape that lie on each other when the second is moved by `shift`."""
    here = tuple(slice(max(d, 0), max(n + min(d, 0), 0)) for d, n in zip(shift, reference.shape, strict=True))
    there = tuple(slice(max(-d, 0), max(n + min(-d, 0), 0)) for d, n in zip(shift, reference.shape, strict=True))
    return reference[here], moving[there]


def likeness(first: np.ndarray, second: np.ndarray) -> float:
    """Return the correlation coefficient of two images, in [-1, 1]; -1 where it is not defined."""
    if first.size == 0 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return -1.0
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def _prepared(images: np.ndarray, number: int) -> np.ndarray:
    """Return an image as (H, W), floats; RGB by its luminance."""
    image = images[number]
    grey = rgb2gray(image, channel_axis=0) if image.ndim == 3 else image
    if not np.isfinite(grey).all():
        raise ValueError(
            f"Image {number + 1} of {len(images)} holds NaN or infinite values: replace them first, for example with "
            "numpy.nan_to_num."
        )
    return grey.astype(np.float64)
