"""What the training demo learns from and is examined on: scikit-image's pictures, and the same in little light.

The tissue (`immunohistochemistry`, Center for Microscopy And Molecular Imaging) is taken as four fields of view of one
slide: three to learn from, the fourth for the examination. The phase image of a cell (`cell`, Paul Müller and others,
CC0) is learned from, too. The retina (`retina`, Häggström, CC0) is never seen: it is a picture of another kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from skimage import data
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle

from demo.judge import psnr

PHOTONS = 30  # that a white pixel gets on average
READ_NOISE = 3.0  # standard deviation, in grey values
PICTURES_OF_EACH = 2  # with noise of their own

WEIGHTS = (0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.25, 0.3)
STRENGTHS = (0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class Pair:
    """A picture as a camera takes it in little light, and the truth: (H, W) or (H, W, 3), uint8."""

    noisy: np.ndarray
    clean: np.ndarray


def photographed(clean: np.ndarray, seed: int) -> Pair:
    """Return a picture, and it in little light: with Poisson noise of the photons and Gaussian noise of the camera."""
    rng = np.random.default_rng(seed)
    light = rng.poisson(clean / 255 * PHOTONS) * (255 / PHOTONS)
    noisy = light + rng.normal(0, READ_NOISE, clean.shape)
    return Pair(np.clip(np.rint(noisy), 0, 255).astype(np.uint8), clean)


def lessons(quick: bool = False) -> list[Pair]:
    """Return what to learn from: three fields of view of tissue, and a cell; small ones where it is to be quick."""
    tissue = data.immunohistochemistry()
    pictures = [tissue[:256, :256], tissue[:256, 256:], tissue[256:, :256], data.cell()]
    if quick:
        pictures = [picture[:64, :64] for picture in pictures[:2]]
    return [
        photographed(picture, seed=100 * number + again)
        for number, picture in enumerate(pictures)
        for again in range(PICTURES_OF_EACH)
    ]


def examination(quick: bool = False) -> dict[str, Pair]:
    """Return what nobody has learned from, by what to call it."""
    field = slice(256, 320) if quick else slice(256, 512)
    eye = slice(440, 504) if quick else slice(440, 760)
    return {
        "tissue, a new field": photographed(data.immunohistochemistry()[field, field], seed=1001),
        "retina, of another kind": photographed(np.ascontiguousarray(data.retina()[eye, eye, 1]), seed=1002),
    }


def best_total_variation(pair: Pair) -> np.ndarray:
    """Return what total variation makes of a picture with the best weight for it, which only the truth tells."""
    axis = -1 if pair.noisy.ndim == 3 else None
    return _best(
        pair, [lambda w=w: denoise_tv_chambolle(pair.noisy / 255, weight=w, channel_axis=axis) for w in WEIGHTS]
    )


def best_non_local_means(pair: Pair) -> np.ndarray:
    """Return what non-local means make of a picture, with the true noise and the strength that is best for it."""
    axis = -1 if pair.noisy.ndim == 3 else None
    sigma = float(np.std(pair.noisy / 255 - pair.clean / 255))
    options = {"sigma": sigma, "patch_size": 5, "patch_distance": 6, "fast_mode": True, "channel_axis": axis}
    return _best(pair, [lambda h=h: denoise_nl_means(pair.noisy / 255, h=h * sigma, **options) for h in STRENGTHS])


def _best(pair: Pair, attempts: list[Callable[[], np.ndarray]]) -> np.ndarray:
    results = (np.clip(np.rint(255 * attempt()), 0, 255).astype(np.uint8) for attempt in attempts)
    return max(results, key=lambda result: psnr(pair.clean, result))
