"""The configuration: every key, its type and its default.

The keys are those of compox 3.2, so that its files load unchanged; the defaults that differ and the keys that are new
are listed in docs/reference/settings.md. Unknown keys are refused at every level.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Secret,
    SecretStr,
    field_validator,
    model_validator,
)

LogLevel = Literal["TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL"]


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):  # which pydantic reads as 1 or 0
        raise ValueError("must be a number, not a truth value")
    return value


def _device(name: str) -> str:
    if not re.fullmatch(r"cpu|mps|cuda:(0|[1-9][0-9]{0,3})", name):
        raise ValueError("there is no such device; known are cpu, mps, cuda:0, cuda:1 and so on")
    return name


Port = Annotated[int, Field(ge=0, le=65535), BeforeValidator(_no_bool)]
Days = Annotated[int, Field(ge=1, le=36_500), BeforeValidator(_no_bool)]
Count = Annotated[int, Field(ge=1), BeforeValidator(_no_bool)]
Seconds = Annotated[int, Field(ge=0), BeforeValidator(_no_bool)]
Workers = Annotated[int, Field(ge=1, le=1000), BeforeValidator(_no_bool)]
WorkerDevice = Annotated[str, AfterValidator(_device)]
Amount = Annotated[float, Field(gt=0, allow_inf_nan=False), BeforeValidator(_no_bool)]
Interval = Annotated[float, Field(gt=0, le=30 * 24 * 3600, allow_inf_nan=False), BeforeValidator(_no_bool)]


class Section(BaseModel):
    """A part of the configuration."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Info(Section):
    """Who the server says it is."""

    product_name: str = "Tescan Compox Backend"
    server_tags: list[str] = Field(default_factory=lambda: ["compox"])
    group_name: str = "TESCAN GROUP, a.s."
    organization_name: str = "TESCAN GROUP, a.s."
    organization_domain: str = "tescan.com"

    @field_validator("server_tags")
    @classmethod
    def _always_tagged(cls, tags: list[str]) -> list[str]:
        return tags if "compox" in tags else [*tags, "compox"]


class Gui(Section):
    """The tray icon; the keys load, there is no tray yet."""

    algorithm_add_remove_in_menus: bool = False
    use_systray: bool = False
    icon_path: str | None = None


class LocalBackend(Section):
    """A folder; None is one in the user's data directory."""

    provider: Literal["local"] = "local"
    path: str | None = None


class MemoryBackend(Section):
    """This process's memory; gone when it ends."""

    provider: Literal["memory"]


class FsspecBackend(Section):
    """A URL at which a store can be opened, with the options of its filesystem, which may hold secrets."""

    provider: Literal["fsspec"]
    url: str
    options: Secret[dict[str, Any]] = Field(default_factory=lambda: Secret[dict[str, Any]]({}))


class MinioBackend(Section):
    """An S3 server on this machine or in the house."""

    provider: Literal["minio"]
    start_instance: bool = True
    port: Port = 5483
    console_port: Port = 5482
    executable_path: str = "minio/minio_bin"
    storage_path: str = "minio/compox_store"
    aws_region: str | None = None
    s3_domain_name: str | None = None
    s3_endpoint_url: str | None = None


class AwsBackend(Section):
    """S3 at Amazon, or anything that is reached like it."""

    provider: Literal["aws"]
    s3_endpoint_url: str | None = None
    aws_region: str | None = None
    s3_domain_name: str | None = None


def _with_provider(value: Any) -> Any:
    """Let `{path: …}` mean a folder: the provider need not be named for the default."""
    return {"provider": "local", **value} if isinstance(value, dict) and "provider" not in value else value


StorageBackend = Annotated[
    Annotated[
        LocalBackend | MemoryBackend | FsspecBackend | MinioBackend | AwsBackend, Field(discriminator="provider")
    ],
    BeforeValidator(_with_provider),
]


class Storage(Section):
    """Where everything is kept, and for how long."""

    collection_prefix: str = ""
    data_store_expire_days: Days = 1
    execution_store_expire_days: Days = 30
    training_store_expire_days: Days = 30
    deploy_store_expire_days: Days = 30
    benchmark_store_expire_days: Days = 30
    stop_requests_expire_days: Days = 7
    builtin_storage_bundle_path: str | None = None
    builtin_storage_bundle_key: SecretStr | None = None
    access_key_id: SecretStr | None = None
    secret_access_key: SecretStr | None = None
    fsync: bool = False
    emergency_path: str | None = None
    backend_settings: StorageBackend = Field(default_factory=LocalBackend)


class Sessions(Section):
    """How many live objects outlast a run, and how long."""

    max_sessions: Count = 5
    max_items: Count = 5
    max_memory_mb: Amount | None = None
    expire_hours: Amount = 24


class Stop(Section):
    """How long each rung of a stop may take, in seconds, before the next one is climbed."""

    flag_seconds: Interval = 2.0
    exception_seconds: Interval = 3.0
    terminate_seconds: Interval = 2.0
    kill_seconds: Interval = 5.0


class Queue(Section):
    """How engines that share a store notice that another one died, in seconds.

    A process is taken for dead when its heartbeat stood still for `lost_after_seconds`; one on the same machine as
    soon as the system says so.
    """

    heartbeat_seconds: Interval = 2.0
    lost_after_seconds: Interval = 20.0
    reconcile_seconds: Interval = 5.0
    republish_seconds: Interval = 30.0
    sweep_seconds: Interval = 3600.0

    @model_validator(mode="after")
    def _let_hearts_beat(self) -> Self:
        if self.lost_after_seconds < 3 * self.heartbeat_seconds:
            raise ValueError(
                f"lost_after_seconds ({self.lost_after_seconds:g}) must be at least three times heartbeat_seconds "
                f"({self.heartbeat_seconds:g}), or processes that live are taken for dead"
            )
        return self


class _Workers(Section):
    worker_number: Workers = 1


class AutoExecutor(_Workers):
    """Whatever suits the host: worker processes in a server whose store they can share, else threads."""

    executor: Literal["auto"] = "auto"
    workers: dict[WorkerDevice, Workers] | None = None
    warm_spare: bool = True


class ThreadsExecutor(_Workers):
    """Runs in threads of this process; `fastapi_background_tasks` is the older name."""

    executor: Literal["threads", "fastapi_background_tasks"]


class ProcessesExecutor(_Workers):
    """Runs in worker processes.

    `workers` says how many there are for each device (`cpu`, `cuda:0`, `mps`); without it there are `worker_number`,
    each for any device. `warm_spare` keeps one more process started, so that one that had to go is replaced at once.
    """

    executor: Literal["processes"]
    workers: dict[WorkerDevice, Workers] | None = None
    warm_spare: bool = True


class InlineExecutor(Section):
    """Runs at once in the thread that submits."""

    executor: Literal["inline"]


class CeleryExecutor(_Workers):
    """Runs on Celery workers, each with `worker_number` processes of its own. The URLs may hold passwords."""

    executor: Literal["celery"]
    workers: dict[WorkerDevice, Workers] | None = None
    warm_spare: bool = True
    worker_name: str = "compox_worker"
    broker_url: SecretStr
    result_backend: SecretStr = SecretStr("rpc://")
    run_flower: bool = False
    flower_port: Port | None = None


def _with_executor(value: Any) -> Any:
    """Let `{worker_number: …}` stand alone: the executor need not be named for the default."""
    return {"executor": "auto", **value} if isinstance(value, dict) and "executor" not in value else value


ExecutorBackend = Annotated[
    Annotated[
        AutoExecutor | ThreadsExecutor | ProcessesExecutor | InlineExecutor | CeleryExecutor,
        Field(discriminator="executor"),
    ],
    BeforeValidator(_with_executor),
]


class Inference(Section):
    """How algorithms run.

    `cuda_visible_devices` says which NVIDIA GPUs are used, as the variable of that name does; None leaves it to that.
    `timeout_s` limits every job, in seconds of running; None for no limit. A loaded runner that nobody used for
    `runner_idle_seconds` is unloaded; None keeps it.
    """

    device: Literal["cuda", "cpu", "mps"] = "cuda"
    cuda_visible_devices: str | None = None
    algorithm_cache_maxsize: Count = 1
    runner_idle_seconds: Interval | None = 900.0
    timeout_s: Amount | None = None
    stop: Stop = Field(default_factory=Stop)
    queue: Queue = Field(default_factory=Queue)
    sessions: Sessions = Field(default_factory=Sessions)
    backend_settings: ExecutorBackend = Field(default_factory=AutoExecutor)


class Ssl(Section):
    """TLS of the server."""

    use_ssl: bool = False
    ssl_keyfile: str | None = None
    ssl_certfile: str | None = None


class Middleware(Section):
    """Cross-origin requests (CORS)."""

    allow_origins: list[str] = Field(default_factory=list)
    allow_methods: list[str] = Field(default_factory=lambda: ["GET"])
    allow_headers: list[str] = Field(default_factory=list)
    allow_credentials: bool = False
    expose_headers: list[str] = Field(default_factory=list)
    max_age: Seconds = 3600


class Logging(Section):
    """How much is logged where."""

    console_level: LogLevel = "INFO"
    file_level: LogLevel = "INFO"
    format: Literal["text", "json"] = "text"
    rotate_mb: Amount = 8
    keep_days: Days = 10


class Deploy(Section):
    """Which folders of the server's disk may be deployed by request."""

    allowed_roots: list[str] | None = None


class Limits(Section):
    """Bounds on what is accepted: bytes and members of an inflated algorithm zip, bytes of a log inside a record."""

    max_archive_bytes: Count = 10 * 1024**3
    max_archive_members: Count = 100_000
    max_log_bytes: Annotated[Count, Field(ge=1024)] = 1024**2
    max_upload_bytes: Count | None = None


class Settings(Section):
    """The whole configuration of an engine and its transports."""

    host: str = "127.0.0.1"
    port: Port = 5481
    insecure: bool = False
    deploy_algorithms_from: str = "./algorithms"
    log_path: str = "LOG_DEFAULT:compox.log"
    config: str | None = None
    info: Info = Field(default_factory=Info)
    gui: Gui = Field(default_factory=Gui)
    storage: Storage = Field(default_factory=Storage)
    inference: Inference = Field(default_factory=Inference)
    deploy: Deploy = Field(default_factory=Deploy)
    limits: Limits = Field(default_factory=Limits)
    ssl: Ssl = Field(default_factory=Ssl)
    middleware: Middleware = Field(default_factory=Middleware)
    logging: Logging = Field(default_factory=Logging)
