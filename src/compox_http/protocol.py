"""How a connection is read: the protocol of the web server, and what that leaves to chance.

- A head has a size and a time; a body that no longer comes is given up, and so is a client that no longer takes its
  answer. A client that holds a connection without using it costs a file descriptor, and without a limit all of them.
- What is no HTTP is refused in the shape of every other error.
- A request that offers to upgrade (Java's client offers HTTP/2 with each) is served as the HTTP/1.1 that it also is.
  The parser would drop its body.
"""

from __future__ import annotations

import asyncio
import math
from http import HTTPStatus
from typing import Any, ClassVar

import httptools
from pydantic_core import to_json
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from compox_http.errors import http_body
from compox_http.request_ids import new_id

HEAD_BYTES = 64 * 1024
HEAD_SECONDS = 20.0
BODY_SECONDS = 120.0
STUCK_SECONDS = 300.0
CHECK_SECONDS = 5.0


class Protocol(HttpToolsProtocol):
    """HTTP/1.1 with limits on what a client may leave unfinished. Lives as long as its connection."""

    head_seconds: ClassVar[float] = HEAD_SECONDS
    body_seconds: ClassVar[float] = BODY_SECONDS
    stuck_seconds: ClassVar[float] = STUCK_SECONDS
    check_seconds: ClassVar[float] = CHECK_SECONDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._unheard = 0  # bytes received since the last that meant something: part of a head, or of a trailer
        self._due = math.inf  # when the bytes that are awaited must have come
        self._upgrading = False
        self._unasked = False  # the client waits to be asked for the body
        self._answering: RequestResponseCycle | None = None  # of requests sent at once, the one whose turn it is
        self._untaken = 0  # bytes that the client had not taken when that last changed
        self._taken_at = 0.0
        self._watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._due = self.loop.time() + self.head_seconds
        self._watch = self.loop.call_later(self.check_seconds, self._check)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the watch, and tell the request that is being answered: the web server tells the last one that came."""
        if self._watch is not None:
            self._watch.cancel()
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        self._unset_keepalive_if_required()
        self._unheard += len(data)
        if self._due == math.inf:
            self._due = self.loop.time() + self.head_seconds
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse(HTTPStatus.BAD_REQUEST)
        if self._unheard > HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as stopped:
            if self.parser.get_method() == b"CONNECT":
                raise httptools.HttpParserError("There is no proxy here.") from None
            head = self._head_without_upgrade()
            self._upgrading = False
            self.parser = httptools.HttpRequestParser(self)
            self._feed(head)
            self._feed(data[stopped.args[0] :])

    def _head_without_upgrade(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        for name, value in self.headers:
            if name == b"connection":
                words = [word for word in value.split(b",") if word.strip().lower() != b"upgrade"]
                value = b",".join(words)
            if name != b"upgrade" and (value or name != b"connection"):
                lines.append(b"%s: %s" % (name, value))
        return b"\r\n".join([*lines, b"", b""])

    def on_headers_complete(self) -> None:
        """Start the request, unless it is to be read once more."""
        self._upgrading = self.parser.should_upgrade()
        if not self._upgrading:
            self._heard(self.body_seconds)
            self._unasked = self.expect_100_continue
            super().on_headers_complete()
            if self._answering is None or self._answering.response_complete:
                self._answering = self.cycle

    def on_body(self, body: bytes) -> None:
        """Pass on a part of the body."""
        self._heard(self.body_seconds)
        self._unasked = False
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request's body; nothing is awaited then."""
        if not self._upgrading:
            self._heard(math.inf)
            self._unasked = False
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request, unless this one's body was never asked for: nobody knows whether it comes."""
        if self.pipeline:
            self._answering = self.pipeline[-1][0]
        super().on_response_complete()
        if self._unasked:
            self.transport.close()

    def _heard(self, seconds: float) -> None:
        self._unheard = 0
        self._due = self.loop.time() + seconds

    def _check(self) -> None:
        """Give the connection up when what is awaited has not come, or what is sent is not taken."""
        if self._is_stuck():
            self.transport.abort()  # to close it would mean to wait until all is taken
            return
        if self.flow.read_paused:  # it is we who let the client wait
            self._due += self.check_seconds
        if self.loop.time() >= self._due:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        self._watch = self.loop.call_later(self.check_seconds, self._check)

    def _is_stuck(self) -> bool:
        now, untaken = self.loop.time(), self.transport.get_write_buffer_size()
        if untaken != self._untaken or not untaken:
            self._untaken, self._taken_at = untaken, now
        # Else more is added to what waits, and its size says nothing.
        nothing_is_added = self.flow.write_paused or self.transport.is_closing()
        return nothing_is_added and now - self._taken_at >= self.stuck_seconds and untaken > 0

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._refuse(HTTPStatus.BAD_REQUEST)

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer and hang up; in the middle of another answer, only hang up."""
        if self.transport.is_closing():
            return
        answering = self._answering
        if answering is None or answering.response_complete or not answering.response_started:
            request_id = new_id()
            facts = {"request_id": request_id}
            self.logger.info("%d %s for what %s sent", status, status.phrase, self.client, extra=facts)
            body = to_json({**http_body(status), **facts})
            head = f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
            head += f"content-length: {len(body)}\r\nx-request-id: {request_id}\r\nconnection: close\r\n\r\n"
            self.transport.write(head.encode() + body)
        self.transport.close()
