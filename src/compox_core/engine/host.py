"""What runs algorithms for somebody who holds arrays: an engine here, or a client of one elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from compox_core.engine.arranging import arrange_inputs
from compox_core.engine.following import Progress, misfit
from compox_core.engine.handle import Result, TaskHandle
from compox_core.engine.history import MetricHistory
from compox_core.engine.job_handle import HostedJobs
from compox_core.engine.storing import storing
from compox_core.engine.training_handle import TrainingHandle
from compox_core.errors import CompoxError
from compox_core.records import (
    AlgorithmRecord,
    CheckpointRecord,
    ExecutionRecord,
    ExecutionRequest,
    SampleRecord,
    TrainingRecord,
    TrainingRequest,
)

M = TypeVar("M", bound=BaseModel)


class HostedFiles(Protocol):
    """Stored files."""

    def upload(self, source: Path) -> str: ...
    def save(self, values: Mapping[str, Any]) -> str: ...
    def read(self, file_id: str, *keys: str) -> dict[str, Any]: ...
    def delete(self, file_id: str) -> None: ...


class HostedAlgorithms(Protocol):
    """Deployed algorithms."""

    def get(self, name: str, major: str | int | None = None) -> AlgorithmRecord: ...


class HostedTrainings(HostedJobs[TrainingRecord], Protocol):
    """Trainings."""

    def metrics(self, training_id: str) -> MetricHistory: ...


class HostedCheckpoints(Protocol):
    """Checkpoints."""

    def get(self, checkpoint_id: str) -> CheckpointRecord: ...


class Host(ABC):
    """Runs deployed algorithms on arrays, dicts and files, and gives arrays back."""

    @property
    @abstractmethod
    def files(self) -> HostedFiles:
        """The stored input and output files."""

    @property
    @abstractmethod
    def algorithms(self) -> HostedAlgorithms:
        """The deployed algorithms."""

    @property
    @abstractmethod
    def executions(self) -> HostedJobs[ExecutionRecord]:
        """The runs."""

    @property
    @abstractmethod
    def trainings(self) -> HostedTrainings:
        """The trainings."""

    @property
    @abstractmethod
    def checkpoints(self) -> HostedCheckpoints:
        """What trainings have saved."""

    def submit(
        self,
        algorithm: str,
        data: Any,
        *,
        major: str | int | None = None,
        minor: str | int | None = None,
        checkpoint: str | CheckpointRecord | None = None,
        device: str | None = None,
        session_token: str | None = None,
        timeout_s: float | None = None,
        parameters: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> TaskHandle:
        """Store the inputs, queue a run, and return a handle to it at once.

        Args:
            algorithm: The name of a deployed algorithm.
            data: Images or other inputs, see `compox_core.engine.arrange_inputs`.
            major: The major version; None for the highest.
            minor: The minor version; None for the latest.
            checkpoint: What a training has learned, in place of what was deployed: a checkpoint or its id.
            device: `cpu`, `gpu`, `cuda:N` or `mps`; None for the algorithm's default.
            session_token: Continue that session.
            timeout_s: End the run as FAILED (`timed_out`) when it has run for so many seconds.
            parameters: Values for the parameters that the algorithm declares; the others get their defaults.
            more: The same, as keyword arguments, where a parameter's name is none of those above.

        Raises:
            NotFoundError, ParameterError, DataError: before anything is queued; the inputs that were stored for this
                run are removed again.
        """
        record = self.algorithms.get(algorithm, major)
        kind = self._type_of(record, minor)
        arranged = arrange_inputs(data, kind)
        with storing(self.files) as inputs:
            ids = [inputs.id_of(item) for item in arranged.items]
            execution_id = self._submit(
                fitting(
                    ExecutionRequest,
                    algorithm_id=record.algorithm_id,
                    input_dataset_ids=ids,
                    algorithm_minor_version=None if minor is None else str(minor),
                    checkpoint_id=checkpoint_id(checkpoint),
                    execution_device_override=device,
                    additional_parameters={**(parameters or {}), **more},
                    session_token=session_token,
                    timeout_s=timeout_s,
                )
            )
        return TaskHandle(self, execution_id, arranged, kind)

    def run(
        self,
        algorithm: str,
        data: Any,
        *,
        major: str | int | None = None,
        minor: str | int | None = None,
        checkpoint: str | CheckpointRecord | None = None,
        device: str | None = None,
        session_token: str | None = None,
        timeout_s: float | None = None,
        progress: Progress = True,
        timeout: float | None = None,
        parameters: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Result:
        """Run an algorithm, wait for it, and return its outputs arranged as the inputs were.

        Arguments are those of `submit`, and:

        Args:
            progress: Show a bar (True), nothing (False), or call this function with numbers in [0, 1].
            timeout: Wait so many seconds, from the submit on, and stop the run then.

        Raises:
            TaskFailedError: when the run failed or was stopped; its message has the cause.
            StateError: `wait_timed_out`.
        """
        handle = self.submit(
            algorithm,
            data,
            major=major,
            minor=minor,
            checkpoint=checkpoint,
            device=device,
            session_token=session_token,
            timeout_s=timeout_s,
            parameters=parameters,
            **more,
        )
        try:
            return handle.result(timeout, progress)
        except BaseException:  # Ctrl-C, the timeout, or a progress function that raises: nobody waits any more
            with suppress(CompoxError):  # it has ended, or the store or server is gone, which the caller is being told
                if not handle.done:
                    handle.stop()
            raise

    def train(
        self,
        algorithm: str,
        samples: str | SampleRecord | Iterable[str | SampleRecord],
        *,
        major: str | int | None = None,
        minor: str | int | None = None,
        checkpoint: str | CheckpointRecord | None = None,
        tags: Iterable[str] = (),
        device: str | None = None,
        timeout_s: float | None = None,
        parameters: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> TrainingHandle:
        """Queue a training, and return a handle to it at once.

        Args:
            algorithm: The name of a deployed algorithm.
            samples: What it learns from: samples or their ids.
            major: The major version; None for the highest.
            minor: The minor version; None for the latest.
            checkpoint: Where it goes on from: a checkpoint or its id.
            tags: What its checkpoints are to be found by.
            device: `cpu`, `gpu`, `cuda:N` or `mps`; None for the algorithm's default.
            timeout_s: End the training as FAILED (`timed_out`) when it has run for so many seconds; the checkpoints
                that it has saved stay.
            parameters: Values for the training parameters that the algorithm declares; the others get their defaults.
            more: The same, as keyword arguments, where a parameter's name is none of those above.

        Raises:
            NotFoundError, ParameterError, InvalidInputError: before anything is queued.
        """
        record = self.algorithms.get(algorithm, major)
        wanted = [samples] if isinstance(samples, str | SampleRecord) else list(samples)
        request = fitting(
            TrainingRequest,
            algorithm_id=record.algorithm_id,
            training_data=[each.sample_id if isinstance(each, SampleRecord) else each for each in wanted],
            checkpoint_id=checkpoint_id(checkpoint),
            algorithm_minor_version=None if minor is None else str(minor),
            execution_device_override=device,
            tags=[tags] if isinstance(tags, str) else list(tags),
            additional_parameters={**(parameters or {}), **more},
            timeout_s=timeout_s,
        )
        return TrainingHandle(self, self._submit_training(request))

    @abstractmethod
    def _submit_training(self, request: TrainingRequest) -> str:
        """Queue a training and return its id."""

    @abstractmethod
    def _submit(self, request: ExecutionRequest) -> str:
        """Queue a run on stored files and return its id."""

    def _type_of(self, record: AlgorithmRecord, minor: str | int | None) -> str:
        """Return the algorithm type of the version that is to run."""
        return record.metadata.algorithm_type


def checkpoint_id(checkpoint: str | CheckpointRecord | None) -> str | None:
    """Return the id of a checkpoint that somebody names."""
    return checkpoint.checkpoint_id if isinstance(checkpoint, CheckpointRecord) else checkpoint


def fitting(model: type[M], **fields: Any) -> M:
    """Return a request with these fields. Raises InvalidInputError (`invalid_request`)."""
    try:
        return model(**fields)
    except ValidationError as error:
        raise misfit(error) from error
