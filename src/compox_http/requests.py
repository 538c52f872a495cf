"""From a request's body to what the engine takes; lenient where clients of other servers are."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from compox_core.records import BenchmarkRequest, ExecutionRequest, SampleRequest, TaskStatus, TrainingRequest

M = TypeVar("M", bound=BaseModel)
_FLAG: TypeAdapter[bool] = TypeAdapter(bool)


class RequestInvalid(Exception):
    """A request cannot be understood; `issues` say where and why."""

    def __init__(self, issues: list[dict[str, Any]]) -> None:
        super().__init__("The request cannot be understood.")
        self.issues = issues


def _minor_as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _null_is_none(value: Any) -> Any:
    return {} if value is None else value


AlgorithmId = Annotated[str, Field(description="As `GET /api/v0/algorithm/{name}/{major}` gives it.")]
Minor = Annotated[str | None, BeforeValidator(_minor_as_text), Field(description="Null: the latest.")]
Device = Annotated[str | None, Field(description="cpu, gpu, mps or cuda:N; null: the algorithm's default.")]
Parameters = Annotated[
    dict[str, Any],
    BeforeValidator(_null_is_none),
    Field(default_factory=dict, description="The algorithm's parameters; defaults are filled in."),
]
TimeLimit = Annotated[
    float | None,
    Field(gt=0, allow_inf_nan=False, description="Seconds that it may run; null: no limit."),
]


class ExecuteBody(ExecutionRequest):
    """What runs, on what, and how. Unknown keys are ignored."""

    model_config = ConfigDict(title="ExecuteRequest")

    algorithm_id: AlgorithmId
    input_dataset_ids: Annotated[list[str], Field(description="Ids of stored files; may be empty.")]
    checkpoint_id: Annotated[str | None, Field(description="Weights of a training, instead of those shipped.")] = None
    algorithm_minor_version: Minor = None
    execution_device_override: Device = None
    additional_parameters: Parameters
    session_token: Annotated[str | None, Field(description="Shares what earlier runs kept in memory.")] = None
    timeout_s: TimeLimit = None


class BenchmarkBody(BenchmarkRequest):
    """What measures itself, and how. Unknown keys are ignored."""

    model_config = ConfigDict(title="BenchmarkRequest")

    algorithm_id: AlgorithmId
    additional_parameters: Parameters


class TrainBody(TrainingRequest):
    """What learns, from what, and how. Unknown keys are ignored."""

    model_config = ConfigDict(title="TrainRequest")

    algorithm_id: AlgorithmId
    training_data: Annotated[list[str], Field(description="Ids of samples; may be empty.")]
    checkpoint_id: Annotated[str | None, Field(description="Where the training goes on from.")] = None
    algorithm_minor_version: Minor = None
    execution_device_override: Device = None
    tags: Annotated[list[str], Field(default_factory=list, description="Become those of its checkpoints, as they are.")]
    additional_parameters: Annotated[
        dict[str, Any] | None, Field(description="The algorithm's training parameters; defaults are filled in.")
    ] = None
    timeout_s: TimeLimit = None


class SampleBody(SampleRequest):
    """Which files belong together, and what they are found by. Unknown keys are ignored."""

    model_config = ConfigDict(title="SampleRequest")


def parse_execute(body: bytes) -> ExecutionRequest:
    """Read the body that asks for a run, whatever content type it came with.

    Raises RequestInvalid, with every problem at once.
    """
    return _parsed(ExecuteBody, body)


def parse_benchmark(body: bytes) -> BenchmarkRequest:
    """Read the body that asks for a benchmark, as `parse_execute` does."""
    return _parsed(BenchmarkBody, body)


def parse_training(body: bytes) -> TrainingRequest:
    """Read the body that asks for a training, as `parse_execute` does."""
    return _parsed(TrainBody, body)


def parse_sample(body: bytes) -> SampleRequest:
    """Read the body that is to be a sample, as `parse_execute` does."""
    return _parsed(SampleBody, body)


def task_status(text: str | None) -> TaskStatus | None:
    """Return the status that the query asks for, in any case; None for none. Raises RequestInvalid."""
    if text is None:
        return None
    try:
        return TaskStatus(text.upper())
    except ValueError as error:
        known = ", ".join(TaskStatus)
        issue = query_issue("enum", "status", f"There is no such status; there are {known}.", text)
        raise RequestInvalid([issue]) from error


def flag(name: str, text: str | None) -> bool | None:
    """Return what a truth value in the query means, in any of the forms that people write; None for none.

    Raises RequestInvalid.
    """
    if text is None:
        return None
    try:
        return _FLAG.validate_python(text)
    except ValidationError as error:
        raise RequestInvalid([query_issue("bool_parsing", name, "Give true or false.", text)]) from error


def whole_number(name: str, text: str) -> int:
    """Return the number that a part of the path is. Raises RequestInvalid."""
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        issue = {"type": "int_parsing", "loc": ["path", name], "msg": "Give a whole number.", "input": text}
        raise RequestInvalid([issue])
    return int(text)


def query_issue(kind: str, name: str, message: str, given: Any) -> dict[str, Any]:
    """Return the description of a problem with a parameter of the query."""
    return {"type": kind, "loc": ["query", name], "msg": message, "input": given}


def _parsed(model: type[M], body: bytes) -> M:
    if not body:
        raise RequestInvalid([{"type": "missing", "loc": ["body"], "msg": "Field required", "input": None}])
    try:
        return model.model_validate_json(_as_utf8(body))
    except ValidationError as error:
        raise RequestInvalid(_issues(error)) from error


def _as_utf8(body: bytes) -> bytes:
    """Return JSON without a byte order mark, and in UTF-8 where it is UTF-16 or UTF-32: some clients write those."""
    encoding = json.detect_encoding(body)
    if encoding == "utf-8":
        return body
    try:
        return body.decode(encoding).encode()
    except UnicodeError:
        return body  # no JSON in any encoding, which the parser says best


def _issues(error: ValidationError) -> list[dict[str, Any]]:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":  # its input would be the whole body, which may be no text at all
        return [{**first, "loc": ["body"], "input": {}}]
    # By way of JSON text, so that whatever pydantic reports can be sent.
    return [{**issue, "loc": ["body", *issue["loc"]]} for issue in json.loads(error.json(include_url=False))]
