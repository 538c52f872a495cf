"""Samples, trainings and checkpoints as people read them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from compox_cli.describe import count, size
from compox_core.records import CheckpointRecord, MetricPoint, SampleRecord, TrainingRecord

SAMPLE_COLUMNS = ("sample", "created", "groups", "files", "keys", "tags")
GROUP_COLUMNS = ("group", "key", "file", "state")
CHECKPOINT_COLUMNS = ("checkpoint", "created", "size", "algorithm", "tags", "properties")
ASSET_COLUMNS = ("asset", "size", "sha256")


def sample_row(sample: SampleRecord) -> tuple[str, ...]:
    """Return a sample as a row of `SAMPLE_COLUMNS`."""
    numbers = (str(len(sample.files)), str(len(sample.file_ids)))
    words = (", ".join(sample.keys), ", ".join(sample.tags))
    return (sample.sample_id, f"{sample.time_created:%Y-%m-%d}", *numbers, *words)


def sample_facts(sample: SampleRecord, missing: Collection[str]) -> list[tuple[str, str]]:
    """Return what there is to say of a sample but its files; `missing` are those that are gone."""
    files = count(len(sample.file_ids), "file") + (
        f", {len(missing)} of them not in the store any more" * bool(missing)
    )
    return [
        ("created", f"{sample.time_created:%Y-%m-%d %H:%M} UTC"),
        ("tags", ", ".join(sample.tags) or "-"),
        ("holds", f"{files} in {count(len(sample.files), 'group')}"),
    ]


def group_rows(sample: SampleRecord, missing: Collection[str]) -> list[tuple[str, ...]]:
    """Return the files of a sample as rows of `GROUP_COLUMNS`."""
    return [
        (str(number), key, name, "missing" if name in missing else "there")
        for number, group in enumerate(sample.files)
        for key, names in group.items()
        for name in names
    ]


def sample_answer(sample: SampleRecord, missing: Sequence[str]) -> dict[str, Any]:
    """Return a sample for programs, with the files that are gone."""
    return {**sample.model_dump(mode="json"), "missing_file_ids": list(missing)}


def checkpoint_row(checkpoint: CheckpointRecord, algorithms: Mapping[str, str]) -> tuple[str, ...]:
    """Return a checkpoint as a row of `CHECKPOINT_COLUMNS`; `algorithms` are names by id."""
    return (
        checkpoint.checkpoint_id,
        f"{checkpoint.created_at:%Y-%m-%d}",
        size(checkpoint.size),
        _trained(checkpoint, algorithms),
        ", ".join(checkpoint.tags),
        _properties(checkpoint.properties),
    )


def checkpoint_facts(checkpoint: CheckpointRecord, algorithms: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what there is to say of a checkpoint but its assets."""
    return [
        ("algorithm", _trained(checkpoint, algorithms)),
        ("training", checkpoint.training_id),
        ("goes on from", checkpoint.parent_checkpoint_id or "-"),
        ("created", f"{checkpoint.created_at:%Y-%m-%d %H:%M} UTC"),
        ("tags", ", ".join(checkpoint.tags) or "-"),
        ("properties", _properties(checkpoint.properties) or "-"),
        ("size", size(checkpoint.size)),
    ]


def asset_rows(checkpoint: CheckpointRecord) -> list[tuple[str, ...]]:
    """Return the assets of a checkpoint as rows of `ASSET_COLUMNS`."""
    return [(path, size(entry.size), entry.sha256) for path, entry in sorted(checkpoint.assets.items())]


def metrics(values: Mapping[str, float]) -> str:
    """Return metrics in a few words: `loss 0.0123  dice 0.9`."""
    return "  ".join(f"{name} {value:.4g}" for name, value in values.items())


def point(latest: MetricPoint, values: Mapping[str, float]) -> str:
    """Return where a training is: the step of its latest point, and the latest value of each metric."""
    return f"step {latest.step}  {metrics(values)}"


def trained(record: TrainingRecord, values: Mapping[str, float]) -> str:
    """Return a line on a training that has ended; `values` are its latest metrics."""
    seconds = ""
    if record.time_started and record.time_completed:
        seconds = f" in {(record.time_completed - record.time_started).total_seconds():.2f} s"
    samples = count(len(record.training_data), "sample")
    saved = count(len(record.output_checkpoint_ids), "checkpoint")
    line = f"{samples}, {saved}{seconds} on {record.resolved_execution_device or '?'}"
    return f"{line}: {metrics(values)}" if values else line


def kept(checkpoint_ids: Sequence[str]) -> str:
    """Return what is left of a training that did not complete, and how to go on."""
    if not checkpoint_ids:
        return "No checkpoint was saved by then."
    shown = "\n".join(checkpoint_ids)
    return (
        f"{count(len(checkpoint_ids), 'checkpoint')} kept, oldest first:\n{shown}\n"
        f"To go on from the last, give the same command with --checkpoint {checkpoint_ids[-1]}"
    )


def _trained(checkpoint: CheckpointRecord, algorithms: Mapping[str, str]) -> str:
    name = algorithms.get(checkpoint.parent_algorithm_id)
    minor = f".{checkpoint.algorithm_minor_version}" if checkpoint.algorithm_minor_version is not None else ""
    return checkpoint.parent_algorithm_id if name is None else f"{name}{minor}"


def _properties(properties: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_value(value)}" for name, value in properties.items())


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
