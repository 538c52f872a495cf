"""A checkpoint: what a training has learned, in place of some of an algorithm's assets."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from compox_core.records.algorithm import AssetEntry


class CheckpointRecord(BaseModel):
    """A stored checkpoint. Never changed.

    `assets` stand in for those of the same paths in any minor version that has these paths. `algorithm_minor_version`
    is the one that was trained, `parent_checkpoint_id` where that training went on from. `properties` are what the
    algorithm says of it, `tags` those of its training, as they were given.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    checkpoint_id: str
    parent_algorithm_id: str
    training_id: str
    algorithm_minor_version: str | None = None
    parent_checkpoint_id: str | None = None
    created_at: datetime
    properties: dict[str, Any] = Field(default_factory=dict)
    tags: list[str] = Field(default_factory=list)
    assets: dict[str, AssetEntry] = Field(default_factory=dict)

    @property
    def size(self) -> int:
        """The bytes of its assets, each content counted once."""
        return sum({entry.sha256: entry.size for entry in self.assets.values()}.values())
