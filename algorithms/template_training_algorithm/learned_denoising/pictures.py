"""Pairs of a noisy and a clean picture, on the local disk, of which parts are read when they are needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from learned_denoising.scaling import Scale, scale_of

SMALLEST = 16  # pixels


class Region(NamedTuple):
    """A rectangle of a picture, in pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Picture:
    """One channel of a pair: two `.npy` files (C, H, W), the scale of the noisy channel, which both are brought to,
    and which part is learned from and which is kept aside.

    It holds no pixels, so it costs nothing to hand to a worker process.
    """

    noisy: Path
    clean: Path
    channel: int
    scale: Scale
    learned: Region
    aside: Region

    def cut(self, top: int, left: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a rectangle of the noisy and of the clean channel, (height, width), scaled, float32."""
        rows, columns = slice(top, top + height), slice(left, left + width)
        noisy, clean = (
            self.scale.apply(np.load(path, mmap_mode="r")[self.channel, rows, columns])
            for path in (self.noisy, self.clean)
        )
        return noisy, clean


def keep_pair(
    noisy: np.ndarray, clean: np.ndarray, base: Path, share: float, seed: list[int], name: str
) -> list[Picture]:
    """Write a pair to `<base>-noisy.npy` and `<base>-clean.npy` and return its channels; a constant one is left out.

    Args:
        noisy: (H, W), or (3, H, W) for RGB.
        clean: The same place without noise, of the same shape.
        base: Where to write.
        share: How much of the picture is kept aside, along one of its four edges.
        seed: Decides which edge that is.
        name: What to call the pair in messages.

    Raises:
        ValueError: when the two do not fit, are smaller than 16 pixels, or hold NaN or infinite values.
    """
    if noisy.shape != clean.shape:
        raise ValueError(f"{name}: the noisy picture has the shape {noisy.shape} and the clean one {clean.shape}.")
    if min(noisy.shape[-2:]) < SMALLEST:
        raise ValueError(
            f"{name} has the shape {noisy.shape}: pictures to learn from have at least {SMALLEST} pixels a side."
        )
    files = []
    for kind, image in (("noisy", noisy), ("clean", clean)):
        if not np.isfinite(image.astype(np.float32)).all():
            raise ValueError(f"{name}: the {kind} picture holds NaN or infinite values; replace them first.")
        files.append(base.with_name(f"{base.name}-{kind}.npy"))
        np.save(files[-1], image if image.ndim == 3 else image[None])
    learned, aside = split(*noisy.shape[-2:], share, np.random.default_rng(seed))
    scales = [scale_of(channel) for channel in (noisy if noisy.ndim == 3 else noisy[None])]
    return [Picture(*files, number, scale, learned, aside) for number, scale in enumerate(scales) if scale.span > 0]


def split(height: int, width: int, share: float, rng: np.random.Generator) -> tuple[Region, Region]:
    """Return the part of a picture that is learned from, and the strip along one edge that is kept aside."""
    upright, at_end = rng.integers(2, size=2)
    length = width if upright else height
    strip = max(1, round(share * length))
    first, second = (0, length - strip) if at_end else (strip, 0)
    if upright:
        return Region(0, first, height, length - strip), Region(0, second, height, strip)
    return Region(first, 0, length - strip, width), Region(second, 0, strip, width)
