"""What an engine does for its store beside running jobs: it shows that it lives, sees to what others left, sweeps."""

from __future__ import annotations

import logging
import threading

from compox_core.errors import StorageError
from compox_core.jobs.delivery import Delivery
from compox_core.jobs.reconcile import Reconciler
from compox_core.jobs.retention import Janitor
from compox_core.records import TaskRecord
from compox_core.storage import EmergencyRecords, ObjectStore
from compox_core.tasks import Presence, TaskStore

logger = logging.getLogger(__name__)


class Upkeep:
    """Lives as long as its engine is open. A server's begins at once, that of others with their first job.

    In a store that nobody else can open there is nobody to show anything to, and nobody who left anything.
    """

    def __init__(
        self,
        store: ObjectStore,
        presence: Presence,
        reconciler: Reconciler | None,
        emergency: EmergencyRecords | None,
        delivery: Delivery | None,
        janitor: Janitor | None = None,
    ) -> None:
        self._store = store
        self._presence = presence
        self._reconciler = reconciler
        self._emergency = emergency
        self._delivery = delivery
        self._janitor = janitor
        self._lock = threading.Lock()
        self._begun = False

    def ensure(self) -> None:
        """See to it that others know that this process lives; to be called before a job is accepted.

        Raises StorageError.
        """
        self._presence.ensure()
        if not self._begun:
            self.begin()

    def begin(self) -> None:
        """Take care of what others left, now and from now on; a store that does not answer is asked again later."""
        with self._lock:
            if self._begun:
                return
            self._begun = True
            if self._emergency is not None:
                self._emergency.prepare()
            if self._janitor is not None:
                self._janitor.start()
            if self._reconciler is None:
                return
            try:
                self._reconciler.run_once()
            except Exception as problem:  # the next round may go well, and this server has jobs of its own
                defect = None if isinstance(problem, StorageError) else problem
                logger.warning("What others left could not be seen to, will try again: %s", problem, exc_info=defect)
            self._reconciler.start()

    def load(self, stored: TaskStore, task_id: str) -> TaskRecord:
        """Return a record as the store has it, or as it is kept beside it. Raises NotFoundError, StorageError."""
        return stored.load(task_id) if self._delivery is None else self._delivery.load(stored, task_id)

    def forget(self, stored: TaskStore, task_id: str) -> None:
        """Drop what is kept beside the store of a job whose record was deleted."""
        if self._delivery is not None:
            self._delivery.forget(stored, task_id)

    def close(self) -> None:
        """End everything; to be called before the executor is closed."""
        if self._reconciler is not None:
            self._reconciler.close()
        if self._janitor is not None:
            self._janitor.close()

    def leave(self) -> None:
        """Say good-bye, when no job of this process goes on any more."""
        self._presence.close()
        if self._emergency is not None:
            self._emergency.close()
