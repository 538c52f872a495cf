"""The algorithms of an engine, as a user of it sees them."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from compox_core.algorithms.checkpoints import with_checkpoint
from compox_core.algorithms.exporting import export_zip
from compox_core.algorithms.registry import Registry
from compox_core.algorithms.shelves import is_algorithm_id
from compox_core.errors import ConflictError, NotFoundError
from compox_core.records import AlgorithmRecord
from compox_core.storage import ObjectStore


class Algorithms:
    """Which algorithms there are. Every call reads the store, so deploys of other processes are seen."""

    def __init__(self, registry: Registry, store: ObjectStore) -> None:
        self._registry = registry
        self._store = store

    def get(self, name: str, major: str | int | None = None) -> AlgorithmRecord:
        """Return an algorithm by name, in its highest major version unless one is named.

        Raises NotFoundError (`algorithm_not_found`).
        """
        return self._registry.get(name, major)

    def find(self, algorithm_id: str) -> AlgorithmRecord:
        """Return an algorithm by id. Raises NotFoundError (`algorithm_not_found`)."""
        return self._registry.find(algorithm_id)

    def ids(self, name_or_id: str) -> set[str]:
        """Return the ids of an algorithm in all its major versions, or the one that was given.

        Raises NotFoundError (`algorithm_not_found`).
        """
        if is_algorithm_id(name_or_id):
            with suppress(NotFoundError):  # it may mean an algorithm that has another id here
                return {name_or_id, self._registry.resolve(name_or_id)}
            return {name_or_id}
        return {record.algorithm_id for record in self._registry.majors(name_or_id)}

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
        self.remove_id(self._registry.get(name, major).algorithm_id, minor, force=force)

    def remove_id(self, algorithm_id: str, minor: str | int | None = None, *, force: bool = False) -> None:
        """Do what `remove` does with an algorithm that is named by its id."""
        self._registry.remove(algorithm_id, minor, force=force)

    def export(
        self,
        name: str,
        major: str | int | None = None,
        minor: str | int | None = None,
        *,
        checkpoint_id: str | None = None,
        target: Path | None = None,
    ) -> Path:
        """Write an algorithm as a zip that can be deployed again, and return its path.

        Args:
            name: Its name, in any case.
            major: The major version; None for the highest.
            minor: The minor version; None for the latest.
            checkpoint_id: A checkpoint of this algorithm, whose assets go in place of those that were deployed.
            target: The file to write; None for a scratch file, which the caller removes.

        Raises:
            NotFoundError: `algorithm_not_found`, `minor_version_not_found`, `checkpoint_not_found`.
            InvalidInputError: `invalid_checkpoint`, `checkpoint_asset_incompatible`.
            ConflictError: `algorithm_not_exportable`.
            StorageError: `algorithm_export_failed`, `algorithm_export_security_error`. Nothing stays in `target` then.
        """
        record = self._registry.get(name, major)
        if not record.exportable:
            raise ConflictError(
                f"Algorithm {record.name} {record.major} may not be exported: its author, or who deployed it, said so.",
                code="algorithm_not_exportable",
                details={"algorithm_name": record.name, "algorithm_major_version": record.major},
            )
        try:
            version = self._registry.version(record.algorithm_id, minor)
        except NotFoundError as error:
            error.details |= {"algorithm_name": record.name, "algorithm_major_version": record.major}
            raise
        if checkpoint_id is not None:
            version = with_checkpoint(version, self._registry.checkpoints.get(checkpoint_id))
        path = self._store.scratch() if target is None else target
        try:
            export_zip(self._store, version, path)
        except BaseException:  # whatever it is, it is raised again
            path.unlink(missing_ok=True)
            raise
        return path

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
