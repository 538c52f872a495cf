"""The benchmarks of an engine."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

from pydantic import ValidationError

from compox_core.engine.following import Progress, failure, misfit, waited
from compox_core.engine.tasks import Tasks
from compox_core.errors import CompoxError
from compox_core.identity import new_id
from compox_core.records import AlgorithmRecord, BenchmarkRecord, BenchmarkRequest, JobKind, TaskStatus


class Benchmarks(Tasks[BenchmarkRecord]):
    """Algorithms that measure themselves."""

    kind = JobKind.BENCHMARK

    def submit(self, request: BenchmarkRequest) -> BenchmarkRecord:
        """Check a request, record it and queue it; return the record as it was accepted.

        Whether the algorithm has a `benchmark` is found out when it runs: FAILED with `runner_hook_missing`.

        Raises:
            NotFoundError: `algorithm_not_found`, `minor_version_not_found`.
            ParameterError: when a parameter breaks a declared rule.
        """
        return self._queue(BenchmarkRecord(benchmark_id=new_id(), **self._to_run(request)))


def run_benchmark(
    benchmarks: Benchmarks,
    algorithm: AlgorithmRecord,
    *,
    minor: str | int | None,
    device: str | None,
    timeout_s: float | None,
    parameters: dict[str, Any],
    progress: Progress,
) -> dict[str, Any]:
    """Submit a benchmark, wait for it and return what it found. Raises TaskFailedError where it found nothing."""
    try:
        request = BenchmarkRequest(
            algorithm_id=algorithm.algorithm_id,
            algorithm_minor_version=None if minor is None else str(minor),
            execution_device_override=device,
            additional_parameters=parameters,
            timeout_s=timeout_s,
        )
    except ValidationError as error:
        raise misfit(error) from error
    benchmark_id = benchmarks.submit(request).benchmark_id
    try:
        record = waited(partial(benchmarks.wait, benchmark_id), None, progress)
    except BaseException:  # Ctrl-C, or a progress function that raises: nobody waits any more
        with suppress(CompoxError):  # it has ended, or the store is gone
            benchmarks.stop(benchmark_id)
        raise
    if record.status is not TaskStatus.COMPLETED:
        raise failure(record)
    return record.data
