"""Total-variation denoising of stacks of images.

Method: A. Chambolle, "An algorithm for total variation minimization and applications", J. Math. Imaging Vis. 20 (2004),
as scikit-image has it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from skimage.restoration import denoise_tv_chambolle

SMALLEST_WEIGHT = 1e-6  # less changes nothing that a float32 could show


def denoise_images(
    images: np.ndarray, weight: float, report: Callable[[float], None] = lambda fraction: None
) -> np.ndarray:
    """Return the images without their noise, each computed from itself alone.

    Args:
        images: (N, H, W), or (N, 3, H, W) for RGB; integers or floats.
        weight: How much to smooth, relative to the range of intensities in an image; 0 changes nothing.
        report: Called after each image with the fraction that is done.

    Returns:
        An array of the same shape, within the range of each input image. Integers keep their dtype; floats of any
        size come back as float32.

    Raises:
        ValueError: when an image holds NaN or infinite values.
    """
    integers = np.issubdtype(images.dtype, np.integer)
    denoised = np.empty(images.shape, images.dtype if integers else np.float32)
    for number, image in enumerate(images if integers else images.astype(np.float32)):
        if not np.isfinite(image).all():
            raise ValueError(
                f"Image {number + 1} of {len(images)} holds NaN or infinite values, which would spread over the whole "
                "result: replace them first, for example with numpy.nan_to_num."
            )
        smooth = denoise_image(image, weight)
        denoised[number] = np.rint(smooth) if integers else smooth
        report((number + 1) / len(images))
    return denoised


def denoise_image(image: np.ndarray, weight: float) -> np.ndarray:
    """Return one image (H, W) or (3, H, W) without its noise, as floats in the image's own range.

    The image is scaled to [0, 1] before, so that a weight means the same for 8-bit, 16-bit and float images.
    """
    lowest, highest = image.min(), image.max()
    span = float(highest) - float(lowest)
    # A constant image has nothing to smooth and no range to be scaled by, and the method divides by the weight.
    if span == 0 or weight < SMALLEST_WEIGHT:
        return image.astype(np.float64)
    scaled = ((image.astype(np.float64) - float(lowest)) / span).astype(np.float32)
    smooth = denoise_tv_chambolle(scaled, weight=weight, channel_axis=0 if image.ndim == 3 else None)
    return np.clip(smooth.astype(np.float64) * span + float(lowest), lowest, highest)
