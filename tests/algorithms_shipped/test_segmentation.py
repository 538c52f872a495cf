"""The segmentation template marks bright objects by each of its methods, and says so where a method cannot."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage import data, filters

import compox_core as cx
from demo.judge import iou
from demo.subjects import coins_reference
from tests.algorithms_shipped.shipped import folder, load

segmentation = load(folder("segmentation") / "image_segmentation" / "segmentation_utils.py")
NAME = "template_segmentation_algorithm"
METHODS = ["otsu", "yen", "li", "minimum", "mean", "triangle", "isodata", "local"]
GLOBAL = [method for method in METHODS if method != "local"]


def two_squares() -> np.ndarray:
    """Return an image of two bright squares on a noisy dark background."""
    image = np.random.default_rng(0).normal(50, 5, (64, 64))
    image[8:24, 8:24] += 150
    image[36:56, 30:60] += 150
    return image.clip(0, 255).astype(np.uint8)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=40, deadline=None)
@given(images=arrays(st.sampled_from([np.uint8, np.uint16]), st.tuples(st.integers(1, 3), *[st.integers(3, 9)] * 2)))
def test_any_image_gives_a_mask(method: str, images: np.ndarray) -> None:
    """Any image gives a mask of zeros and ones in its shape; only 'minimum' may find none, and says which image."""
    try:
        masks = segmentation.segment_images(images, method)
    except ValueError as error:
        assert method == "minimum"
        assert "no two maxima" in str(error)
        return
    assert masks.shape == images.shape
    assert masks.dtype == np.uint8
    assert set(np.unique(masks)) <= {0, 1}


@pytest.mark.parametrize("method", METHODS)
def test_finds_bright_squares(method: str) -> None:
    """Where objects are far brighter than the background, every method marks them."""
    image = two_squares()
    mask = segmentation.segment_images(image[None], method)[0]
    assert mask[image > 150].mean() > 0.98
    # These three cut into the noise of the background.
    assert method in ("triangle", "yen", "local") or not mask[image < 100].any()


@pytest.mark.parametrize("method", GLOBAL)
def test_thresholds_are_those_of_scikit_image(method: str) -> None:
    """A method is the function of scikit-image of that name, of 8-bit and of float images."""
    for image in (data.coins(), (data.coins() / 255).astype(np.float32)):
        expected = image > getattr(filters, f"threshold_{method}")(image)
        assert np.array_equal(segmentation.segment_images(image[None], method)[0], expected)


@pytest.mark.parametrize("method", METHODS)
def test_sixteen_bits_are_judged_as_eight(method: str) -> None:
    """An image in 16 bits is segmented nearly as in 8 bits, also by methods that dislike empty bins."""
    eight = np.clip(data.coins().astype(float) + np.random.default_rng(0).normal(0, 3, (303, 384)), 0, 255)
    masks = [
        segmentation.segment_images((eight * scale)[None].astype(dtype), method)[0]
        for scale, dtype in ((1, np.uint8), (257, np.uint16), (1 / 255, np.float64))
    ]
    # 'triangle' follows the highest bin, which moves with the bins.
    assert iou(masks[0], masks[1]) > (0.75 if method == "triangle" else 0.93)
    assert iou(masks[1], masks[2]) > 0.99


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32, np.float64])
def test_constant_image_gives_an_empty_mask(method: str, dtype: type) -> None:
    """An image without contrast has no objects, grey or RGB."""
    assert not segmentation.segment_images(np.full((2, 16, 16), 9, dtype), method).any()
    assert not segmentation.segment_images(np.full((2, 3, 16, 16), 9, dtype), method).any()


def test_minimum_names_the_image_without_two_maxima() -> None:
    """'minimum' fails on an image whose histogram has one maximum, with its number and another method."""
    ramp = np.tile(np.arange(64, dtype=np.uint8), (64, 1))
    with pytest.raises(ValueError, match=r"Image 2 of 2: .* no two maxima.*choose another method, 'otsu'"):
        segmentation.segment_images(np.stack([two_squares(), ramp]), "minimum")


@pytest.mark.parametrize("shape", [(3, 3), (3, 40), (4, 5), (7, 7), (41, 30), (64, 51)])
def test_local_fits_its_window_to_the_image(shape: tuple[int, int]) -> None:
    """'local' runs on images of any size from 3 x 3 pixels."""
    image = np.random.default_rng(1).integers(0, 255, (1, *shape), np.uint8)
    assert segmentation.segment_images(image, "local").shape == image.shape


def test_local_refuses_tinier_images() -> None:
    """'local' says which size it needs."""
    with pytest.raises(ValueError, match="Image 1 of 1: 'local' needs images of at least 3 x 3 pixels, not 2 x 9"):
        segmentation.segment_images(np.arange(18, dtype=np.uint8).reshape(1, 2, 9), "local")


def test_local_follows_uneven_illumination() -> None:
    """On coins in uneven light 'local' comes far closer to the reference than one threshold for the image."""
    reference = coins_reference()
    overlaps = {m: iou(segmentation.segment_images(data.coins()[None], m)[0] > 0, reference) for m in ("otsu", "local")}
    assert overlaps["local"] > 0.87
    assert overlaps["local"] > overlaps["otsu"] + 0.05


def test_rgb_is_judged_by_its_luminance() -> None:
    """A green pixel is brighter than a red one, and a red one than a blue one."""
    image = np.zeros((3, 4, 4), np.uint8)
    image[2, 0], image[0, 1], image[1, 2] = 255, 255, 255
    mask = segmentation.segment_images(image[None], "mean")[0]
    assert mask.any(axis=1).tolist() == [False, False, True, False]


def test_nan_is_named() -> None:
    """An image with NaN fails with its number."""
    images = np.random.default_rng(0).random((2, 8, 8))
    images[1, 0, 0] = np.nan
    with pytest.raises(ValueError, match="Image 2 of 2: it holds NaN"):
        segmentation.segment_images(images, "otsu")


def test_unknown_method_lists_the_known() -> None:
    """A method that does not exist fails with those that do."""
    with pytest.raises(ValueError, match="otsu, yen, li, minimum, mean, triangle, isodata, local"):
        segmentation.segment_images(np.zeros((1, 8, 8)), "magic")


def test_declares_its_parameter(engine: cx.Engine) -> None:
    """`thresholding_algorithm` is a choice of eight methods with the default 'otsu'."""
    (parameter,) = engine.algorithms.get(NAME).metadata.additional_parameters
    assert (parameter.name, parameter.config.type) == ("thresholding_algorithm", "string_enum")
    assert (parameter.config.default, parameter.config.options) == ("otsu", METHODS)
    assert list(segmentation.METHODS) == METHODS


def test_runs_in_an_engine(engine: cx.Engine) -> None:
    """Images with channels last come back as masks (H, W), and the log tells what was marked."""
    image = data.immunohistochemistry()[:64, :64]
    task = engine.submit(NAME, [image, image[::-1]], thresholding_algorithm="li")
    masks = task.result(60)
    assert [mask.shape for mask in masks] == [(64, 64)] * 2
    assert np.array_equal(masks[0], np.asarray(masks[1])[::-1])
    assert "Image 2: 'li' marks" in task.log


def test_a_failure_reaches_the_caller(engine: cx.Engine) -> None:
    """The message about 'minimum' reaches the one who asked for it."""
    ramp = np.tile(np.arange(64, dtype=np.uint8), (64, 1))
    with pytest.raises(cx.TaskFailedError, match="no two maxima"):
        engine.run(NAME, ramp, progress=False, thresholding_algorithm="minimum")
