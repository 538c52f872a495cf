"""Finds how each image of a series is shifted against the one before it."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from image_registration.registration_utils import register_images

from compox_core.runners import Image2AlignmentRunner


class Runner(Image2AlignmentRunner):
    """Phase correlation. Fetching the images and storing the matrices is done by `Image2AlignmentRunner`."""

    def inference(self, images: np.ndarray, args: dict[str, Any]) -> list[np.ndarray]:
        """Return N-1 homographies (3, 3), float64; number i maps pixels of image i+1 onto image i."""
        homographies = register_images(
            images,
            args["max_translation"],
            self.set_progress,
            partial(self.log_message, logging_level="WARNING"),
        )
        for number, homography in enumerate(homographies, start=1):
            x, y = homography[:2, 2]
            self.log_message(f"Image {number + 1} onto image {number}: {x:+.2f} pixels in x, {y:+.2f} in y.")
        return homographies
