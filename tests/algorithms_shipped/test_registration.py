"""The registration template finds shifts to a fraction of a pixel, in the direction that it documents."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage import data
from skimage.color import rgb2gray
from skimage.transform import warp

import compox_core as cx
from tests.algorithms_shipped.shipped import folder, load, sample

registration = load(folder("registration") / "image_registration" / "registration_utils.py")
NAME = "template_registration_algorithm"
TISSUE = 255 * rgb2gray(data.immunohistochemistry())


def cut(picture: np.ndarray, y: float, x: float, side: int = 160, at: int = 150) -> np.ndarray:
    """Return a square of a picture whose corner is (y, x) beyond the middle one."""
    return ndimage.shift(picture, (-y, -x), order=3, mode="nearest")[at : at + side, at : at + side]


def shift_of(matrix: np.ndarray) -> tuple[float, float]:
    """Return (y, x) of a translation."""
    assert matrix.shape == (3, 3)
    assert matrix.dtype == np.float64
    assert np.array_equal(matrix[:, :2], np.eye(3)[:, :2])
    return matrix[1, 2], matrix[0, 2]


@settings(max_examples=10, deadline=None)
@given(st.floats(-35, 35), st.floats(-35, 35))
def test_finds_any_shift_within_the_bound(y: float, x: float) -> None:
    """The shift between two cuts of a tissue is found to a tenth of a pixel."""
    (matrix,) = registration.register_images(np.stack([cut(TISSUE, 0, 0), cut(TISSUE, y, x)]), 0.25)
    assert np.allclose(shift_of(matrix), (y, x), atol=0.1)


def test_finds_shifts_in_noise() -> None:
    """With noise of 10 % of the range the error stays below a third of a pixel."""
    rng = np.random.default_rng(2)
    places = [(0, 0), (8.3, -20.7), (-14.1, 3.6), (2.2, 2.9)]
    images = np.stack([cut(TISSUE, *place) + rng.normal(0, 25, (160, 160)) for place in places])
    found = [shift_of(matrix) for matrix in registration.register_images(images, 0.25)]
    assert np.allclose(found, np.diff(places, axis=0), atol=0.33)


def test_a_matrix_maps_an_image_onto_the_one_before() -> None:
    """Both ways to draw image i+1 on the pixels of image i, which the README gives, make the two agree."""
    first, second = cut(TISSUE, 0, 0), cut(TISSUE, 7.25, -11.5)
    (matrix,) = registration.register_images(np.stack([first, second]), 0.25)
    inner = (slice(20, -20), slice(20, -20))
    tx, ty = matrix[:2, 2]
    drawn = [warp(second, np.linalg.inv(matrix), order=3), ndimage.shift(second, (ty, tx), order=3)]
    assert np.abs(second - first)[inner].mean() > 20
    for image in drawn:
        assert np.abs(image - first)[inner].mean() < 2


def test_products_lead_back_to_the_first_image() -> None:
    """The product of the first k matrices maps image k+1 onto the first, as the sample's known shifts say."""
    pages = tifffile.imread(sample("registration"))
    known = load(folder("registration").parents[1] / "tools" / "make_samples.py").SHIFTS
    product = np.eye(3)
    for matrix, place in zip(registration.register_images(pages, 0.25), known[1:], strict=True):
        product = product @ matrix
        assert np.allclose(shift_of(product), place, atol=0.15)


def test_a_larger_shift_is_not_accepted() -> None:
    """Where a shift beyond the bound fits better, the result stays within it, and a warning says so."""
    warnings: list[str] = []
    images = np.stack([cut(TISSUE, 0, 0), cut(TISSUE, 60, 0)])
    (matrix,) = registration.register_images(images, 0.1, warn=warnings.append)
    assert np.abs(shift_of(matrix)).max() <= 16
    assert "Images 1 and 2: a shift beyond max_translation = 0.1 fits better" in warnings[0]


def test_bounds_follow_each_axis() -> None:
    """The bound is a fraction of the height for y and of the width for x."""
    wide = ndimage.shift(TISSUE, (0, -30), order=3)[200:264, 100:340]
    pair = np.stack([TISSUE[200:264, 100:340], wide])
    assert np.allclose(shift_of(registration.register_images(pair, 0.25)[0]), (0, 30), atol=0.05)
    tall = pair.transpose(0, 2, 1)
    assert np.allclose(shift_of(registration.register_images(tall, 0.25)[0]), (30, 0), atol=0.05)


@pytest.mark.parametrize("bound", [0.0, 0.001])
def test_no_room_means_no_shift(bound: float) -> None:
    """A bound of nothing gives the identity, or what little it allows."""
    images = np.stack([cut(TISSUE, 0, 0), cut(TISSUE, 3, 3)])
    (matrix,) = registration.register_images(images, bound)
    assert np.abs(shift_of(matrix)).max() <= bound * 160


@pytest.mark.parametrize("y, x", [(100, 12), (-90, -20), (30, 110)])
def test_shifts_beyond_half_an_image(y: int, x: int) -> None:
    """A shift of more than half of the image is found where the bound allows it."""
    images = np.stack([cut(TISSUE, 0, 0), cut(TISSUE, y, x)])
    (matrix,) = registration.register_images(images, 1.0)
    assert np.allclose(shift_of(matrix), (y, x), atol=0.2)


def test_an_image_without_contrast_gives_the_identity() -> None:
    """A constant image tells nothing, so its pairs get the identity and a warning each."""
    warnings: list[str] = []
    images = np.stack([cut(TISSUE, 0, 0), np.full((160, 160), 7.0), cut(TISSUE, 0, 0)])
    matrices = registration.register_images(images, 0.25, warn=warnings.append)
    assert all(np.array_equal(matrix, np.eye(3)) for matrix in matrices)
    assert [text.split(":")[0] for text in warnings] == ["Images 1 and 2", "Images 2 and 3"]


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2), (9, 5), (15, 40)])
@pytest.mark.parametrize("bound", [0.0, 0.25, 1.0])
def test_tiny_images(shape: tuple[int, int], bound: float) -> None:
    """Images too small for anything give finite shifts within the bound."""
    images = np.random.default_rng(3).random((2, *shape))
    (matrix,) = registration.register_images(images, bound)
    assert np.isfinite(matrix).all()
    assert abs(matrix[1, 2]) <= bound * shape[0] and abs(matrix[0, 2]) <= bound * shape[1]


def test_rgb_is_judged_by_its_luminance() -> None:
    """RGB images give what their luminance gives."""
    picture = np.moveaxis(data.immunohistochemistry(), -1, 0)
    rgb = np.stack([picture[:, 100:228, 100:228], picture[:, 110:238, 95:223]])
    grey = np.stack([rgb2gray(image, channel_axis=0) for image in rgb])
    matrices = [registration.register_images(images, 0.25)[0] for images in (rgb, grey)]
    assert np.array_equal(*matrices)
    assert np.allclose(shift_of(matrices[0]), (10, -5), atol=0.05)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32])
def test_any_dtype(dtype: type) -> None:
    """Every dtype that an image may have is taken."""
    images = np.stack([cut(TISSUE, 0, 0), cut(TISSUE, 6, -3)]).clip(0, 255).astype(dtype)
    assert np.allclose(shift_of(registration.register_images(images, 0.25)[0]), (6, -3), atol=0.05)


def test_one_image_is_too_few() -> None:
    """A single image fails with the reason that is most likely: three grey images given as one array."""
    with pytest.raises(ValueError, match="needs at least two"):
        registration.register_images(np.zeros((1, 3, 8, 8)), 0.25)


def test_nan_is_named() -> None:
    """An image with NaN fails with its number."""
    images = np.random.default_rng(0).random((2, 16, 16))
    images[1, 0, 0] = np.nan
    with pytest.raises(ValueError, match="Image 2 of 2 holds NaN"):
        registration.register_images(images, 0.25)


def test_declares_its_parameter(engine: cx.Engine) -> None:
    """`max_translation` is a float range with the default and rules that user interfaces rely on."""
    (parameter,) = engine.algorithms.get(NAME).metadata.additional_parameters
    config = parameter.config
    assert (parameter.name, config.type) == ("max_translation", "float_range")
    assert (config.default, config.min, config.max, config.step) == (0.25, 0.0, 1.0, 0.05)


def test_runs_in_an_engine(engine: cx.Engine) -> None:
    """N images give N-1 stored alignments whose two matrices are the same, and the log has what cannot be trusted."""
    # As a list: an array of three grey images would be one RGB image.
    images = [cut(TISSUE, 0, 0), cut(TISSUE, 5, 2), np.zeros((160, 160))]
    task = engine.submit(NAME, images, max_translation=0.2)
    result = task.result(60)
    assert result.shape == (2, 3, 3)
    assert np.allclose(shift_of(np.asarray(result[0])), (5, 2), atol=0.05)
    assert all(np.array_equal(o["transform_matrix"], o["translation_matrix"]) for o in result.outputs)
    assert "WARNING Images 2 and 3: one of them has no contrast" in task.log
    assert task.progress == 1.0
