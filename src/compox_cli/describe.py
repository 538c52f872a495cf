"""Algorithms as people read them: rows of a table, lines of facts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compox_core.records import AlgorithmRecord, ExecutionRecord, Parameter, ParameterConfig

if TYPE_CHECKING:
    from compox_core.engine import Deployment

LIST_COLUMNS = ("name", "version", "type", "tags")
PARAMETER_COLUMNS = ("parameter", "type", "default", "values", "description")


def list_row(record: AlgorithmRecord) -> tuple[str, ...]:
    """Return an algorithm as a row of `LIST_COLUMNS`."""
    return (
        record.name,
        version(record),
        record.metadata.algorithm_type,
        ", ".join(record.metadata.tags),
    )


def facts(record: AlgorithmRecord) -> list[tuple[str, str]]:
    """Return what there is to say of an algorithm but its parameters."""
    metadata, metrics = record.metadata, record.storage_metrics
    return [
        ("description", metadata.description or "-"),
        ("type", metadata.algorithm_type),
        ("minor versions", _minors(record.minors)),
        ("devices", _devices(record)),
        ("tags", ", ".join(metadata.tags) or "-"),
        ("size", f"{size(metrics.logical_size_bytes)} ({count(metrics.asset_count, 'asset')})"),
        ("may be", _allowed(record)),
        ("first deployed", f"{record.created:%Y-%m-%d %H:%M} UTC"),
        ("id", record.algorithm_id),
    ]


def parameter_row(parameter: Parameter) -> tuple[str, ...]:
    """Return a declared parameter as a row of `PARAMETER_COLUMNS`."""
    config = parameter.config
    return (parameter.name, config.type, _text(config.default), _values(config), parameter.description)


def version(record: AlgorithmRecord) -> str:
    """Return the version that runs when nobody asks for another, as `major.minor`."""
    return f"{record.major}.{record.latest_minor}"


def deployed(done: Deployment) -> str:
    """Return one line on what a deploy did."""
    name = f"{done.version.name} {done.version.major}.{done.version.minor}"
    return f"Deployed {name}" if done.created else f"{name} has this content already; nothing was added"


def deployed_facts(done: Deployment) -> dict[str, Any]:
    """Return what a deploy did, for programs."""
    return {
        "algorithm_id": done.record.algorithm_id,
        "name": done.version.name,
        "major": done.version.major,
        "minor": done.version.minor,
        "created": done.created,
        "warnings": done.warnings,
    }


def outcome(record: ExecutionRecord, left_out: Sequence[str] = ()) -> str:
    """Return a line on a run that has ended, and one on what the written files do not hold."""
    seconds = ""
    if record.time_started and record.time_completed:
        seconds = f" in {(record.time_completed - record.time_started).total_seconds():.2f} s"
    inputs, outputs = len(record.input_dataset_ids), len(record.output_dataset_ids)
    device = record.resolved_execution_device or "?"
    line = f"{count(inputs, 'input')}, {count(outputs, 'output')}{seconds} on {device}"
    return f"{line}\nLeft out: {', '.join(left_out)}. An .h5 or .json file holds it all." if left_out else line


def outcome_facts(record: ExecutionRecord, written: Sequence[Path], left_out: Sequence[str]) -> dict[str, Any]:
    """Return what came of a run, for programs."""
    return {
        "written": [str(path) for path in written],
        "left_out": list(left_out),
        "execution": record.model_dump(mode="json"),
    }


def size(count: int) -> str:
    """Return a number of bytes with a unit of 1024."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def _minors(minors: Sequence[int]) -> str:
    shown = [str(minor) for minor in minors]
    if len(shown) > 12:
        shown = [*shown[:3], "...", *shown[-8:]]
    return f"{', '.join(shown)} (latest)"


def _devices(record: AlgorithmRecord) -> str:
    default = record.metadata.default_device
    return ", ".join(
        f"{device} (default)" if device == default else device for device in record.metadata.supported_devices
    )


def _allowed(record: AlgorithmRecord) -> str:
    allowed = [word for word, is_so in (("removed", record.removable), ("exported", record.exportable)) if is_so]
    return " and ".join(allowed) or "neither removed nor exported"


def _values(config: ParameterConfig) -> str:
    if config.options:
        return ", ".join(_text(option) for option in config.options)
    if config.min is None and config.max is None:
        return ""
    low = "" if config.min is None else _text(config.min)
    high = "" if config.max is None else _text(config.max)
    step = "" if config.step is None else f", step {_text(config.step)}"
    return f"{low}..{high}{step}"


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def count(number: int, noun: str) -> str:
    """Return a number of things: `1 file`, `2 files`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
