"""Records as clients of `/api/v0` know them: the same keys in the same order, every key always there."""

from __future__ import annotations

from typing import Any, TypedDict

from compox_core.records import ExecutionRecord


class Failure(TypedDict):
    """An error: what happened, a stable code, whether trying again may help, and the id of the request."""

    detail: str
    code: str
    retryable: bool
    request_id: str


class Refusal(Failure, total=False):
    """An error, with facts for programs where there are any."""

    details: dict[str, Any]


class Issue(TypedDict):
    """One problem of a request: its kind, its place (`body`, then keys and indices), words, and what was given."""

    type: str
    loc: list[str | int]
    msg: str
    input: Any


class NotUnderstood(TypedDict):
    """A request that cannot be understood, with every problem at once; `code` is `request_validation_error`."""

    detail: list[Issue]
    code: str
    retryable: bool
    request_id: str


class Message(TypedDict):
    """What was done, in words."""

    detail: str


class ServerInfo(TypedDict):
    """Who serves, which version, and which GPUs there are (null: none were found)."""

    name: str
    tags: list[str]
    group: str
    organization: str
    domain: str
    version: str
    cuda_available: bool | None
    cuda_capable_devices_count: int | None


class FileCreated(TypedDict):
    """The id under which an uploaded file is found from now on."""

    file_id: str


class SignedUrl(TypedDict):
    """A URL at which whoever has it may put or get one file for an hour."""

    url: str


class ExecutionCreated(TypedDict):
    """The id of an execution that was accepted."""

    execution_id: str


class Execution(TypedDict):
    """A run: what was asked, how far it is (`progress` in 0-1), what came of it.

    Times are the server's local time, `YYYY-MM-DD HH:MM:SS.ffffff`; `time_started` is when the run was submitted, and
    `time_completed` is empty until it ends. `error` is null unless the run failed. `stopped_by` says what ended a run
    that was stopped or ran out of time (`flag`, `exception`, `terminate`, `kill`, `abandoned`). `attempt` is above 1
    where the algorithm was begun anew after its worker was lost.
    """

    execution_id: str
    algorithm_id: str
    checkpoint_id: str | None
    algorithm_minor_version: str | None
    input_dataset_ids: list[str]
    execution_device_override: str | None
    resolved_execution_device: str | None
    additional_parameters: dict[str, Any]
    session_token: str | None
    output_dataset_ids: list[str]
    status: str
    progress: float
    time_started: str
    time_completed: str
    log: str
    error: dict[str, Any] | None
    stopped_by: str | None
    attempt: int


class ParameterRules(TypedDict):
    """The rules of a parameter; `step`, `decimal_precision` and `adjustable` are hints for a user interface."""

    type: str
    default: Any
    adjustable: bool
    options: list[Any]
    min: float | None
    max: float | None
    step: float | None
    decimal_precision: int | None


class AlgorithmParameter(TypedDict):
    """A parameter that an algorithm declares."""

    name: str
    displayed_name: str
    description: str
    config: ParameterRules


class Algorithm(TypedDict):
    """An algorithm: its minor versions in rising order, its latest metadata, its flags and sizes in bytes."""

    algorithm_id: str
    algorithm_name: str
    algorithm_version: str
    algorithm_minor_versions: list[str]
    latest_algorithm_minor_version: str
    algorithm_minor_version: str
    algorithm_type: str
    algorithm_tags: list[str]
    algorithm_description: str
    supported_devices: list[str]
    default_device: str
    additional_parameters: list[AlgorithmParameter]
    training_parameters: list[AlgorithmParameter]
    benchmark_outputs: list[AlgorithmParameter]
    removable: bool
    exportable: bool
    storage_metrics: dict[str, int | str]
    timestamp: str


class Deployed(TypedDict):
    """What a deploy gave: the minor version is the one that the store holds now."""

    algorithm_id: str
    algorithm_name: str
    algorithm_major_version: str
    algorithm_minor_version: str


class DeployedZip(Deployed):
    """What a deploy gave: whether that is a new minor version, and what its author should look at."""

    created: bool
    warnings: list[str]


class Health(TypedDict):
    """That all is well: `ok`."""

    status: str


class ExecutionPage(TypedDict):
    """Some executions, newest first and without their logs, and the cursor of the page that follows, or null."""

    executions: list[ExecutionRecord]
    next_cursor: str | None


class DeployCreated(TypedDict):
    """The id of a deploy that was accepted."""

    deploy_id: str


class Deploy(TypedDict):
    """A deploy in the background.

    `algorithm_id`, `algorithm_name`, `algorithm_major_version` and `algorithm_minor_version` are null until it is
    COMPLETED. `time_started` is UTC (`YYYY-MM-DDTHH:MM:SS+00:00`) while it is PENDING, and then, as `time_completed`,
    the server's local time (`YYYY-MM-DD HH:MM:SS.ffffff`). `log` is null unless it failed: then it says why.
    """

    deploy_id: str
    status: str
    path: str
    algorithm_id: str | None
    algorithm_name: str | None
    algorithm_major_version: str | None
    time_started: str | None
    time_completed: str | None
    log: str | None
    algorithm_minor_version: str | None
    progress: float
    error: dict[str, Any] | None


class BenchmarkCreated(TypedDict):
    """The id of a benchmark that was accepted."""

    benchmark_id: str


class Benchmark(TypedDict):
    """A benchmark; `data` is what the algorithm measured, empty unless it is COMPLETED. Times as in an execution."""

    benchmark_id: str
    algorithm_id: str
    additional_parameters: dict[str, Any]
    status: str
    time_started: str
    time_completed: str
    log: str
    data: dict[str, Any]
    progress: float
    error: dict[str, Any] | None
