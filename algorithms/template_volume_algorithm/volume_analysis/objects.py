"""Objects of volumes: where they are and what they measure."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops_table
from skimage.morphology import remove_small_objects

RANKS = {6: 1, 18: 2, 26: 3}  # neighbours of a voxel: those along one, two or three axes at a time


def find_objects(volume: np.ndarray, smoothing: float, smallest_object: int, connectivity: int) -> np.ndarray:
    """Return the labels of the bright objects: (Z, Y, X), int32, 0 on the background, then 1, 2, … without gaps.

    Args:
        volume: (Z, Y, X), real numbers or bool.
        smoothing: Standard deviation in voxels of a Gaussian filter that is applied first; 0 for none.
        smallest_object: Objects of fewer voxels are left out.
        connectivity: 6, 18 or 26 neighbours of a voxel count as touching it.

    Raises:
        ValueError: when the volume is empty, not real, or holds NaN or infinite values.
    """
    _check(volume)
    smooth = gaussian_filter(volume.astype(np.float32), smoothing)
    if smooth.min() == smooth.max():
        return np.zeros(volume.shape, np.int32)
    # As one long row, because an image whose last axis is 3 or 4 long is taken for a colour image.
    bright = smooth > threshold_otsu(smooth.ravel())
    rank = RANKS[connectivity]
    kept = remove_small_objects(bright, max_size=smallest_object - 1, connectivity=rank)
    return label(kept, connectivity=rank).astype(np.int32)


def measure_objects(labels: np.ndarray, volume: np.ndarray) -> dict[str, Any]:
    """Return what can be said of labelled objects, ready for JSON.

    Returns:
        `object_count`, `object_fraction` (of all voxels), and `objects`: for each its `label`, `voxels`,
        `centroid` [z, y, x], `bounding_box` [[z, y, x], [z, y, x]] (first voxel and one past the last),
        `equivalent_diameter` (of a ball of as many voxels), `mean_intensity`, `max_intensity`. Lengths are in voxels.
    """
    properties = ("label", "area", "centroid", "bbox", "equivalent_diameter_area", "intensity_mean", "intensity_max")
    table = regionprops_table(labels, volume.astype(np.float32), properties=properties)
    rows = [{key: column[row].item() for key, column in table.items()} for row in range(len(table["label"]))]
    return {
        "object_count": len(rows),
        "object_fraction": float(np.mean(labels > 0)),
        "objects": [_described(row) for row in rows],
    }


def _described(row: dict[str, Any]) -> dict[str, Any]:
    bounds = [int(row[f"bbox-{i}"]) for i in range(6)]
    return {
        "label": int(row["label"]),
        "voxels": int(row["area"]),
        "centroid": [float(row[f"centroid-{axis}"]) for axis in range(3)],
        "bounding_box": [bounds[:3], bounds[3:]],
        "equivalent_diameter": float(row["equivalent_diameter_area"]),
        "mean_intensity": float(row["intensity_mean"]),
        "max_intensity": float(row["intensity_max"]),
    }


def _check(volume: np.ndarray) -> None:
    if volume.size == 0:
        raise ValueError(f"A volume of shape {volume.shape} has no voxels.")
    if volume.dtype.kind not in "buif":
        raise ValueError(f"A volume must hold real numbers, not {volume.dtype}.")
    if not np.isfinite(volume).all():
        raise ValueError(
            "The volume holds NaN or infinite values: replace them first, for example with numpy.nan_to_num."
        )
