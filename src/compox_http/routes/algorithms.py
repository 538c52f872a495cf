"""Which algorithms there are."""

from __future__ import annotations

from typing import Annotated, Any, cast

from litestar import Request, get
from litestar.params import FromPath, QueryParameter
from litestar.response.base import ASGIResponse

from compox_core.errors import NotFoundError
from compox_http import shapes, shaping
from compox_http.documents import NOT_UNDERSTOOD, ZIP_CONTENT, Documented, refusals
from compox_http.downloads import send_scratch
from compox_http.requests import whole_number
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

    def listed() -> bytes:
        algorithms = service.engine.algorithms
        records = algorithms.list(
            positive_tags=positive_tag or (),
            negative_tags=negative_tag or (),
            algorithm_type=algorithm_type,
            supported_devices=supported_devices or (),
        )
        if not records and not algorithms.list():
            # Odd, but what clients of this version expect.
            raise NotFoundError("There is no algorithm in this store: deploy one.", code="no_algorithms_found")
        return service.encoded.array(records)

    # As bytes, which the response sends as they are: writing thousands of records takes longer than reading them.
    return cast(list[shapes.Algorithm], await service.threads.run(listed))


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
    return shaping.algorithm(await service.threads.run(service.engine.algorithms.get, name, major))


@get(
    "/algorithm/{name:str}/{major:str}/export",
    tags=TAGS,
    summary="Export an algorithm",
    operation_id="export_algorithm",
    operation_class=Documented,
    responses={**ZIP_CONTENT, **refusals(400, 403, 404), **NOT_UNDERSTOOD},
)
async def export(
    request: Request[Any, Any, Any],
    name: FromPath[str],
    major: FromPath[str],
    algorithm_minor_version: Annotated[
        int | None, QueryParameter(description="The minor version; the latest where it is left out.")
    ] = None,
    checkpoint_id: Annotated[
        str | None, QueryParameter(description="Weights of a training, instead of those shipped.")
    ] = None,
) -> ASGIResponse:
    """The algorithm as a zip that can be deployed again, `pyproject.toml` and all assets included: those that were
    deployed, or in their place those of a checkpoint of this algorithm (400 for another one's)."""
    service = Service.of(request)
    number = whole_number("major", major)
    path = await service.threads.run(
        service.engine.algorithms.export, name, number, algorithm_minor_version, checkpoint_id=checkpoint_id
    )
    return await send_scratch(path, service.threads, media_type="application/zip", name=f"{name}_v{number}")
