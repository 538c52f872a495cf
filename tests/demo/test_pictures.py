"""The demo's pictures show what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from demo.pictures import Column, aligned, coloured, compose, lit, mean_of, overlaid, write_png


def test_png_keeps_values(tmp_path: Path) -> None:
    """Grey and colour images are written as they are, a mask in black and white."""
    rng = np.random.default_rng(0)
    for image in (rng.integers(0, 256, (5, 7), np.uint8), rng.integers(0, 256, (5, 7, 3), np.uint8)):
        assert np.array_equal(np.asarray(Image.open(write_png(tmp_path / "a.png", image))), image)
    mask = np.eye(4, dtype=np.uint8)
    assert np.array_equal(np.asarray(Image.open(write_png(tmp_path / "b.png", mask))), mask * 255)


def test_composed_picture_holds_every_column(tmp_path: Path) -> None:
    """Columns of different widths stand beside each other, inputs above results."""
    dark, bright = np.full((30, 30, 3), 0.1), np.full((30, 30, 3), 0.9)
    columns = [Column("A", dark, "in", bright, "out"), Column("B", np.tile(bright, (1, 2, 1)), "in", dark, "out")]
    picture = np.asarray(Image.open(compose(columns, tmp_path / "c.png", dpi=40)).convert("L"))
    height, width = picture.shape
    places = [(0.3, 0.15), (0.7, 0.15), (0.3, 0.7), (0.7, 0.7)]
    values = [int(picture[int(y * height), int(x * width)]) for y, x in places]
    assert [value > 128 for value in values] == [False, True, True, False]


def test_regions_are_told_apart_by_colour() -> None:
    """Each label has a colour of its own, and a mask tints its regions alone."""
    colours = coloured(np.array([[0, 1, 2, 3, 4, 5]]))[0]
    assert len({tuple(colour) for colour in colours}) == 6
    image = np.full((12, 12), 100, np.uint8)
    mask = np.zeros((12, 12), np.uint8)
    mask[3:8, 3:8] = 1
    shown = overlaid(image, mask)
    tinted = np.abs(shown - 100 / 255).max(axis=-1) > 0.01
    assert np.array_equal(tinted, mask > 0)


def test_lit_bodies_hide_what_is_behind() -> None:
    """Where two objects lie behind each other, the one nearer to the viewer (smaller z) shows its colour."""
    labels = np.zeros((6, 12, 12), np.int32)
    labels[4, 2:10, 2:10] = 1
    labels[1, 2:10, 6:10] = 2
    shown = lit(labels)
    first, second = shown[6, 3], shown[6, 8]
    palette = coloured(np.array([[1, 2]]))[0]
    assert np.argmax(first) == np.argmax(palette[0]) and np.argmax(second) == np.argmax(palette[1])
    assert np.array_equal(shown[0, 0], coloured(np.array([[0, 1]]))[0, 0])


def test_aligned_frames_agree() -> None:
    """Frames moved by their homographies show the same, and their mean is sharp again."""
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, (40, 40, 3), np.uint8)
    places = [(0, 0), (3, -2), (-1, 4)]
    frames = np.stack([picture[8 + y : 32 + y, 8 + x : 32 + x] for y, x in places])
    steps = np.diff(np.array(places), axis=0)
    matrices = np.stack([np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], float) for y, x in steps])
    inner = (slice(6, -6), slice(6, -6))
    assert np.array_equal(mean_of(aligned(frames, matrices))[inner], frames[0][inner])
