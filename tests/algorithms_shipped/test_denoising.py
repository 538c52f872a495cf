"""The denoising template takes noise away, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage import data
from skimage.metrics import peak_signal_noise_ratio as psnr

import compox_core as cx
from tests.algorithms_shipped.shipped import folder, load

denoising = load(folder("denoising") / "image_denoising" / "denoising_utils.py")
NAME = "template_denoising_algorithm"
SHAPES = st.one_of(
    st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(1, 2), st.just(3), st.integers(1, 6), st.integers(1, 6)),
)
DTYPES = st.sampled_from([np.uint8, np.uint16, np.float16, np.float32, np.float64])


def finite(dtype: type) -> st.SearchStrategy[object]:
    """Return numbers of a dtype whose differences are numbers, too."""
    if np.issubdtype(dtype, np.integer):
        return st.integers(0, int(np.iinfo(dtype).max))
    width = np.dtype(dtype).itemsize * 8
    return st.floats(-1000, 1000, width=width, allow_subnormal=False)


@settings(max_examples=60, deadline=None)
@given(st.data(), DTYPES, st.floats(0, 1))
def test_keeps_shape_dtype_and_range(data: st.DataObject, dtype: type, weight: float) -> None:
    """Any image of any dtype comes back finite, in its shape, dtype and range; floats as float32."""
    images = data.draw(arrays(dtype, SHAPES, elements=finite(dtype)))
    result = denoising.denoise_images(images, weight)
    assert result.shape == images.shape
    assert result.dtype == (dtype if np.issubdtype(dtype, np.integer) else np.float32)
    assert np.isfinite(result).all()
    for before, after in zip(images.astype(np.float32), result, strict=True):
        assert before.min() <= after.min() and after.max() <= before.max()


@pytest.mark.parametrize(
    "name, gain", [("cell", 12), ("immunohistochemistry", 6), ("microaneurysms", 10), ("coins", 5)]
)
def test_gains_on_real_images(name: str, gain: float) -> None:
    """Noise of 10 % of the range is reduced by many decibels, on grey and on RGB images."""
    clean = getattr(data, name)()
    clean = np.moveaxis(clean, -1, 0) if clean.ndim == 3 else clean
    noise = np.random.default_rng(5).normal(0, 25, clean.shape)
    noisy = np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)
    denoised = denoising.denoise_images(noisy[None], 0.1)[0]
    assert psnr(clean, denoised) - psnr(clean, noisy) > gain


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 3, 16, 16)])
def test_constant_image_comes_back(dtype: type, shape: tuple[int, ...]) -> None:
    """A constant image has no range to be scaled by, and comes back as it is."""
    images = np.full(shape, 7, dtype)
    assert np.array_equal(denoising.denoise_images(images, 0.5), images)


@pytest.mark.parametrize("weight", [0.0, 1e-300, 1e-7])
def test_weight_zero_changes_nothing(weight: float) -> None:
    """The weight 0, which the method divides by, and one close to it leave the image alone."""
    image = data.microaneurysms()[None]
    assert np.array_equal(denoising.denoise_images(image, weight), image)


def test_images_of_a_stack_are_independent() -> None:
    """An image gives the same result alone as beside a much brighter one."""
    dark, bright = data.coins()[:64, :64].astype(np.uint16), 200 * data.cell()[300:364, 400:464].astype(np.uint16)
    together = denoising.denoise_images(np.stack([dark, bright]), 0.1)
    alone = np.concatenate([denoising.denoise_images(image[None], 0.1) for image in (dark, bright)])
    assert np.array_equal(together, alone)


def test_weight_means_the_same_for_every_dtype() -> None:
    """The same picture in 8 bits, in 16 bits and as floats is smoothed alike."""
    image = data.coins()[:80, :80]
    eight = denoising.denoise_images(image[None], 0.2)[0].astype(float)
    sixteen = denoising.denoise_images(image[None].astype(np.uint16) * 257, 0.2)[0] / 257
    floats = denoising.denoise_images(image[None] / 255 - 10, 0.2)[0] * 255 + 2550
    assert np.abs(eight - sixteen).max() <= 0.51
    assert np.abs(sixteen - floats).max() <= 0.02


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
@pytest.mark.filterwarnings("ignore:overflow")
def test_unusable_values_are_named(value: float) -> None:
    """NaN and infinite values, which would spread over the whole image, fail with the number of the image."""
    images = np.zeros((3, 8, 8))
    images[1, 4, 4] = value
    with pytest.raises(ValueError, match="Image 2 of 3"):
        denoising.denoise_images(images, 0.1)


def test_reports_each_image() -> None:
    """The progress rises with each image and ends at 1."""
    seen: list[float] = []
    denoising.denoise_images(np.zeros((4, 8, 8), np.uint8), 0.1, seen.append)
    assert seen == [0.25, 0.5, 0.75, 1.0]


def test_declares_its_parameter(engine: cx.Engine) -> None:
    """`denoising_weight` is a float range with the default, rules and precision that user interfaces rely on."""
    (parameter,) = engine.algorithms.get(NAME).metadata.additional_parameters
    config = parameter.config
    assert (parameter.name, config.type, config.decimal_precision) == ("denoising_weight", "float_range", 2)
    assert (config.default, config.min, config.max, config.step) == (0.1, 0.0, 1.0, 0.05)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_runs_in_an_engine(engine: cx.Engine, dtype: type) -> None:
    """A stack of RGB images goes through an engine and gives what the function gives; the default weight is 0.1."""
    stack = np.stack([np.moveaxis(data.immunohistochemistry()[i : i + 40, :48], -1, 0) for i in (0, 99)]).astype(dtype)
    result = engine.run(NAME, stack, progress=False)
    assert np.array_equal(result, denoising.denoise_images(stack, 0.1))


def test_a_weight_out_of_range_is_refused(engine: cx.Engine) -> None:
    """A weight above 1 is refused before anything runs."""
    with pytest.raises(cx.ParameterError, match="denoising_weight"):
        engine.run(NAME, data.coins(), progress=False, denoising_weight=1.5)
