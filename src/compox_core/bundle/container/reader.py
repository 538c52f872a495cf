"""Opens bundles: no byte is given out that was not authenticated, none of it needs memory in proportion to the file."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Self
from weakref import WeakSet

from compox_core.bundle.container.detecting import read_header
from compox_core.bundle.container.failures import damaged, differs, too_long, truncated
from compox_core.bundle.container.front import FIXED, Entries, Entry, Front, Lengths, check_trust, read_front
from compox_core.bundle.container.source import SourceFile
from compox_core.bundle.container.stages import Stages
from compox_core.bundle.container.stream import Sealing
from compox_core.bundle.keys import Signer, Unlock
from compox_core.bundle.primitives import TAG_BYTES

Progress = Callable[[int, int], None]
"""Told the bytes done and the bytes in all."""


def open_bundle(
    path: Path | str, unlocks: Iterable[Unlock], *, trusted_signers: Collection[Signer] | None = None
) -> BundleReader:
    """Open a bundle, and read and check all of it that stands before its blobs.

    Args:
        unlocks: Keys, passphrases and identities to try.
        trusted_signers: Who must have signed it; None asks for no signature, an empty collection trusts nobody. A wrong
            signature is refused in any case.

    Raises:
        InvalidInputError: `invalid_algorithm_bundle`, `unsupported_bundle_format`, `invalid_bundle_key`,
            `bundle_damaged`, `bundle_truncated`, `bundle_too_long`, `invalid_bundle_manifest`,
            `invalid_bundle_signature`.
        NotFoundError: `bundle_not_found`.
        StorageError: The file cannot be read.
    """
    source = SourceFile.open(path)
    try:
        sealing = read_header(source).unlock(unlocks)
        front = _read_front(source, sealing)
        if trusted_signers is not None:
            check_trust(front.signer, trusted_signers)
        return BundleReader(source, sealing, front)
    except BaseException:
        source.close()
        raise


class BundleReader:
    """An opened bundle, a context manager."""

    def __init__(self, source: SourceFile, sealing: Sealing, front: Front) -> None:
        self._source = source
        self._sealing = sealing
        self._front = front
        self._running: WeakSet[Generator[BlobStream, None, None]] = WeakSet()

    @property
    def path(self) -> Path:
        """The file."""
        return self._source.path

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._source.size

    @property
    def manifest(self) -> bytes:
        """What the blobs mean to those who built the bundle."""
        return self._front.manifest

    @property
    def signer(self) -> Signer | None:
        """Who signed it; None for nobody."""
        return self._front.signer

    @property
    def entries(self) -> Entries:
        """Size and SHA-256 of each blob, in the file's order; they can be read again and again."""
        return self._front.entries

    def blobs(self, wanted: Collection[int] | None = None) -> Iterator[BlobStream]:
        """Yield a stream of each blob, or of those whose numbers are wanted, in the file's order.

        A stream is to be read before the next one is asked for, and ends with the iteration. Of the file only the
        chunks that wanted blobs lie in are read.

        Raises, while it is read:
            InvalidInputError: `bundle_damaged`, `bundle_truncated`; `bundle_checksum_mismatch`, before the last piece
                of the blob is given out. What was read of that blob by then must not be used.
        """
        generator = self._blobs(wanted)
        self._running.add(generator)
        return generator

    def blob(self, number: int) -> BlobStream:
        """Return a stream of one blob. Raises IndexError, and while it is read as `blobs`."""
        self.entries[number]
        iteration = self.blobs({number % len(self.entries)})
        stream = next(iteration)
        stream.iteration = iteration  # or it would end with this call
        return stream

    def verify(self, progress: Progress | None = None) -> None:
        """Read all of it, and use nothing.

        Args:
            progress: Called with the bytes of blobs that were read, and the bytes of all blobs.

        Raises:
            InvalidInputError: as `blobs`.
        """
        done, total = 0, self.entries.total
        for blob in self.blobs():
            for piece in blob.pieces():
                done += len(piece)
                if progress:
                    progress(done, total)

    def close(self) -> None:
        """Close the file and end what still reads it."""
        for generator in list(self._running):
            generator.close()
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _blobs(self, wanted: Collection[int] | None) -> Generator[BlobStream, None, None]:
        with Stages() as stages:
            opened = stages.stage(lambda: self._opened(wanted))
            pieces = stages.stage(lambda: self._compared(wanted, opened))
            for number, entry, _ in self._placed(wanted):
                if not entry.size:
                    _compare(number, entry, hashlib.sha256())
                stream = BlobStream(number, entry, pieces)
                yield stream
                for _ in stream.pieces():
                    pass

    def _placed(self, wanted: Collection[int] | None) -> Iterator[tuple[int, Entry, int]]:
        """Yield number, entry and offset in the plaintext of each wanted blob."""
        offset = self._front.size
        for number, entry in enumerate(self.entries):
            if wanted is None or number in wanted:
                yield number, entry, offset
            offset += entry.size

    def _opened(self, wanted: Collection[int] | None) -> Iterator[tuple[int, bytes]]:
        """Yield number and plaintext of each chunk that wanted blobs lie in."""
        size, after = self._sealing.chunk_bytes, 0
        for _, entry, offset in self._placed(wanted):
            end = -(-(offset + entry.size) // size) if entry.size else 0
            for number in range(max(offset // size, after), end):
                yield number, _chunk(self._source, self._sealing, self._front.plain_bytes, number)
            after = max(after, end)

    def _compared(self, wanted: Collection[int] | None, chunks: Iterator[tuple[int, bytes]]) -> Iterator[memoryview]:
        """Yield the pieces of the wanted blobs, the last one of each when the SHA-256 holds."""
        size, present, plain = self._sealing.chunk_bytes, -1, memoryview(b"")
        for number, entry, at in self._placed(wanted):
            digest, end = hashlib.sha256(), at + entry.size
            while at < end:
                if at // size != present:
                    present, chunk = next(chunks)
                    plain = memoryview(chunk)
                piece = plain[at % size : at % size + end - at]
                digest.update(piece)
                at += len(piece)
                if at == end:
                    _compare(number, entry, digest)
                yield piece


class BlobStream(io.BufferedIOBase, BinaryIO):
    """The content of one blob, forward: `read(n)` gives n bytes, fewer only at the end; `pieces` copies nothing."""

    def __init__(self, number: int, entry: Entry, pieces: Iterator[memoryview]) -> None:
        self.number = number
        self.size = entry.size
        self.sha256 = entry.sha256.hex()
        self._left = entry.size
        self._coming = pieces
        self._piece = memoryview(b"")
        self.iteration: Iterator[BlobStream] | None = None

    def pieces(self) -> Iterator[memoryview]:
        """Yield what is left of the blob, in pieces of at most a chunk."""
        while piece := self._next():
            self._piece = memoryview(b"")
            yield piece

    def read(self, size: int | None = -1, /) -> bytes:
        """Return so many bytes, or all that are left."""
        todo = self._rest if size is None or size < 0 else min(size, self._rest)
        parts = []
        while todo:
            piece = self._next()
            parts.append(piece[:todo])
            self._piece = piece[todo:]
            todo -= len(parts[-1])
        return bytes(parts[0]) if len(parts) == 1 else b"".join(parts)

    def read1(self, size: int = -1, /) -> bytes:
        """Return what is at hand, at most so many bytes."""
        return self.read(len(self._next()) if size < 0 else min(size, len(self._next())))

    def readable(self) -> bool:
        """Return True."""
        return True

    @property
    def _rest(self) -> int:
        return self._left + len(self._piece)

    def _next(self) -> memoryview:
        """Return the piece at hand, without taking it; empty at the end."""
        if not self._piece and self._left:
            self._piece = next(self._coming)
            self._left -= len(self._piece)
        return self._piece


def _read_front(source: SourceFile, sealing: Sealing) -> Front:
    payload = source.size - sealing.start
    if payload < FIXED.size + TAG_BYTES:
        raise truncated(source.size, sealing.start + FIXED.size + TAG_BYTES, "at least ")
    sealed = source.read(sealing.start, min(payload, sealing.sealed_bytes))
    alone = payload <= sealing.sealed_bytes
    as_expected = sealing.open(0, alone, sealed)
    # Only to tell that a file was cut behind its first chunk, or that it was one chunk and got longer.
    plain = as_expected or sealing.open(0, not alone, sealed)
    if plain is None:
        raise damaged("its first chunk", sealing.start)
    lengths = Lengths.decode(plain[: FIXED.size])
    expected = sealing.file_bytes(lengths.plain_bytes)
    if source.size < expected:
        raise truncated(source.size, expected)
    if source.size > expected:
        raise too_long(source.size, expected)
    if as_expected is None:
        raise damaged("its first chunk", sealing.start)
    take = _plaintext(source, sealing, lengths.plain_bytes, plain)
    return read_front(take, lengths, take(FIXED.size), sealing.bound)


def _plaintext(source: SourceFile, sealing: Sealing, plain_bytes: int, chunk: bytes) -> Callable[[int], bytes]:
    """Return what gives the next n bytes of the plaintext, whose first chunk is at hand."""
    number, at = 0, 0

    def take(size: int) -> bytes:
        nonlocal number, at, chunk
        parts = []
        while size:
            if at == len(chunk):
                number, at = number + 1, 0
                chunk = _chunk(source, sealing, plain_bytes, number)
            parts.append(chunk[at : at + size])
            at += len(parts[-1])
            size -= len(parts[-1])
        return b"".join(parts)

    return take


def _chunk(source: SourceFile, sealing: Sealing, plain_bytes: int, number: int) -> bytes:
    last = sealing.chunks(plain_bytes) - 1
    offset = sealing.offset(number)
    size = min(sealing.sealed_bytes, sealing.file_bytes(plain_bytes) - offset)
    plain = sealing.open(number, number == last, source.read(offset, size))
    if plain is None:
        raise damaged(f"chunk {number}", offset)
    return plain


def _compare(number: int, entry: Entry, digest: hashlib._Hash) -> None:
    if digest.digest() != entry.sha256:
        raise differs(
            f"Blob {number} of the bundle has the SHA-256 {digest.hexdigest()} and should have {entry.sha256.hex()}. "
            "It was not damaged on its way: somebody who has the key wrote it so.",
            blob=number,
            sha256=entry.sha256.hex(),
        )
