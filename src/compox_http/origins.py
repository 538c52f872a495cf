"""Keeps pages of other origins from making a browser change something here.

A browser sends a request of any page to any address, this machine's own among them, before it asks whether the page
may read the answer. It says in `Origin` whose page it is. Programs that are no browsers send none.
"""

from __future__ import annotations

from typing import cast
from urllib.parse import urlsplit

from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send
from pydantic_core import to_json

from compox_core.errors import ConflictError
from compox_core.settings.models import Middleware
from compox_http.errors import body_of
from compox_http.request_ids import with_request_id

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SCHEMES = ("http", "https")


class Origins:
    """Refuses what a page asks for that is neither this server's own nor of `middleware.allow_origins`."""

    def __init__(self, app: ASGIApp, middleware: Middleware) -> None:
        self._app = app
        self._allowed = frozenset(middleware.allow_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        request = cast(HTTPScope, scope)
        if request["method"] in SAFE_METHODS:
            await self._app(scope, receive, send)
            return
        headers = dict(request["headers"])
        origin = headers.get(b"origin")
        if origin is None or self._admits(origin.decode("latin-1"), headers.get(b"host", b"").decode("latin-1")):
            await self._app(scope, receive, send)
        else:
            await _refuse(send)

    def _admits(self, origin: str, host: str) -> bool:
        if origin in self._allowed or "*" in self._allowed:
            return True
        scheme, _, named = origin.partition("://")
        return scheme in SCHEMES and _address(scheme, named) == _address(scheme, host)


def _address(scheme: str, host: str) -> tuple[str | None, int | None]:
    """Return the host and the port that a text such as `localhost:5481` names."""
    try:
        parts = urlsplit(f"{scheme}://{host}")
        return parts.hostname, parts.port or (443 if scheme == "https" else 80)
    except ValueError:
        return None, None


async def _refuse(send: Send) -> None:
    error = ConflictError(
        "A page of another origin asks for a change, and this server's configuration does not name that origin: add it "
        "to middleware.allow_origins if the page may do so.",
        code="origin_not_allowed",
    )
    body = to_json(with_request_id(body_of(error)))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
