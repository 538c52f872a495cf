"""What the OpenAPI document says beyond the signatures of the routes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar, cast

from litestar.openapi import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Operation
from pydantic import BaseModel

from compox_core._version import __version__
from compox_core.records import TaskStatus
from compox_http.requests import BenchmarkBody, ExecuteBody, SampleBody, TrainBody
from compox_http.shapes import NotUnderstood, Refusal

EXECUTE_EXAMPLE = {
    "algorithm_id": "0b6cf0a5-6f4e-5d0c-9d5f-3c8f5a1f2d11",
    "input_dataset_ids": ["019a9f3e-7c1b-7d52-8a63-5b1f0c9e4d27"],
    "additional_parameters": {"denoising_weight": 0.2},
}

EVENTS_EXAMPLE = (
    'id: 5f1c0e9b2a77.7\nevent: progress\ndata: {"progress":0.5}\n\n'
    'id: 5f1c0e9b2a77.8\nevent: log\ndata: {"text":"2026-11-21T10:00:00Z INFO half of it\\n"}\n\n'
)

PATH_EXAMPLES: dict[str, Any] = {
    "algorithm_id": EXECUTE_EXAMPLE["algorithm_id"],
    "file_id": "019a9f3e-7c1b-7d52-8a63-5b1f0c9e4d27",
    "object_name": "sample-17.h5",
    "execution_id": "019a9f40-11d2-7a08-b6c5-0e6f7a2b9c31",
    "benchmark_id": "019a9f41-5e60-7c44-93b8-71d2c8e50f6a",
    "deploy_id": "019a9f42-90aa-7f3e-8d21-c4b7e6a10d58",
    "sample_id": "019a9f43-2b57-7d06-a1c4-9e8d3f6b7a02",
    "training_id": "019a9f44-c1d3-7b95-8f27-4a0e5d6c1b83",
    "checkpoint_id": "019a9f45-7f10-7e6b-b8d2-3c5a9e4f0d71",
    "name": "template_denoising_algorithm",
    "major": "1",
}

QUERY_SCHEMAS: dict[str, dict[str, Any]] = {
    "removable": {"type": "boolean"},
    "exportable": {"type": "boolean"},
    "status": {"enum": [status.value for status in TaskStatus]},
}

BENCHMARK_EXAMPLE = {"algorithm_id": EXECUTE_EXAMPLE["algorithm_id"], "additional_parameters": {}}

SAMPLE_EXAMPLE = {
    "files": [{"input": [PATH_EXAMPLES["file_id"]], "target": ["019a9f3e-8f42-7c19-94ab-6d2e1f0b3c58"]}],
    "tags": ["microscopy"],
}

TRAIN_EXAMPLE = {
    "algorithm_id": EXECUTE_EXAMPLE["algorithm_id"],
    "training_data": [PATH_EXAMPLES["sample_id"]],
    "tags": ["experiment 1"],
    "additional_parameters": {"epochs": 20},
}

OPENAPI = OpenAPIConfig(
    title="compox",
    version=__version__,
    description=(
        "Runs imaging algorithms on stored HDF5 files: upload inputs, execute an algorithm, follow the execution "
        "until its status is COMPLETED, download the outputs.\n\nErrors have a stable `code`; `retryable` says "
        "whether the same request may succeed later. The full text of a failure of the server (status 500) is in "
        "its log only."
    ),
    use_handler_docstrings=True,
    render_plugins=[JsonRenderPlugin(path="/openapi.json")],  # the pages are in routes/description.py
)

FILE_CONTENT = {
    200: ResponseSpec(bytes, False, "The file", "application/octet-stream"),
}

FILE_STATUSES = {
    206: ResponseSpec(bytes, False, "The part that `Range` asks for", "application/octet-stream"),
    304: ResponseSpec(None, False, "`If-None-Match` names what the file is"),
    416: ResponseSpec(bytes, False, "The file has no such part", "application/octet-stream"),
}

EVENTS_CONTENT = {
    200: ResponseSpec(str, False, "Events, as they come", "text/event-stream"),
    204: ResponseSpec(None, False, "`Last-Event-ID` is that of the end: nothing follows"),
}

CSV_CONTENT = {
    200: ResponseSpec(str, False, "The table", "text/csv"),
}

ZIP_CONTENT = {
    200: ResponseSpec(bytes, False, "The zip", "application/zip"),
}


def with_head(name: str) -> Callable[[Any, Any, Any], str]:
    """Return what names the operations of a route that answers to GET and HEAD."""
    return lambda handler, method, path: f"{name}_head" if str(method).upper().endswith("HEAD") else name


def refusals(*statuses: int) -> dict[int, ResponseSpec]:
    """Return the description of the errors that a route answers with."""
    return {status: ResponseSpec(Refusal, False, HTTPStatus(status).phrase) for status in statuses}


def created(model: type) -> ResponseSpec:
    """Return the description of the answer to a request that has made something."""
    return ResponseSpec(model, False, "It was made now")


NOT_UNDERSTOOD = {422: ResponseSpec(cast(Any, Refusal | NotUnderstood), False, HTTPStatus(422).phrase)}


@dataclass
class Documented(Operation):
    """An operation as this server answers it."""

    def to_schema(self) -> dict[str, Any]:
        """Return the operation without the 400 of the framework's own validation, which never happens here."""
        schema = super().to_schema()
        if "Validation Exception" in str(schema["responses"].get("400")):
            del schema["responses"]["400"]
        for parameter in schema.get("parameters", []):
            _describe(parameter)
        return schema


def _describe(parameter: dict[str, Any]) -> None:
    """Add to a parameter's description what its signature does not say, and take away what is not so."""
    schema, name = parameter["schema"], parameter["name"]
    if parameter["in"] == "path" and name in PATH_EXAMPLES:
        parameter["example"] = PATH_EXAMPLES[name]
    if parameter["in"] == "query":
        # One that may be left out; the framework says that it may be null, which a query cannot express.
        values = [each for each in schema.pop("oneOf", []) if each != {"type": "null"}]
        parameter["schema"] = {**schema, **(values[0] if values else {}), **QUERY_SCHEMAS.get(name, {})}


@dataclass
class EventsRequest(Documented):
    """An operation that answers with a stream of events."""

    def to_schema(self) -> dict[str, Any]:
        """Return the operation with the header by which a client goes on, and with an example."""
        schema = super().to_schema()
        last = {"name": "Last-Event-ID", "in": "header", "required": False, "schema": {"type": "string"}}
        schema.setdefault("parameters", []).append({**last, "description": "The id of the last event that came."})
        # No schema: this version of OpenAPI has none for streams, and programs would take it for that of one event.
        schema["responses"]["200"]["content"]["text/event-stream"] = {"example": EVENTS_EXAMPLE}
        return schema


@dataclass
class _Taking(Documented):
    """An operation that takes a body, of which its handler's signature says nothing."""

    body: ClassVar[dict[str, Any]]

    def to_schema(self) -> dict[str, Any]:
        """Return the operation with the body's description."""
        return {**super().to_schema(), "requestBody": {"required": True, **self.body}}


def _bytes(media_type: str, description: str) -> dict[str, Any]:
    return {"description": description, "content": {media_type: {"schema": {"type": "string", "format": "binary"}}}}


def _json(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": model.model_json_schema(), "example": example}}}


class ZipUpload(_Taking):
    """An operation whose request body is a zip."""

    body = _bytes("application/zip", "A zip of an algorithm's folder.")


class FileUpload(_Taking):
    """An operation whose request body is a file."""

    body = _bytes("application/octet-stream", "An HDF5 file, as it is.")


class ExecuteRequest(_Taking):
    """An operation whose request body asks for a run."""

    body = _json(ExecuteBody, EXECUTE_EXAMPLE)


class BenchmarkRequest(_Taking):
    """An operation whose request body asks for a benchmark."""

    body = _json(BenchmarkBody, BENCHMARK_EXAMPLE)


class TrainRequest(_Taking):
    """An operation whose request body asks for a training."""

    body = _json(TrainBody, TRAIN_EXAMPLE)


class SampleUpload(_Taking):
    """An operation whose request body is to be a sample."""

    body = _json(SampleBody, SAMPLE_EXAMPLE)
