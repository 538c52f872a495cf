"""The demo judges results rightly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.metrics import peak_signal_noise_ratio

from demo.judge import found_objects, iou, psnr, shift_errors

MASKS = arrays(bool, (5, 6))
IMAGES = arrays(np.uint8, (5, 6))


@given(IMAGES, IMAGES)
def test_psnr_is_the_usual_one(truth: np.ndarray, image: np.ndarray) -> None:
    """The ratio is that of scikit-image, and infinite for equal images."""
    if np.array_equal(truth, image):
        assert psnr(truth, image) == float("inf")
    else:
        assert np.isclose(psnr(truth, image), peak_signal_noise_ratio(truth, image, data_range=255))


@given(MASKS, MASKS)
def test_iou_is_symmetric_and_one_for_equals(first: np.ndarray, second: np.ndarray) -> None:
    """The measure is symmetric, within [0, 1], and 1 exactly for equal masks."""
    assert iou(first, second) == iou(second, first)
    assert 0 <= iou(first, second) <= 1
    assert (iou(first, second) == 1) == np.array_equal(first, second)


def test_iou_counts_pixels() -> None:
    """Two of four pixels in common make a half."""
    assert iou(np.array([1, 1, 1, 0]), np.array([0, 1, 1, 1])) == 0.5


def test_found_objects() -> None:
    """An object counts when most of it is in the mask, and when it is not grown together with another."""
    reference = np.zeros((12, 12), bool)
    reference[1:4, 1:4] = reference[1:4, 7:10] = reference[7:10, 1:4] = True
    assert found_objects(reference, reference) == (3, 3)
    assert found_objects(np.zeros_like(reference), reference) == (0, 3)
    assert found_objects(np.ones_like(reference), reference) == (0, 3)
    less = reference.copy()
    less[1:3, 1:4] = False
    assert found_objects(less, reference) == (2, 3)
    bridge = reference.copy()
    bridge[2, 1:10] = True
    assert found_objects(bridge, reference) == (1, 3)


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), min_size=2, max_size=5), st.floats(-3, 3))
def test_shift_errors(places: list[tuple[float, float]], off: float) -> None:
    """A matrix that is off by some pixels in x has that error, the others have none."""
    matrices = []
    for dy, dx in np.diff(np.array(places), axis=0):
        matrices.append(np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1]]))
    matrices[0][0, 2] += off
    errors = shift_errors(matrices, places)
    assert np.allclose(errors, [abs(off)] + [0] * (len(matrices) - 1))


def test_shift_errors_need_a_matrix_for_each_pair() -> None:
    """Too few matrices are an error and not a good result."""
    with pytest.raises(ValueError, match="3 images have 2 shifts between them, not 1"):
        shift_errors([np.eye(3)], [(0, 0), (1, 1), (2, 2)])
