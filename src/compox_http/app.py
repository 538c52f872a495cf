"""The web application: an engine behind the routes of `/api/v0` and `/api/v1`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler

from compox_core.engine import Engine
from compox_http.access import Access
from compox_http.answers import HANDLERS, JsonResponse
from compox_http.cors import Cors
from compox_http.documents import OPENAPI
from compox_http.options import with_options
from compox_http.origins import Origins
from compox_http.routes import (
    algorithms,
    benchmarks,
    checkpoints,
    deploys,
    description,
    executions,
    files,
    health,
    root,
    samples,
    trainings,
    v1,
)
from compox_http.service import Service

V0: list[HTTPRouteHandler] = [
    files.upload,
    files.download,
    files.remove,
    executions.execute,
    executions.show,
    executions.stop,
    executions.show_all,
    executions.remove_all,
    executions.remove,
    benchmarks.benchmark,
    benchmarks.show,
    algorithms.list_algorithms,
    algorithms.get_algorithm,
    algorithms.export,
    deploys.deploy_local,
    deploys.deploy_local_async,
    deploys.show,
    deploys.show_named,
    deploys.remove,
    samples.create,
    samples.list_samples,
    samples.show,
    samples.remove,
    samples.remove_named,
    trainings.train,
    trainings.show,
    trainings.stop,
    checkpoints.list_checkpoints,
    checkpoints.show,
    checkpoints.remove,
    checkpoints.remove_named,
]
V1: list[HTTPRouteHandler] = [
    v1.algorithms.deploy,
    v1.events.executions,
    v1.events.benchmarks,
    v1.events.deploys,
    v1.events.trainings,
    v1.executions.submit,
    v1.executions.submit_once,
    v1.executions.show,
    v1.executions.list_executions,
    v1.files.upload_url,
    v1.files.download_url,
    v1.files.put_content,
    v1.files.get_content,
    v1.files.remove,
    v1.trainings.list_trainings,
    v1.trainings.metrics,
    v1.trainings.metrics_csv,
]


def create_app(engine: Engine) -> Litestar:
    """Return the application that serves `engine`: it opens the engine when it starts and closes it when it ends."""
    service = Service(engine)

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        await service.threads.run(engine.open)
        await service.threads.run(engine.builtin_bundle.begin)
        try:
            yield
        finally:
            service.feeds.close()
            await service.threads.run(engine.close, wait=False)
            service.threads.close()

    app = Litestar(
        route_handlers=[
            root.root,
            health.livez,
            health.readyz,
            *description.HANDLERS,
            Router("/api/v0", route_handlers=with_options(V0)),
            Router("/api/v1", route_handlers=with_options(V1)),
        ],
        lifespan=[lifespan],
        state=State({"service": service, "ending": service.feeds.close}),
        exception_handlers=HANDLERS,
        response_class=JsonResponse,
        openapi_config=OPENAPI,
        logging_config=None,
    )
    # Around the framework's own handler, where also what matches no route comes through.
    app.asgi_handler = Access(Cors(Origins(app.asgi_handler, engine.settings.middleware), engine.settings.middleware))
    return app
