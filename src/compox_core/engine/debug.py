"""Local debug: the folder of an algorithm runs where it lies, without being deployed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from compox_core.algorithms.loading import loaded_in_place
from compox_core.algorithms.packing import open_package
from compox_core.data import ImageSchema, SegmentationSchema, montage, read_hdf5, read_images
from compox_core.data.png import encode_png
from compox_core.engine.arranging import HDF5_SUFFIXES
from compox_core.engine.following import Progress
from compox_core.engine.handle import Result, TaskHandle
from compox_core.engine.progress import bar
from compox_core.engine.saving import Target, picture
from compox_core.engine.training_handle import TrainingHandle
from compox_core.engine.undeployed import UndeployedEngine
from compox_core.errors import InvalidInputError, PackageError, TaskFailedError
from compox_core.records import ExecutionRecord, TaskStatus
from compox_core.settings import Settings

PICTURE_NAME = "debug.png"
PICTURE_SIDE = 512
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class DebugRun:
    """What a local debug run gave: the outputs as `engine.run` returns them, the record, and the files written."""

    result: Result
    record: ExecutionRecord
    written: list[Path] = field(default_factory=list)


def debug(
    folder: str | Path,
    data: Any,
    *,
    device: str | None = None,
    out: str | Path | None = None,
    parameters: Mapping[str, Any] | None = None,
    **more: Any,
) -> Result:
    """Run the folder of an algorithm without deploying it, and return its outputs arranged as the inputs were.

    The folder is packed, checked and imported as a deploy does it, but the code runs from the folder itself, so that
    breakpoints and tracebacks are in the author's files; a call after an edit runs the new code. The code runs in
    the thread that calls. Nothing is stored, and `sys.path` and the names in `sys.modules` stay as they are.

    Args:
        folder: The folder with `Runner.py` and `pyproject.toml`.
        data: What `Engine.run` takes. Of an HDF5 file that another program wrote, the first dataset with 2 or 3 axes
            is taken, one image for each index of its first axis.
        device: `cpu`, `gpu`, `cuda:N` or `mps`; None for the algorithm's default.
        out: A folder for the outputs and for `debug.png`, the first input beside the first output; files of an
            earlier run are replaced. None writes nothing.
        parameters: Values for declared parameters; the others get their defaults.
        more: The same, as keyword arguments, where a parameter's name is none of those above.

    Raises:
        PackageError: when the folder could not be deployed either.
        TaskFailedError: when the algorithm failed; its notes hold the traceback.
        ParameterError, DataError, NotFoundError: as `Engine.run`.
    """
    return debug_folder(folder, data, device=device, out=out, parameters={**(parameters or {}), **more}).result


def debug_folder(
    folder: str | Path,
    data: Any,
    *,
    device: str | None = None,
    out: str | Path | None = None,
    parameters: Mapping[str, Any] | None = None,
    progress: Progress = True,
    settings: Settings | None = None,
) -> DebugRun:
    """Do what `debug` does, and return the record and the written files too.

    `progress` is as in `Engine.run`; `settings` give the devices that are allowed and the limits.
    """
    place = debug_output(out)
    with undeployed(folder, settings) as engine:
        result, record = _run(engine, data, device, dict(parameters or {}), progress)
        shown = _picture(engine, record, result) if place is not None else None
    return DebugRun(result, record, [] if place is None else _write(place, _stem(data), result, shown))


def debug_output(out: str | Path | None) -> Path | None:
    """Return the folder that a debug run writes to. Raises InvalidInputError (`output_folder_not_found`)."""
    place = None if out is None else Path(out)
    if place is not None and place.exists() and not place.is_dir():
        raise InvalidInputError(
            f"'{place}' is a file: name a folder for what the debug run writes.",
            code="output_folder_not_found",
            details={"output": str(place)},
        )
    return place


@contextmanager
def undeployed(folder: str | Path, settings: Settings | None = None) -> Iterator[UndeployedEngine]:
    """Open an engine around the folder of an algorithm. Raises PackageError."""
    root = Path(folder)
    if not root.is_dir():
        raise PackageError(
            f"'{root}' is no folder: name the folder that holds Runner.py.",
            code="deploy_path_not_found",
            details={"path": str(root)},
        )
    with (
        open_package(root) as package,
        loaded_in_place(root) as runner,
        UndeployedEngine(package, runner, settings) as engine,
    ):
        yield engine


def _write(folder: Path, stem: str, result: Result, shown: bytes | None) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    written = Target(folder, [stem], overwrite=True).save(result.outputs)
    if shown is not None:
        path = folder / PICTURE_NAME
        path.write_bytes(shown)
        written.append(path)
    return written


def _run(
    engine: UndeployedEngine, data: Any, device: str | None, parameters: dict[str, Any], progress: Progress
) -> tuple[Result, ExecutionRecord]:
    version = engine.version
    inputs = debug_inputs(data, version.metadata.algorithm_type)
    with followed(engine, progress) as report:
        handle = engine.submit(version.name, inputs, device=device, parameters=parameters)
        if handle.status is TaskStatus.COMPLETED:
            report(1.0)
    with told(handle):
        return handle.result(), handle.record


@contextmanager
def told(handle: TaskHandle | TrainingHandle) -> Iterator[None]:
    """Note at a failure how it came, in the author's own files: the log ends with the traceback."""
    try:
        yield
    except TaskFailedError as error:
        story = handle.log.rpartition("Traceback (most recent call last):")
        error.add_note("".join(story[1:]).rstrip())
        raise


def debug_inputs(data: Any, algorithm_type: str) -> Any:
    """Return what `Engine.submit` is to be given: `data` itself, or the images of an HDF5 file that is none of ours.

    Args:
        data: What `Engine.run` takes.
        algorithm_type: As `pyproject.toml` declares it; a Generic algorithm gets an HDF5 file as it is.
    """
    if not isinstance(data, str | Path) or Path(data).suffix.lower() not in HDF5_SUFFIXES:
        return data
    path = Path(data)
    if not path.is_file() or algorithm_type in ("Generic", "Undefined"):
        return data
    masks = algorithm_type == "Segmentation2Segmentation"
    key = "mask" if masks else "image"
    if read_hdf5(path, [key])[key] is not None:
        return data
    items = read_images(path, SegmentationSchema if masks else ImageSchema)
    return items if len(items) > 1 else items[0]


@contextmanager
def followed(engine: UndeployedEngine, progress: Progress) -> Iterator[Callable[[float], None]]:
    """Tell the progress from a thread of its own, because the run takes this one; give what it is told to."""
    if progress is False:
        yield lambda share: None
        return
    with bar() if progress is True else nullcontext(progress) as report:
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(POLL_SECONDS):
                for task in engine.active():
                    report(task.progress)

        watcher = threading.Thread(target=watch, name="compox-debug-progress", daemon=True)
        watcher.start()
        try:
            yield report
        finally:
            ended.set()
            watcher.join()


def _stem(data: Any) -> str:
    """Return what an output is named after: the input's name where it has one."""
    return f"{Path(data).stem or 'input'}_output" if isinstance(data, str | Path) else "output"


def _picture(engine: UndeployedEngine, record: ExecutionRecord, result: Result) -> bytes | None:
    """Return a PNG with the first input beside the first output, of those that can be shown."""
    first_input = engine.files.read(record.input_dataset_ids[0])
    first_output = result.outputs[0] if result.outputs else {}
    shown = [
        array for array in (picture(first_input), picture(first_output), _regions(first_output)) if array is not None
    ]
    return encode_png(montage(shown, max_side=PICTURE_SIDE, columns=2)) if shown else None


def _regions(output: Mapping[str, Any]) -> np.ndarray[Any, Any] | None:
    """Return named regions as one label image, or None where an output has none."""
    masks = output.get("region_masks")
    if not isinstance(masks, np.ndarray) or masks.ndim != 3:
        return None
    labels = np.zeros(masks.shape[1:], np.uint8)
    for number, mask in enumerate(masks, 1):
        labels[mask.astype(bool)] = number
    return labels
