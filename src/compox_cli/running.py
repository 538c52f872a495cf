"""`run`: image files in, image files out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compox_cli.screen import Screen
from compox_core.records import TaskStatus

if TYPE_CHECKING:
    from compox_core.engine import Engine, TaskHandle
    from compox_core.engine.handle import Result
    from compox_core.records import ExecutionRecord


@dataclass(frozen=True)
class RunOrder:
    """What was asked for on the command line."""

    algorithm: str
    inputs: Sequence[Path]
    parameters: dict[str, Any] = field(default_factory=dict)
    out: Path | None = None
    overwrite: bool = False
    major: str | None = None
    minor: str | None = None
    checkpoint: str | None = None
    device: str | None = None
    timeout_s: float | None = None


@dataclass(frozen=True)
class RunOutcome:
    """What came of it."""

    record: ExecutionRecord
    written: list[Path]
    left_out: list[str]


def run(engine: Engine, order: RunOrder, screen: Screen) -> RunOutcome:
    """Run an algorithm on files and write its outputs to files.

    Whether the outputs could be written is looked at before the run. Raises what `Engine.submit`,
    `TaskHandle.result` and `saving.Target` raise.
    """
    from compox_core.engine.saving import Target, left_out

    known = engine.algorithms.get(order.algorithm, order.major)
    stems = [f"{path.stem or path.resolve().name}_{known.name}" for path in order.inputs]
    target = Target(order.out, stems, order.overwrite)
    target.check(known.metadata.algorithm_type)
    with screen.progress(order.algorithm) as report:
        handle = engine.submit(
            order.algorithm,
            list(order.inputs) if len(order.inputs) > 1 else order.inputs[0],
            major=order.major,
            minor=order.minor,
            checkpoint=order.checkpoint,
            device=order.device,
            timeout_s=order.timeout_s,
            parameters=order.parameters,
        )
        result = _wait(handle, report, screen)
    written = target.save(result.outputs)
    return RunOutcome(handle.record, written, left_out(result.outputs, written))


def _wait(handle: TaskHandle, report: Callable[[float], None], screen: Screen) -> Result:
    def advance(share: float) -> None:
        # A bar that jumps to its end looks like success.
        if handle.status not in (TaskStatus.FAILED, TaskStatus.STOPPED):
            report(share)

    try:
        return handle.result(progress=advance)
    except KeyboardInterrupt:
        # The engine, which closes now, asks the task to stop and waits a few seconds for it.
        screen.note("Stopping the task; press Ctrl-C again to leave at once.")
        raise
