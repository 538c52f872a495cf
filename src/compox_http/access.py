"""What every request goes through first: it gets its id, and one line in the log when it has ended."""

from __future__ import annotations

import logging
import re
import time
from typing import cast

from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from compox_core.logs import set_request, shown
from compox_http.request_ids import HEADER, request_id_of

logger = logging.getLogger(__name__)

# What clients ask again and again, and what is as many lines as files: too much for whoever watches the console.
_NOISE = re.compile(
    r"(GET|HEAD) (/livez|/readyz|/api/v\d+/(executions|trainings?|benchmarks?|deploys?)/[^/]+)"
    r"|(GET|HEAD|DELETE) /api/v\d+/files/.+"
    r"|(POST|PUT) /api/v\d+/files(/.*)?"
)


class Access:
    """Answers `X-Request-ID` with every response, has the log's lines carry that id, and logs the request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        request_id = request_id_of(scope["headers"])
        set_request(request_id)
        answer = _Answer(send, request_id)
        started = time.perf_counter()
        try:
            await self._app(scope, receive, answer)
        finally:
            if logger.isEnabledFor(logging.INFO):
                _log(cast(HTTPScope, scope), answer, time.perf_counter() - started)


class _Answer:
    """Sends a response, and remembers of it what the log says."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._header = (HEADER, request_id.encode("ascii"))
        self.status = 0
        self.bytes = 0
        self.complete = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            self.bytes += len(message.get("body", b""))
            self.complete = not message.get("more_body", False)
        elif message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), self._header]
        await self._send(message)


def shown_path(scope: Scope) -> str:
    """Return the path of a request as it came, for a line of the log; without the query, which may hold a signature."""
    raw = scope.get("raw_path")
    return shown(raw.decode("ascii", "backslashreplace") if isinstance(raw, bytes) else scope["path"])


def _log(scope: HTTPScope, answer: _Answer, seconds: float) -> None:
    method, path = scope["method"], shown_path(scope)
    client = scope["client"]
    logger.info(
        "%s %s %s %d bytes %.4f s from %s",
        *(method, path, _end(answer), answer.bytes, seconds, f"{client[0]}:{client[1]}" if client else "-"),
        extra={"noise": _NOISE.fullmatch(f"{method} {scope['path']}") is not None},
    )


def _end(answer: _Answer) -> str:
    if not answer.status:
        return "no answer"
    return f"{answer.status}" if answer.complete else f"{answer.status} (broken off)"
