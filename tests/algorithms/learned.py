"""Checkpoints for tests: saved without a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compox_core.algorithms.checkpoint_contents import AssetValue
from compox_core.algorithms.checkpoints import CheckpointStore
from compox_core.records import AlgorithmVersion, CheckpointRecord


def save(
    checkpoints: CheckpointStore, version: AlgorithmVersion, assets: Mapping[str, AssetValue], **more: Any
) -> CheckpointRecord:
    """Save a checkpoint of a version, of the training 't' unless `more` says otherwise."""
    given: dict[str, Any] = {
        "algorithm_id": version.algorithm_id,
        "minor": version.minor,
        "training_id": "t",
        "parent_checkpoint_id": None,
        "allowed_paths": version.assets,
    }
    return checkpoints.save(assets=assets, **given | more)
