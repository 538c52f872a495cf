"""The volume template finds, counts and measures objects, and shows how a Generic algorithm handles its own data."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import compox_core as cx
from tests.algorithms_shipped.shipped import ROOT, folder, load, sample

objects = load(folder("volume") / "volume_analysis" / "objects.py")
NAME = "template_volume_algorithm"


def corner_pair() -> np.ndarray:
    """Return a volume of two cubes of 8 voxels that meet at a corner, and one voxel apart from them."""
    volume = np.zeros((8, 8, 8), np.uint8)
    volume[1:3, 1:3, 1:3] = 200
    volume[3:5, 3:5, 3:5] = 200
    volume[7, 7, 7] = 200
    return volume


def test_finds_the_balls_of_the_sample(engine: cx.Engine) -> None:
    """The five balls of the sample are found where they were put, a third of a voxel off at most, with their sizes."""
    known = sorted(load(ROOT / "tools" / "make_samples.py").BALLS)
    result = engine.run(NAME, sample("volume"), progress=False)
    stats = json.loads(result["stats"])
    found = sorted((*thing["centroid"], thing["equivalent_diameter"] / 2) for thing in stats["objects"])
    assert stats["object_count"] == len(known)
    assert np.allclose(np.array(found)[:, :3], np.array(known)[:, :3], atol=0.34)
    assert np.allclose(np.array(found)[:, 3], np.array(known)[:, 3], atol=0.6)
    assert np.array_equal(np.unique(result["volume"]), range(len(known) + 1))


@settings(max_examples=40, deadline=None)
@given(
    arrays(st.sampled_from([np.uint8, np.uint16, np.int16, np.bool_]), st.tuples(*[st.integers(1, 6)] * 3)),
    st.floats(0, 2),
    st.integers(1, 9),
    st.sampled_from([6, 18, 26]),
)
def test_labels_and_measurements_agree(volume: np.ndarray, smoothing: float, smallest: int, neighbours: int) -> None:
    """Of any volume, the labels have no gaps, and each object is as large and lies where the labels say."""
    labels = objects.find_objects(volume, smoothing, smallest, neighbours)
    stats = objects.measure_objects(labels, volume)
    assert labels.shape == volume.shape
    assert labels.dtype == np.int32
    assert set(np.unique(labels)) - {0} == {thing["label"] for thing in stats["objects"]}
    assert stats["object_count"] == labels.max()
    for thing in stats["objects"]:
        where = labels == thing["label"]
        (z0, y0, x0), (z1, y1, x1) = thing["bounding_box"]
        assert thing["voxels"] == where.sum() == where[z0:z1, y0:y1, x0:x1].sum() >= smallest
        assert np.allclose(thing["centroid"], np.argwhere(where).mean(axis=0))
        assert np.isclose(thing["mean_intensity"], volume[where].mean(dtype=float), rtol=1e-5)
        assert thing["max_intensity"] == volume[where].max()
    assert json.loads(json.dumps(stats)) == stats


@pytest.mark.parametrize("neighbours, count", [(6, 3), (18, 3), (26, 2)])
def test_connectivity(neighbours: int, count: int) -> None:
    """Two cubes that meet at a corner are one object only where 26 neighbours touch."""
    assert objects.find_objects(corner_pair(), 0, 1, neighbours).max() == count


@pytest.mark.parametrize("smallest, count", [(1, 3), (2, 2), (8, 2), (9, 0)])
def test_smallest_object(smallest: int, count: int) -> None:
    """Objects of fewer voxels are left out, those of exactly so many stay."""
    assert objects.find_objects(corner_pair(), 0, smallest, 6).max() == count


def test_constant_volume_has_no_objects() -> None:
    """A volume without contrast gives no labels and an empty list."""
    volume = np.full((4, 5, 6), 3.0)
    labels = objects.find_objects(volume, 1.0, 1, 6)
    assert objects.measure_objects(labels, volume) == {"object_count": 0, "object_fraction": 0.0, "objects": []}


@pytest.mark.parametrize(
    "volume, message",
    [
        (np.zeros((0, 4, 4)), "has no voxels"),
        (np.full((2, 2, 2), np.nan), "holds NaN"),
        (np.zeros((2, 2, 2), complex), "must hold real numbers, not complex128"),
    ],
)
def test_unusable_volumes(volume: np.ndarray, message: str) -> None:
    """What cannot be analysed fails with the reason."""
    with pytest.raises(ValueError, match=message):
        objects.find_objects(volume, 1.0, 1, 6)


def test_volumes_of_one_run_may_differ(engine: cx.Engine) -> None:
    """Several volumes of different shapes and dtypes give one result each, in order."""
    balls = tifffile.imread(sample("volume"))
    results = engine.run(NAME, [balls, balls[:20, 4:].astype(np.float32), corner_pair()], progress=False)
    assert [result["volume"].shape for result in results] == [(24, 48, 48), (20, 44, 48), (8, 8, 8)]
    assert all(json.loads(result["stats"])["object_count"] == result["volume"].max() for result in results)


def test_declared_rules_are_checked(engine: cx.Engine) -> None:
    """A connectivity that does not exist is refused before anything runs."""
    with pytest.raises(cx.ParameterError, match="connectivity"):
        engine.run(NAME, corner_pair(), progress=False, connectivity=7)
