"""Deploys: of paths on the server's own disk, for scripts that run there; and their records."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, delete, get, post
from litestar.params import FromPath, QueryParameter

from compox_http import shapes, shaping
from compox_http.documents import NOT_UNDERSTOOD, Documented, refusals
from compox_http.locality import require_local
from compox_http.requests import flag
from compox_http.service import Service

TAGS = ["deploys"]

Path = Annotated[
    str, QueryParameter(description="An algorithm's folder or zip on the server's disk, below an allowed folder.")
]
Name = Annotated[str | None, QueryParameter(description="A name in place of that in pyproject.toml.")]
Major = Annotated[str | None, QueryParameter(description="A major version in place of that in pyproject.toml.")]
Removable = Annotated[
    str | None, QueryParameter(description="true or false: whether clients may remove it; else as pyproject.toml says.")
]
Exportable = Annotated[
    str | None, QueryParameter(description="true or false: whether clients may export it; else as pyproject.toml says.")
]


@post(
    "/deploy/local",
    status_code=200,
    tags=TAGS,
    summary="Deploy a folder of the server's disk",
    operation_id="deploy_local",
    operation_class=Documented,
    responses={**refusals(400, 403), **NOT_UNDERSTOOD},
)
async def deploy_local(
    request: Request[Any, Any, Any],
    path: Path,
    algorithm_name: Name = None,
    algorithm_major_version: Major = None,
    removable: Removable = None,
    exportable: Exportable = None,
) -> shapes.Deployed:
    """Deploy, and answer when it is done. Only for programs on the server's machine, and only below the folders that
    its configuration allows; everybody else sends a zip to `POST /api/v1/algorithms`."""
    require_local(request)
    service = Service.of(request)
    done = await service.threads.run(
        service.engine.deploys.run_local,
        path,
        name=algorithm_name,
        major=algorithm_major_version,
        removable=flag("removable", removable),
        exportable=flag("exportable", exportable),
    )
    return shaping.deployed(done)


@post(
    "/deploy/local-async",
    status_code=200,
    tags=TAGS,
    summary="Deploy a folder of the server's disk in the background",
    operation_id="deploy_local_async",
    operation_class=Documented,
    responses={**refusals(400, 403), **NOT_UNDERSTOOD},
)
async def deploy_local_async(
    request: Request[Any, Any, Any],
    path: Path,
    algorithm_name: Name = None,
    algorithm_major_version: Major = None,
    removable: Removable = None,
    exportable: Exportable = None,
) -> shapes.DeployCreated:
    """Check the package and answer with a deploy id at once; follow it until its status is COMPLETED or FAILED."""
    require_local(request)
    service = Service.of(request)
    record = await service.threads.run(
        service.engine.deploys.submit_local,
        path,
        name=algorithm_name,
        major=algorithm_major_version,
        removable=flag("removable", removable),
        exportable=flag("exportable", exportable),
    )
    return {"deploy_id": record.deploy_id}


@get(
    "/deploy/{deploy_id:str}",
    tags=TAGS,
    summary="Follow a deploy",
    operation_id="get_deploy",
    operation_class=Documented,
    responses=refusals(404),
)
async def show(request: Request[Any, Any, Any], deploy_id: FromPath[str]) -> shapes.Deploy:
    """The record of a deploy as it is now."""
    service = Service.of(request)
    return shaping.deploy(await service.latest(service.engine.deploys, deploy_id))


@get(["/deploy/local", "/deploy/local-async", "/deploy/algorithm"], include_in_schema=False)
async def show_named(request: Request[Any, Any, Any]) -> shapes.Deploy:
    """The record of a deploy whose id is the name of another route; there is none."""
    service = Service.of(request)
    return shaping.deploy(await service.latest(service.engine.deploys, request.url.path.rpartition("/")[2]))


@delete(
    "/deploy/algorithm/{algorithm_id:str}",
    status_code=200,
    tags=TAGS,
    summary="Remove an algorithm, or one minor version of it",
    operation_id="remove_algorithm",
    operation_class=Documented,
    responses=refusals(400, 403, 404),
)
async def remove(
    request: Request[Any, Any, Any],
    algorithm_id: FromPath[str],
    algorithm_minor_version: Annotated[
        str | None, QueryParameter(description="Remove this minor version only.")
    ] = None,
) -> shapes.Message:
    """Contents that nothing else uses go with it. One that is not removable stays (400)."""
    service = Service.of(request)
    await service.threads.run(service.engine.algorithms.remove_id, algorithm_id, algorithm_minor_version)
    if algorithm_minor_version is None:
        return {"detail": "Algorithm removed"}
    return {"detail": f"Algorithm minor version {algorithm_minor_version} removed"}
