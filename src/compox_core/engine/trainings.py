"""The trainings of an engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial

from compox_core.engine.history import MetricHistory, csv_of
from compox_core.engine.tasks import Tasks
from compox_core.errors import NotFoundError, StorageError
from compox_core.identity import new_id
from compox_core.records import JobKind, MetricPoint, TrainingRecord, TrainingRequest
from compox_core.tasks import LiveTask
from compox_core.training.snapshot import delete_snapshot, save_snapshot


class Trainings(Tasks[TrainingRecord]):
    """Algorithms that learn from samples.

    The checkpoints that a record names are those that are there: one that is deleted leaves it.
    """

    kind = JobKind.TRAINING

    def submit(self, request: TrainingRequest) -> TrainingRecord:
        """Check a request, record it and queue it; return the record as it was accepted.

        The training learns from the samples as they are now, also where somebody deletes them meanwhile. Whether the
        algorithm has a `train` is found out when it runs: FAILED with `runner_hook_missing`.

        Raises:
            NotFoundError: `input_samples_not_found`, `sample_files_not_found`, `algorithm_not_found`,
                `minor_version_not_found`, `checkpoint_not_found`.
            InvalidInputError: `invalid_checkpoint` for one of another algorithm, `checkpoint_asset_incompatible` for
                one with paths that the version does not have.
            ParameterError: when a parameter breaks a declared rule.
            StorageError: `invalid_sample_manifest` for a sample that cannot be read.
        """
        bench = self._bench
        try:
            samples = bench.samples.get_many(request.training_data)
        except StorageError as error:
            if error.code == "invalid_sample_record":
                error.code = "invalid_sample_manifest"  # as it is called where a training asks
            raise
        _refuse(bench.samples.missing_files(samples))
        fields = self._to_run(request)
        record = TrainingRecord(training_id=(training_id := new_id()), **fields)
        try:
            save_snapshot(bench.store, training_id, samples)
            # Once more when the queue names the samples: somebody who had not seen it may have taken files meanwhile.
            return self._queue(record, lambda: _refuse(bench.samples.endangered_files(samples)))
        except BaseException:  # whatever it is, it is raised again
            with suppress(StorageError):  # what stays goes with a garbage collection
                delete_snapshot(bench.store, training_id)
            raise

    def get(self, task_id: str) -> TrainingRecord:
        """Return a record as it is now. Raises NotFoundError (`training_record_not_found`)."""
        live = self.live(task_id)
        return live if live is not None else self._with_checkpoints(super().get(task_id))

    def live(self, task_id: str) -> TrainingRecord | None:
        """Return the record of a training that goes on in this process; else None. Does no I/O."""
        return super().live(task_id) if self._going_on(task_id) is not None else None

    def _going_on(self, task_id: str) -> LiveTask | None:
        task = self._task(task_id)
        return task if task is not None and task.unsettled else None

    def _with_checkpoints(self, record: TrainingRecord) -> TrainingRecord:
        found = self._bench.checkpoints.ids_of_training(record.training_id)
        return record.model_copy(update={"output_checkpoint_ids": found})

    def metrics(self, training_id: str) -> MetricHistory:
        """Return the metric history so far. Raises NotFoundError (`training_record_not_found`)."""
        return MetricHistory(self.metrics_since(training_id, 0)[0])

    def metrics_since(self, training_id: str, mark: int, most: int | None = None) -> tuple[list[MetricPoint], int]:
        """Return the points from number `mark` on, at most so many, and the mark to ask with next.

        Raises NotFoundError (`training_record_not_found`).
        """
        task = self._measuring(training_id)
        if task is not None:
            return task.metrics_since(mark, most)
        points, following = self._stored.metrics_since(training_id, mark, most)
        if not points:
            self.get(training_id)  # which says so where there is none
        return points, following

    def metrics_count(self, training_id: str) -> int:
        """Return how many points there are by now; 0 for a training that is not there."""
        task = self._measuring(training_id)
        return self._stored.metrics_count(training_id) if task is None else task.metrics.log.count

    def metrics_csv(self, training_id: str) -> Iterator[str]:
        """Return the metric history so far as lines of CSV, a piece of it in memory at a time.

        Raises NotFoundError (`training_record_not_found`) at once.
        """
        return csv_of(partial(self.metrics_since, training_id))

    def _measuring(self, training_id: str) -> LiveTask | None:
        task = self._going_on(training_id)
        return task if task is not None and task.claimed else None


def _refuse(missing: Sequence[str]) -> None:
    """Raise NotFoundError (`sample_files_not_found`) where a sample's file is missing."""
    if missing:
        shown = "\n".join(missing[:20]) + (f"\n… and {len(missing) - 20} more" if len(missing) > 20 else "")
        raise NotFoundError(
            f"These files of the samples are not in the store any more:\n{shown}\nTrain without these samples, or make "
            "them anew.",
            code="sample_files_not_found",
            details={"missing_file_ids": list(missing)},
        )
