"""Trainings of algorithms: submit, follow, stop."""

from __future__ import annotations

from typing import Any

from litestar import Request, get, post
from litestar.params import FromPath

from compox_http import training_shapes as shapes
from compox_http import training_shaping as shaping
from compox_http.documents import NOT_UNDERSTOOD, Documented, TrainRequest, refusals
from compox_http.requests import parse_training
from compox_http.service import Service
from compox_http.shapes import Message

TAGS = ["trainings"]


@post(
    "/train-algorithm",
    status_code=200,
    tags=TAGS,
    summary="Train an algorithm",
    operation_id="train_algorithm",
    operation_class=TrainRequest,
    responses={**refusals(400, 403, 404, 413), **NOT_UNDERSTOOD},
)
async def train(request: Request[Any, Any, Any]) -> shapes.TrainingCreated:
    """Check what is asked and answer with a training id at once; the training goes on behind it."""
    wanted = parse_training(await request.body())
    service = Service.of(request)
    record = await service.threads.run(service.engine.trainings.submit, wanted)
    return {"training_id": record.training_id}


@get(
    "/training/{training_id:str}",
    tags=TAGS,
    summary="Follow a training",
    operation_id="get_training",
    operation_class=Documented,
    responses=refusals(404),
)
async def show(request: Request[Any, Any, Any], training_id: FromPath[str]) -> shapes.Training:
    """The record of a training as it is now, with the checkpoints that it has saved so far."""
    service = Service.of(request)
    return shaping.training(await service.latest(service.engine.trainings, training_id))


@post(
    "/training/{training_id:str}/stop",
    status_code=200,
    tags=TAGS,
    summary="Stop a training",
    operation_id="stop_training",
    operation_class=Documented,
    responses=refusals(400, 403, 404),
)
async def stop(request: Request[Any, Any, Any], training_id: FromPath[str]) -> Message:
    """Ask a training to stop; it may be asked again, and what was saved stays. One that has ended cannot be stopped
    (400)."""
    service = Service.of(request)
    await service.threads.run(service.engine.trainings.stop, training_id)
    return {"detail": "Stop request posted successfully"}
