"""Makes what the trainable template is shipped with, `algorithms/template_training_algorithm/files/`: an untrained
network, which returns what it is given, and a sample to try it on."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

FOLDER = Path(__file__).parents[1] / "algorithms" / "template_training_algorithm"
sys.path.insert(0, str(FOLDER))


def noisy_tissue() -> np.ndarray:
    """Return tissue in the noise of few photons: (128, 128)."""
    rng = np.random.default_rng(3)
    grey = data.immunohistochemistry()[260:388, 300:428, 1] / 255
    return np.clip(np.rint(255 * (rng.poisson(30 * grey) / 30 + rng.normal(0, 0.012, grey.shape))), 0, 255).astype(
        np.uint8
    )


def main() -> None:
    """Write the files."""
    from learned_denoising.state import untrained

    for path, content in untrained().assets().items():
        (FOLDER / path).write_bytes(content)
    (FOLDER / "files" / "sample").mkdir(exist_ok=True)
    Image.fromarray(noisy_tissue()).save(FOLDER / "files" / "sample" / "tissue.png", optimize=True)


if __name__ == "__main__":
    main()
