"""The kinds of executors: where jobs run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr

from compox_core.settings.models.section import Port, Section, WorkerDevice, Workers


class AutoExecutor(Section):
    """Whatever suits the host: worker processes in a server whose store they can share, else threads."""

    executor: Literal["auto"] = "auto"
    worker_number: Workers = 1
    """How many jobs run at once, on any device."""
    workers: dict[WorkerDevice, Workers] | None = None
    """In place of `worker_number`: how many worker processes there are for each of `cpu`, `mps`, `cuda:0`,
    `cuda:1` …"""
    warm_spare: bool = True
    """Whether one more process is kept started than there are in use, so that one that had to go is replaced at
    once."""


class ThreadsExecutor(Section):
    """Threads of one process; `fastapi_background_tasks` is the older name."""

    executor: Literal["threads", "fastapi_background_tasks"]
    worker_number: Workers = 1
    """How many jobs run at once."""


class ProcessesExecutor(Section):
    """Processes of their own, one job at a time each. A crash costs one job, a stop ends any algorithm."""

    executor: Literal["processes"]
    worker_number: Workers = 1
    """How many jobs run at once, on any device."""
    workers: dict[WorkerDevice, Workers] | None = None
    """In place of `worker_number`: how many workers there are for each of `cpu`, `mps`, `cuda:0`, `cuda:1` …"""
    warm_spare: bool = True
    """Whether one more process is kept started than there are in use, so that one that had to go is replaced at
    once."""


class InlineExecutor(Section):
    """The thread that submits a job runs it."""

    executor: Literal["inline"]


class CeleryExecutor(Section):
    """Workers on this machine or others, to which a message broker (RabbitMQ, Redis) takes the jobs."""

    executor: Literal["celery"]
    worker_number: Workers = 1
    """How many jobs each worker runs at once, each in a process of its own."""
    workers: dict[WorkerDevice, Workers] | None = None
    """In place of `worker_number`: how many such processes there are for each of `cpu`, `mps`, `cuda:0`, `cuda:1` …"""
    warm_spare: bool = True
    """Whether a worker keeps one more process started than it uses, so that one that had to go is replaced at
    once."""
    worker_name: str = "compox_worker"
    """What a worker calls itself, followed by its process and host."""
    broker_url: SecretStr
    """Where the broker is: `amqp://user:password@host:5672/vhost`, `redis://host:6379/0`."""
    result_backend: SecretStr = SecretStr("rpc://")
    """Must be one that Celery knows; nothing is written there, results are in the store."""
    run_flower: bool = False
    """Whether Flower, a web page about the workers, is started beside each worker, for this machine only."""
    flower_port: Port | None = None
    """The port of that page. Null is 5555."""


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
