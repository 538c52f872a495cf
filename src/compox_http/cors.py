"""Which pages of other origins a browser lets read our answers (CORS), by `middleware.*` of the settings."""

from __future__ import annotations

from typing import cast

from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from compox_core.settings.models import Middleware

SAFE_HEADERS = ("accept", "accept-language", "content-language", "content-type")
"""Headers that the Fetch standard lets any page send, and `Content-Type`, without which no JSON can be sent."""
ALL_METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]

Headers = list[tuple[bytes, bytes]]


class Cors:
    """Answers the questions that browsers ask before a request, and says with each answer who may read it.

    Not that of the web framework, which says nothing of `Vary` where an origin is refused, and takes any `OPTIONS`
    for such a question.
    """

    def __init__(self, app: ASGIApp, middleware: Middleware) -> None:
        self._app = app
        self._origins = frozenset(middleware.allow_origins)
        self._any_origin = "*" in self._origins
        methods = [name.upper() for name in middleware.allow_methods]
        self._methods = ALL_METHODS if "*" in methods else methods
        self._any_header = "*" in middleware.allow_headers
        self._headers = sorted({*SAFE_HEADERS, *(name.lower() for name in middleware.allow_headers)} - {"*"})
        self._credentials = middleware.allow_credentials
        self._exposed = ", ".join(middleware.expose_headers)
        self._max_age = str(middleware.max_age)
        # Credentials are never sent to "any origin": then each is named, as if it were allowed by name.
        self._varies = not self._any_origin or self._credentials

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer a browser's question."""
        request = cast(HTTPScope, scope)  # the server knows no WebSockets
        origin = _header(request, b"origin")
        if origin is None and not self._origins:
            await self._app(scope, receive, send)
        elif origin and request["method"] == "OPTIONS" and _header(request, b"access-control-request-method"):
            await self._answer_preflight(request, origin, send)
        else:
            await self._app(scope, receive, self._sending(send, origin))

    def _sending(self, send: Send, origin: str | None) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *self._of_answer(origin)]
            await send(message)

        return sending

    def _of_answer(self, origin: str | None) -> Headers:
        headers = [(b"vary", b"Origin")] if self._varies else []
        if origin and self._allows(origin):
            headers += self._of_allowed(origin)
            if self._exposed:
                headers.append((b"access-control-expose-headers", self._exposed.encode("latin-1")))
        return headers

    def _of_allowed(self, origin: str) -> Headers:
        headers = [(b"access-control-allow-origin", origin.encode("latin-1") if self._varies else b"*")]
        if self._credentials:
            headers.append((b"access-control-allow-credentials", b"true"))
        return headers

    def _allows(self, origin: str) -> bool:
        return self._any_origin or origin in self._origins

    async def _answer_preflight(self, scope: HTTPScope, origin: str, send: Send) -> None:
        wanted = _header(scope, b"access-control-request-headers") or ""
        names = [name.strip().lower() for name in wanted.split(",") if name.strip()]
        refused = [
            *([] if self._allows(origin) else ["origin"]),
            *([] if _header(scope, b"access-control-request-method") in self._methods else ["method"]),
            *([] if self._any_header or set(names) <= set(self._headers) else ["headers"]),
        ]
        headers = [(b"vary", b"Origin")] if self._varies else []
        if self._allows(origin):
            headers += self._of_allowed(origin)
        if refused:
            await _send(send, 400, f"Disallowed CORS {', '.join(refused)}", headers)
            return
        allowed = sorted({*self._headers, *names}) if self._any_header else self._headers
        answer = {
            "access-control-allow-methods": ", ".join(self._methods),
            "access-control-allow-headers": ", ".join(allowed),
            "access-control-max-age": self._max_age,
        }
        await _send(send, 200, "OK", [*headers, *((k.encode(), v.encode("latin-1")) for k, v in answer.items())])


def _header(scope: HTTPScope, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)


async def _send(send: Send, status: int, text: str, headers: Headers) -> None:
    body = text.encode()
    of_text = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*of_text, *headers]})
    await send({"type": "http.response.body", "body": body, "more_body": False})
