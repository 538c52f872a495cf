"""Which algorithms a listing shows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from compox_core.records import AlgorithmRecord


@dataclass(frozen=True)
class AlgorithmFilter:
    """What an algorithm's latest metadata must be like to be listed; empty parts ask for nothing."""

    positive_tags: frozenset[str]
    negative_tags: frozenset[str]
    algorithm_type: str | None
    supported_devices: frozenset[str]

    @classmethod
    def of(
        cls,
        positive_tags: Iterable[str],
        negative_tags: Iterable[str],
        algorithm_type: str | None,
        supported_devices: Iterable[str],
    ) -> AlgorithmFilter:
        """Return the filter of `Registry.list`: tags exact, type and devices whatever their case."""
        return cls(
            frozenset(positive_tags),
            frozenset(negative_tags),
            None if algorithm_type is None else algorithm_type.casefold(),
            frozenset(device.casefold() for device in supported_devices),
        )

    def admits(self, record: AlgorithmRecord) -> bool:
        """Say whether `record` passes every part."""
        metadata = record.metadata
        tags = frozenset(metadata.tags)
        return (
            self.positive_tags <= tags
            and not self.negative_tags & tags
            and self.algorithm_type in (None, metadata.algorithm_type.casefold())
            and (not self.supported_devices or not self.supported_devices.isdisjoint(metadata.supported_devices))
        )
