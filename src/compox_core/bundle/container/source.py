"""A file that is read at places, by several threads."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import BinaryIO, Self

from compox_core.bundle.container.failures import truncated
from compox_core.errors import NotFoundError
from compox_core.storage.local_errors import reported


class SourceFile:
    """A bundle's file, open until `close`; `size` is what it had when it was opened."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.size = os.fstat(file.fileno()).st_size
        self._file = file
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open a file.

        Raises:
            NotFoundError: `bundle_not_found`.
            StorageError: It cannot be read.
        """
        found = Path(path).expanduser().absolute()
        try:
            with reported("read", str(found)):
                return cls(found, found.open("rb", buffering=0))
        except OSError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise NotFoundError(
                    f"There is no bundle {found}.", code="bundle_not_found", details={"path": str(found)}
                ) from None
            raise

    def read(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset` on. Raises InvalidInputError (`bundle_truncated`) where there are fewer."""
        parts = []
        with self._lock, reported("read", str(self.path)):
            self._file.seek(offset)
            left = size
            while left and (part := self._file.read(left)):
                parts.append(part)
                left -= len(part)
        if left:
            raise truncated(offset + size - left, offset + size, "at least ")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()
