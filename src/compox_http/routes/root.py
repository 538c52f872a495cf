"""Who serves here."""

from __future__ import annotations

from typing import Any, cast

from litestar import Request, get

from compox_http.documents import Documented
from compox_http.service import Service
from compox_http.shapes import ServerInfo


@get(
    "/",
    tags=["server"],
    summary="Who serves here, and with which GPUs",
    operation_id="get_server_info",
    operation_class=Documented,
)
async def root(request: Request[Any, Any, Any]) -> ServerInfo:
    """Name, tags and version of the server, and how many GPUs it sees."""
    service = Service.of(request)
    return cast(ServerInfo, await service.threads.run(service.engine.info))
