"""Deploys of what a client sends."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, post
from litestar.params import QueryParameter

from compox_http import shapes, shaping
from compox_http.documents import NOT_UNDERSTOOD, ZipUpload, refusals
from compox_http.requests import flag
from compox_http.service import Service
from compox_http.uploads import receive_scratch

TAGS = ["algorithms"]


@post(
    "/algorithms",
    status_code=201,
    tags=TAGS,
    summary="Deploy an algorithm",
    operation_id="deploy_algorithm",
    operation_class=ZipUpload,
    responses={**refusals(400, 403, 413), **NOT_UNDERSTOOD},
    request_max_body_size=None,
)
async def deploy(
    request: Request[Any, Any, Any],
    name: Annotated[str | None, QueryParameter(description="A name in place of that in pyproject.toml.")] = None,
    major: Annotated[
        str | None, QueryParameter(description="A major version in place of that in pyproject.toml.")
    ] = None,
    removable: Annotated[
        str | None, QueryParameter(description="true or false: whether clients may remove it.")
    ] = None,
    exportable: Annotated[
        str | None, QueryParameter(description="true or false: whether clients may export it.")
    ] = None,
) -> shapes.DeployedZip:
    """The request's body is a zip of the algorithm's folder. The same content again adds nothing; other content becomes
    the next minor version."""
    may_remove, may_export = flag("removable", removable), flag("exportable", exportable)
    service = Service.of(request)
    engine, threads = service.engine, service.threads
    path, _ = await receive_scratch(request, service)
    try:
        done = await threads.run(
            engine.deploys.run_sent, path, name=name, major=major, removable=may_remove, exportable=may_export
        )
    finally:
        await threads.run(path.unlink, missing_ok=True)
    return shaping.deployed_zip(done)
