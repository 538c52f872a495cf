"""Files on their way to a client: whole or in part, never in memory, closed however the sending ends."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote

from litestar.response import Stream
from litestar.response.base import ASGIResponse
from pydantic_core import to_json

from compox_http.ranges import Part, part_of
from compox_http.threads import Threads, ended

if TYPE_CHECKING:
    from litestar import Request
    from litestar.types import Receive, Scope, Send

CHUNK_BYTES = 1 << 20
BATCH = 32
LINES = 1000


async def send_file(
    request: Request[Any, Any, Any],
    open_file: Callable[[], tuple[BinaryIO, str]],
    threads: Threads,
) -> FileBody:
    """Return the response that sends the file that `open_file` opens, or the part that the request asks for.

    `open_file` returns the file with the hash of its content; what it raises passes.
    """
    file, total, tag = await threads.run(_measured, open_file)
    etag = f'"{tag}"'
    part = part_of(request.headers, total, etag)
    headers = {"etag": etag, "accept-ranges": "bytes", **part.headers}
    return FileBody(file, part, threads, headers, head_only=request.method == "HEAD")


async def send_scratch(path: Path, threads: Threads, *, media_type: str, name: str) -> FileBody:
    """Return the response that sends a scratch file as an attachment called `name`, and removes the file."""
    file, total, _ = await threads.run(_measured, lambda: (_opened(path), ""))
    headers = {"content-disposition": _attachment(name)}
    return FileBody(
        file, Part(200, 0, total, total), threads, headers, media_type=media_type, after=lambda: path.unlink()
    )


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _attachment(name: str) -> str:
    """Return the header by which a browser calls a file so (RFC 6266); any text may come in."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in name)
    extended = "" if plain == name else f"; filename*=UTF-8''{quote(name.encode('utf-8', 'replace'), safe='')}"
    return f'attachment; filename="{plain}"{extended}'


def _measured(open_file: Callable[[], tuple[BinaryIO, str]]) -> tuple[BinaryIO, int, str]:
    file, tag = open_file()
    try:
        size = file.seek(0, io.SEEK_END)
    except BaseException:
        file.close()
        raise
    return file, size, tag


class FileBody(ASGIResponse):
    """A response that sends a part of a file and closes it, however the sending ends; then it calls `after`."""

    def __init__(
        self,
        file: BinaryIO,
        part: Part,
        threads: Threads,
        headers: dict[str, str],
        *,
        media_type: str = "application/octet-stream",
        head_only: bool = False,
        after: Callable[[], object] = lambda: None,
    ) -> None:
        self._file = file
        self._left = 0 if head_only else part.stop - part.start
        self._start = part.start
        self._threads = threads
        self._after = after
        super().__init__(
            content_length=part.stop - part.start,
            media_type=media_type,
            headers=headers,
            status_code=part.status,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        gone = asyncio.ensure_future(disconnected(receive))
        reading: asyncio.Future[bytes] | None = None
        try:
            await self.start_response(send)
            reading = self._threads.run(self._first)
            while (chunk := await asyncio.shield(reading)) and not gone.done():
                self._left -= len(chunk)
                reading = self._threads.run(self._next)
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            if not gone.done():
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
            await ended(reading)
            await self._threads.run(self._close)

    def _first(self) -> bytes:
        self._file.seek(self._start)
        return self._next()

    def _next(self) -> bytes:
        return self._file.read(min(CHUNK_BYTES, self._left)) if self._left > 0 else b""

    def _close(self) -> None:
        self._file.close()
        self._after()


def send_lines(lines: Iterable[str], threads: Threads, *, media_type: str, name: str) -> Stream:
    """Return the response that sends lines of text as an attachment called `name`; they are made in threads."""
    headers = {"content-disposition": _attachment(name)}
    return Stream(_pieces(lines, threads), media_type=media_type, headers=headers)


async def _pieces(lines: Iterable[str], threads: Threads) -> AsyncIterator[bytes]:
    iterator = iter(lines)
    while batch := await threads.run(lambda: list(islice(iterator, LINES))):
        yield "".join(batch).encode()


async def json_array(items: Iterable[Any], threads: Threads) -> AsyncIterator[bytes]:
    """Yield a JSON array piece by piece; the items are made in threads, so many at a time that it is worth it."""
    iterator = iter(items)
    yield b"["
    between = b""
    while batch := await threads.run(lambda: list(islice(iterator, BATCH))):
        yield between + b",".join(to_json(item, inf_nan_mode="null") for item in batch)
        between = b","
    yield b"]"


async def disconnected(receive: Receive) -> None:
    """Return when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
