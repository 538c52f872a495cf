"""Outputs of a run as files that other programs open."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compox_core.data import IMAGE_SUFFIXES, write_images
from compox_core.errors import ConflictError, DataError, InvalidInputError, StorageError

Output = Mapping[str, Any]
Array = np.ndarray[Any, Any]

ANY_OUTPUT = (".h5", ".hdf5", ".npy", ".json")
WHOLE_OUTPUT = (".h5", ".hdf5", ".json")
FORMATS = tuple(dict.fromkeys((*IMAGE_SUFFIXES, *ANY_OUTPUT)))

PICTURE_KEYS = ("image", "volume", "mask")
ARRAY_KEYS = (*PICTURE_KEYS, "transform_matrix", "features", "data", "region_masks", "vertices")
"""The key that an output is about, the first of these that it has; the others say more about it."""

PICTURELESS_TYPES = ("Image2Alignment", "Image2Embedding", "Image2MultiRegionSegmentation")


@dataclass(frozen=True)
class Target:
    """Where the outputs of a run are to be written.

    Args:
        out: A file, whose suffix decides the format (one of `FORMATS`); a folder (existing, or a name without a
            suffix), which gets one file an output; None for the current folder.
        stems: One name an input, without suffix, from which files in a folder are named.
        overwrite: Whether files that exist are replaced.
    """

    out: Path | None
    stems: Sequence[str]
    overwrite: bool = False

    @property
    def file(self) -> Path | None:
        """The one file that was asked for, or None for a folder."""
        if self.out is None or self.out.is_dir() or not self.out.suffix:
            return None
        return self.out

    @property
    def folder(self) -> Path:
        """The folder that files go to."""
        if self.file is not None:
            return self.file.parent
        return self.out if self.out is not None else Path()

    def check(self, algorithm_type: str) -> None:
        """Find out before a run whether its outputs could be written.

        Raises InvalidInputError (`unknown_output_format`, `output_folder_not_usable`) and ConflictError
        (`output_exists`).
        """
        self._check_folder()
        if self.file is not None:
            _check_format(self.file, algorithm_type)
            self.refuse_existing(self.file)
            return
        for stem in self.stems:
            for suffix in (".tif", ".h5"):
                self.refuse_existing(self.folder / f"{stem}{suffix}")

    def _check_folder(self) -> None:
        if self.file is not None and not self.folder.exists():
            why = f"the folder '{self.folder}' does not exist: make it first"
        else:
            there = next(place for place in (self.folder, *self.folder.absolute().parents) if place.exists())
            if not there.is_dir():
                why = f"'{there}' is a file: choose another output"
            elif not os.access(there, os.W_OK):
                why = f"you may not write to '{there}': choose another output"
            else:
                return
        raise InvalidInputError(
            f"'{self.out or self.folder}' cannot be written, because {why}.",
            code="output_folder_not_usable",
            details={"output": str(self.out or self.folder)},
        )

    def refuse_existing(self, path: Path) -> None:
        """Raise ConflictError (`output_exists`) for a file that must not be replaced."""
        if path.exists() and not self.overwrite:
            raise ConflictError(
                f"'{path}' exists already: choose another output with -o, or replace it with --overwrite.",
                code="output_exists",
                details={"output": str(path)},
            )

    def save(self, outputs: Sequence[Output]) -> list[Path]:
        """Write the outputs and return the files in order; a file is there whole or not at all.

        A run may have taken hours, so its result is not lost to a wrong name: where the format cannot hold it, or a
        file of that name turned up meanwhile, it is written elsewhere in the folder before the error is raised.
        Raises DataError (`unsupported_output`), ConflictError (`output_exists`), StorageError
        (`output_write_failed`).
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            return [path for group, items in self._groups(outputs) for path in self._publish_or_rescue(group, items)]
        except StorageError:
            raise
        except OSError as error:
            raise StorageError(
                f"The outputs could not be written to '{self.folder}': {error}. Check free space and permissions.",
                code="output_write_failed",
                details={"output": str(self.folder)},
            ) from error

    def _publish_or_rescue(self, path: Path, outputs: Sequence[Output]) -> list[Path]:
        try:
            return self._publish(path, outputs)
        except (DataError, ConflictError) as error:
            instead = error.details.get("instead", path.suffix)
            rescued = self._publish_anywhere(path.with_suffix(instead), outputs)
            message = f"{error.message} The result was written to '{rescued[0]}'."
            details = {**error.details, "written": [str(file) for file in rescued]}
            raise type(error)(message, code=error.code, details=details) from error

    def _publish_anywhere(self, path: Path, outputs: Sequence[Output]) -> list[Path]:
        names = itertools.chain([path.stem], (f"{path.stem}_{number}" for number in itertools.count(2)))
        while True:
            try:
                return self._publish(path.with_stem(next(names)), outputs)
            except ConflictError:
                continue

    def _groups(self, outputs: Sequence[Output]) -> list[tuple[Path, Sequence[Output]]]:
        """Return the files to write, each with the outputs that it holds."""
        if not outputs:
            return []
        if self.file is not None:
            return [(self.file, outputs)]
        suffix = ".tif" if all(picture(output) is not None for output in outputs) else ".h5"
        stems = _unique(self.stems)
        if len(outputs) != len(stems):
            if self.out is None and suffix == ".tif" and _same_shape(outputs):
                return [(self.folder / f"{stems[0]}{suffix}", outputs)]
            stems = [f"{stems[0]}_{number:03d}" for number in range(len(outputs))]
        return [(self.folder / f"{stem}{suffix}", [output]) for stem, output in zip(stems, outputs, strict=True)]

    def _publish(self, path: Path, outputs: Sequence[Output]) -> list[Path]:
        """Write into a folder beside `path`, then move what was written to its place."""
        workshop = Path(tempfile.mkdtemp(prefix=".compox-", dir=path.parent))
        try:
            made = _writer(path)(outputs, workshop / path.name)
            places = [path.parent / file.name for file in made]
            for place in places:
                self.refuse_existing(place)
            for file, place in zip(made, places, strict=True):
                file.replace(place)
            return places
        finally:
            shutil.rmtree(workshop, ignore_errors=True)


def picture(output: Output) -> Array | None:
    """Return the image, mask or volume of an output, or None where it has none that is a picture."""
    for key in PICTURE_KEYS:
        value = output.get(key)
        if isinstance(value, np.ndarray) and value.ndim in (2, 3) and value.dtype.kind in "buif":
            return value
    return None


def left_out(outputs: Sequence[Output], written: Sequence[Path]) -> list[str]:
    """Return the keys that the outputs have and the written files do not: an image file holds one array alone."""
    if all(path.suffix.lower() in WHOLE_OUTPUT for path in written):
        return []
    return sorted({key for output in outputs for key in _beside(output)})


def _beside(output: Output) -> list[str]:
    """Return the keys of an output that say more about the array that it is about."""
    main = _main_array(output)
    return [key for key, value in output.items() if value is not main and value is not None and not _is_empty(value)]


def _is_empty(value: Any) -> bool:
    return isinstance(value, list | str) and not value


def _check_format(file: Path, algorithm_type: str) -> None:
    suffix = file.suffix.lower()
    if suffix not in FORMATS:
        raise InvalidInputError(
            f"'{file}' has no suffix of a known format: use one of {', '.join(FORMATS)}.",
            code="unknown_output_format",
            details={"output": str(file), "formats": list(FORMATS)},
        )
    if suffix not in ANY_OUTPUT and algorithm_type in PICTURELESS_TYPES:
        raise InvalidInputError(
            f"The outputs of an {algorithm_type} algorithm are no images, so '{file}' cannot hold them: use one of "
            f"{', '.join(ANY_OUTPUT)}.",
            code="unknown_output_format",
            details={"output": str(file), "formats": list(ANY_OUTPUT)},
        )


def _writer(path: Path) -> Callable[[Sequence[Output], Path], list[Path]]:
    return {".json": _write_json, ".npy": _write_npy}.get(path.suffix.lower(), write_images)


def _write_npy(outputs: Sequence[Output], path: Path) -> list[Path]:
    """Write the array that each output is about, stacked where there are several."""
    arrays = [_main_array(output) for output in outputs]
    known = [array for array in arrays if array is not None]
    if len(known) < len(arrays) or len({array.shape for array in known}) > 1:
        raise _unsupported(path, "these outputs are not one array, or several of one shape", ".h5")
    with path.open("wb") as stream:
        np.save(stream, known[0] if len(known) == 1 else np.stack(known), allow_pickle=False)
    return [path]


def _write_json(outputs: Sequence[Output], path: Path) -> list[Path]:
    """Write a list with one object an output; arrays become nested lists."""
    content = [{key: value for key, value in output.items() if value is not None} for output in outputs]
    path.write_text(json.dumps(content, indent=1, default=_plain) + "\n", encoding="utf-8")
    return [path]


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _main_array(output: Output) -> Array | None:
    for key in ARRAY_KEYS:
        value = output.get(key)
        if isinstance(value, np.ndarray):
            return value
    arrays = [value for value in output.values() if isinstance(value, np.ndarray)]
    return arrays[0] if len(arrays) == 1 else None


def _same_shape(outputs: Sequence[Output]) -> bool:
    return len({None if (array := picture(output)) is None else array.shape for output in outputs}) == 1


def _unique(stems: Sequence[str]) -> list[str]:
    """Number names that come again, so that `a/cell.tif` and `b/cell.tif` do not share a file."""
    seen: dict[str, int] = {}
    named = []
    for stem in stems:
        seen[stem] = seen.get(stem, 0) + 1
        named.append(stem if seen[stem] == 1 else f"{stem}_{seen[stem]}")
    return named


def _unsupported(path: Path, why: str, instead: str) -> DataError:
    return DataError(
        f"'{path.name}' cannot hold the result, because {why}: use {instead}.",
        code="unsupported_output",
        details={"output": path.name, "instead": instead},
    )
