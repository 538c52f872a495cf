"""Trainings of algorithms: list, and what they measured."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, get
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream

from compox_core.engine.pages import DEFAULT_PAGE, MAX_PAGE
from compox_http import training_shapes as shapes
from compox_http import training_shaping as shaping
from compox_http.documents import CSV_CONTENT, NOT_UNDERSTOOD, Documented, refusals
from compox_http.downloads import send_lines
from compox_http.requests import task_status
from compox_http.service import Service

TAGS = ["trainings"]
DEFAULT_POINTS, MOST_POINTS = 1000, 10_000
LAST = 10**12


@get(
    "/trainings",
    tags=TAGS,
    summary="List trainings",
    operation_id="list_trainings",
    operation_class=Documented,
    responses={**refusals(404), **NOT_UNDERSTOOD},
)
async def list_trainings(
    request: Request[Any, Any, Any],
    status: Annotated[str | None, QueryParameter(description="Only those: PENDING, RUNNING and so on.")] = None,
    algorithm: Annotated[
        str | None, QueryParameter(description="Only those of this algorithm: its name or id.")
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=MAX_PAGE, description="At most so many.")] = DEFAULT_PAGE,
    cursor: Annotated[str | None, QueryParameter(description="`next_cursor` of the page before.")] = None,
) -> shapes.TrainingPage:
    """The newest first, without their logs. Go on with `next_cursor` until that is null; a page may hold fewer than
    `limit`, or none, although others follow."""
    service = Service.of(request)
    engine, threads = service.engine, service.threads
    wanted = task_status(status)
    ids = None if algorithm is None else await threads.run(engine.algorithms.ids, algorithm)
    page = await threads.run(engine.trainings.page, status=wanted, algorithm_ids=ids, limit=limit, cursor=cursor)
    records = [record.model_copy(update={"log": ""}) for record in page.records]
    return {"trainings": records, "next_cursor": page.next_cursor}


@get(
    "/trainings/{training_id:str}/metrics",
    tags=TAGS,
    summary="Get the metric history of a training",
    operation_id="get_metrics",
    operation_class=Documented,
    responses={**refusals(404), **NOT_UNDERSTOOD},
)
async def metrics(
    request: Request[Any, Any, Any],
    training_id: FromPath[str],
    first: Annotated[int, QueryParameter(ge=0, le=LAST, description="Points from this number on, from 0.")] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=MOST_POINTS, description="At most so many.")] = DEFAULT_POINTS,
) -> shapes.PointPage:
    """Points in the order in which they were logged. Go on with `next` as `first`; no points: there are none yet."""
    service = Service.of(request)
    found, following = await service.threads.run(service.engine.trainings.metrics_since, training_id, first, limit)
    return {"points": shaping.points(found), "next": following}


@get(
    "/trainings/{training_id:str}/metrics.csv",
    tags=TAGS,
    summary="Get the metric history of a training as CSV",
    operation_id="get_metrics_csv",
    operation_class=Documented,
    responses={**CSV_CONTENT, **refusals(404)},
)
async def metrics_csv(request: Request[Any, Any, Any], training_id: FromPath[str]) -> Stream:
    """A line a point, with the columns `step`, `time` (UTC) and one a metric; empty where a point has not that metric.
    Numbers that are not finite are `nan`, `inf` and `-inf`."""
    service = Service.of(request)
    lines = await service.threads.run(service.engine.trainings.metrics_csv, training_id)
    return send_lines(lines, service.threads, media_type="text/csv", name=f"metrics-{training_id}.csv")
