"""Benchmarks: algorithms that measure themselves."""

from __future__ import annotations

from typing import Any

from litestar import Request, get, post
from litestar.params import FromPath

from compox_http import shapes, shaping
from compox_http.documents import NOT_UNDERSTOOD, BenchmarkRequest, Documented, refusals
from compox_http.requests import parse_benchmark
from compox_http.service import Service

TAGS = ["benchmarks"]


@post(
    "/benchmark-algorithm",
    status_code=200,
    tags=TAGS,
    summary="Have an algorithm measure itself",
    operation_id="benchmark_algorithm",
    operation_class=BenchmarkRequest,
    responses={**refusals(403, 404, 413), **NOT_UNDERSTOOD},
)
async def benchmark(request: Request[Any, Any, Any]) -> shapes.BenchmarkCreated:
    """Answer with a benchmark id at once; the benchmark goes on behind it."""
    wanted = parse_benchmark(await request.body())
    service = Service.of(request)
    record = await service.threads.run(service.engine.benchmarks.submit, wanted)
    return {"benchmark_id": record.benchmark_id}


@get(
    "/benchmarks/{benchmark_id:str}",
    tags=TAGS,
    summary="Follow a benchmark",
    operation_id="get_benchmark",
    operation_class=Documented,
    responses=refusals(404),
)
async def show(request: Request[Any, Any, Any], benchmark_id: FromPath[str]) -> shapes.Benchmark:
    """The record of a benchmark as it is now. Once its status is COMPLETED, `data` holds what was measured."""
    service = Service.of(request)
    return shaping.benchmark(await service.latest(service.engine.benchmarks, benchmark_id))
