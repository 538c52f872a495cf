"""A deploy that runs as a job, as it is requested and recorded."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from compox_core.records.job import JobKind
from compox_core.records.task import TaskRecord


class DeployRecord(TaskRecord):
    """A deploy of a package that was stored first, and the algorithm that came of it.

    `path` is where the package came from, as the client named it; `package_key` is the zip in the store, which is
    deleted when the job has ended. `algorithm_name`, `algorithm_major_version`, `removable` and `exportable` are what
    the request says in place of the package until the job is COMPLETED, and what was deployed afterwards.
    """

    kind: ClassVar[JobKind] = JobKind.DEPLOY
    id_field: ClassVar[str] = "deploy_id"

    deploy_id: str
    path: str
    package_key: str
    removable: bool | None = None
    exportable: bool | None = None
    algorithm_id: str | None = None
    algorithm_name: str | None = None
    algorithm_major_version: str | None = None
    algorithm_minor_version: str | None = None
    added: bool | None = None
    warnings: list[str] = Field(default_factory=list)
