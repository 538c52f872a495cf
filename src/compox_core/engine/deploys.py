"""The deploys of an engine that run as jobs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from compox_core.algorithms.packing import open_package
from compox_core.algorithms.registry import Deployment
from compox_core.algorithms.zipping import called, zip_folder
from compox_core.engine.roots import allowed_path
from compox_core.engine.tasks import Tasks
from compox_core.identity import new_id, utc_now
from compox_core.records import DeployRecord, JobKind
from compox_core.records.plain import encodable
from compox_core.storage import DEPLOYS
from compox_core.tasks.kinds import PACKAGES

logger = logging.getLogger(__name__)

SENT = "the zip in the request"
RETRIES = 1
"""A deploy that was lost with its worker begins once more by itself: content that is there already adds nothing."""


class Deploys(Tasks[DeployRecord]):
    """Deploys that are queued: their packages lie in the store until they have ended."""

    kind = JobKind.DEPLOY

    def run(
        self,
        path: Path,
        *,
        name: str | None = None,
        major: str | int | None = None,
        removable: bool | None = None,
        exportable: bool | None = None,
        is_zip: bool = False,
    ) -> Deployment:
        """Deploy now, and return what came of it; see `Engine.deploy`. `is_zip` says that it is one by any name."""
        bench, version = self._bench, None if major is None else str(major)
        limits = bench.settings.limits
        with open_package(path, name=name, major=version, limits=limits, is_zip=is_zip) as package:
            done = bench.registry.deploy(package, removable=removable, exportable=exportable)
        for warning in done.warnings:
            logger.warning("%s: %s", done.record.name, warning)
        return done

    def run_local(self, path: str, **options: Any) -> Deployment:
        """Do what `run` does with a path that a client of a server names, in a folder that the settings allow.

        Raises ConflictError (`deploy_path_not_allowed`), and what `run` raises.
        """
        return self.run(allowed_path(self._bench.settings, path), **options)

    def run_sent(self, path: Path, **options: Any) -> Deployment:
        """Do what `run` does with a zip that a client has sent: errors do not tell where it lies."""
        with called(path, SENT):
            return self.run(path, is_zip=True, **options)

    def submit(
        self,
        path: str | Path,
        *,
        name: str | None = None,
        major: str | int | None = None,
        removable: bool | None = None,
        exportable: bool | None = None,
    ) -> DeployRecord:
        """Check a package, store and record it, and queue its deploy; return the record as it was accepted.

        Arguments are those of `Engine.deploy`. `path` need not be there any more when this returns.

        Raises:
            PackageError: when the folder or zip cannot be deployed; nothing is stored then.
            StorageError: when the store refuses.
        """
        source = Path(path)
        version = None if major is None else str(major)
        with open_package(source, name=name, major=version, limits=self._bench.settings.limits):
            pass  # whoever submits hears at once what is wrong with it
        record = DeployRecord(
            deploy_id=(deploy_id := new_id()),
            path=encodable(str(path)),
            package_key=f"{PACKAGES}{deploy_id}",
            algorithm_name=name,
            algorithm_major_version=version,
            removable=removable,
            exportable=exportable,
            time_submitted=utc_now(),
            timeout_s=self._limit(),
            retries=RETRIES,
        )
        with self._zipped(source) as package:
            return self._accept(record, package, consume=package != source)

    def submit_local(self, path: str, **options: Any) -> DeployRecord:
        """Do what `submit` does with a path that a client of a server names, in a folder that the settings allow.

        Raises ConflictError (`deploy_path_not_allowed`), and what `submit` raises.
        """
        return self.submit(allowed_path(self._bench.settings, path), **options)

    def _accept(self, record: DeployRecord, package: Path, *, consume: bool = False) -> DeployRecord:
        """Store the zip and queue its deploy."""
        store = self._bench.store
        store.put_file(DEPLOYS, record.package_key, package, consume=consume)
        try:
            return self._queue(record)
        except BaseException:  # whatever it is, it is raised again
            store.delete(DEPLOYS, record.package_key)
            raise

    @contextmanager
    def _zipped(self, source: Path) -> Iterator[Path]:
        """Give the package as a zip: itself where it is one."""
        if not source.is_dir():
            yield source
            return
        target = self._bench.store.scratch()
        try:
            with called(target, str(source)):
                zip_folder(source, target, self._bench.settings.limits)
            yield target
        finally:
            target.unlink(missing_ok=True)
