"""Runs of algorithms: submit, follow, stop."""

from __future__ import annotations

from typing import Any

from litestar import Request, get, post
from litestar.params import FromPath

from compox_http import shapes
from compox_http.documents import NOT_UNDERSTOOD, Documented, ExecuteRequest, refusals
from compox_http.requests import parse_execute
from compox_http.service import Service

TAGS = ["executions"]


@post(
    "/execute-algorithm",
    status_code=200,
    tags=TAGS,
    summary="Run an algorithm",
    operation_id="execute_algorithm",
    operation_class=ExecuteRequest,
    responses={**refusals(404), **NOT_UNDERSTOOD},
)
async def execute(request: Request[Any, Any, Any]) -> shapes.ExecutionCreated:
    """Check what is asked and answer with an execution id at once; the run goes on behind it."""
    wanted = parse_execute(await request.body())
    service = Service.of(request)
    record = await service.threads.run(service.engine.executions.submit, wanted)
    return {"execution_id": record.execution_id}


@get(
    "/executions/{execution_id:str}",
    tags=TAGS,
    summary="Follow an execution",
    operation_id="get_execution",
    operation_class=Documented,
    responses=refusals(404),
)
async def show(request: Request[Any, Any, Any], execution_id: FromPath[str]) -> shapes.Execution:
    """The record of an execution as it is now. Once its status is COMPLETED its outputs can be downloaded."""
    service = Service.of(request)
    record = service.engine.executions.live(execution_id)
    if record is None:  # one of another process, or of long ago: that takes the store
        record = await service.threads.run(service.engine.executions.get, execution_id)
    return shapes.execution(record)


@post(
    "/executions/{execution_id:str}/stop",
    status_code=200,
    tags=TAGS,
    summary="Stop an execution",
    operation_id="stop_execution",
    operation_class=Documented,
    responses=refusals(400, 404),
)
async def stop(request: Request[Any, Any, Any], execution_id: FromPath[str]) -> shapes.Message:
    """Ask an execution to stop; it may be asked again. One that has ended cannot be stopped (400)."""
    service = Service.of(request)
    await service.threads.run(service.engine.executions.stop, execution_id)
    return {"detail": "Stop request posted successfully"}
