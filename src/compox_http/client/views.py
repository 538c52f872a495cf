"""What a server holds: its files and algorithms, with the verbs that an engine's have."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast, overload

from compox_core.algorithms.shelves import is_algorithm_id
from compox_core.data import read_hdf5, write_hdf5
from compox_core.errors import NotFoundError
from compox_core.records import AlgorithmRecord
from compox_http.client.connection import API, Connection, listed, segment, without_none
from compox_http.client.readings import read_algorithm

IN_MEMORY_BYTES = 32 << 20


class RemoteFiles:
    """The stored HDF5 files of a server, by id."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def upload(self, source: Path | str | bytes | BinaryIO) -> str:
        """Store a file, from a path, its content or a seekable stream, and return its id.

        Raises DataError (`invalid_hdf5_file`) when it is not HDF5.
        """
        if isinstance(source, bytes):
            return self._send(io.BytesIO(source))
        if isinstance(source, str | os.PathLike):
            with Path(source).open("rb") as file:
                return self._send(file)
        return self._send(source)

    def save(self, values: Mapping[str, Any]) -> str:
        """Store a dict of arrays and texts as a file and return its id. Raises DataError for other values."""
        with _buffer() as file:
            write_hdf5(file, values)
            file.seek(0)
            return self._send(file)

    @overload
    def download(self, file_id: str) -> bytes: ...
    @overload
    def download(self, file_id: str, path: Path | str) -> Path: ...
    def download(self, file_id: str, path: Path | str | None = None) -> bytes | Path:
        """Return the content of a file, or write it to `path` (all of it, or nothing) and return the path."""
        if path is None:
            content = io.BytesIO()
            self._receive(file_id, content)
            return content.getvalue()
        with _complete(Path(path)) as file:
            self._receive(file_id, file)
        return Path(path)

    def read(self, file_id: str, *keys: str) -> dict[str, Any]:
        """Return the content of a file as a dict; only `keys` where they are given, an absent one as None."""
        with _buffer() as file:
            self._receive(file_id, file)
            file.seek(0)
            return read_hdf5(file, keys or None)

    def delete(self, file_id: str) -> None:
        """Remove a file. Raises NotFoundError (`file_not_found`)."""
        self._connection.json("DELETE", f"{API}/files/{segment(file_id)}")

    def _send(self, source: BinaryIO) -> str:
        start = source.tell()
        size = source.seek(0, io.SEEK_END) - start
        source.seek(start)
        return str(self._connection.upload(f"{API}/files", source, size)["file_id"])

    def _receive(self, file_id: str, target: BinaryIO) -> None:
        self._connection.download(f"{API}/files/{segment(file_id)}", target)


class RemoteAlgorithms:
    """Which algorithms a server has. Every call asks it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, name: str, major: str | int | None = None) -> AlgorithmRecord:
        """Return an algorithm by name, in its highest major version unless one is named.

        Raises NotFoundError (`algorithm_not_found`).
        """
        if major is not None:
            path = f"{API}/algorithm/{segment(name)}/{segment(str(major))}"
            return read_algorithm(self._connection.json("GET", path))
        named = [record for record in self.list() if record.name.casefold() == name.casefold()]
        if not named:
            raise self._missing(name)
        return named[-1]

    def list(
        self,
        *,
        positive_tags: Sequence[str] = (),
        negative_tags: Sequence[str] = (),
        algorithm_type: str | None = None,
        supported_devices: Sequence[str] = (),
    ) -> list[AlgorithmRecord]:
        """Return the algorithms that have all of `positive_tags`, none of `negative_tags`, that type (any case), and
        one of `supported_devices`, sorted by name and major version."""
        query = {
            "positive_tag": list(positive_tags),
            "negative_tag": list(negative_tags),
            "algorithm_type": algorithm_type,
            "supported_devices": list(supported_devices),
        }
        answer = listed(self._connection, f"{API}/algorithm/all", "no_algorithms_found", query)
        return [read_algorithm(body) for body in answer]

    def ids(self, name_or_id: str) -> set[str]:
        """Return the ids of an algorithm's major versions by its name, in any case; an id is its own.

        Raises NotFoundError (`algorithm_not_found`).
        """
        if is_algorithm_id(name_or_id):
            return {name_or_id}
        named = {record.algorithm_id for record in self.list() if record.name.casefold() == name_or_id.casefold()}
        if not named:
            raise self._missing(name_or_id)
        return named

    def remove(self, name: str, major: str | int | None = None, minor: str | int | None = None) -> None:
        """Remove an algorithm, or one minor version of it.

        Raises NotFoundError, and ConflictError (`algorithm_not_removable`).
        """
        path = f"{API}/deploy/algorithm/{segment(self.get(name, major).algorithm_id)}"
        query = without_none({"algorithm_minor_version": minor})
        self._connection.json("DELETE", path, params=query)

    def export(
        self,
        name: str,
        major: str | int | None = None,
        minor: str | int | None = None,
        *,
        target: Path | str,
        checkpoint_id: str | None = None,
    ) -> Path:
        """Write an algorithm to `target` (all of it, or nothing) as a zip that can be deployed again; return the path.

        Raises NotFoundError, and ConflictError (`algorithm_not_exportable`).
        """
        major = self.get(name).major if major is None else major
        path = f"{API}/algorithm/{segment(name)}/{segment(str(major))}/export"
        query = without_none({"algorithm_minor_version": minor, "checkpoint_id": checkpoint_id})
        with _complete(Path(target)) as file:
            self._connection.download(path, file, params=query)
        return Path(target)

    def _missing(self, name: str) -> NotFoundError:
        return NotFoundError(
            f"There is no algorithm '{name}' at {self._connection.url}: deploy it, or list the algorithms there are.",
            code="algorithm_not_found",
            details={"algorithm_name": name, "algorithm_major_version": None},
        )

    def __iter__(self) -> Iterator[AlgorithmRecord]:
        return iter(self.list())


@contextmanager
def _complete(target: Path) -> Iterator[BinaryIO]:
    """Give a file that becomes `target` where nothing fails, and is not there otherwise."""
    part = target.with_name(f"{target.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _buffer() -> BinaryIO:
    """Return a temporary file that stays in memory while it is small."""
    return cast(BinaryIO, tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES))
