"""Which image files there are, by their suffix."""

from __future__ import annotations

from pathlib import Path

from compox_core.errors import DataError

TIFF = (".tif", ".tiff", ".btf")
PNG = (".png",)
JPEG = (".jpg", ".jpeg")
NPY = (".npy",)
HDF5 = (".h5", ".hdf5")

IMAGE_SUFFIXES: tuple[str, ...] = (*TIFF, *PNG, *JPEG, *NPY, *HDF5)
"""The suffixes, in lower case, that `read_images` and `write_images` know."""


def suffix_of(path: Path) -> str:
    """Return the suffix in lower case. Raises DataError(code="unknown_image_format") for one that is not known."""
    suffix = path.suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        raise DataError(
            f"{path.name} has no suffix of a known image format: use one of {', '.join(IMAGE_SUFFIXES)}.",
            code="unknown_image_format",
            details={"file": path.name, "suffixes": list(IMAGE_SUFFIXES)},
        )
    return suffix
