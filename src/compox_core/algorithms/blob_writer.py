"""Stores contents that several versions share, or finds them; `blobs` has the protocol that this is a part of."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

from compox_core.errors import ConflictError, InvalidInputError, NotFoundError
from compox_core.storage.objects import ObjectStore

_CHUNK = 1 << 20


class Blob(NamedTuple):
    """Where a blob lies: its collection (`module-store` or `asset-store`) and its key there."""

    collection: str
    key: str

    @property
    def sha256(self) -> str:
        """The SHA-256 of the content, which every key of a blob begins with."""
        return self.key.partition(".")[0]


class BlobWriter:
    """Stores the contents that one writer has pinned; lives as long as the `with` block of
    `BlobStore.writer`.

    `stored` holds the blobs that this writer brought into the store, which somebody may have to collect when
    no version comes to name them. `publishing` says whether something that names them may have been asked for by now;
    until it is, whatever ends the writing lets go of the pin.
    """

    def __init__(
        self,
        store: ObjectStore,
        contents: frozenset[str],
        tombstones: frozenset[Blob],
        passed: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._store = store
        self._contents = contents
        self._tombstones = tombstones
        self._passed = passed
        self.publishing = True
        self.stored: set[Blob] = set()

    def put(self, collection: str, sha256: str, size: int, path: Path) -> Blob:
        """Make sure that the content of `path` (`size` bytes) is in the store and return the blob that holds
        it.

        A blob with this content and size is reused; otherwise the file is streamed into the store and hashed
        on its way. Raises InvalidInputError (code `content_changed`) where the file is no longer what
        `sha256` says or cannot be read, and then leaves nothing behind.
        """
        self._check_pinned(sha256)
        plain = Blob(collection, sha256)
        self._passed(0)
        if plain not in self._tombstones and self._settle(plain, size, path):
            return plain
        other = self._elsewhere(collection, sha256, size)
        if other is not None:
            self._passed(size)
            return other
        fresh = Blob(collection, f"{sha256}.{secrets.token_hex(8)}")
        self._write_file(fresh, path)
        return fresh

    def held(self, collection: str, sha256: str, size: int) -> Blob | None:
        """Return the blob that holds this content already, and will; None where there is none."""
        self._check_pinned(sha256)
        plain = Blob(collection, sha256)
        if plain not in self._tombstones and self._is_whole(plain, size):
            return plain
        return self._elsewhere(collection, sha256, size)

    def put_stream(self, collection: str, sha256: str, size: int, stream: BinaryIO, *, compared: bool = False) -> Blob:
        """Make sure that the content of `stream` is in the store, as `put` does, and return the blob that holds it.

        The stream is read to its end, straight into the store, where the blob appears when all of it has come.
        `compared` says that the stream compares itself with `sha256`, and raises before its end where it is another.

        Raises:
            InvalidInputError: `content_changed` where it is not what `sha256` and `size` say, and what the stream
                raises; then nothing is left behind.
        """
        self._check_pinned(sha256)
        plain = Blob(collection, sha256)
        taken = plain in self._tombstones or self._store.exists(*plain)
        blob = Blob(collection, f"{sha256}.{secrets.token_hex(8)}") if taken else plain
        try:
            other = partial(_other_stream, sha256, size)
            self._write(blob, size, _pieces(stream), other, compared=compared)
        except ConflictError:  # another writer was faster, with the same content
            if not self._is_whole(blob, size):
                raise
        return blob

    def _check_pinned(self, sha256: str) -> None:
        if sha256 not in self._contents:
            raise ValueError(f"the content {sha256} was not pinned by this writer")

    def _elsewhere(self, collection: str, sha256: str, size: int) -> Blob | None:
        """Return a blob that holds this content under another key than the plain one."""
        for info in self._store.list(collection, f"{sha256}."):
            other = Blob(collection, info.key)
            if info.size == size and other not in self._tombstones:
                return other
        return None

    def _settle(self, blob: Blob, size: int, path: Path) -> bool:
        """Reuse or store `blob`; False where its key holds something else, as in a damaged store."""
        if self._is_whole(blob, size):
            self._passed(size)
            return True
        try:
            self._write_file(blob, path)
        except ConflictError:  # another writer was faster, with the same content
            return self._is_whole(blob, size)
        return True

    def _is_whole(self, blob: Blob, size: int) -> bool:
        try:
            return self._store.stat(*blob).size == size
        except NotFoundError:
            return False

    def _write_file(self, blob: Blob, path: Path) -> None:
        with _open(path) as source:
            why = "its content is no longer what it was when it was packed"
            self._write(blob, None, _chunks(source, path), lambda: _changed(path, why))

    def _write(
        self,
        blob: Blob,
        size: int | None,
        chunks: Iterable[bytes | memoryview],
        changed: Callable[[], InvalidInputError],
        *,
        compared: bool = False,
    ) -> None:
        digest, written = hashlib.sha256(), 0
        with self._store.write(*blob, exclusive=True) as target:
            for chunk in chunks:
                if not compared:
                    digest.update(chunk)
                target.write(chunk)
                written += len(chunk)
                self._passed(len(chunk))
            if not (compared or digest.hexdigest() == blob.sha256) or size not in (None, written):
                raise changed()
        self.stored.add(blob)


def _changed(path: Path, why: str) -> InvalidInputError:
    return InvalidInputError(
        f"{path} cannot be stored: {why}. Deploy again and leave the file alone meanwhile.",
        code="content_changed",
        details={"path": str(path)},
    )


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise _changed(path, f"it cannot be read ({error.strerror})") from error


def _other_stream(sha256: str, size: int) -> InvalidInputError:
    return InvalidInputError(
        f"A content that came from elsewhere is not what is said of it ({size} bytes with the SHA-256 {sha256}): "
        "nothing of it was stored. Fetch it again.",
        code="content_changed",
        details={"sha256": sha256, "size": size},
    )


def _pieces(stream: BinaryIO) -> Iterator[bytes | memoryview]:
    whole = getattr(stream, "pieces", None)  # of a stream that has its content in pieces, and need not join them
    if whole is not None:
        yield from whole()
    while chunk := stream.read(_CHUNK):
        yield chunk


def _chunks(source: BinaryIO, path: Path) -> Iterator[bytes]:
    try:
        while chunk := source.read(_CHUNK):
            yield chunk
    except OSError as error:
        raise _changed(path, f"it cannot be read ({error.strerror})") from error
