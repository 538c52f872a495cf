"""What trainings on a server learn from, and what they have saved, with the verbs that an engine's have."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator, Sequence

from compox_core.engine.sample_files import Group, sample_request
from compox_core.records import CheckpointRecord, SampleRecord, SampleRequest
from compox_http.client.connection import API, Connection, listed, segment
from compox_http.client.readings import read_checkpoint, read_missing_files, read_sample
from compox_http.client.views import RemoteAlgorithms, RemoteFiles


class RemoteSamples:
    """The training samples of a server. Every call asks it."""

    def __init__(self, connection: Connection, files: RemoteFiles) -> None:
        self._connection = connection
        self._files = files

    def create(self, files: Group | Sequence[Group], tags: Iterable[str] = ()) -> SampleRecord:
        """Store a sample, with what it holds that is not stored; nothing removes its files as long as it is there.

        Args:
            files: A group of inputs by key, `{"input": image, "target": {"mask": mask}}` say, or several; see
                `compox_core.engine.sample_files.sample_request`.
            tags: Words to find it by; case does not count.

        Raises:
            InvalidInputError, DataError, NotFoundError: as an engine does; what was stored for the sample is removed
                again.
        """
        with sample_request(self._files, files, tags) as request:
            sample_id = self._store(request)
        return self.get(sample_id)

    def submit(self, request: SampleRequest) -> SampleRecord:
        """Store a sample of files that are stored. Raises NotFoundError (`sample_input_files_not_found`)."""
        return self.get(self._store(request))

    def get(self, sample_id: str) -> SampleRecord:
        """Return a sample, whether its files are there or not (`missing_files`).

        Raises NotFoundError (`sample_not_found`), StorageError (`invalid_sample_record`).
        """
        return read_sample(self._connection.json("GET", _sample(sample_id)))

    def list(self, positive_tags: Iterable[str] = (), negative_tags: Iterable[str] = ()) -> list[SampleRecord]:
        """Return the samples that have all of `positive_tags` and none of `negative_tags`, oldest first."""
        query = {"positive_tags": list(positive_tags), "negative_tags": list(negative_tags)}
        answer = listed(self._connection, f"{API}/sample/all", "samples_not_found", query)
        return [read_sample(body) for body in answer]

    def missing_files(self, record: SampleRecord) -> Sequence[str]:
        """Return the files of a sample that are not in the store any more."""
        return read_missing_files(self._connection.json("GET", _sample(record.sample_id)))

    def delete(self, sample_id: str) -> None:
        """Remove a sample; its files stay until they expire. Raises NotFoundError (`sample_not_found`)."""
        self._connection.json("DELETE", _sample(sample_id))

    def _store(self, request: SampleRequest) -> str:
        content = request.model_dump_json()
        headers = {"Content-Type": "application/json"}
        return str(self._connection.json("POST", f"{API}/sample", content=content, headers=headers)["sample_id"])

    def __iter__(self) -> Iterator[SampleRecord]:
        return iter(self.list())


class RemoteCheckpoints:
    """What trainings on a server have learned. Every call asks it."""

    def __init__(self, connection: Connection, algorithms: RemoteAlgorithms) -> None:
        self._connection = connection
        self._algorithms = algorithms

    def get(self, checkpoint_id: str) -> CheckpointRecord:
        """Return a checkpoint.

        Raises NotFoundError (`checkpoint_not_found`), StorageError (`invalid_checkpoint_record`).
        """
        return read_checkpoint(self._connection.json("GET", _checkpoint(checkpoint_id)))

    def list(
        self,
        *,
        positive_tags: Sequence[str] = (),
        negative_tags: Sequence[str] = (),
        algorithm: str | None = None,
        training_id: str | None = None,
    ) -> builtins.list[CheckpointRecord]:
        """Return the checkpoints that have all of `positive_tags` and none of `negative_tags` (in any case), oldest
        first: those of an algorithm, by its name in all major versions or by its id, and of a training, where these
        are given.

        Raises NotFoundError (`algorithm_not_found`).
        """
        query = {"positive_tags": builtins.list(positive_tags), "negative_tags": builtins.list(negative_tags)}
        answer = listed(self._connection, f"{API}/checkpoint/all", "checkpoints_not_found", query)
        ids = None if algorithm is None else self._algorithms.ids(algorithm)
        return [
            record
            for record in map(read_checkpoint, answer)
            if (ids is None or record.parent_algorithm_id in ids) and training_id in (None, record.training_id)
        ]

    def delete(self, checkpoint_id: str) -> None:
        """Delete a checkpoint; contents that nothing else uses go with it. Raises NotFoundError
        (`checkpoint_not_found`)."""
        self._connection.json("DELETE", _checkpoint(checkpoint_id))

    def __iter__(self) -> Iterator[CheckpointRecord]:
        return iter(self.list())


def _sample(sample_id: str) -> str:
    return f"{API}/sample/{segment(sample_id)}"


def _checkpoint(checkpoint_id: str) -> str:
    return f"{API}/checkpoint/{segment(checkpoint_id)}"
