"""Local debug of a training: the folder of an algorithm learns where it lies, without being deployed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compox_core.engine.debug import debug_output, followed, told, undeployed
from compox_core.engine.following import Progress
from compox_core.engine.history import MetricHistory
from compox_core.engine.sample_files import Group
from compox_core.engine.undeployed import UndeployedEngine
from compox_core.errors import StorageError
from compox_core.records import CheckpointRecord, TaskStatus, TrainingRecord
from compox_core.settings import Settings
from compox_core.storage.collections import ASSETS

METRICS_NAME = "metrics.csv"
CHECKPOINT_FOLDER = "checkpoint"


@dataclass(frozen=True)
class DebugTraining:
    """What came of it: the checkpoints, oldest first, the metrics, the record, and the files that were written."""

    checkpoints: list[CheckpointRecord]
    metrics: MetricHistory
    record: TrainingRecord
    written: list[Path] = field(default_factory=list)


def debug_training(
    folder: str | Path,
    samples: Sequence[Group | Sequence[Group]],
    *,
    device: str | None = None,
    out: str | Path | None = None,
    parameters: Mapping[str, Any] | None = None,
    progress: Progress = True,
    settings: Settings | None = None,
) -> DebugTraining:
    """Train the folder of an algorithm without deploying it, in the thread that calls.

    Args:
        folder: The folder with `Runner.py` and `pyproject.toml`.
        samples: What it learns from; each is what `engine.samples.create` takes.
        device: `cpu`, `gpu`, `cuda:N` or `mps`; None for the algorithm's default.
        out: A folder for `metrics.csv` and for the assets of the last checkpoint, in `checkpoint/`; files of an
            earlier training are replaced. None writes nothing.
        parameters: Values for declared training parameters; the others get their defaults.
        progress: As in `Engine.run`.
        settings: The devices that are allowed, and the limits.

    Raises:
        PackageError: when the folder could not be deployed either.
        TaskFailedError: when the training failed; its notes hold the traceback.
        ParameterError, DataError, NotFoundError: as `Engine.train`.
    """
    place = debug_output(out)
    with undeployed(folder, settings) as engine:
        stored = [engine.samples.create(sample) for sample in samples]
        with followed(engine, progress) as report:
            handle = engine.train(engine.version.name, stored, device=device, parameters=parameters)
            if handle.status is TaskStatus.COMPLETED:
                report(1.0)
        with told(handle):
            saved = handle.result()
        metrics = handle.metrics()
        written = [] if place is None else _write(engine, place, saved[-1], metrics)
        return DebugTraining(saved, metrics, handle.record, written)


def _write(engine: UndeployedEngine, place: Path, last: CheckpointRecord, metrics: MetricHistory) -> list[Path]:
    written = [place / CHECKPOINT_FOLDER / path for path in sorted(last.assets)]
    try:
        for target, path in zip(written, sorted(last.assets), strict=True):
            target.parent.mkdir(parents=True, exist_ok=True)
            with engine.store.open(ASSETS, last.assets[path].key) as source, target.open("wb") as sink:
                while chunk := source.read(1 << 20):
                    sink.write(chunk)
        if len(metrics):
            written.append(place / METRICS_NAME)
            metrics.to_csv(written[-1])
    except OSError as error:
        raise StorageError(
            f"The checkpoint could not be written to '{place}': {error}. Check free space and permissions.",
            code="output_write_failed",
            details={"output": str(place)},
        ) from error
    return written
