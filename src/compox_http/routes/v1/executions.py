"""Runs of algorithms: submit and wait, submit once, list."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, Response, get, post, put
from litestar.params import FromPath, QueryParameter

from compox_core.engine.pages import DEFAULT_PAGE, MAX_PAGE
from compox_core.records import ExecutionRecord
from compox_http.answers import JsonResponse
from compox_http.documents import NOT_UNDERSTOOD, Documented, ExecuteRequest, created, refusals
from compox_http.requests import parse_execute, task_status
from compox_http.service import Service
from compox_http.shapes import ExecutionPage

TAGS = ["executions"]
MOST_WAIT = 60.0

Wait = Annotated[
    float,
    QueryParameter(ge=0, le=MOST_WAIT, description="Seconds to wait for its end before the answer: 0 to 60."),
]


@post(
    "/executions",
    status_code=200,
    tags=TAGS,
    summary="Run an algorithm, and wait for it",
    operation_id="submit_execution",
    operation_class=ExecuteRequest,
    responses={**refusals(400, 403, 404, 413), **NOT_UNDERSTOOD},
)
async def submit(request: Request[Any, Any, Any], wait: Wait = 0.0) -> ExecutionRecord:
    """The record as it is when the run has ended, or when the time to wait is over; the run goes on behind it."""
    wanted = parse_execute(await request.body())
    service = Service.of(request)
    record = await service.threads.run(service.engine.executions.submit, wanted)
    return await _waited(service, record, wait)


@put(
    "/executions/{execution_id:str}",
    status_code=200,
    tags=TAGS,
    summary="Run an algorithm once, however often this is asked",
    operation_id="submit_execution_once",
    operation_class=ExecuteRequest,
    responses={201: created(ExecutionRecord), **refusals(400, 403, 404, 409, 413), **NOT_UNDERSTOOD},
)
async def submit_once(
    request: Request[Any, Any, Any], execution_id: FromPath[str], wait: Wait = 0.0
) -> Response[ExecutionRecord]:
    """The client chooses the id, and may repeat the request when it did not hear the answer: the run is submitted
    once (201), and then shown (200). Another request under the same id is refused (409). The record has an id of the
    server's as well; both name it under `/api/v1/executions`. When its record was deleted, the id is free again."""
    wanted = parse_execute(await request.body())
    service = Service.of(request)
    record, created = await service.threads.run(service.engine.executions.submit_once, execution_id, wanted)
    record = await _waited(service, record, wait)
    return JsonResponse(record, status_code=201 if created else 200, media_type="application/json")


@get(
    "/executions/{execution_id:str}",
    tags=TAGS,
    summary="Show an execution",
    operation_id="show_execution",
    operation_class=Documented,
    responses=refusals(404),
)
async def show(request: Request[Any, Any, Any], execution_id: FromPath[str]) -> ExecutionRecord:
    """The record as it is now; times are UTC (ISO 8601). The id may be the one that the client chose."""
    service = Service.of(request)
    executions = service.engine.executions
    record = executions.live(execution_id)
    return record if record is not None else await service.threads.run(executions.named, execution_id)


@get(
    "/executions",
    tags=TAGS,
    summary="List executions",
    operation_id="list_executions",
    operation_class=Documented,
    responses={**refusals(404), **NOT_UNDERSTOOD},
)
async def list_executions(
    request: Request[Any, Any, Any],
    status: Annotated[str | None, QueryParameter(description="Only those: PENDING, RUNNING and so on.")] = None,
    algorithm: Annotated[
        str | None, QueryParameter(description="Only those of this algorithm: its name or id.")
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=MAX_PAGE, description="At most so many.")] = DEFAULT_PAGE,
    cursor: Annotated[str | None, QueryParameter(description="`next_cursor` of the page before.")] = None,
) -> ExecutionPage:
    """The newest first, without their logs and session tokens. Go on with `next_cursor` until that is null; a page may
    hold fewer than `limit`, or none, although others follow."""
    service = Service.of(request)
    wanted = task_status(status)
    ids = None if algorithm is None else await service.threads.run(service.engine.algorithms.ids, algorithm)
    page = await service.threads.run(
        service.engine.executions.page, status=wanted, algorithm_ids=ids, limit=limit, cursor=cursor
    )
    # The token of a session opens it, and a list is for whoever asks.
    records = [record.model_copy(update={"log": "", "session_token": None}) for record in page.records]
    return {"executions": records, "next_cursor": page.next_cursor}


async def _waited(service: Service, record: ExecutionRecord, seconds: float) -> ExecutionRecord:
    if seconds > 0:
        await service.feeds.ended(service.engine.executions, record.execution_id, seconds)
    return await service.latest(service.engine.executions, record.execution_id)
