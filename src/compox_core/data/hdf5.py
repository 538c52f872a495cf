"""Data files: named arrays and texts at the root of an HDF5 file, without groups, attributes, chunks or filters.

The layout is that of compox 3 and is kept byte for byte. `encoding` says which values may be stored, `datasets` which
are read; here are the files.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import h5py

from compox_core.data.datasets import OpenFile, read_dataset
from compox_core.data.encoding import Stored, check_key, encode
from compox_core.errors import CompoxError, DataError, NotFoundError, StorageError

_CHUNK = 16 * 2**20
# What h5py and HDF5 raise for a damaged file, depending on the damaged part.
_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError)


def write_hdf5(target: Path | BinaryIO, values: Mapping[str, Any]) -> None:
    """Write `values` as one data file, one dataset for each key; keys whose value is None are left out.

    All values are checked before the file is opened. A path is replaced; if writing fails, nothing stays there. A
    stream is written from its start where it is seekable and readable, else in one pass. Publishing the file
    atomically is the caller's part. Raises DataError (unsupported_value, invalid_key) and StorageError
    (data_write_failed).
    """
    stored = {check_key(key): encode(key, value) for key, value in values.items() if value is not None}
    if isinstance(target, Path):
        _write_path(target, stored)
    elif target.seekable() and target.readable():
        _write(target, stored)
    else:
        with tempfile.TemporaryFile() as file:
            _write(file, stored)
            file.seek(0)
            shutil.copyfileobj(file, target, _CHUNK)


def read_hdf5(source: Path | BinaryIO, keys: Sequence[str] | None = None) -> dict[str, Any]:
    """Read the datasets `keys` of a data file, or all of them in the order of their names.

    Only what is asked for is read; a key that the file does not have is None. Numbers come back as arrays or numpy
    scalars, a text as str, an array of texts as a (nested) list of str.

    Raises DataError: invalid_hdf5_file (not HDF5, empty, truncated, damaged), hdf5_group, hdf5_link (also virtual and
    external datasets), hdf5_too_large, unsupported_value; NotFoundError (file_not_found) where there is no such path.
    An error of the stream itself passes unchanged.
    """
    with open_hdf5(source) as file:
        names = sorted(file.root) if keys is None else list(dict.fromkeys(keys))
        return {name: read_dataset(file, name) for name in names}


def is_hdf5(path: Path) -> bool:
    """Whether the file at `path` begins like an HDF5 file; it may still be damaged."""
    return path.is_file() and bool(h5py.is_hdf5(path))


@contextmanager
def open_hdf5(source: Path | BinaryIO) -> Iterator[OpenFile]:
    """Open a file for reading; what its damage raises then becomes a DataError."""
    if isinstance(source, Path):
        _check_path(source)
        # On some network filesystems a lock cannot be had; nobody writes to a finished data file.
        with _damage_named(source.name), h5py.File(source, "r", locking="best-effort") as root:
            yield OpenFile(root, source.name, partial(source.open, "rb"))
        return
    name, stream = "the given stream", _Watched(source, source.seek(0, os.SEEK_END))
    with _damage_named(name, stream), h5py.File(stream, "r") as root:
        yield OpenFile(root, name, partial(nullcontext, stream))


def _check_path(path: Path) -> None:
    if not path.is_file():
        raise NotFoundError(
            f"There is no file {path.name} to read. Check the path.", code="file_not_found", details={"file": path.name}
        )
    if not os.access(path, os.R_OK):
        raise DataError(
            f"{path.name} may not be read: permission denied. Change its permissions.",
            code="unreadable_file",
            details={"file": path.name},
        )


@contextmanager
def _damage_named(name: str, stream: _Watched | None = None) -> Iterator[None]:
    try:
        yield
    except CompoxError:
        raise
    except _DAMAGE as error:
        if stream is not None and stream.failure is not None:
            raise stream.failure from None
        raise DataError(
            f"{name} is not a readable HDF5 file: it is empty, cut off, damaged or of another format ({error}). "
            "Write it again, or copy it again from its source.",
            code="invalid_hdf5_file",
            details={"file": name, "reason": str(error)},
        ) from error


class _Watched:
    """A stream that remembers its own failure, so that an outage is not reported as a damaged file."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._size = size
        self.failure: Exception | None = None

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` as far as the stream goes; a stream may return less than it was asked for."""
        done = 0
        with self._watching():
            while done < len(buffer):
                part = self._stream.read(min(len(buffer) - done, _CHUNK))
                if not part:
                    break
                buffer[done : done + len(part)] = part
                done += len(part)
        return done

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move; a place that only a damaged file names is refused here, and is no failure of the stream."""
        if offset > self._size:
            raise OSError(f"byte {offset} lies beyond the end of the file")
        with self._watching():
            return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def read(self, size: int = -1) -> bytes:
        """Read some bytes."""
        with self._watching():
            return self._stream.read(size)

    @contextmanager
    def _watching(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever it is, it is the stream's own
            self.failure = error
            raise


def _write(file: Any, stored: Mapping[str, Stored]) -> None:
    # Through a Python file object, because HDF5 then lays out a file as compox 3 did, to the byte.
    with h5py.File(file, "w") as root:
        for key, (data, dtype) in stored.items():
            root.create_dataset(key, data=data, dtype=dtype)


def _write_path(target: Path, stored: Mapping[str, Stored]) -> None:
    opened = False
    try:
        with target.open("w+b") as file:
            opened = True
            _write(file, stored)
    except BaseException as error:
        if opened:
            target.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _not_written(target.name, error) from error
        raise


def _not_written(name: str, error: OSError) -> StorageError:
    return StorageError(
        f"The data file {name} could not be written: {error}. Check free space and permissions of its folder.",
        code="data_write_failed",
        details={"file": name},
        retryable=True,
    )
