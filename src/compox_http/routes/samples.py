"""Training samples: which stored files belong together."""

from __future__ import annotations

from typing import Annotated, Any, cast

from litestar import Request, delete, get, post
from litestar.params import FromPath, QueryParameter

from compox_core.errors import NotFoundError
from compox_http import training_shapes as shapes
from compox_http import training_shaping as shaping
from compox_http.answers import json_bytes
from compox_http.documents import NOT_UNDERSTOOD, Documented, SampleUpload, refusals
from compox_http.requests import parse_sample
from compox_http.service import Service
from compox_http.shapes import Message

TAGS = ["samples"]
Tags = list[str] | None


@post(
    "/sample",
    status_code=200,
    tags=TAGS,
    summary="Create a sample",
    operation_id="create_sample",
    operation_class=SampleUpload,
    responses={**refusals(403, 404, 413), **NOT_UNDERSTOOD},
)
async def create(request: Request[Any, Any, Any]) -> shapes.SampleCreated:
    """Say which stored files belong together. They do not expire, and cannot be deleted, as long as it is there."""
    wanted = parse_sample(await request.body())
    service = Service.of(request)
    record = await service.threads.run(service.engine.samples.submit, wanted)
    return {"sample_id": record.sample_id}


@get(
    "/sample/all",
    tags=TAGS,
    summary="List samples",
    operation_id="list_samples",
    operation_class=Documented,
    responses=refusals(404),
)
async def list_samples(
    request: Request[Any, Any, Any],
    positive_tags: Annotated[Tags, QueryParameter(description="Only those that have every one of these tags.")] = None,
    negative_tags: Annotated[Tags, QueryParameter(description="Only those that have none of these tags.")] = None,
) -> list[shapes.Sample]:
    """All samples that pass both filters, oldest first; case and blanks around a tag do not matter.

    A store without any sample is a 404 (`samples_not_found`); filters that nothing passes give an empty list.
    """
    service = Service.of(request)

    def listed() -> bytes:
        samples = service.engine.samples
        records = samples.list(positive_tags or (), negative_tags or ())
        if not records and samples.is_empty():
            # Odd, but what clients of this version expect.
            raise NotFoundError("There is no sample in this store: create one.", code="samples_not_found")
        return json_bytes([shaping.sample(record) for record in records])

    return cast(list[shapes.Sample], await service.threads.run(listed))


@get(
    "/sample/{sample_id:str}",
    tags=TAGS,
    summary="Show a sample",
    operation_id="get_sample",
    operation_class=Documented,
    responses=refusals(400, 404),
)
async def show(request: Request[Any, Any, Any], sample_id: FromPath[str]) -> shapes.ShownSample:
    """A sample, and which of its files are not in the store any more."""
    service = Service.of(request)
    samples = service.engine.samples
    record = await service.threads.run(samples.get, sample_id)
    return shaping.shown_sample(record, await service.threads.run(samples.missing_files, record))


@delete(
    "/sample/{sample_id:str}",
    status_code=200,
    tags=TAGS,
    summary="Delete a sample",
    operation_id="delete_sample",
    operation_class=Documented,
    responses=refusals(403, 404),
)
async def remove(request: Request[Any, Any, Any], sample_id: FromPath[str]) -> Message:
    """Its files stay until they expire. Trainings that were submitted with it learn from it all the same."""
    service = Service.of(request)
    await service.threads.run(service.engine.samples.delete, sample_id)
    return {"detail": "Sample deleted successfully"}


@delete("/sample/all", status_code=200, include_in_schema=False)
async def remove_named(request: Request[Any, Any, Any]) -> Message:
    """Delete the sample whose id is the name of another route; there is none."""
    service = Service.of(request)
    await service.threads.run(service.engine.samples.delete, "all")
    return {"detail": "Sample deleted successfully"}
