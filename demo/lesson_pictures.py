"""The pictures that the training demo leaves behind: what was measured while it learned, and what it learned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from compox_core import MetricHistory
from demo.pictures import ACCENT, FAINT, GROUND, TEXT

WIDTH, MARGIN, GAP = 11.2, 0.14, 0.1  # inches
TITLE, NOTE = 0.44, 0.36  # heights of a line of text, in inches


def draw_curves(history: MetricHistory, path: Path) -> Path:
    """Draw the error and the signal-to-noise ratio of each epoch, and return the path of the PNG."""
    figure = Figure(figsize=(10, 3.9), dpi=110, facecolor=GROUND, layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, colour, said in (("loss", FAINT, "what it learns from"), ("val_loss", ACCENT, "kept aside")):
        left.plot(history.steps(name), history.values(name), color=colour, lw=2, marker="o", ms=3.5, label=said)
    left.set_ylim(bottom=0)
    left.set_title("mean absolute error, of a range of 1")
    right.plot(history.steps("val_psnr"), history.values("val_psnr"), color=ACCENT, lw=2, marker="o", ms=3.5)
    right.set_title("PSNR of what is kept aside, dB")
    for axes in (left, right):
        axes.set_facecolor(GROUND)
        axes.set_xlabel("epoch", color=FAINT)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.title.set(color=TEXT, size=12)
        axes.tick_params(colors=FAINT)
        axes.grid(alpha=0.15)
        for spine in axes.spines.values():
            spine.set_visible(False)
    left.legend(frameon=False, labelcolor=TEXT)
    figure.savefig(path, facecolor=GROUND)
    return path


def draw_results(columns: Sequence[tuple[str, np.ndarray, str]], path: Path, good: int) -> Path:
    """Draw pictures beside each other, a detail of each below it, and return the path of the PNG.

    Args:
        columns: A title, a picture (H, W) or (H, W, 3), uint8, and a note, for each.
        path: The file to write.
        good: The number of the column that is praised.
    """
    height, width = columns[0][1].shape[:2]
    detail = slice(height // 4, height * 9 // 16), slice(width * 3 // 8, width * 11 // 16)
    side = (WIDTH - 2 * MARGIN - GAP * (len(columns) - 1)) / len(columns)
    height = TITLE + 2 * side + GAP + NOTE
    figure = Figure(figsize=(WIDTH, height), dpi=110, facecolor=GROUND)
    for number, (title, picture, note) in enumerate(columns):
        left = MARGIN + number * (side + GAP)
        middle = (left + side / 2) / WIDTH
        for top, image in ((TITLE, picture), (TITLE + side + GAP, picture[detail])):
            axes = figure.add_axes((left / WIDTH, 1 - (top + side) / height, side / WIDTH, side / height))
            axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="lanczos")
            axes.set_axis_off()
        text = {"ha": "center", "va": "top"}
        figure.text(middle, 1 - 0.1 / height, title, color=TEXT, size=13, weight="bold", **text)
        colour = ACCENT if number == good else FAINT
        figure.text(middle, (NOTE - 0.08) / height, note, color=colour, size=11, **text)
    figure.savefig(path, facecolor=GROUND)
    return path
