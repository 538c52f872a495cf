"""The only message that an executor carries."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class JobKind(StrEnum):
    """What kind of work a job is."""

    EXECUTION = "execution"
    TRAINING = "training"
    BENCHMARK = "benchmark"
    DEPLOY = "deploy"


@dataclass(frozen=True)
class Job:
    """A kind and the id of a record; everything else is in the record."""

    kind: JobKind
    id: str
