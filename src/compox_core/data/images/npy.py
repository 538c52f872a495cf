"""NPY files: one plain array, never a pickle."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np

from compox_core.data.images.pages import Array, native
from compox_core.errors import DataError


def read_npy(path: Path) -> Array:
    """Read the array in native byte order.

    Raises DataError: invalid_npy_file (cut off, damaged, another format, Python objects), unsupported_value (records).
    """
    try:
        # Mapped, because that compares what the header claims with what the file has before it takes memory.
        mapped = np.lib.format.open_memmap(path, mode="r")
        array = np.array(mapped)
        del mapped
    except Exception as error:  # the file is untrusted, and its header is parsed as Python, with any error of that
        raise DataError(
            f"{path.name} is not a readable NPY file of plain values ({error}). Write it with "
            "numpy.save(path, array, allow_pickle=False).",
            code="invalid_npy_file",
            details={"file": path.name, "reason": str(error)},
        ) from error
    if array.dtype.kind not in "biufc":
        raise DataError(
            f"{path.name} holds {array.dtype}, not numbers. Save one array of numbers.",
            code="unsupported_value",
            details={"file": path.name, "dtype": str(array.dtype)},
        )
    return native(array)


def write_npy(file: BinaryIO, array: Array) -> None:
    """Write the array as it is."""
    np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)
