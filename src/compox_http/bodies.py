"""Files on their way in: a request's body becomes a scratch file and a hash, never whole in memory.

Bytes move on the event loop, file calls and hashing in threads, in chunks of 1 MiB: while one chunk is on the disk's
side, the next one is on the network's.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, BinaryIO

from litestar.exceptions import HTTPException, InternalServerException

from compox_core.errors import InvalidInputError
from compox_core.storage.local_errors import reported
from compox_http.threads import Threads, ended

CHUNK_BYTES = 1 << 20


class Spool:
    """A scratch file that fills up. It is there from the first write on, whoever adopts or discards it closes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None

    def write(self, parts: list[bytes]) -> None:
        """Append; raises StorageError (`disk_full`, say)."""
        with reported("write", "the uploaded file"):
            if self._file is None:
                self._file = self.path.open("xb")
            self._file.writelines(parts)

    def finish(self) -> None:
        """Close the file, which is there even when nothing was written."""
        self.write([])
        with reported("write", "the uploaded file"):
            self._close()

    def discard(self) -> None:
        """Leave nothing behind."""
        try:
            self._close()
        finally:
            self.path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()


async def receive_file(
    chunks: AsyncIterator[bytes], path: Path | None, threads: Threads, *, limit: int | None = None
) -> str:
    """Write a request's body to `path` and return its SHA-256 in hex; with None for a path, only hash it.

    Nothing stays when that fails: when the client goes away, when the disk is full, when there are more than `limit`
    bytes (InvalidInputError, `upload_too_large`).
    """
    spool = None if path is None else Spool(path)
    digest = hashlib.sha256()
    at_work: list[asyncio.Future[Any]] = []

    async def pass_on(parts: list[bytes]) -> None:
        await _all(at_work)
        at_work[:] = [threads.run(_hash, digest, parts)]
        if spool is not None:
            at_work.append(threads.run(spool.write, parts))

    try:
        async for parts in _batches(_until_gone(chunks), limit):
            await pass_on(parts)
        await _all(at_work)
        if spool is not None:
            at_work[:] = [threads.run(spool.finish)]
            await _all(at_work)
        return digest.hexdigest()
    except BaseException:
        for call in at_work:
            await ended(call)
        if spool is not None:
            await threads.run(spool.discard)
        raise


def _hash(digest: Any, parts: list[bytes]) -> None:
    for part in parts:
        digest.update(part)


async def _all(calls: list[asyncio.Future[Any]]) -> None:
    for call in calls:
        await asyncio.shield(call)


async def _batches(chunks: AsyncIterator[bytes], limit: int | None) -> AsyncIterator[list[bytes]]:
    """Yield the chunks in lists of about 1 MiB."""
    parts: list[bytes] = []
    size = total = 0
    async for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        total += len(chunk)
        if limit is not None and total > limit:
            raise InvalidInputError(
                f"The upload has more than {limit} bytes, which this server takes at most (limits.max_upload_bytes).",
                code="upload_too_large",
                details={"limit": limit},
            )
        if size >= CHUNK_BYTES:
            yield parts
            parts, size = [], 0
    if parts:
        yield parts


async def _until_gone(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        async for chunk in chunks:
            yield chunk
    except InternalServerException as error:
        # That is how the framework says it; it is no failure of the server, and nobody is left to read an answer.
        raise HTTPException(status_code=400, detail="The client went away.") from error
