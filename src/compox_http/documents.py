"""What the OpenAPI document says beyond the signatures of the routes."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

from litestar.openapi import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import Operation

from compox_core._version import __version__
from compox_http.requests import ExecuteBody
from compox_http.shapes import NotUnderstood, Refusal

EXECUTE_EXAMPLE = {
    "algorithm_id": "0b6cf0a5-6f4e-5d0c-9d5f-3c8f5a1f2d11",
    "input_dataset_ids": ["019a9f3e-7c1b-7d52-8a63-5b1f0c9e4d27"],
    "additional_parameters": {"denoising_weight": 0.2},
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
    render_plugins=[SwaggerRenderPlugin()],
)

FILE_CONTENT = {
    200: ResponseSpec(bytes, False, "The file", "application/octet-stream"),
}


def refusals(*statuses: int) -> dict[int, ResponseSpec]:
    """Return the description of the errors that a route answers with."""
    return {status: ResponseSpec(Refusal, False, HTTPStatus(status).phrase) for status in statuses}


NOT_UNDERSTOOD = {422: ResponseSpec(cast(Any, Refusal | NotUnderstood), False, HTTPStatus(422).phrase)}


@dataclass
class Documented(Operation):
    """An operation as this server answers it."""

    def to_schema(self) -> dict[str, Any]:
        """Return the operation without the 400 of the framework's own validation, which never happens here."""
        schema = super().to_schema()
        if "Validation Exception" in str(schema["responses"].get("400")):
            del schema["responses"]["400"]
        return schema


@dataclass
class FileUpload(Documented):
    """An operation whose request body is a file."""

    def to_schema(self) -> dict[str, Any]:
        """Return the operation with the body's description."""
        content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        body = {"description": "An HDF5 file, as it is.", "required": True, "content": content}
        return {**super().to_schema(), "requestBody": body}


@dataclass
class ExecuteRequest(Documented):
    """An operation whose request body asks for a run."""

    def to_schema(self) -> dict[str, Any]:
        """Return the operation with the body's description."""
        content = {"application/json": {"schema": ExecuteBody.model_json_schema(), "example": EXECUTE_EXAMPLE}}
        return {**super().to_schema(), "requestBody": {"required": True, "content": content}}
