"""Removes noise from images and keeps their edges."""

from __future__ import annotations

from typing import Any

import numpy as np
from image_denoising.denoising_utils import denoise_images

from compox_core.runners import Image2ImageRunner


class Runner(Image2ImageRunner):
    """Total-variation denoising. Fetching and storing the images is done by `Image2ImageRunner`."""

    def inference(self, images: np.ndarray, args: dict[str, Any]) -> np.ndarray:
        """Return the denoised images, of the same shape: (N, H, W), or (N, 3, H, W) for RGB."""
        weight = args["denoising_weight"]
        self.log_message(f"Denoising {len(images)} images of {images.dtype} with weight {weight:g}.")
        return denoise_images(images, weight, self.set_progress)
