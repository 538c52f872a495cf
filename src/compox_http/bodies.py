"""File bodies that stream: up into a scratch file, down from an open file, never whole in memory.

Bytes move on the event loop, file calls in threads, in chunks of 1 MiB: while one chunk is on the disk's side, the next
one is on the network's.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from litestar.exceptions import HTTPException, InternalServerException
from litestar.response.base import ASGIResponse

from compox_core.storage.local_errors import reported
from compox_http.threads import Threads

if TYPE_CHECKING:
    from litestar.types import Receive, Scope, Send

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

    def finish(self, parts: list[bytes]) -> None:
        """Append the last parts and close the file."""
        self.write(parts)
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


async def receive_file(chunks: AsyncIterator[bytes], path: Path, threads: Threads) -> Path:
    """Write a request's body to `path` and return it.

    Nothing stays when that fails: when the client goes away, when the disk is full.
    """
    spool = Spool(path)
    parts: list[bytes] = []
    size = 0
    writing: asyncio.Future[Any] | None = None
    try:
        async for chunk in _until_gone(chunks):
            parts.append(chunk)
            size += len(chunk)
            if size >= CHUNK_BYTES:
                if writing is not None:
                    await asyncio.shield(writing)
                writing = threads.run(spool.write, parts)
                parts, size = [], 0
        if writing is not None:
            await asyncio.shield(writing)
        writing = threads.run(spool.finish, parts)
        await asyncio.shield(writing)
        return path
    except BaseException:
        await _ended(writing)
        await threads.run(spool.discard)
        raise


async def send_file(open_file: Callable[[], BinaryIO], threads: Threads) -> FileBody:
    """Return the response that sends the file that `open_file` opens; what that raises passes."""
    file, size = await threads.run(_measured, open_file)
    return FileBody(file, size, threads)


def _measured(open_file: Callable[[], BinaryIO]) -> tuple[BinaryIO, int]:
    file = open_file()
    try:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file, size


async def _until_gone(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        async for chunk in chunks:
            yield chunk
    except InternalServerException as error:
        # That is how the framework says it; it is no failure of the server, and nobody is left to read an answer.
        raise HTTPException(status_code=400, detail="The client went away.") from error


class FileBody(ASGIResponse):
    """A response that sends a file from its beginning to its end and closes it, however the sending ends."""

    def __init__(self, file: BinaryIO, size: int, threads: Threads) -> None:
        self._file = file
        self._threads = threads
        super().__init__(content_length=size, media_type="application/octet-stream")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        gone = asyncio.ensure_future(_disconnected(receive))
        reading: asyncio.Future[bytes] | None = None
        try:
            await self.start_response(send)
            reading = self._threads.run(self._file.read, CHUNK_BYTES)
            while (chunk := await asyncio.shield(reading)) and not gone.done():
                reading = self._threads.run(self._file.read, CHUNK_BYTES)
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            if not gone.done():
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
            await _ended(reading)
            await self._threads.run(self._file.close)


async def _ended(call: asyncio.Future[Any] | None) -> None:
    """Wait until a call in a thread has ended, also when the one who awaited it was cancelled, and whatever it says."""
    if call is not None:
        await asyncio.wait([call])
        call.exception()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
