"""How the web framework answers: JSON from plain dicts, and errors by the one table."""

from __future__ import annotations

import logging
import re
from typing import Any, TypeVar

from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap, Serializer
from pydantic_core import to_json

from compox_core.errors import CompoxError
from compox_http.access import shown_path
from compox_http.errors import body_of, http_body, internal_body, status_of, validation_body
from compox_http.request_ids import with_request_id
from compox_http.requests import RequestInvalid, query_issue

logger = logging.getLogger(__name__)

T = TypeVar("T")

_MISSING = re.compile(r"Missing required query parameter '([^']*)'")  # which the framework says in words only


class JsonResponse(Response[T]):
    """JSON as pydantic writes it: integers of any size, and null for numbers that JSON does not have."""

    def render(self, content: Any, media_type: str, enc_hook: Serializer | None = None) -> bytes:
        """Return the body."""
        return content if isinstance(content, bytes) else json_bytes(content)


def json_bytes(content: Any) -> bytes:
    """Return a body of JSON, which a thread may make where there is much of it."""
    return to_json(content, inf_nan_mode="null")


def _error(body: dict[str, Any], status: int, headers: dict[str, str] | None = None) -> Response[Any]:
    return JsonResponse(with_request_id(body), status_code=status, media_type="application/json", headers=headers)


def _expected(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    assert isinstance(error, CompoxError)
    status = status_of(error)
    if status >= 500:
        logger.error("%s %s failed: %s", request.method, shown_path(request.scope), error, exc_info=error)
    return _error(body_of(error), status)


def _invalid(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    assert isinstance(error, RequestInvalid)
    return _error(validation_body(error.issues), 422)


def _query_invalid(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    assert isinstance(error, ValidationException)
    missing = _MISSING.match(error.detail)
    if missing is not None:
        return _error(validation_body([query_issue("missing", missing[1], "Field required", None)]), 422)
    extra = error.extra if isinstance(error.extra, list) else []
    issues = [
        query_issue("value_error", entry.get("key", ""), entry.get("message", ""), None)
        for entry in extra
        if isinstance(entry, dict)
    ]
    return _error(validation_body(issues), 422)


def _http(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    assert isinstance(error, HTTPException)
    if error.status_code >= 500:
        return _unexpected(request, error)
    return _error(http_body(error.status_code), error.status_code, error.headers)


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    logger.error("%s %s failed unexpectedly", request.method, shown_path(request.scope), exc_info=error)
    return _error(internal_body(), 500)


HANDLERS: ExceptionHandlersMap = {
    CompoxError: _expected,
    RequestInvalid: _invalid,
    ValidationException: _query_invalid,
    HTTPException: _http,
    Exception: _unexpected,
}
