"""A stream of server-sent events for one client (HTML Standard, section 9.2)."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from litestar import Request
from litestar.response.base import ASGIResponse

from compox_core.engine.tasks import Tasks
from compox_http.downloads import disconnected
from compox_http.events.feed import Feed
from compox_http.events.feeds import Feeds

if TYPE_CHECKING:
    from litestar.types import Receive, Scope, Send

PING_SECONDS = 15.0
RETRY = b"retry: 2000\n\n"
PING = b": ping\n\n"


async def event_stream(request: Request[Any, Any, Any], feeds: Feeds, tasks: Tasks[Any], task_id: str) -> ASGIResponse:
    """Return the response that follows a job, from where the client's `Last-Event-ID` says that it was.

    A client that has got the end already is told so (204), and then does not come back. Raises NotFoundError.
    """
    stack = AsyncExitStack()
    feed = await stack.enter_async_context(feeds.following(tasks, task_id))
    position = feed.buffer.position(request.headers.get("last-event-id"))
    if feed.buffer.ended and position == feed.buffer.last:
        await stack.aclose()
        return ASGIResponse(status_code=204)
    return EventStream(feed, position, stack)


class EventStream(ASGIResponse):
    """Sends the events of a feed as they come, and a comment where none does. It holds no thread, and no queue: a
    client that falls behind what the feed keeps gets the record anew."""

    _should_set_content_length = False  # as the framework says it for its own streams

    def __init__(self, feed: Feed, position: int | None, stack: AsyncExitStack) -> None:
        self._feed = feed
        self._position = position
        self._stack = stack
        super().__init__(
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        gone = asyncio.ensure_future(disconnected(receive))
        sending = asyncio.ensure_future(self._send_all(send))
        try:
            await asyncio.wait({gone, sending}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            for task in (gone, sending):
                task.cancel()
            await asyncio.wait({gone, sending})
            await self._stack.aclose()

    async def _send_all(self, send: Send) -> None:
        await self.start_response(send)
        buffer = self._feed.buffer
        await _send(send, RETRY)
        while True:
            events = None if self._position is None else buffer.after(self._position)
            last, over = buffer.last, buffer.ended
            if events is None:
                events = [self._feed.snapshot()]
                if over:
                    events += (buffer.after(last - 1) or []) if last else []
            if events:
                await _send(send, b"".join(events))
            self._position = last
            if over:
                break
            if not await buffer.changed(last, PING_SECONDS):
                await _send(send, PING)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})
