"""Whether this server lives, and whether it can do its work: for those who watch over it."""

from __future__ import annotations

from typing import Any

from litestar import Request, get

from compox_http.documents import Documented, refusals
from compox_http.service import Service
from compox_http.shapes import Health

TAGS = ["server"]


@get("/livez", tags=TAGS, summary="Whether it lives", operation_id="livez", operation_class=Documented)
async def livez() -> Health:
    """Answers as long as the process takes requests; touches nothing else."""
    return {"status": "ok"}


@get(
    "/readyz",
    tags=TAGS,
    summary="Whether it can work",
    operation_id="readyz",
    operation_class=Documented,
    responses=refusals(503),
)
async def readyz(request: Request[Any, Any, Any]) -> Health:
    """Answers when the store does, at most a second old, and has the algorithms of the server's bundle; else 503."""
    await Service.of(request).readiness.check()
    return {"status": "ok"}
