"""What a store remembers of the bundle that came with its servers: `migration-state` in `system-store`.

The fields are those of compox 3.2. `last_imported_bundle_sha256` is that of the bundle that was last imported as a
whole; a bundle with that hash is not imported again, whatever happened to others since.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from compox_core._version import __version__
from compox_core.bundle.plan import ImportReport
from compox_core.errors import CompoxError, NotFoundError
from compox_core.identity import utc_now
from compox_core.records.plain import said
from compox_core.storage.collections import SYSTEM
from compox_core.storage.objects import ObjectStore

logger = logging.getLogger(__name__)

STATE = "migration-state"


class MigrationState(BaseModel):
    """What became of the last import at a start. `importer` is the incarnation of the engine that did it.

    `target_bundle_sha256` is the bundle that it was about. `reason` says why one was SKIPPED, `error` why one FAILED.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    last_import_status: Literal["RUNNING", "COMPLETED", "SKIPPED", "FAILED"] | None = None
    last_imported_bundle_sha256: str | None = None
    last_imported_backend_version: str | None = None
    last_import_started_at: datetime | None = None
    last_import_completed_at: datetime | None = None
    target_bundle_sha256: str | None = None
    target_backend_version: str | None = None
    imported_algorithms: list[str] = Field(default_factory=list)
    failed_algorithms: list[str] = Field(default_factory=list)
    stored_bytes: int = 0
    importer: str | None = None
    reason: str | None = None
    error: str | None = None
    error_code: str | None = None
    retryable: bool | None = None

    def has(self, sha256: str) -> bool:
        """Return whether the bundle with this hash has been imported as a whole, and no other one since."""
        return self.last_imported_bundle_sha256 == sha256

    def found(self) -> MigrationState:
        """Return the state for who finds the bundle imported, whatever became of other bundles since."""
        nothing = dict.fromkeys(("reason", "error", "error_code", "retryable"))
        return self.model_copy(update={"last_import_status": "COMPLETED", **nothing})

    def running(self, sha256: str, importer: str) -> MigrationState:
        """Return the state while a bundle is imported."""
        return MigrationState(
            last_import_status="RUNNING",
            last_imported_bundle_sha256=self.last_imported_bundle_sha256,
            last_imported_backend_version=self.last_imported_backend_version,
            last_import_completed_at=self.last_import_completed_at,
            last_import_started_at=utc_now(),
            target_bundle_sha256=sha256,
            target_backend_version=__version__,
            importer=importer,
        )

    def completed(self, report: ImportReport) -> MigrationState:
        """Return the state after it."""
        return self.model_copy(
            update={
                "last_import_status": "COMPLETED",
                "last_imported_bundle_sha256": self.target_bundle_sha256,
                "last_imported_backend_version": __version__,
                "last_import_completed_at": utc_now(),
                "imported_algorithms": [f"{each.name} {each.major}" for each in report.algorithms],
                "stored_bytes": report.stored_bytes,
            }
        )

    def failed(self, error: BaseException) -> MigrationState:
        """Return the state after an import that ended by an error."""
        return self.model_copy(
            update={
                "last_import_status": "FAILED",
                "error": said(error),
                "error_code": error.code if isinstance(error, CompoxError) else type(error).__name__,
                "retryable": isinstance(error, CompoxError) and error.retryable,
            }
        )

    def skipped(self, reason: str) -> MigrationState:
        """Return the state where there was nothing to import: what was imported before counts on."""
        return self.model_copy(update={"last_import_status": "SKIPPED", "reason": reason})


def import_state(store: ObjectStore) -> MigrationState:
    """Return what became of the last import at a start of a server on this store; an empty one where there was none.

    Raises StorageError where the store does not answer.
    """
    try:
        return MigrationState.model_validate_json(store.get(SYSTEM, STATE))
    except NotFoundError:
        return MigrationState()
    except ValidationError as error:
        logger.warning("The state of imports cannot be read, and is taken for none: %s", error)
        return MigrationState()


def save_state(store: ObjectStore, state: MigrationState) -> None:
    """Write it. Raises StorageError."""
    store.put(SYSTEM, STATE, state.model_dump_json(indent=4).encode())
