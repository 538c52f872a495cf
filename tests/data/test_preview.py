"""Previews: whatever the array, a notebook gets a picture that shows it."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from compox_core.data import montage, to_picture, to_png
from compox_core.data.png import encode_png

RAMP = np.linspace(0, 1, 200 * 100).reshape(100, 200)


def shown(array: Any, **options: Any) -> np.ndarray:
    """The pixels of a preview, as another PNG reader sees them."""
    with Image.open(io.BytesIO(to_png(array, **options))) as picture:
        return np.asarray(picture)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from(["u1", "u2", "i1", "i4", "i8", "u8", "f2", "f4", "f8", "c8", "?", ">u2"]),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    )
)
def test_any_array_of_numbers_has_a_picture(array: np.ndarray) -> None:
    """All dtypes, shapes and values, NaN and infinities included, give a PNG and no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels = shown(array)
    assert pixels.dtype == np.uint8
    assert pixels.size > 0


@pytest.mark.parametrize(
    "value", [np.array(["a"]), np.array([None]), [[1, 2], [3, 4]], 5, np.ma.array([[1.0]], mask=1)]
)
def test_other_things_have_one_too(value: Any) -> None:
    """Texts and objects give an empty picture, lists and numbers are arrays."""
    assert shown(value).size > 0


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20)) | st.tuples(
    st.integers(1, 9), st.integers(1, 9), st.just(3))))  # fmt: skip
def test_our_png_is_read_by_others(pixels: np.ndarray) -> None:
    """The encoder is lossless for grey and RGB."""
    with Image.open(io.BytesIO(encode_png(pixels))) as picture:
        assert np.array_equal(np.asarray(picture), pixels)


def test_eight_bits_keep_their_brightness() -> None:
    """A uint8 image is shown as it is, grey and in colour, channels first or last."""
    grey = (RAMP * 100).astype(np.uint8) + 50
    assert np.array_equal(shown(grey), grey)
    rgb = np.stack([grey, grey + 1, grey + 2])
    assert np.array_equal(shown(rgb), np.moveaxis(rgb, 0, -1))
    assert np.array_equal(shown(np.moveaxis(rgb, 0, -1)), np.moveaxis(rgb, 0, -1))
    rgba = np.dstack([np.moveaxis(rgb, 0, -1), np.zeros_like(grey)])
    assert np.array_equal(shown(rgba), np.moveaxis(rgb, 0, -1))


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e308])
def test_other_values_are_stretched_and_outliers_do_not_darken(scale: float) -> None:
    """Whatever the range, the picture goes from black to white, also beside one very bright pixel."""
    image = RAMP * scale
    image[50, 100] = np.finfo(float).max
    pixels = shown(image)
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert 100 < np.median(pixels) < 155


def test_what_is_not_a_number_is_black_and_infinity_is_an_end() -> None:
    """NaN is black, the infinities are black and white, and the rest keeps its contrast."""
    image = RAMP.copy()
    image[0, :3] = np.nan, np.inf, -np.inf
    pixels = shown(image)
    assert pixels[0, :3].tolist() == [0, 255, 0]
    assert 100 < np.median(pixels) < 155
    assert not shown(np.full((4, 5), np.nan)).any()


@pytest.mark.parametrize("value", [0.0, 7.5, -1e300, np.uint16(9000)])
def test_a_constant_image_is_an_even_grey(value: Any) -> None:
    """Without contrast there is nothing to stretch."""
    assert np.unique(shown(np.full((4, 5), value), labels=False)).tolist() == [128]


def test_masks_and_labels_are_told_apart_from_images() -> None:
    """Bool is black and white; few small integers have a colour each, 0 black; others are grey."""
    labels = np.arange(12).reshape(3, 4)
    assert np.unique(shown(RAMP > 0.5)).tolist() == [0, 255]
    for dtype in (np.uint8, np.uint16, np.int64):
        pixels = shown(labels.astype(dtype))
        assert pixels.shape == (3, 4, 3)
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) == 12
        assert not pixels[0, 0].any()
    assert shown(labels, labels=False).ndim == 2
    assert shown(np.array([[0, 255]], np.uint8)).ndim == 2
    assert shown(np.array([[0, 255]], np.uint8), labels=True).ndim == 3
    assert shown(np.array([[0, -3]])).ndim == 2
    assert shown(np.array([[0, 2**40]])).ndim == 2


def test_of_a_volume_the_middle_is_shown() -> None:
    """The middle slice of (Z, Y, X), the middle image of a stack of RGB."""
    volume = np.zeros((5, 8, 9), np.uint8)
    volume[2] = 200
    assert np.unique(shown(volume)).tolist() == [200]
    stack = np.zeros((5, 3, 8, 9), np.uint8)
    stack[2] = 200
    assert shown(stack).shape == (8, 9, 3)
    assert np.unique(shown(stack)).tolist() == [200]


@pytest.mark.parametrize("shape", [(1000, 2000), (3, 700, 900), (1, 100_000), (100_000, 1), (600, 600)])
def test_pictures_are_at_most_so_large(shape: tuple[int, ...]) -> None:
    """Both sides stay within `max_side` and the proportions hold, also for labels."""
    array = np.random.default_rng(0).random(shape)
    for pixels in (shown(array, max_side=100), shown((array * 5).astype(np.int32), max_side=100)):
        height, width = pixels.shape[:2]
        assert 1 <= height <= 100 and 1 <= width <= 100
        assert max(height, width) >= 50


def test_a_smaller_picture_is_the_mean() -> None:
    """A fine checkerboard becomes grey, not black or white by chance."""
    board = (np.indices((400, 400)).sum(axis=0) % 2 * 200).astype(np.uint8)
    assert np.unique(shown(board, max_side=100)).tolist() == [100]


def test_a_montage_has_them_all() -> None:
    """Pictures of different kinds and sizes stand side by side in one RGB picture."""
    sheet = montage([RAMP, RAMP > 0.5, np.zeros((3, 8, 9), np.uint8)], columns=2)
    assert sheet.shape == (204, 404, 3)
    assert (to_picture(sheet) == sheet).all()
    assert montage([]).shape == (1, 1, 3)
