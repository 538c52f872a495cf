"""The work of a deploy: a package that was stored becomes a minor version of an algorithm."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compox_core.algorithms.packing import AlgorithmPackage, open_package
from compox_core.algorithms.registry import Deployment
from compox_core.algorithms.zipping import called
from compox_core.errors import NotFoundError
from compox_core.identity import utc_now
from compox_core.jobs.bench import Workbench
from compox_core.records import DeployRecord, TaskStatus
from compox_core.storage import DEPLOYS
from compox_core.tasks import Task

FETCHED = 0.2
PACKED = 0.5
"""How much of a deploy is done when the package is here, and when it has been checked and packed anew."""

CHUNK = 1024 * 1024


class DeployWork:
    """Deploys in the thread that calls it.

    Where it is lost on its way, it can be done again: content that is deployed already adds nothing. A stop is seen
    until everything is stored; from then on the deploy is COMPLETED.
    """

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    def __call__(self, task: Task) -> dict[str, Any]:
        """Deploy the package; return what the record is to say of the algorithm."""
        task.check_stop()
        record = task.snapshot()
        assert isinstance(record, DeployRecord)
        task.update(status=TaskStatus.STARTED, time_started=utc_now())
        # Called as the retention knows what deploys that died have left.
        with tempfile.TemporaryDirectory(prefix="compox-pack-", ignore_cleanup_errors=True) as folder:
            path = Path(folder) / f"{record.deploy_id}.zip"
            self._fetch(task, record, path)
            task.update(status=TaskStatus.RUNNING)
            with called(path, record.path):
                done = self._deploy(task, record, path)
        return _fields(task, done)

    def _fetch(self, task: Task, record: DeployRecord, path: Path) -> None:
        store = self._bench.store
        try:
            source = store.open(DEPLOYS, record.package_key)
        except NotFoundError as error:
            raise NotFoundError(
                f"The package of deploy '{record.deploy_id}' is not in the store any more. Deploy again.",
                code="deploy_package_not_found",
                details={"deploy_id": record.deploy_id},
            ) from error
        with source, path.open("wb") as sink:
            passed = _progress(task, 0.0, FETCHED, store.stat(DEPLOYS, record.package_key).size)
            while chunk := source.read(CHUNK):
                sink.write(chunk)
                passed(len(chunk))

    def _deploy(self, task: Task, record: DeployRecord, path: Path) -> Deployment:
        with open_package(
            path,
            name=record.algorithm_name,
            major=record.algorithm_major_version,
            limits=self._bench.settings.limits,
        ) as package:
            return self._bench.registry.deploy(
                package,
                removable=record.removable,
                exportable=record.exportable,
                passed=_progress(task, PACKED, 1.0, _size(package)),
            )


def _size(package: AlgorithmPackage) -> int:
    return package.module_size + sum(asset.size for asset in package.assets.values())


def _progress(task: Task, start: float, end: float, size: int) -> Callable[[int], None]:
    """Return what moves the progress from `start` to `end` while `size` bytes pass; it raises when a stop was asked."""
    sofar = 0

    def passed(count: int) -> None:
        nonlocal sofar
        task.check_stop()
        sofar += count
        task.set_progress(start + (end - start) * min(sofar / max(size, 1), 1.0))

    passed(0)
    return passed


def _fields(task: Task, done: Deployment) -> dict[str, Any]:
    version = done.version
    for warning in done.warnings:
        task.write_log("WARNING", warning)
    what = f"{done.record.name} {version.major}.{version.minor}"
    task.write_log("INFO", f"Deployed {what}." if done.created else f"{what} holds this content: nothing was added.")
    return {
        "algorithm_id": done.record.algorithm_id,
        "algorithm_name": done.record.name,
        "algorithm_major_version": str(version.major),
        "algorithm_minor_version": str(version.minor),
        "removable": done.record.removable,
        "exportable": done.record.exportable,
        "added": done.created,
        "warnings": list(done.warnings),
    }
