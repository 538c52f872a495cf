"""The work of a training: an algorithm that learns from samples, and saves what it has learned."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from compox_core.errors import AlgorithmError
from compox_core.jobs.algorithm_work import AlgorithmWork, Chosen
from compox_core.records import AlgorithmTaskRecord, TrainingRecord
from compox_core.runners import BaseRunner
from compox_core.settings.locations import resolve_path
from compox_core.tasks import Session, Task, TaskHandler
from compox_core.tasks.memory import free_device_memory
from compox_core.training.handler import TrainingHandler
from compox_core.training.snapshot import load_snapshot
from compox_core.training.temp_folder import clear_abandoned
from compox_core.training.temp_store import TempStore


class TrainingWork(AlgorithmWork):
    """Trains in the thread that calls it, with a model and a folder of temporary files of its own.

    The algorithm is loaded for this training alone: what it changes in its model no other run may see.
    """

    _kept: ClassVar[bool] = False

    @contextmanager
    def _handler(
        self, task: Task, record: AlgorithmTaskRecord, chosen: Chosen, session: Session | None
    ) -> Iterator[TaskHandler]:
        bench = self._bench
        base = resolve_path(bench.settings, "inference.temp_path")
        clear_abandoned(base)
        try:
            with TempStore(base_dir=base, check=task.check_stop) as temp_store:
                yield TrainingHandler(
                    task,
                    bench.store,
                    bench.files,
                    chosen.version,
                    declared=chosen.declared,
                    checkpoint=chosen.checkpoint,
                    samples=load_snapshot(bench.store, task.id),
                    more_samples=bench.samples.get_many,
                    checkpoints=bench.checkpoints,
                    temp_store=temp_store,
                )
        finally:
            free_device_memory()  # no other job of this process needs what was held for the training

    def _call(self, runner: BaseRunner, record: AlgorithmTaskRecord) -> Any:
        assert isinstance(record, TrainingRecord)
        return runner.run_training(record.training_data, copy.deepcopy(record.additional_parameters))

    def _checked(self, result: Any, handler: TaskHandler) -> dict[str, Any]:
        saved = self._bench.checkpoints.ids_of_training(handler.task_id)
        if not saved:
            raise AlgorithmError(
                "`train` has returned without a checkpoint, so nothing of what was learned is kept: call "
                "self.save_checkpoint in it, once at least.",
                code="training_checkpoint_missing",
            )
        return {"output_checkpoint_ids": saved}
