"""Makes `docs/images/training-*` from what `make demo-train` has left in `demo-output/training/`: smaller, and as JPEG
where there is noise, which PNG cannot compress."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
WIDTH = 1000  # pixels


def main() -> None:
    """Write the pictures."""
    options = {"loss-curve.png": {"optimize": True}, "result.jpg": {"quality": 88, "optimize": True}}
    for name, how in options.items():
        made = Image.open((ROOT / "demo-output" / "training" / name).with_suffix(".png")).convert("RGB")
        small = made.resize((WIDTH, round(made.height * WIDTH / made.width)), Image.Resampling.LANCZOS)
        target = ROOT / "docs" / "images" / f"training-{name}"
        (small if target.suffix == ".jpg" else small.quantize(64, dither=Image.Dither.NONE)).save(target, **how)
        print(f"{target.relative_to(ROOT)}: {target.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
