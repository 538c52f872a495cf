"""What an algorithm's author subclasses."""

from compox_core.runners.base import BaseRunner, checked_progress
from compox_core.runners.context import current_handler, current_run, current_runner_context
from compox_core.runners.loaded import LoadedRunner
from compox_core.runners.typed import (
    Image2AlignmentRunner,
    Image2EmbeddingRunner,
    Image2ImageRunner,
    Image2MultiRegionSegmentationRunner,
    Image2SegmentationRunner,
    Segmentation2SegmentationRunner,
)

__all__ = [
    "BaseRunner",
    "Image2AlignmentRunner",
    "Image2EmbeddingRunner",
    "Image2ImageRunner",
    "Image2MultiRegionSegmentationRunner",
    "Image2SegmentationRunner",
    "LoadedRunner",
    "Segmentation2SegmentationRunner",
    "checked_progress",
    "current_handler",
    "current_run",
    "current_runner_context",
]
