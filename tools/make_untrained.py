"""Makes the assets of the trainable template, `algorithms/template_training_algorithm/files/`: an untrained network."""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "algorithms" / "template_training_algorithm"
sys.path.insert(0, str(FOLDER))

from learned_denoising.state import untrained  # noqa: E402  # which is found now


def main() -> None:
    """Write the files."""
    for path, content in untrained().assets().items():
        (FOLDER / path).write_bytes(content)


if __name__ == "__main__":
    main()
