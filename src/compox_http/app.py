"""The web application: an engine behind the routes of `/api/v0`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar, Router
from litestar.datastructures import State

from compox_core.engine import Engine
from compox_http.access import Access
from compox_http.answers import HANDLERS, JsonResponse
from compox_http.cors import Cors
from compox_http.documents import OPENAPI
from compox_http.routes import algorithms, executions, files, root
from compox_http.service import Service


def create_app(engine: Engine) -> Litestar:
    """Return the application that serves `engine`: it opens the engine when it starts and closes it when it ends."""
    service = Service(engine)

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        await service.threads.run(engine.open)
        try:
            yield
        finally:
            await service.threads.run(engine.close, wait=False)
            service.threads.close()

    api = Router(
        "/api/v0",
        route_handlers=[
            files.upload,
            files.download,
            files.remove,
            executions.execute,
            executions.show,
            executions.stop,
            algorithms.list_algorithms,
            algorithms.get_algorithm,
        ],
    )
    app = Litestar(
        route_handlers=[root.root, api],
        lifespan=[lifespan],
        state=State({"service": service}),
        exception_handlers=HANDLERS,
        response_class=JsonResponse,
        openapi_config=OPENAPI,
        logging_config=None,
    )
    # Around the framework's own handler, where also what matches no route comes through.
    app.asgi_handler = Access(Cors(app.asgi_handler, engine.settings.middleware))
    return app
