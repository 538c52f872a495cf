"""Image files: TIFF, PNG, JPEG, NPY and HDF5 to schema data and back."""

from compox_core.data.images.formats import IMAGE_SUFFIXES
from compox_core.data.images.reading import read_images
from compox_core.data.images.writing import write_images

__all__ = ["IMAGE_SUFFIXES", "read_images", "write_images"]
