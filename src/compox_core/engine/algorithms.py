"""The algorithms of an engine, as a user of it sees them."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence

from compox_core.algorithms.registry import Registry
from compox_core.records import AlgorithmRecord


class Algorithms:
    """Which algorithms there are. Every call reads the store, so deploys of other processes are seen."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def get(self, name: str, major: str | int | None = None) -> AlgorithmRecord:
        """Return an algorithm by name, in its highest major version unless one is named.

        Raises NotFoundError (`algorithm_not_found`).
        """
        return self._registry.get(name, major)

    def find(self, algorithm_id: str) -> AlgorithmRecord:
        """Return an algorithm by id. Raises NotFoundError (`algorithm_not_found`)."""
        return self._registry.find(algorithm_id)

    def list(
        self,
        *,
        positive_tags: Sequence[str] = (),
        negative_tags: Sequence[str] = (),
        algorithm_type: str | None = None,
        supported_devices: Sequence[str] = (),
    ) -> list[AlgorithmRecord]:
        """Return the algorithms that have all of `positive_tags`, none of `negative_tags`, that type (any case), and
        one of `supported_devices`."""
        return self._registry.list(
            positive_tags=positive_tags,
            negative_tags=negative_tags,
            algorithm_type=algorithm_type,
            supported_devices=supported_devices,
        )

    def remove(
        self,
        name: str,
        major: str | int | None = None,
        minor: str | int | None = None,
        *,
        force: bool = False,
    ) -> None:
        """Remove an algorithm, or one minor version of it; contents that nothing else uses go with it.

        Raises NotFoundError, and ConflictError (`algorithm_not_removable`) unless it is removable or `force` is set.
        """
        self._registry.remove(self._registry.get(name, major).algorithm_id, minor, force=force)

    def __iter__(self) -> Iterator[AlgorithmRecord]:
        return iter(self.list())

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(record.name)}</td><td>{record.major}.{record.latest_minor}</td>"
            f"<td>{html.escape(record.metadata.algorithm_type)}</td>"
            f"<td>{html.escape(', '.join(record.metadata.tags))}</td>"
            f"<td>{html.escape(record.metadata.description)}</td></tr>"
            for record in self
        )
        head = "".join(f"<th>{title}</th>" for title in ("name", "version", "type", "tags", "description"))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
