"""Builds bundles: what is written never needs memory in proportion to it, nor a way back in the file."""

from __future__ import annotations

import hashlib
import io
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol, Self

from compox_core.bundle.container.failures import differs
from compox_core.bundle.container.front import Entries, Lengths, encode_front
from compox_core.bundle.container.header import header_bytes, make_header
from compox_core.bundle.container.slots import Randomness
from compox_core.bundle.container.stages import Stages
from compox_core.bundle.container.stream import file_bytes
from compox_core.bundle.keys import Lock, SigningKey
from compox_core.bundle.new_file import new_file
from compox_core.errors import CompoxError

Progress = Callable[[int, int], None]
"""Told the bytes done and the bytes in all."""

LOG2_CHUNK = 18


class Sink(Protocol):
    """What a bundle is written into; `write` returns how many bytes it took, None for all."""

    def write(self, data: memoryview, /) -> int | None:
        """Append."""


@dataclass(frozen=True)
class BlobSource:
    """A blob to be written: its size in bytes and SHA-256 in hex, known beforehand, and what opens its content.

    `name` is what people know it by; errors call it so. It is not written.
    """

    size: int
    sha256: str
    open: Callable[[], BinaryIO]
    name: str = "a blob"

    @classmethod
    def of_bytes(cls, content: bytes, name: str = "a blob") -> Self:
        """Return the source of what is in memory."""
        return cls(len(content), hashlib.sha256(content).hexdigest(), lambda: io.BytesIO(content), name)


def create_bundle(
    path: Path | str,
    manifest: bytes,
    blobs: Sequence[BlobSource],
    locks: Sequence[Lock],
    *,
    signing_key: SigningKey | None = None,
    progress: Progress | None = None,
    replace: bool = False,
) -> int:
    """Write a bundle as a file that appears under its name when it is whole, and return its size in bytes.

    Args:
        locks: Keys, passphrases and recipients; each of them opens the bundle. 1 to 64, of which 4 passphrases.
        replace: Whether a file of that name is replaced.

    Raises:
        InvalidInputError: as `write_bundle`.
        ConflictError: `bundle_exists`.
        StorageError: `disk_full`, before a byte is written where that can be told; `storage_…`.
    """
    size = bundle_bytes(manifest, blobs, locks, signed=signing_key is not None)
    with new_file(path, size, replace=replace) as sink:
        return write_bundle(sink, manifest, blobs, locks, signing_key=signing_key, progress=progress)


def write_bundle(
    sink: Sink,
    manifest: bytes,
    blobs: Sequence[BlobSource],
    locks: Sequence[Lock],
    *,
    signing_key: SigningKey | None = None,
    progress: Progress | None = None,
    log2_chunk: int = LOG2_CHUNK,
    randomness: Randomness = secrets.token_bytes,
) -> int:
    """Write a bundle forward into `sink`, return its size in bytes. What an exception leaves there opens as truncated.

    Sources are opened one after the other, and read and closed in another thread.

    Args:
        progress: Called in this thread with the bytes written and the bytes in all.
        log2_chunk: log2 of the size of a chunk.
        randomness: For test vectors. Two files that were given the same one betray each other.

    Raises:
        InvalidInputError: `bundle_checksum_mismatch` where a source has another size or SHA-256 than it says;
            `invalid_bundle_key`; `invalid_bundle_manifest` where there is more than a bundle may hold.
        Exception: what a source, the sink or `progress` raises.
    """
    header, sealing = make_header(locks, log2_chunk, randomness)
    entries = Entries.of([(blob.size, bytes.fromhex(blob.sha256)) for blob in blobs])
    front = encode_front(manifest, entries, signing_key, header.digest)
    plain = len(front) + entries.total
    total = sealing.file_bytes(plain)
    _write_all(sink, header.encode())
    done = header.size
    with Stages() as stages:
        filled = stages.stage(lambda: _filled(front, blobs, plain, sealing.chunk_bytes))
        hashed = stages.stage(lambda: _hashed(filled, blobs))
        last = sealing.chunks(plain) - 1
        for number, chunk in enumerate(hashed):
            done += _write_all(sink, sealing.seal(number, number == last, chunk))
            if progress:
                progress(done, total)
    return done


def bundle_bytes(manifest: bytes, blobs: Sequence[BlobSource], locks: Sequence[Lock], *, signed: bool = False) -> int:
    """Return how large the bundle will be."""
    plain = Lengths(0, len(manifest), len(blobs), int(signed)).front_bytes + sum(blob.size for blob in blobs)
    return file_bytes(header_bytes(locks), plain, 1 << LOG2_CHUNK)


class _Filled(NamedTuple):
    """A chunk, and of which blobs it has which bytes: number, begin, end, whether the blob ends there."""

    chunk: memoryview
    cuts: list[tuple[int, int, int, bool]]


def _filled(front: bytes, blobs: Sequence[BlobSource], plain: int, chunk_bytes: int) -> Iterator[_Filled]:
    filled, at = _Filled(memoryview(bytearray(min(plain, chunk_bytes))), []), 0
    for number, source in enumerate([BlobSource.of_bytes(front), *blobs], -1):
        left = source.size
        with source.open() as stream:
            while left:
                count = _read_into(stream, filled.chunk[at : at + left])
                if not count:
                    raise _changed(source, f"has only {source.size - left} bytes")
                left -= count
                filled.cuts.append((number, at, at + count, not left))
                at += count
                if at == len(filled.chunk):
                    yield filled
                    plain -= at
                    filled, at = _Filled(memoryview(bytearray(min(plain, chunk_bytes))), []), 0
            if stream.read(1):
                raise _changed(source, "has more")
        if not source.size:
            _compare(source, hashlib.sha256())


def _hashed(chunks: Iterator[_Filled], blobs: Sequence[BlobSource]) -> Iterator[memoryview]:
    digest = hashlib.sha256()
    for chunk, cuts in chunks:
        for number, begin, end, ends in cuts:
            if number < 0:
                continue
            digest.update(chunk[begin:end])
            if ends:
                _compare(blobs[number], digest)
                digest = hashlib.sha256()
        yield chunk


def _compare(source: BlobSource, digest: hashlib._Hash) -> None:
    if digest.hexdigest() != source.sha256:
        raise _changed(source, f"has the SHA-256 {digest.hexdigest()}, not {source.sha256}")


def _changed(source: BlobSource, seen: str) -> CompoxError:
    return differs(
        f"The content of {source.name} is not what is recorded of it ({source.size} bytes): it {seen}. The bundle was "
        "not built.",
        name=source.name,
        sha256=source.sha256,
    )


def _read_into(stream: BinaryIO, view: memoryview) -> int:
    into = getattr(stream, "readinto", None)
    if into is not None:
        return into(view) or 0
    data = stream.read(len(view))
    view[: len(data)] = data
    return len(data)


def _write_all(sink: Sink, data: bytes) -> int:
    rest = memoryview(data)
    while rest:
        written = sink.write(rest)
        rest = rest[len(rest) if written is None else written :]
    return len(data)
