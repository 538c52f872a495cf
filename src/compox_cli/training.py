"""`train`: what a training does while somebody waits for it at a shell."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compox_cli import describe_training
from compox_cli.new_files import check_new_file, written_whole
from compox_cli.screen import Report, Screen
from compox_core.errors import ConflictError, NotFoundError
from compox_core.records import CheckpointRecord, SampleRecord, TaskStatus, TrainingRecord

if TYPE_CHECKING:
    from compox_core.engine import Engine, TrainingHandle

POLL_SECONDS = 0.2
STOP_SECONDS = 15.0


@dataclass(frozen=True)
class TrainOrder:
    """What was asked for on the command line."""

    algorithm: str
    samples: Sequence[str] = ()
    tagged: Sequence[str] = ()
    parameters: dict[str, Any] = field(default_factory=dict)
    checkpoint: str | None = None
    tags: Sequence[str] = ()
    major: str | None = None
    minor: str | None = None
    device: str | None = None
    timeout_s: float | None = None
    metrics: Path | None = None
    plot: Path | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class TrainOutcome:
    """What came of it; `latest` has the latest value of each metric."""

    record: TrainingRecord
    checkpoints: list[CheckpointRecord]
    latest: dict[str, float]
    written: list[Path]


def train(engine: Engine, order: TrainOrder, screen: Screen) -> TrainOutcome:
    """Train an algorithm, and write its metrics to files where these were asked for, however it ends.

    Raises what `Engine.train` and `TrainingHandle.result` raise, and what is wrong with the files before it begins.
    """
    _check_files(order)
    handle = engine.train(
        order.algorithm,
        _samples(engine, order),
        major=order.major,
        minor=order.minor,
        checkpoint=order.checkpoint,
        tags=order.tags,
        device=order.device,
        timeout_s=order.timeout_s,
        parameters=order.parameters,
    )
    latest: dict[str, float] = {}
    try:
        with screen.progress(order.algorithm) as report:
            _wait(engine, handle, report, screen, latest)
    finally:
        written = _write(handle, order)
    if handle.status is not TaskStatus.COMPLETED:
        screen.note(describe_training.kept(handle.record.output_checkpoint_ids))
    return TrainOutcome(record=handle.record, checkpoints=handle.result(), latest=latest, written=written)


def _check_files(order: TrainOrder) -> None:
    for path, option in ((order.metrics, "--metrics"), (order.plot, "--plot")):
        if path is not None:
            check_new_file(path, order.overwrite, option)
    if order.plot is not None:
        from compox_core.engine.history import MetricHistory

        MetricHistory().plot()  # hours before there is anything to draw, it says whether matplotlib is missing


def _samples(engine: Engine, order: TrainOrder) -> list[str | SampleRecord]:
    tagged = engine.samples.list(order.tagged) if order.tagged else []
    if order.tagged and not tagged:
        raise NotFoundError(
            f"No sample has the tags {', '.join(order.tagged)}: `compox-cli samples list` shows what there is.",
            code="input_samples_not_found",
            details={"tags": list(order.tagged)},
        )
    named = dict.fromkeys(order.samples)
    return [*named, *(sample for sample in tagged if sample.sample_id not in named)]


def _wait(engine: Engine, handle: TrainingHandle, report: Report, screen: Screen, latest: dict[str, float]) -> None:
    """Show how far it is until it has ended, and note the latest value of each metric in `latest`."""
    mark, note = 0, ""
    try:
        while True:
            record = handle.wait(POLL_SECONDS)
            points, mark = engine.trainings.metrics_since(handle.id, mark)
            for point in points:
                latest.update(point.values)
                note = describe_training.point(point, latest)
            # A bar that jumps to its end looks like success.
            if record.status not in (TaskStatus.FAILED, TaskStatus.STOPPED):
                report(record.progress, note)
            if record.status.final:
                return
    except KeyboardInterrupt:
        screen.note("Stopping the training; press Ctrl-C again to leave at once.")
        with suppress(ConflictError):  # it has ended meanwhile
            handle.stop()
        handle.wait(STOP_SECONDS)
        screen.note(describe_training.kept(handle.record.output_checkpoint_ids))
        raise


def _write(handle: TrainingHandle, order: TrainOrder) -> list[Path]:
    wanted = [path for path in (order.metrics, order.plot) if path is not None]
    history = handle.metrics() if wanted else None
    for path in wanted:
        assert history is not None
        with written_whole(path) as part:
            (history.to_csv if path is order.metrics else history.plot)(part)
    return wanted
