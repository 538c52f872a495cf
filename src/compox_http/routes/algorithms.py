"""Which algorithms there are."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, get
from litestar.params import FromPath, QueryParameter

from compox_core.errors import NotFoundError
from compox_http import shapes
from compox_http.documents import Documented, refusals
from compox_http.service import Service

TAGS = ["algorithms"]
Tags = list[str] | None


@get(
    "/algorithm/all",
    tags=TAGS,
    summary="List algorithms",
    operation_id="list_algorithms",
    operation_class=Documented,
    responses=refusals(404),
)
async def list_algorithms(
    request: Request[Any, Any, Any],
    positive_tag: Annotated[Tags, QueryParameter(description="Only those that have every one of these tags.")] = None,
    negative_tag: Annotated[Tags, QueryParameter(description="Only those that have none of these tags.")] = None,
    algorithm_type: Annotated[str | None, QueryParameter(description="Only this type; case does not matter.")] = None,
    supported_devices: Annotated[
        Tags, QueryParameter(description="Only those that run on one of these: cpu, gpu, mps; case does not matter.")
    ] = None,
) -> list[shapes.Algorithm]:
    """All algorithms that pass every filter given. Tags are compared exactly.

    A store without any algorithm is a 404 (`no_algorithms_found`); filters that nothing passes give an empty list.
    """
    service = Service.of(request)
    records = await service.threads.run(
        service.engine.algorithms.list,
        positive_tags=positive_tag or (),
        negative_tags=negative_tag or (),
        algorithm_type=algorithm_type,
        supported_devices=supported_devices or (),
    )
    if not records and not await service.threads.run(service.engine.algorithms.list):
        # Odd, but what clients of this version expect.
        raise NotFoundError("There is no algorithm in this store: deploy one.", code="no_algorithms_found")
    return [shapes.algorithm(record) for record in records]


@get(
    "/algorithm/{name:str}/{major:str}",
    tags=TAGS,
    summary="Show an algorithm",
    operation_id="get_algorithm",
    operation_class=Documented,
    responses=refusals(404),
)
async def get_algorithm(request: Request[Any, Any, Any], name: FromPath[str], major: FromPath[str]) -> shapes.Algorithm:
    """One algorithm by its name, whose case does not matter, and its major version."""
    service = Service.of(request)
    return shapes.algorithm(await service.threads.run(service.engine.algorithms.get, name, major))
