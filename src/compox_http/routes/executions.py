"""Runs of algorithms: submit, follow, stop."""

from __future__ import annotations

from typing import Any

from litestar import Request, delete, get, post
from litestar.params import FromPath
from litestar.response import Stream

from compox_http import shapes, shaping
from compox_http.documents import NOT_UNDERSTOOD, Documented, ExecuteRequest, refusals
from compox_http.downloads import json_array
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
    responses={**refusals(400, 403, 404, 413), **NOT_UNDERSTOOD},
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
    return shaping.execution(await service.latest(service.engine.executions, execution_id))


@post(
    "/executions/{execution_id:str}/stop",
    status_code=200,
    tags=TAGS,
    summary="Stop an execution",
    operation_id="stop_execution",
    operation_class=Documented,
    responses=refusals(400, 403, 404),
)
async def stop(request: Request[Any, Any, Any], execution_id: FromPath[str]) -> shapes.Message:
    """Ask an execution to stop; it may be asked again. One that has ended cannot be stopped (400)."""
    service = Service.of(request)
    await service.threads.run(service.engine.executions.stop, execution_id)
    return {"detail": "Stop request posted successfully"}


@get(
    "/execute-algorithm/all",
    tags=TAGS,
    summary="List all executions",
    operation_id="list_all_executions",
    operation_class=Documented,
    include_in_schema=False,
)
async def show_all(request: Request[Any, Any, Any]) -> Stream:
    """Every record, oldest first; newer clients use `GET /api/v1/executions`, which answers in pages."""
    service = Service.of(request)
    records = (shaping.execution(record) for record in service.engine.executions.list())
    return Stream(json_array(records, service.threads), media_type="application/json")


@delete(
    "/execute-algorithm/all",
    status_code=200,
    tags=TAGS,
    summary="Delete all execution records",
    operation_id="delete_all_executions",
    operation_class=Documented,
    responses=refusals(403),
    include_in_schema=False,
)
async def remove_all(request: Request[Any, Any, Any]) -> shapes.Message:
    """Delete the records of all executions that have ended; those that go on keep theirs."""
    service = Service.of(request)
    await service.threads.run(service.engine.executions.delete_ended)
    return {"detail": "Deleted all execution records"}


@delete(
    "/execute-algorithm/{execution_id:str}",
    status_code=200,
    tags=TAGS,
    summary="Delete an execution record",
    operation_id="delete_execution",
    operation_class=Documented,
    responses=refusals(400, 403),
    include_in_schema=False,
)
async def remove(request: Request[Any, Any, Any], execution_id: FromPath[str]) -> shapes.Message:
    """Delete a record; an unknown id is as good as deleted. An execution that goes on keeps its record (400)."""
    service = Service.of(request)
    await service.threads.run(service.engine.executions.delete, execution_id, missing_ok=True)
    return {"detail": "Deleted execution record"}
