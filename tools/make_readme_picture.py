"""Makes the picture of README, `docs/images/demo.png`, from what `make demo` has left in `demo-output/result.png`.

It is smaller and has fewer shades: noise does not compress, and in noise nobody sees the missing shades.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
WIDTH = 1000  # pixels
UPPER = 0.475  # the part of the height that shows the noisy inputs
STEP_ABOVE, STEP_BELOW = 12, 4  # grey values between two shades
NEAR = 3  # grey values from the ground that count as ground


def main() -> None:
    """Write the picture."""
    result = Image.open(ROOT / "demo-output" / "result.png").convert("RGB")
    small = result.resize((WIDTH, round(result.height * WIDTH / result.width)), Image.Resampling.LANCZOS)
    pixels = np.asarray(small).astype(int)
    ground = pixels[0, 0]
    rows = np.arange(len(pixels))[:, None, None]
    step = np.where(rows < UPPER * len(pixels), STEP_ABOVE, STEP_BELOW)
    fewer = np.clip(np.rint(pixels / step) * step, 0, 255)
    fewer = np.where((np.abs(pixels - ground) <= NEAR).all(axis=-1, keepdims=True), ground, fewer)
    target = ROOT / "docs" / "images" / "demo.png"
    Image.fromarray(fewer.astype(np.uint8)).save(target, optimize=True)
    print(f"{target.relative_to(ROOT)}: {target.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
