"""HDF5 files that other programs wrote: the first array in them that may be pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from compox_core.data.datasets import checked
from compox_core.data.hdf5 import open_hdf5
from compox_core.data.images.pages import Array, native
from compox_core.errors import DataError


def read_first_array(path: Path) -> Array:
    """Read the first dataset of numbers with two or three axes, by name and in depth; links are not followed.

    Raises DataError: no_array_found, and what `read_hdf5` raises.
    """
    with open_hdf5(path) as file:

        def found(name: str, entry: Any) -> h5py.Dataset | None:
            if not isinstance(entry, h5py.Dataset) or entry.dtype.kind not in "biuf":
                return None
            dataset = checked(entry.id, name, file.name)
            return dataset if dataset.ndim in (2, 3) else None

        dataset = file.root.visititems(found)
        if dataset is None:
            raise DataError(
                f"{file.name} holds no array with two or three axes. Write the image as a dataset named `image`.",
                code="no_array_found",
                details={"file": file.name},
            )
        return native(np.asarray(dataset[()]))
