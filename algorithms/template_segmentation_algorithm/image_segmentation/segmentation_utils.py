"""Thresholding of stacks of images by the methods of scikit-image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from skimage import filters
from skimage.color import rgb2gray

GLOBAL_METHODS: dict[str, Callable[[np.ndarray], float]] = {
    "otsu": filters.threshold_otsu,
    "yen": filters.threshold_yen,
    "li": filters.threshold_li,
    "minimum": filters.threshold_minimum,
    "mean": filters.threshold_mean,
    "triangle": filters.threshold_triangle,
    "isodata": filters.threshold_isodata,
}
METHODS = (*GLOBAL_METHODS, "local")


def segment_images(
    images: np.ndarray, method: str, report: Callable[[float], None] = lambda fraction: None
) -> np.ndarray:
    """Return a mask for each image: (N, H, W), uint8, 1 where the image is brighter than its threshold, else 0.

    Args:
        images: (N, H, W), or (N, 3, H, W) for RGB, which is judged by its luminance; integers or floats.
        method: One of `METHODS`.
        report: Called after each image with the fraction that is done.

    Raises:
        ValueError: when the method is unknown, an image holds NaN or infinite values, or the method finds no
            threshold in it; the message names the image.
    """
    if method not in METHODS:
        raise ValueError(f"There is no method '{method}': choose one of {', '.join(METHODS)}.")
    masks = np.zeros((len(images), *images.shape[-2:]), np.uint8)
    for number, image in enumerate(images):
        try:
            masks[number] = segment_image(image, method)
        except ValueError as error:
            raise ValueError(f"Image {number + 1} of {len(images)}: {error}") from error
        report((number + 1) / len(images))
    return masks


def segment_image(image: np.ndarray, method: str) -> np.ndarray:
    """Return the mask of one image (H, W) or (3, H, W), bool; empty for an image without any contrast."""
    grey = luminance(image)
    if grey.dtype != np.uint8:
        # Of floats, the methods take a histogram of 256 bins from the darkest to the brightest pixel. Of 16-bit
        # integers they would take one bin for each value, most of them empty, which 'minimum' cannot use.
        grey = grey.astype(np.float32)
    if not np.isfinite(grey).all():
        raise ValueError("it holds NaN or infinite values; replace them first, for example with numpy.nan_to_num.")
    if grey.min() == grey.max():
        return np.zeros(grey.shape, bool)
    return grey > (local_threshold(grey) if method == "local" else global_threshold(grey, method))


def luminance(image: np.ndarray) -> np.ndarray:
    """Return an image as (H, W): a grey one as it is, RGB (3, H, W) by the weights 0.2125, 0.7154, 0.0721."""
    if image.ndim == 2:
        return image
    return rgb2gray(image, channel_axis=0)


def global_threshold(grey: np.ndarray, method: str) -> float:
    """Return the one value that separates the objects of an image from its background."""
    try:
        return GLOBAL_METHODS[method](grey)
    except RuntimeError as error:
        # Only 'minimum' does this: it smooths the histogram until two maxima are left.
        raise ValueError(
            f"'{method}' finds no threshold, because the histogram of the image has no two maxima; "
            "choose another method, 'otsu' for example."
        ) from error


def local_threshold(grey: np.ndarray) -> np.ndarray:
    """Return a threshold for each pixel: the Gaussian-weighted mean of its neighbourhood.

    The neighbourhood spans about half of the image's shorter side, so that it holds objects and background alike.
    """
    side = min(grey.shape)
    if side < 3:
        raise ValueError(f"'local' needs images of at least 3 x 3 pixels, not {grey.shape[0]} x {grey.shape[1]}.")
    block = max(side // 2, 3)
    return filters.threshold_local(grey, block - 1 + block % 2)
