"""Arrays in files: schemas, the HDF5 codec, image files and previews."""

from compox_core.data.hdf5 import is_hdf5, read_hdf5, write_hdf5
from compox_core.data.images import IMAGE_SUFFIXES, read_images, write_images
from compox_core.data.preview import montage, to_picture, to_png
from compox_core.data.schemas import (
    AlignmentSchema,
    DataSchema,
    EmbeddingSchema,
    GenericSchema,
    ImageSchema,
    MeshSchema,
    MultiRegionSegmentationSchema,
    SegmentationSchema,
    VolumeSchema,
)
from compox_core.data.validation import validate

__all__ = [
    "IMAGE_SUFFIXES",
    "AlignmentSchema",
    "DataSchema",
    "EmbeddingSchema",
    "GenericSchema",
    "ImageSchema",
    "MeshSchema",
    "MultiRegionSegmentationSchema",
    "SegmentationSchema",
    "VolumeSchema",
    "is_hdf5",
    "montage",
    "read_hdf5",
    "read_images",
    "to_picture",
    "to_png",
    "validate",
    "write_hdf5",
    "write_images",
]
