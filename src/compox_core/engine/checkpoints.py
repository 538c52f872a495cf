"""The checkpoints of an engine, as a user of it sees them."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from contextlib import suppress

from compox_core.algorithms.checkpoints import CheckpointStore, with_checkpoint
from compox_core.algorithms.registry import Registry
from compox_core.algorithms.shelves import is_algorithm_id
from compox_core.errors import NotFoundError
from compox_core.records import AlgorithmVersion, CheckpointRecord
from compox_core.records.plain import written


class Checkpoints:
    """What trainings have learned. Every call reads the store, so what other processes save and delete is seen."""

    def __init__(self, store: CheckpointStore, registry: Registry) -> None:
        self._store = store
        self._registry = registry

    def get(self, checkpoint_id: str) -> CheckpointRecord:
        """Return a checkpoint.

        Raises NotFoundError (`checkpoint_not_found`), StorageError (`invalid_checkpoint_record`) where it cannot be
        read.
        """
        return self._store.get(checkpoint_id)

    def list(
        self,
        *,
        positive_tags: Sequence[str] = (),
        negative_tags: Sequence[str] = (),
        algorithm: str | None = None,
        training_id: str | None = None,
    ) -> list[CheckpointRecord]:
        """Return the checkpoints that have all of `positive_tags` and none of `negative_tags` (in any case), oldest
        first: those of an algorithm, by its name in all major versions or by its id, and of a training, where these
        are given.

        Raises NotFoundError (`algorithm_not_found`).
        """
        if algorithm is None:
            return self._store.list(positive_tags, negative_tags, training_id=training_id)
        if is_algorithm_id(algorithm):
            found = self._store.list(positive_tags, negative_tags, algorithm, training_id)
            if found:
                return found
            with suppress(NotFoundError):  # it may mean an algorithm that has another id here
                algorithm = self._registry.resolve(algorithm)
            return self._store.list(positive_tags, negative_tags, algorithm, training_id)
        found = [
            checkpoint
            for record in self._registry.majors(algorithm)
            for checkpoint in self._store.list(positive_tags, negative_tags, record.algorithm_id, training_id)
        ]
        return sorted(found, key=lambda record: (record.created_at, record.checkpoint_id))

    def delete(self, checkpoint_id: str) -> None:
        """Delete a checkpoint; contents that nothing else uses go with it. Raises NotFoundError
        (`checkpoint_not_found`)."""
        self._store.delete(checkpoint_id)

    def is_empty(self) -> bool:
        """Return whether there is no checkpoint."""
        return self._store.is_empty()

    def resolved(self, checkpoint_id: str, version: AlgorithmVersion) -> AlgorithmVersion:
        """Return a minor version with a checkpoint's assets in place of its own.

        Raises NotFoundError (`checkpoint_not_found`), InvalidInputError (`invalid_checkpoint`,
        `checkpoint_asset_incompatible`).
        """
        return with_checkpoint(version, self._store.get(checkpoint_id))

    def __iter__(self) -> Iterator[CheckpointRecord]:
        return iter(self.list())

    def _repr_html_(self) -> str:
        names = {record.algorithm_id: f"{record.name} {record.major}" for record in self._registry.list()}
        rows = "".join(
            f"<tr><td>{html.escape(record.checkpoint_id)}</td>"
            f"<td>{html.escape(names.get(record.parent_algorithm_id, record.parent_algorithm_id))}</td>"
            f"<td>{record.created_at:%Y-%m-%d %H:%M}</td><td>{html.escape(', '.join(record.tags))}</td>"
            f"<td>{html.escape(written(record.properties) if record.properties else '')}</td></tr>"
            for record in self
        )
        head = "".join(f"<th>{title}</th>" for title in ("checkpoint", "algorithm", "created", "tags", "properties"))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
