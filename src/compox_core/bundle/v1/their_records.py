"""Algorithms and checkpoints as records of bundles of version 1."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from compox_core.bundle.snapshot import BundledAlgorithm
from compox_core.records import CheckpointRecord, Parameter


def algorithm_key(algorithm: BundledAlgorithm) -> str:
    """Return the key of an algorithm's record."""
    return f"{algorithm.algorithm_id}~{algorithm.name}~{algorithm.major}"


def checkpoint_asset_key(checkpoint: CheckpointRecord, path: str) -> str:
    """Return the key of a checkpoint's asset, which must be its own: there, it is deleted with the checkpoint."""
    return str(uuid.uuid5(uuid.UUID(checkpoint.checkpoint_id), path))


def algorithm_record(
    algorithm: BundledAlgorithm,
    modules: Mapping[str, tuple[str, int]],
    assets: Mapping[str, str],
    checkpoint_bytes: int,
    now: datetime,
) -> bytes:
    """Return the record of an algorithm.

    Args:
        modules: Key and size there of each module, by its SHA-256 here.
        assets: Key there of each asset of a version, by its SHA-256.
        checkpoint_bytes: What the records of its checkpoints take.
        now: When the sizes in it were counted.
    """
    latest = algorithm.versions[-1].metadata
    record: dict[str, Any] = {
        "algorithm_id": algorithm.algorithm_id,
        "algorithm_name": algorithm.name,
        "algorithm_major_version": algorithm.major,
        "latest_algorithm_minor_version": str(algorithm.versions[-1].minor),
        "algorithm_minor_version": {
            str(version.minor): {
                "timestamp": _time(version.created),
                "module_id": modules[version.module.sha256][0],
                "assets": {path: assets[entry.sha256] for path, entry in version.assets.items()},
            }
            for version in algorithm.versions
        },
        "algorithm_type": latest.algorithm_type,
        "algorithm_tags": latest.tags,
        "algorithm_description": latest.description,
        "supported_devices": latest.supported_devices,
        "default_device": latest.default_device,
        "additional_parameters": _parameters(latest.additional_parameters),
        "training_parameters": _parameters(latest.training_parameters),
        "benchmark_outputs": _parameters(latest.benchmark_outputs),
        "removable": algorithm.flags.removable,
        "exportable": algorithm.flags.exportable,
        "timestamp": _time(algorithm.created),
        "storage_metrics": _metrics(algorithm, modules, checkpoint_bytes, now),
        "checkpoints": [checkpoint.checkpoint_id for checkpoint in algorithm.checkpoints],
    }
    return json.dumps(record, indent=4).encode()


def checkpoint_record(checkpoint: CheckpointRecord, parent: BundledAlgorithm) -> bytes:
    """Return the record of a checkpoint. Which minor version was trained is an addition of ours."""
    record: dict[str, Any] = {
        "checkpoint_id": checkpoint.checkpoint_id,
        "parent_algorithm_id": parent.algorithm_id,
        "parent_algorithm_key": algorithm_key(parent),
        "training_id": checkpoint.training_id,
        "assets": {path: checkpoint_asset_key(checkpoint, path) for path in checkpoint.assets},
        "created_at": _time(checkpoint.created_at),
        "properties": checkpoint.properties,
        "tags": checkpoint.tags,
        "parent_checkpoint_id": checkpoint.parent_checkpoint_id,
    }
    if checkpoint.algorithm_minor_version is not None:
        record["algorithm_minor_version"] = checkpoint.algorithm_minor_version
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()


def _parameters(parameters: Iterable[Parameter]) -> list[dict[str, Any]]:
    return [_parameter(parameter) for parameter in parameters]


def _parameter(parameter: Parameter) -> dict[str, Any]:
    """Return a parameter as their listing can show it: the options of a list are lists, or it fails for everybody."""
    document = parameter.model_dump()
    if parameter.config.type.endswith("_list"):
        document["config"]["options"] = [
            option if isinstance(option, list) else [option] for option in parameter.config.options
        ]
    return document


def _metrics(
    algorithm: BundledAlgorithm, modules: Mapping[str, tuple[str, int]], checkpoint_bytes: int, now: datetime
) -> dict[str, Any]:
    used = dict(modules[version.module.sha256] for version in algorithm.versions)
    sizes = {entry.sha256: entry.size for version in algorithm.versions for entry in version.assets.values()}
    learned = [entry.size for checkpoint in algorithm.checkpoints for entry in checkpoint.assets.values()]
    module_bytes, asset_bytes = sum(used.values()), sum(sizes.values()) + sum(learned)
    return {
        "logical_size_bytes": module_bytes + asset_bytes + checkpoint_bytes,
        "module_bytes": module_bytes,
        "asset_bytes": asset_bytes,
        "checkpoint_manifest_bytes": checkpoint_bytes,
        "module_count": len(used),
        "asset_count": len(sizes) + len(learned),
        "checkpoint_count": len(algorithm.checkpoints),
        "last_recomputed_at": _time(now),
    }


def _time(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds")
