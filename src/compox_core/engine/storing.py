"""Inputs that go into the store, and go again where nobody takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from compox_core.engine.arranging import StoredFile
from compox_core.errors import CompoxError, ConflictError, NotFoundError


class Shelf(Protocol):
    """Where files are stored: here, or at a server."""

    def upload(self, source: Path) -> str: ...
    def save(self, values: Mapping[str, Any]) -> str: ...
    def delete(self, file_id: str) -> None: ...


class Storing:
    """What is stored for one request."""

    def __init__(self, files: Shelf) -> None:
        self._files = files
        self._stored: list[str] = []

    def id_of(self, item: dict[str, Any] | Path | StoredFile) -> str:
        """Return the id of the file that holds `item`, storing it where it is not there."""
        if isinstance(item, StoredFile):
            return item.id
        self._stored.append(self._files.upload(item) if isinstance(item, Path) else self._files.save(item))
        return self._stored[-1]

    def forget(self) -> None:
        """Remove what was stored; raises nothing."""
        for file_id in self._stored:
            try:
                self._files.delete(file_id)
            except (NotFoundError, ConflictError):
                continue  # somebody else was faster, or uses it
            except CompoxError:
                return  # the store or server is gone, which the caller is being told; retention clears the rest


@contextmanager
def storing(files: Shelf) -> Iterator[Storing]:
    """Store inputs inside the block; where it raises, they are removed again."""
    inputs = Storing(files)
    try:
        yield inputs
    except BaseException:  # whatever it is, it is raised again
        inputs.forget()
        raise
