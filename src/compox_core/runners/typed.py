"""Runners whose inputs and outputs are fixed: an author writes `inference` only.

Every one of them reads one key of each input file and stacks the arrays along a new first axis. Images are (H, W), or
(3, H, W) for RGB, so a stack is (N, H, W) or (N, 3, H, W); inputs of one run share a shape, and numpy promotes
different dtypes. Nothing else of an input file is read or passed on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from compox_core.data import (
    AlignmentSchema,
    DataSchema,
    EmbeddingSchema,
    ImageSchema,
    MultiRegionSegmentationSchema,
    SegmentationSchema,
)
from compox_core.errors import AlgorithmError, DataError
from compox_core.runners.base import BaseRunner


class StackRunner(BaseRunner):
    """A runner that stacks its inputs and stores one output for each; the base of the typed runners."""

    input_schema: ClassVar[type[DataSchema]] = ImageSchema
    input_key: ClassVar[str] = "image"
    output_schema: ClassVar[type[DataSchema]] = ImageSchema
    output_key: ClassVar[str] = "image"

    def fetch_data(  # type: ignore[override]  # the schema is fixed, as authors know it
        self, file_ids: Sequence[str], *keys: str, parallel: bool = False
    ) -> list[dict[str, Any]]:
        """Read stored files as dicts of the runner's input schema; only `keys` where they are given."""
        return self.task_handler.fetch_data(file_ids, self.input_schema, *keys, parallel=parallel)

    def post_data(  # type: ignore[override]  # the schema is fixed, as authors know it
        self, data: Sequence[Mapping[str, Any]], parallel: bool = False
    ) -> list[str]:
        """Store dicts of the runner's output schema and return the ids of the files."""
        return self.task_handler.post_data(data, self.output_schema, parallel=parallel)

    # `args` may be left out, because authors write `super().preprocess(input_data)`; the host always gives it.

    def preprocess(self, input_data: dict[str, Any], args: dict[str, Any] | None = None) -> Any:
        """Return the inputs as one array (N, …), stacked along a new first axis."""
        ids = input_data["input_dataset_ids"]
        if not ids:
            raise DataError(
                f"{self.algorithm_type} needs at least one input: submit one or more file ids.",
                code="no_inputs",
            )
        arrays = [item[self.input_key] for item in self.fetch_data(ids, self.input_key)]
        shapes = {array.shape for array in arrays}
        if len(shapes) > 1:
            raise DataError(
                f"The inputs of one run must share a shape, but these have {_listed(shapes)}: "
                "run them one by one, or crop or pad them to one shape.",
                code="unequal_shapes",
                details={"shapes": [list(array.shape) for array in arrays], "file_ids": list(ids)},
            )
        stack = np.stack(arrays, axis=0) if len(arrays) > 1 else arrays[0][np.newaxis]  # one image needs no copy
        self._input_images_count = stack.shape[0]
        self._input_images_shape = stack.shape
        return stack

    def postprocess(self, data: Any, args: dict[str, Any] | None = None) -> list[str]:
        """Store one output for each input: `data` is an array (N, …)."""
        self._check_count(_array(data, self))
        return self.post_data([{self.output_key: item} for item in data])

    def _check_count(self, data: Sequence[Any] | np.ndarray[Any, Any], expected: int | None = None) -> None:
        wanted = self._input_images_count if expected is None else expected
        if len(data) != wanted:
            raise AlgorithmError(
                f"inference of this {self.algorithm_type} returned {len(data)} results for "
                f"{self._input_images_count} inputs; {wanted} are needed.",
                code="invalid_result",
                details={"returned": len(data), "needed": wanted},
            )


class Image2ImageRunner(StackRunner):
    """Images to images: `inference` gets (N, H, W) or (N, 3, H, W) and returns an array of N images."""

    algorithm_type = "Image2Image"


class Image2SegmentationRunner(StackRunner):
    """Images to masks: `inference` gets (N, H, W) or (N, 3, H, W) and returns an array of N masks, any dtype."""

    algorithm_type = "Image2Segmentation"
    output_schema = SegmentationSchema
    output_key = "mask"


class Segmentation2SegmentationRunner(StackRunner):
    """Masks to masks: `inference` gets (N, …) and returns an array of N masks."""

    algorithm_type = "Segmentation2Segmentation"
    input_schema = SegmentationSchema
    input_key = "mask"
    output_schema = SegmentationSchema
    output_key = "mask"


class Image2EmbeddingRunner(StackRunner):
    """Images to features: `inference` returns an array of N feature arrays.

    `input_size` and `original_size` of an output are (H, W) of its input; override `postprocess` where the model saw
    another size.
    """

    algorithm_type = "Image2Embedding"
    output_schema = EmbeddingSchema

    def postprocess(self, data: Any, args: dict[str, Any] | None = None) -> list[str]:
        """Store one embedding for each image."""
        self._check_count(_array(data, self))
        size = tuple(int(side) for side in self._input_images_shape[-2:])
        return self.post_data([{"features": item, "input_size": size, "original_size": size} for item in data])


class Image2AlignmentRunner(StackRunner):
    """Consecutive images to the N-1 matrices between them: `inference` returns a list of N-1 arrays."""

    algorithm_type = "Image2Alignment"
    output_schema = AlignmentSchema

    def postprocess(self, data: Any, args: dict[str, Any] | None = None) -> list[str]:
        """Store one alignment for each pair of consecutive images; matrices are as `inference` gave them."""
        if not isinstance(data, list | tuple | np.ndarray) or not all(isinstance(m, np.ndarray) for m in data):
            raise _wrong_result(self, "a list of N-1 numpy arrays", data)
        self._check_count(data, self._input_images_count - 1)
        empty: dict[str, Any] = {"points1": [], "points2": [], "confidence": []}
        return self.post_data([{**empty, "transform_matrix": m, "translation_matrix": m} for m in data])


class Image2MultiRegionSegmentationRunner(StackRunner):
    """Images to named regions: `inference` returns a list of N dicts.

    A dict is `{name: mask, …}`, or `{"region_names": [...], "region_masks": [...]}`; masks are 2-D and of one shape.
    """

    algorithm_type = "Image2MultiRegionSegmentation"
    output_schema = MultiRegionSegmentationSchema

    def postprocess(self, data: Any, args: dict[str, Any] | None = None) -> list[str]:
        """Store the regions of each image."""
        if not isinstance(data, list | tuple) or not all(isinstance(item, Mapping) for item in data):
            raise _wrong_result(self, "a list of N dicts", data)
        self._check_count(data)
        return self.post_data([_regions(item) for item in data])


def _regions(item: Mapping[str, Any]) -> dict[str, Any]:
    keys = {"region_names", "region_masks"}
    given = keys & item.keys()
    if given and given != keys:
        raise AlgorithmError(
            f"A result with `{given.pop()}` needs both `region_names` and `region_masks`.",
            code="invalid_result",
        )
    if given:
        return {key: list(item[key]) for key in keys}
    return {"region_names": list(item), "region_masks": list(item.values())}


def _array(data: Any, runner: BaseRunner) -> np.ndarray[Any, Any]:
    if not isinstance(data, np.ndarray) or data.ndim == 0:
        raise _wrong_result(runner, "a numpy array with one entry for each input", data)
    return data


def _wrong_result(runner: BaseRunner, wanted: str, data: Any) -> AlgorithmError:
    return AlgorithmError(
        f"inference of an {runner.algorithm_type} must return {wanted}, not {type(data).__name__}.",
        code="invalid_result",
        details={"returned": type(data).__name__},
    )


def _listed(shapes: set[tuple[int, ...]]) -> str:
    return " and ".join("×".join(map(str, shape)) for shape in sorted(shapes))
