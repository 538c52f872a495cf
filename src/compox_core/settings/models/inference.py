"""The section about running algorithms: devices, times, sessions, the queue."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from compox_core.settings.models.executors import AutoExecutor, ExecutorBackend
from compox_core.settings.models.section import Amount, Count, Interval, Section


class Sessions(Section):
    """How many live objects outlast a run, and how long."""

    max_sessions: Count = 5
    """How many sessions there are; at the limit the one that was used longest ago goes."""
    max_items: Count = 5
    """How many items one session holds."""
    max_memory_mb: Amount | None = None
    """How many megabytes one session may hold. Null is no limit."""
    expire_hours: Amount = 24
    """How many hours after its last use a session is forgotten."""


class Stop(Section):
    """How long each step of a stop may take, in seconds, before the next one is taken."""

    flag_seconds: Interval = 2.0
    """Seconds for the next call that the algorithm makes to its task, which raises `TaskStoppedException`."""
    exception_seconds: Interval = 3.0
    """Seconds for that exception, raised in the algorithm's own code wherever it is. Threads end here: one that goes
    on is left behind and replaced."""
    terminate_seconds: Interval = 2.0
    """Seconds for the worker process after it was told to end (SIGTERM)."""
    kill_seconds: Interval = 5.0
    """Seconds for the process, and all that it has started, after they were killed. What the system does not end even
    then is reported and left behind."""


class Queue(Section):
    """How servers and workers that share a store notice that another one died, and see to its jobs."""

    heartbeat_seconds: Annotated[Interval, Field(le=10 * 24 * 3600)] = 2.0
    """Every how many seconds a process shows that it lives; at most a third of `lost_after_seconds`."""
    lost_after_seconds: Interval = 20.0
    """After how many seconds without such a sign others take the process for dead. Set it alike for all that share a
    store. A dead process of the same machine is noticed without it."""
    reconcile_seconds: Interval = 5.0
    """Every how many seconds a process looks for what others have left."""
    republish_seconds: Interval = 30.0
    """With `celery`: after how many seconds the message of a job that waits counts as lost and is sent again."""
    sweep_seconds: Interval = 3600.0
    """Every how many seconds a server removes what has expired (`storage.*_expire_days`)."""

    @model_validator(mode="after")
    def _let_hearts_beat(self) -> Self:
        if self.lost_after_seconds < 3 * self.heartbeat_seconds:
            raise ValueError(
                f"lost_after_seconds ({self.lost_after_seconds:g}) must be at least three times heartbeat_seconds "
                f"({self.heartbeat_seconds:g}), or processes that live are taken for dead"
            )
        return self


class Inference(Section):
    """How algorithms run."""

    device: Literal["cuda", "cpu", "mps"] = "cuda"
    """The best kind of device that may be used: `mps` allows no NVIDIA GPU, `cpu` no GPU at all."""
    cuda_visible_devices: str | None = None
    """Which NVIDIA GPUs are used, as the variable `CUDA_VISIBLE_DEVICES` says it: `0,2` for those that `nvidia-smi`
    lists as 0 and 2, or their ids, empty for none. They are numbered anew: the second is `cuda:1`. Null leaves it to
    that variable of the environment."""
    algorithm_cache_maxsize: Count = 1
    """How many loaded algorithms are kept."""
    runner_idle_seconds: Interval | None = 900.0
    """After how many seconds without use a loaded algorithm is unloaded, and its memory given back, that of a GPU
    too. Null keeps it until another one needs its place."""
    timeout_s: Amount | None = None
    """How many seconds any job may run; what runs longer ends FAILED with the code `timed_out`. Requests and
    algorithms can ask for less, not for more. Null is no limit."""
    temp_path: str | None = None
    """The folder in which trainings keep copies of their samples while they go on. Null is the system's folder for
    temporary files; name a disk with room for the samples. It may begin with a prefix."""
    stop: Stop = Field(default_factory=Stop)
    queue: Queue = Field(default_factory=Queue)
    sessions: Sessions = Field(default_factory=Sessions)
    backend_settings: ExecutorBackend = Field(default_factory=AutoExecutor)
