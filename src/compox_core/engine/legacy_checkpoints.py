"""What stands behind `compox.training.AlgorithmCheckpoint` and `compox.training.CheckpointManifest` of compox 3.2.

Old scripts keep checkpoints in the memory of an `InMemoryConnection`. New code uses `engine.checkpoints`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from compox_core.algorithms.checkpoint_contents import plain_properties
from compox_core.engine.legacy_handler import InMemoryConnection
from compox_core.errors import InvalidInputError, NotFoundError
from compox_core.identity import new_id, utc_now
from compox_core.storage.collections import ASSETS, CHECKPOINTS


class CheckpointManifest(BaseModel):
    """The record of a checkpoint; `assets` are ids of contents by path."""

    model_config = ConfigDict(extra="ignore")

    checkpoint_id: str = Field(default_factory=new_id)
    parent_algorithm_id: str
    parent_algorithm_key: str | None = None
    training_id: str
    assets: dict[str, str] = Field(default_factory=dict)
    created_at: datetime = Field(default_factory=utc_now)
    properties: dict[str, Any] = Field(default_factory=dict)
    tags: list[str] = Field(default_factory=list)
    parent_checkpoint_id: str | None = None

    @field_validator("properties", mode="before")
    @classmethod
    def _plain(cls, properties: Any) -> Any:
        return plain_properties(properties)

    @field_validator("tags", mode="before")
    @classmethod
    def _listed(cls, tags: Any) -> Any:
        return [tags] if isinstance(tags, str) else [str(tag) for tag in tags] if isinstance(tags, list) else tags


class AlgorithmCheckpoint:
    """A checkpoint in a connection: one that is stored there, or a new one from its manifest.

    Args:
        database_connection: Where it is kept.
        checkpoint_id: The id of a stored checkpoint.
        checkpoint_manifest: A new one; either this or the id is given.

    Raises:
        InvalidInputError: `invalid_checkpoint_initialization` where none of them is given, or both are.
        NotFoundError: `checkpoint_not_found`.
    """

    def __init__(
        self,
        database_connection: InMemoryConnection,
        checkpoint_id: str | None = None,
        checkpoint_manifest: CheckpointManifest | None = None,
    ) -> None:
        if (checkpoint_id is None) == (checkpoint_manifest is None):
            raise InvalidInputError(
                "An AlgorithmCheckpoint is made from checkpoint_id or from checkpoint_manifest: give one of them.",
                code="invalid_checkpoint_initialization",
            )
        self._connection = database_connection
        self.checkpoint_manifest = checkpoint_manifest or self._read(str(checkpoint_id))

    @property
    def checkpoint_id(self) -> str:
        """The id of the checkpoint."""
        return self.checkpoint_manifest.checkpoint_id

    def _read(self, checkpoint_id: str) -> CheckpointManifest:
        if self._connection.check_objects_exist(CHECKPOINTS, [checkpoint_id]) != [True]:
            raise NotFoundError(
                f"The connection holds no checkpoint '{checkpoint_id}': register it first.",
                code="checkpoint_not_found",
                details={"checkpoint_id": checkpoint_id},
            )
        return CheckpointManifest.model_validate_json(self._connection.get_objects(CHECKPOINTS, [checkpoint_id])[0])

    def asset(self, path: str) -> bytes | None:
        """Return the content that stands at a path; None where the checkpoint has none for it."""
        key = self.checkpoint_manifest.assets.get(path)
        return None if key is None else self._connection.get_objects(ASSETS, [key])[0]

    def register_checkpoint(self) -> str:
        """Store the manifest in the connection, and return its id."""
        manifest = self.checkpoint_manifest
        self._connection.put_objects(CHECKPOINTS, [manifest.checkpoint_id], [manifest.model_dump_json()])
        return manifest.checkpoint_id

    def delete_checkpoint(self) -> None:
        """Drop the manifest and its contents; what is not there is no error."""
        self._connection.delete_objects(CHECKPOINTS, [self.checkpoint_id])
        self._connection.delete_objects(ASSETS, list(self.checkpoint_manifest.assets.values()))
