"""What jobs say while they go on, as server-sent events."""

from __future__ import annotations

from typing import Any

from litestar import Request, get
from litestar.params import FromPath
from litestar.response.base import ASGIResponse

from compox_http.documents import EVENTS_CONTENT, EventsRequest, refusals
from compox_http.events import event_stream
from compox_http.service import Service

TAGS = ["events"]
ANSWERS = {**EVENTS_CONTENT, **refusals(404)}


@get(
    "/executions/{execution_id:str}/events",
    tags=TAGS,
    summary="Events of an execution",
    operation_id="execution_events",
    operation_class=EventsRequest,
    responses=ANSWERS,
)
async def executions(request: Request[Any, Any, Any], execution_id: FromPath[str]) -> ASGIResponse:
    """First `record` (the record and the last lines of its log), then `status`, `progress` and `log` as they come, at
    last `end` with the record; the stream ends there. `Last-Event-ID` brings what was missed; where that is too much,
    `record` comes again. A comment comes every 15 s in which there is nothing to say."""
    service = Service.of(request)
    executions = service.engine.executions
    if executions.live(execution_id) is None:
        execution_id = (await service.threads.run(executions.named, execution_id)).execution_id
    return await event_stream(request, service.feeds, executions, execution_id)


@get(
    "/benchmarks/{benchmark_id:str}/events",
    tags=TAGS,
    summary="Events of a benchmark",
    operation_id="benchmark_events",
    operation_class=EventsRequest,
    responses=ANSWERS,
)
async def benchmarks(request: Request[Any, Any, Any], benchmark_id: FromPath[str]) -> ASGIResponse:
    """As the events of an execution."""
    service = Service.of(request)
    return await event_stream(request, service.feeds, service.engine.benchmarks, benchmark_id)


@get(
    "/deploys/{deploy_id:str}/events",
    tags=TAGS,
    summary="Events of a deploy",
    operation_id="deploy_events",
    operation_class=EventsRequest,
    responses=ANSWERS,
)
async def deploys(request: Request[Any, Any, Any], deploy_id: FromPath[str]) -> ASGIResponse:
    """As the events of an execution."""
    service = Service.of(request)
    return await event_stream(request, service.feeds, service.engine.deploys, deploy_id)


@get(
    "/trainings/{training_id:str}/events",
    tags=TAGS,
    summary="Events of a training",
    operation_id="training_events",
    operation_class=EventsRequest,
    responses=ANSWERS,
)
async def trainings(request: Request[Any, Any, Any], training_id: FromPath[str]) -> ASGIResponse:
    """As the events of an execution, and `metrics` with the points that were logged since the last one, the first of
    which has the number `first`. `record` and `end` say in `metrics` how many there are; those that came before are at
    `GET /api/v1/trainings/{training_id}/metrics`."""
    service = Service.of(request)
    return await event_stream(request, service.feeds, service.engine.trainings, training_id)
