"""Makes the sample data of the template algorithms, `algorithms/*/files/sample/`, anew: the same bytes each time.

The pictures are scikit-image's: `cell` (Paul Müller and others, CC0), `coins` (Brooklyn Museum) and
`immunohistochemistry` (Center for Microscopy And Molecular Imaging), both without known copyright restrictions.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from scipy.ndimage import gaussian_filter, shift
from skimage import data
from skimage.color import rgb2gray

ALGORITHMS = Path(__file__).parents[1] / "algorithms"
SHIFTS = [(0.0, 0.0), (6.5, -4.25), (-3.0, 8.5), (10.25, 2.75)]  # (y, x) in pixels, of each page against the first
BALLS = [(6, 10, 12, 4), (12, 30, 14, 5), (15, 16, 36, 6), (9, 37, 37, 4), (19, 40, 24, 3)]  # z, y, x, radius in voxels


def noisy(image: np.ndarray, deviation: float, seed: int) -> np.ndarray:
    """Return an 8-bit image with Gaussian noise."""
    noise = np.random.default_rng(seed).normal(0, deviation, image.shape)
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


def noisy_cell() -> np.ndarray:
    """Return a cell, with noise: (160, 160)."""
    return noisy(data.cell()[295:455, 345:505], 25, seed=1)


def shifted_tissue() -> np.ndarray:
    """Return the same tissue in four places, each with a noise of its own: (4, 112, 112)."""
    tissue = 255 * rgb2gray(data.immunohistochemistry())
    # What moves the picture by -s shows at each place what lay s further on: the page is shifted by s.
    pages = [shift(tissue, (-y, -x), order=3, mode="nearest")[200:312, 60:172] for y, x in SHIFTS]
    return np.stack([noisy(page, 5, seed) for seed, page in enumerate(pages)])


def balls() -> np.ndarray:
    """Return a made-up volume of five blurred balls in noise: (24, 48, 48)."""
    place = np.indices((24, 48, 48))
    volume = np.full(place.shape[1:], 40.0)
    for *centre, radius in BALLS:
        distance = np.sqrt(sum((axis - c) ** 2 for axis, c in zip(place, centre, strict=True)))
        volume[distance <= radius] = 150
    return noisy(gaussian_filter(volume, 1), 12, seed=4)


def dim_tissue() -> np.ndarray:
    """Return tissue in the noise of few photons: (128, 128)."""
    rng = np.random.default_rng(3)
    light = data.immunohistochemistry()[260:388, 300:428, 1] / 255 * 30
    noise = rng.poisson(light) / 30 + rng.normal(0, 0.012, light.shape)
    return np.clip(np.rint(255 * noise), 0, 255).astype(np.uint8)


def main() -> None:
    """Write the files."""
    folders = {
        name: ALGORITHMS / f"template_{name}_algorithm" / "files" / "sample"
        for name in ("denoising", "segmentation", "registration", "volume", "training")
    }
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noisy_cell()).save(folders["denoising"] / "cell.png", optimize=True)
    Image.fromarray(data.coins()[:200, :256]).save(folders["segmentation"] / "coins.png", optimize=True)
    tifffile.imwrite(folders["registration"] / "tissue.tif", shifted_tissue(), photometric="minisblack", metadata=None)
    tifffile.imwrite(folders["volume"] / "balls.tif", balls(), photometric="minisblack", metadata=None)
    Image.fromarray(dim_tissue()).save(folders["training"] / "tissue.png", optimize=True)


if __name__ == "__main__":
    main()
