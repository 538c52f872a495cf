"""Separates bright objects from a dark background."""

from __future__ import annotations

from typing import Any

import numpy as np
from image_segmentation.segmentation_utils import segment_images

from compox_core.runners import Image2SegmentationRunner


class Runner(Image2SegmentationRunner):
    """Thresholding. Fetching the images and storing the masks is done by `Image2SegmentationRunner`."""

    def inference(self, images: np.ndarray, args: dict[str, Any]) -> np.ndarray:
        """Return one mask for each image: (N, H, W), uint8, 1 on objects and 0 on the background."""
        method = args["thresholding_algorithm"]
        masks = segment_images(images, method, self.set_progress)
        for number, mask in enumerate(masks):
            self.log_message(f"Image {number + 1}: '{method}' marks {mask.mean():.1%} of the pixels.")
        return masks
