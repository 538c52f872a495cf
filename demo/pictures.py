"""The pictures that the demo leaves behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image
from scipy.ndimage import gaussian_filter, shift
from skimage.measure import label
from skimage.segmentation import find_boundaries

GROUND, TEXT, FAINT, ACCENT = "#10141b", "#eef2f7", "#9aa7b8", "#58d3c0"
WIDTH, MARGIN, GAP = 11.2, 0.14, 0.1  # inches
TITLE, NOTE = 0.46, 0.38  # heights of a line of text, in inches
LIGHT = np.array([0.75, -0.45, -0.45])  # where it comes from: (towards the viewer, y, x)


@dataclass(frozen=True)
class Column:
    """One column of the picture: what went in above, what came out below, (H, W) or (H, W, 3), and what to say."""

    title: str
    source: np.ndarray
    source_note: str
    result: np.ndarray
    result_note: str


def write_png(path: Path, image: np.ndarray) -> Path:
    """Write (H, W) or (H, W, 3), uint8, as PNG and return the path; a mask of zeros and ones as black and white."""
    pixels = image * np.uint8(255) if image.ndim == 2 and image.max() <= 1 else image
    Image.fromarray(np.ascontiguousarray(pixels, np.uint8)).save(path)
    return path


def compose(columns: list[Column], path: Path, dpi: int = 110) -> Path:
    """Draw the columns beside each other, all at one height, and return the path of the PNG."""
    ratios = [column.source.shape[1] / column.source.shape[0] for column in columns]
    side = (WIDTH - 2 * MARGIN - GAP * (len(columns) - 1)) / sum(ratios)
    height = TITLE + 2 * (side + NOTE) + MARGIN / 2
    figure = Figure(figsize=(WIDTH, height), dpi=dpi, facecolor=GROUND)
    left = MARGIN
    for column, ratio in zip(columns, ratios, strict=True):
        width = side * ratio
        for top, image, note, colour in (
            (TITLE, column.source, column.source_note, FAINT),
            (TITLE + side + NOTE, column.result, column.result_note, ACCENT),
        ):
            box = (left / WIDTH, 1 - (top + side) / height, width / WIDTH, side / height)
            axes = figure.add_axes(box)
            axes.imshow(image, cmap="gray", interpolation="lanczos" if len(image) < side * dpi else "antialiased")
            axes.set_axis_off()
            middle = (left + width / 2) / WIDTH
            figure.text(middle, 1 - (top + side + 0.08) / height, note, color=colour, size=10, ha="center", va="top")
        figure.text(middle, 1 - 0.1 / height, column.title, color=TEXT, size=14, weight="bold", ha="center", va="top")
        left += width + GAP
    figure.savefig(path)
    return path


def coloured(labels: np.ndarray) -> np.ndarray:
    """Return labels (H, W) as colours (H, W, 3) in [0, 1], unlike for neighbours in the numbering; 0 as the ground."""
    hues = (np.arange(int(labels.max()) + 1) * 0.618034) % 1
    palette = colormaps["hsv"](hues)[:, :3] * 0.7 + 0.3
    palette[0] = to_rgb(GROUND)
    return palette[labels]


def overlaid(image: np.ndarray, mask: np.ndarray, opacity: float = 0.38) -> np.ndarray:
    """Return an image (H, W), uint8, with each region of a mask tinted and outlined; (H, W, 3) in [0, 1]."""
    regions = label(mask > 0)
    colours = coloured(regions)
    grey = np.repeat(image[..., None] / 255, 3, axis=2)
    tinted = np.where(regions[..., None] > 0, (1 - opacity) * grey + opacity * colours, grey)
    edges = find_boundaries(regions, mode="inner")
    tinted[edges] = colours[edges]
    return tinted


def lit(labels: np.ndarray) -> np.ndarray:
    """Return labelled objects (Z, Y, X) as solid bodies in a side light, seen along z; (Y, X, 3) in [0, 1]."""
    first = np.argmax(labels > 0, axis=0)
    front = np.take_along_axis(labels, first[None], axis=0)[0]
    depth = gaussian_filter(np.where(front > 0, first, len(labels)).astype(np.float64), 1)
    dy, dx = np.gradient(depth)
    normals = np.stack([np.ones_like(depth), dy, dx], axis=-1)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    brightness = 0.35 + 0.75 * np.clip(normals @ LIGHT, 0, 1)
    colours = coloured(front)
    return np.where(front[..., None] > 0, np.clip(colours * brightness[..., None], 0, 1), colours)


def mean_of(frames: np.ndarray) -> np.ndarray:
    """Return the mean of frames (N, H, W, 3) as uint8."""
    return np.rint(frames.mean(axis=0)).clip(0, 255).astype(np.uint8)


def aligned(frames: np.ndarray, homographies: np.ndarray) -> np.ndarray:
    """Return frames (N, H, W, 3) moved onto the first by the N-1 translations between consecutive ones."""
    moved = [frames[0].astype(np.float64)]
    way = np.eye(3)
    for frame, matrix in zip(frames[1:], homographies, strict=True):
        way = way @ np.asarray(matrix)
        x, y = way[:2, 2]
        channels = [shift(channel.astype(np.float64), (y, x), order=1) for channel in np.moveaxis(frame, -1, 0)]
        moved.append(np.stack(channels, axis=-1))
    return np.stack(moved)
