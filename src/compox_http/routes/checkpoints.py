"""Checkpoints: what trainings have saved."""

from __future__ import annotations

from typing import Annotated, Any, cast

from litestar import Request, delete, get
from litestar.params import FromPath, QueryParameter

from compox_core.errors import NotFoundError
from compox_http import training_shapes as shapes
from compox_http import training_shaping as shaping
from compox_http.answers import json_bytes
from compox_http.documents import Documented, refusals
from compox_http.service import Service
from compox_http.shapes import Message

TAGS = ["checkpoints"]
Tags = list[str] | None


@get(
    "/checkpoint/all",
    tags=TAGS,
    summary="List checkpoints",
    operation_id="list_checkpoints",
    operation_class=Documented,
    responses=refusals(404),
)
async def list_checkpoints(
    request: Request[Any, Any, Any],
    positive_tags: Annotated[Tags, QueryParameter(description="Only those that have every one of these tags.")] = None,
    negative_tags: Annotated[Tags, QueryParameter(description="Only those that have none of these tags.")] = None,
) -> list[shapes.Checkpoint]:
    """All checkpoints that pass both filters, oldest first; the case of a tag does not matter.

    A store without any checkpoint is a 404 (`checkpoints_not_found`); filters that nothing passes give an empty list.
    """
    service = Service.of(request)

    def listed() -> bytes:
        checkpoints = service.engine.checkpoints
        records = checkpoints.list(positive_tags=positive_tags or (), negative_tags=negative_tags or ())
        if not records and checkpoints.is_empty():
            # Odd, but what clients of this version expect.
            raise NotFoundError("There is no checkpoint in this store: train.", code="checkpoints_not_found")
        return json_bytes([shaping.checkpoint(record) for record in records])

    return cast(list[shapes.Checkpoint], await service.threads.run(listed))


@get(
    "/checkpoint/{checkpoint_id:str}",
    tags=TAGS,
    summary="Show a checkpoint",
    operation_id="get_checkpoint",
    operation_class=Documented,
    responses=refusals(400, 404),
)
async def show(request: Request[Any, Any, Any], checkpoint_id: FromPath[str]) -> shapes.Checkpoint:
    """What a training has saved: where it comes from, and what its algorithm says of it."""
    service = Service.of(request)
    return shaping.checkpoint(await service.threads.run(service.engine.checkpoints.get, checkpoint_id))


@delete(
    "/checkpoint/{checkpoint_id:str}",
    status_code=200,
    tags=TAGS,
    summary="Delete a checkpoint",
    operation_id="delete_checkpoint",
    operation_class=Documented,
    responses=refusals(403, 404),
)
async def remove(request: Request[Any, Any, Any], checkpoint_id: FromPath[str]) -> Message:
    """Contents that nothing else uses go with it."""
    service = Service.of(request)
    await service.threads.run(service.engine.checkpoints.delete, checkpoint_id)
    return {"detail": "Checkpoint deleted successfully"}


@delete("/checkpoint/all", status_code=200, include_in_schema=False)
async def remove_named(request: Request[Any, Any, Any]) -> Message:
    """Delete the checkpoint whose id is the name of another route; there is none."""
    service = Service.of(request)
    await service.threads.run(service.engine.checkpoints.delete, "all")
    return {"detail": "Checkpoint deleted successfully"}
