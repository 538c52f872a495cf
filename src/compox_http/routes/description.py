"""What the server says of its own interface: the OpenAPI document, and pages that show it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from litestar import Litestar, MediaType, Request, get
from litestar.openapi.plugins import RedocRenderPlugin, SwaggerRenderPlugin
from litestar.response.base import ASGIResponse
from pydantic_core import to_json

DOCUMENT = "/openapi.json"


@lru_cache(maxsize=8)
def _document(app: Litestar) -> bytes:
    return to_json(app.openapi_schema.to_schema())


@get(DOCUMENT, include_in_schema=False)
async def document(request: Request[Any, Any, Any]) -> ASGIResponse:
    """The OpenAPI document."""
    return ASGIResponse(body=_document(request.app), media_type=MediaType.JSON)


@get("/docs", include_in_schema=False, media_type=MediaType.HTML)
async def docs(request: Request[Any, Any, Any]) -> bytes:
    """Swagger UI."""
    return SwaggerRenderPlugin().render(request, request.app.openapi_schema.to_schema())


@get("/redoc", include_in_schema=False, media_type=MediaType.HTML)
async def redoc(request: Request[Any, Any, Any]) -> bytes:
    """ReDoc."""
    return RedocRenderPlugin().render(request, request.app.openapi_schema.to_schema())


HANDLERS = [document, docs, redoc]
