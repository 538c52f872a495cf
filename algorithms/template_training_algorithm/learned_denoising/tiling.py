"""Denoising of images of any size, piece by piece: memory is needed for one piece at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from learned_denoising.scaling import scale_of
from learned_denoising.unet import UNet

MARGIN = -(-UNet.reach // UNet.stride) * UNet.stride


def denoise_images(
    network: UNet,
    images: np.ndarray,
    strength: float = 1.0,
    tile: int = 256,
    report: Callable[[float], None] = lambda fraction: None,
) -> np.ndarray:
    """Return the images without their noise, each channel computed from itself alone.

    Args:
        network: What to denoise with, on the device where to do it.
        images: (N, H, W), or (N, 3, H, W) for RGB; integers or floats.
        strength: How much of what the network takes for noise is taken away; 0 changes nothing.
        tile: The side of the squares that are computed at a time, in pixels; it does not change the result.
        report: Called after each square with the fraction that is done.

    Returns:
        An array of the same shape, within the range of each input channel. Integers keep their dtype; floats of any
        size come back as float32.

    Raises:
        ValueError: when an image holds NaN or infinite values.
    """
    integers = np.issubdtype(images.dtype, np.integer)
    denoised = np.empty(images.shape, images.dtype if integers else np.float32)
    channels = images.reshape(-1, *images.shape[-2:])
    results = denoised.reshape(channels.shape)
    for number, channel in enumerate(channels if integers else channels.astype(np.float32)):
        if not np.isfinite(channel).all():
            raise ValueError(
                f"Image {number * len(images) // len(channels) + 1} of {len(images)} holds NaN or infinite values, "
                "which would spread over the result: replace them first, for example with numpy.nan_to_num."
            )
        done = number / len(channels)
        smooth = _denoise(network, channel, strength, tile, lambda part, done=done: report(done + part / len(channels)))
        results[number] = np.rint(smooth) if integers else smooth
    return denoised


def _denoise(
    network: UNet, image: np.ndarray, strength: float, tile: int, report: Callable[[float], None]
) -> np.ndarray:
    """Return one channel (H, W) as floats in its own range."""
    scale = scale_of(image)
    if scale.span == 0 or strength == 0:
        return image.astype(np.float64)
    height, width = image.shape
    scaled = scale.apply(image)
    # What lies beyond the edges is the image mirrored, up to sides that the network can halve.
    padded = np.pad(
        scaled,
        ((MARGIN, MARGIN + -height % UNet.stride), (MARGIN, MARGIN + -width % UNet.stride)),
        mode="symmetric",
    )
    smooth = np.empty_like(scaled)
    corners = list(_corners(height, width, -(-tile // UNet.stride) * UNet.stride))
    for number, (rows, columns) in enumerate(corners):
        window = padded[rows.start : rows.stop + 2 * MARGIN, columns.start : columns.stop + 2 * MARGIN]
        inner = _through(network, window)[MARGIN:, MARGIN:]
        part = smooth[rows, columns]
        part[:] = inner[: part.shape[0], : part.shape[1]]
        report((number + 1) / len(corners))
    blended = scaled + strength * (smooth - scaled)
    return np.clip(scale.undo(blended), image.min(), image.max())


def _corners(height: int, width: int, tile: int) -> Iterator[tuple[slice, slice]]:
    """Yield the rows and columns of each tile, up to the sides that the network can halve."""
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            bottom, right = min(top + tile, height), min(left + tile, width)
            yield slice(top, bottom + -bottom % UNet.stride), slice(left, right + -right % UNet.stride)


def _through(network: UNet, window: np.ndarray) -> np.ndarray:
    weights = next(network.parameters())
    with torch.inference_mode():
        result: np.ndarray = network(torch.from_numpy(window.copy())[None, None].to(weights.device)).cpu().numpy()[0, 0]
    return result
