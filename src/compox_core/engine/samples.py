"""The training samples of an engine, as a user of it sees them."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence

from compox_core.engine.sample_files import Group, sample_request
from compox_core.engine.storing import Shelf
from compox_core.records import SampleRecord, SampleRequest
from compox_core.training.samples import SampleStore


class Samples:
    """Which training samples there are. Every call reads the store, so what other processes do is seen."""

    def __init__(self, store: SampleStore, files: Shelf) -> None:
        self._store = store
        self._files = files

    def create(self, files: Group | Sequence[Group], tags: Iterable[str] = ()) -> SampleRecord:
        """Store a sample, with what it holds that is not stored; nothing removes its files as long as it is there.

        Args:
            files: A group of inputs by key, `{"input": image, "target": {"mask": mask}}` say, or several; see
                `compox_core.engine.sample_files.sample_request`.
            tags: Words to find it by; case does not count.

        Raises:
            InvalidInputError, DataError, NotFoundError: as `sample_request` and `SampleStore.create` do; what was
                stored for the sample is removed again.
        """
        with sample_request(self._files, files, tags) as request:
            return self._store.create(request)

    def submit(self, request: SampleRequest) -> SampleRecord:
        """Store a sample of files that are stored. Raises what `SampleStore.create` raises."""
        return self._store.create(request)

    def get(self, sample_id: str) -> SampleRecord:
        """Return a sample, whether its files are there or not (`missing_files`).

        Raises NotFoundError (`sample_not_found`), StorageError (`invalid_sample_record`).
        """
        return self._store.get(sample_id)

    def list(self, positive_tags: Iterable[str] = (), negative_tags: Iterable[str] = ()) -> list[SampleRecord]:
        """Return the samples that have all of `positive_tags` and none of `negative_tags`, oldest first."""
        return self._store.list(positive_tags, negative_tags)

    def is_empty(self) -> bool:
        """Return whether there is no sample at all."""
        return self._store.is_empty()

    def missing_files(self, record: SampleRecord) -> Sequence[str]:
        """Return the files of a sample that are not in the store any more."""
        return self._store.missing_files([record])

    def delete(self, sample_id: str) -> None:
        """Remove a sample; its files stay until they expire. Raises NotFoundError (`sample_not_found`)."""
        self._store.delete(sample_id)

    def __iter__(self) -> Iterator[SampleRecord]:
        return iter(self.list())

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(record.sample_id)}</td><td>{html.escape(', '.join(record.keys))}</td>"
            f"<td>{len(record.files)}</td><td>{len(record.file_ids)}</td>"
            f"<td>{html.escape(', '.join(record.tags))}</td><td>{record.time_created:%Y-%m-%d %H:%M} UTC</td></tr>"
            for record in self
        )
        head = "".join(f"<th>{title}</th>" for title in ("sample", "keys", "groups", "files", "tags", "created"))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
