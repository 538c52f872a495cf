"""What every executor does with a job, whether it runs it here, in a process of its own, or on another machine."""

from __future__ import annotations

import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

import compox_core as cx
from compox_core.algorithms.zipping import zip_folder
from compox_core.data import ImageSchema
from compox_core.engine import Engine
from compox_core.engine.tasks import Tasks
from compox_core.errors import ConflictError, PackageError
from compox_core.identity import new_id, utc_now
from compox_core.records import (
    BenchmarkRequest,
    DeployRecord,
    ExecutionRecord,
    ExecutionRequest,
    TaskRecord,
    TaskStatus,
)
from tests.engine.authors import image_runner, write_algorithm

R = TypeVar("R", bound=TaskRecord)

IMAGE = np.arange(12, dtype=np.float32).reshape(3, 4)
DEADLINE = 60.0

COOPERATIVE = """
self.log_message("begun")
while True:
    self.set_progress(0.5)
    time.sleep(0.01)
"""
ENDLESS = """
print("begun")
while True:
    pass
"""
MEASURED = """
import time
import numpy as np
from compox_core.runners import BaseRunner

class Runner(BaseRunner):
    def benchmark(self, args):
        self.save_item_to_session(1, "for nobody") if args["session"] else None
        self.set_progress(0.5)
        {body}
        return {{"seconds": np.float32(0.5), "sizes": np.arange(3), "mode": args["mode"]}}
"""
PARAMETERS = """
[[tool.compox.additional_parameters]]
name = "mode"
config = { type = "string", default = "quick" }
[[tool.compox.additional_parameters]]
name = "session"
config = { type = "bool", default = false }
"""
STUBBORN = """
self.log_message("begun")
while True:
    try:
        while True:
            self.set_progress(0.5)
            time.sleep(0.01)
    except Exception:
        pass
"""


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait until `condition` is true and return its value; fail with `what` when it never is."""
    deadline = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.01)
    return value


class ExecutorContract:
    """Subclass it with a fixture `engine`: an engine on a store that other engines can open, with one worker.

    Its stop ladder has rungs of well under a second. `sessions` says whether runs share live objects. `other` opens a
    second engine on the same store, which runs nothing.
    """

    sessions = True
    blocks = False  # whether `submit` returns only when the job has ended

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return tmp_path / "algorithm"

    def other(self, engine: Engine) -> Engine:
        return Engine(engine.store.url, executor="threads")

    def deploy(self, engine: Engine, folder: Path, body: str, **options: Any) -> str:
        """Deploy an algorithm and return its id."""
        done = engine.deploy(write_algorithm(folder, image_runner(body), **options))
        return done.record.algorithm_id

    def submit(self, engine: Engine, algorithm_id: str, **fields: Any) -> str:
        """Submit a run on one small image, in a thread where `submit` blocks, and return its id."""
        file_id = engine.files.save({"image": IMAGE}, ImageSchema)
        request = ExecutionRequest(algorithm_id=algorithm_id, input_dataset_ids=[file_id], **fields)
        return self.handed_in(engine.executions, lambda: engine.executions.submit(request))

    def handed_in(self, tasks: Tasks[Any], submit: Callable[[], TaskRecord]) -> str:
        """Call `submit`, in a thread where it blocks, and return the id of the job."""
        if not self.blocks:
            return submit().task_id
        before = {record.task_id for record in tasks.list()}
        threading.Thread(target=submit, daemon=True).start()
        new: set[str] = until(lambda: {record.task_id for record in tasks.list()} - before, "the record")
        return new.pop()

    def run(self, engine: Engine, algorithm_id: str, **fields: Any) -> ExecutionRecord:
        """Run to the end and return the record."""
        return self.ended(engine, self.submit(engine, algorithm_id, **fields))

    def ended(self, engine: Engine, execution_id: str) -> ExecutionRecord:
        return self.end_of(engine.executions, execution_id)

    def end_of(self, tasks: Tasks[R], task_id: str) -> R:
        """Wait for the end of a job of any kind and return its record."""
        record = tasks.wait(task_id, DEADLINE)
        assert record.status.final, f"still {record.status}: {record.log}"
        return record

    def begun(self, engine: Engine, execution_id: str) -> None:
        """Wait until the algorithm itself says that it has begun, which its log must show while it runs."""
        until(lambda: "begun" in engine.executions.get(execution_id).log, "a line in the log of a running task")

    def is_off_the_queue(self, engine: Engine, task_id: str, collection: str = "execution-store") -> None:
        """Wait until nothing but the record and one end is left of a job that has ended."""

        def left() -> list[str]:
            return sorted(info.key for info in engine.store.list(collection) if task_id in info.key)

        until(lambda: not engine.store.exists("stop-requests", task_id), "the end of the stop request")
        until(lambda: left() == [f"end/{task_id}.0001", f"record/{task_id}"], "the end of what a job needs")

    # -- what is promised -------------------------------------------------------------------------------------------

    def test_a_run_ends_with_outputs_log_and_a_clear_queue(self, engine: Engine, folder: Path) -> None:
        """The record tells what was done; print and messages are in the log, in order; the queue forgets the job."""
        algorithm = self.deploy(
            engine, folder, "self.log_message('one'); print('two'); self.log_message('three'); return data * 2"
        )
        record = self.run(engine, algorithm)
        assert (record.status, record.progress, record.attempt) == (TaskStatus.COMPLETED, 1.0, 1)
        assert [word for word in record.log.split() if word in ("one", "two", "three")] == ["one", "two", "three"]
        assert record.time_started is not None
        assert record.time_completed is not None
        assert record.time_submitted <= record.time_started <= record.time_completed
        [output] = record.output_dataset_ids
        np.testing.assert_array_equal(engine.files.read(output)["image"], IMAGE * 2)
        self.is_off_the_queue(engine, record.execution_id)
        with self.other(engine) as elsewhere:
            assert elsewhere.executions.get(record.execution_id) == record

    def test_a_failure_is_told_with_its_cause_and_the_next_run_is_well(self, engine: Engine, folder: Path) -> None:
        """Whatever is raised becomes FAILED with code, message and the author's own line."""
        algorithm = self.deploy(
            engine, folder, "if data.max() > 1 and not args.get('well'): raise ValueError('no good')\nreturn data"
        )
        record = self.run(engine, algorithm)
        assert record.status is TaskStatus.FAILED
        assert record.error is not None
        assert (record.error.code, record.error.message) == ("ValueError", "no good")
        assert "raise ValueError('no good')" in record.log
        assert record.output_dataset_ids == []
        self.is_off_the_queue(engine, record.execution_id)
        assert self.run(engine, algorithm, additional_parameters={"well": True}).status is TaskStatus.COMPLETED

    @pytest.mark.parametrize("body", ["raise SystemExit(3)", "raise BaseException('odd')", "raise KeyboardInterrupt"])
    def test_an_algorithm_that_raises_what_it_should_not_ends_alone(
        self, engine: Engine, folder: Path, body: str
    ) -> None:
        """Exits and interrupts end the task, never the executor."""
        if self.blocks and "Keyboard" in body:
            pytest.skip("the caller's own thread is interrupted, as it should be")
        algorithm = self.deploy(engine, folder, f"if not args.get('well'): {body}\nreturn data")
        assert self.run(engine, algorithm).status in (TaskStatus.FAILED, TaskStatus.STOPPED)
        assert self.run(engine, algorithm, additional_parameters={"well": True}).status is TaskStatus.COMPLETED

    def test_progress_and_log_are_seen_while_it_runs(self, engine: Engine, folder: Path) -> None:
        """Also from another engine on the same store."""
        algorithm = self.deploy(engine, folder, COOPERATIVE)
        execution = self.submit(engine, algorithm)
        self.begun(engine, execution)
        until(lambda: engine.executions.get(execution).progress == 0.5, "the progress")
        assert engine.executions.get(execution).status is TaskStatus.RUNNING
        with self.other(engine) as elsewhere:
            until(lambda: elsewhere.executions.get(execution).progress == 0.5, "the progress elsewhere")
            assert "begun" in elsewhere.executions.get(execution).log
        engine.executions.stop(execution)
        assert self.ended(engine, execution).status is TaskStatus.STOPPED

    @pytest.mark.parametrize("body", [COOPERATIVE, ENDLESS, STUBBORN], ids=["cooperative", "endless", "stubborn"])
    def test_a_stop_ends_the_run_and_the_next_one_runs(self, engine: Engine, folder: Path, body: str) -> None:
        """Whether it reports progress, only computes, or swallows every Exception."""
        algorithm = self.deploy(engine, folder, f"if args.get('well'): return data\n{body}")
        execution = self.submit(engine, algorithm)
        self.begun(engine, execution)
        engine.executions.stop(execution)
        record = self.ended(engine, execution)
        assert record.status is TaskStatus.STOPPED
        assert record.stopped_by is not None
        assert f"rung '{record.stopped_by}'" in record.log
        assert record.output_dataset_ids == []
        self.is_off_the_queue(engine, execution)
        with pytest.raises(ConflictError) as refused:
            engine.executions.stop(execution)
        assert refused.value.code == "execution_not_stoppable"
        assert self.run(engine, algorithm, additional_parameters={"well": True}).status is TaskStatus.COMPLETED

    def test_a_stop_from_another_process_ends_the_run(self, engine: Engine, folder: Path) -> None:
        """A request in the store is seen by whoever runs the job."""
        execution = self.submit(engine, self.deploy(engine, folder, COOPERATIVE))
        self.begun(engine, execution)
        with self.other(engine) as elsewhere:
            elsewhere.executions.stop(execution)
            assert self.ended(elsewhere, execution).status is TaskStatus.STOPPED
        assert self.ended(engine, execution).status is TaskStatus.STOPPED
        self.is_off_the_queue(engine, execution)

    def test_a_job_that_waits_is_stopped_at_once_and_never_begins(self, engine: Engine, folder: Path) -> None:
        """By its own engine and by another one; what waits behind it runs."""
        if self.blocks:
            pytest.skip("nothing ever waits")
        slow = self.submit(engine, self.deploy(engine, folder, COOPERATIVE))
        self.begun(engine, slow)
        quick = self.deploy(engine, folder / "quick", "print('ran'); return data", name="quick")
        waiting = [self.submit(engine, quick) for _ in range(3)]
        engine.executions.stop(waiting[0])
        with self.other(engine) as elsewhere:
            elsewhere.executions.stop(waiting[1])
        for execution in waiting[:2]:
            record = self.ended(engine, execution)
            assert (record.status, record.time_started) == (TaskStatus.STOPPED, None)
            assert "ran" not in record.log
        assert engine.executions.get(slow).status is TaskStatus.RUNNING
        engine.executions.stop(slow)
        assert self.ended(engine, waiting[2]).status is TaskStatus.COMPLETED

    @pytest.mark.parametrize("body", [COOPERATIVE, ENDLESS], ids=["cooperative", "endless"])
    def test_time_that_is_over_ends_the_run(self, engine: Engine, folder: Path, body: str) -> None:
        """FAILED with a code of its own and the limit, whether it was the request's or the algorithm's."""
        algorithm = self.deploy(engine, folder, body, extra="timeout_s = 0.7")
        for fields in ({}, {"timeout_s": 0.4}):
            record = self.run(engine, algorithm, **fields)
            assert record.status is TaskStatus.FAILED
            assert record.error is not None
            assert (record.error.code, record.error.details) == (
                "timed_out",
                {"timeout_s": fields.get("timeout_s", 0.7)},
            )
            assert record.output_dataset_ids == []

    def test_jobs_run_in_their_order_each_once(self, engine: Engine, folder: Path, tmp_path: Path) -> None:
        """One worker, twenty jobs: every one completes, in the order in which they were submitted."""
        marks = tmp_path / "marks"
        algorithm = self.deploy(
            engine,
            folder,
            "open(args['marks'], 'a').write(args['number'] + '\\n')\nreturn data",
        )
        executions = []
        for number in range(20):
            given = {"marks": str(marks), "number": str(number)}
            executions.append(self.submit(engine, algorithm, additional_parameters=given))
            if self.blocks:  # two threads of the test that submit have no order
                self.ended(engine, executions[-1])
        assert {self.ended(engine, execution).status for execution in executions} == {TaskStatus.COMPLETED}
        assert marks.read_text().split() == [str(number) for number in range(20)]

    def test_outputs_of_a_run_that_was_stopped_are_removed(self, engine: Engine, folder: Path) -> None:
        """Nobody is told of them, so nobody would ever remove them."""
        algorithm = self.deploy(
            engine,
            folder,
            "from compox_core.data import ImageSchema\nself.post_data([{'image': data[0]}], ImageSchema)\n" + ENDLESS,
        )

        def stored() -> set[str]:
            return {info.key.rpartition("/")[2] for info in engine.store.list("data-store")}

        before = stored()
        execution = self.submit(engine, algorithm)
        self.begun(engine, execution)
        before.update(engine.executions.get(execution).input_dataset_ids)
        engine.executions.stop(execution)
        self.ended(engine, execution)
        until(lambda: stored() == before, "the removal of the output and of what is noted of it")

    def test_a_session_is_found_again(self, engine: Engine, folder: Path) -> None:
        """By its token, in the next run; or refused where runs share no memory."""
        algorithm = self.deploy(
            engine,
            folder,
            "try: seen = self.load_item_from_session('n')\nexcept KeyError: seen = 0\n"
            "self.save_item_to_session(seen + 1, 'n')\nreturn np.full_like(data, seen)",
        )
        if not self.sessions:
            with pytest.raises(cx.CompoxError) as refused:
                self.submit(engine, algorithm, session_token="mine")
            assert refused.value.code == "task_session_not_supported"
            record = self.run(engine, algorithm)
            assert record.error is not None
            assert (record.error.code, record.session_token) == ("task_session_not_initialized", None)
            return
        first = self.run(engine, algorithm)
        for expected in (1, 2):
            record = self.run(engine, algorithm, session_token=first.session_token)
            assert record.session_token == first.session_token
            assert engine.files.read(record.output_dataset_ids[0])["image"].max() == expected
        assert engine.files.read(self.run(engine, algorithm).output_dataset_ids[0])["image"].max() == 0

    # -- other kinds of jobs ----------------------------------------------------------------------------------------

    def measured(self, engine: Engine, folder: Path, body: str = "pass") -> str:
        """Deploy an algorithm with a benchmark and return its id."""
        source = MEASURED.format(body=textwrap.indent(body.strip(), " " * 8).strip())
        done = engine.deploy(write_algorithm(folder, source, kind="Generic", extra=PARAMETERS))
        return done.record.algorithm_id

    def test_a_benchmark_ends_with_what_it_found(self, engine: Engine, folder: Path) -> None:
        """As JSON holds it, with the record; whoever sees it COMPLETED sees its data, from another engine, too."""
        algorithm = self.measured(engine, folder)
        request = BenchmarkRequest(
            algorithm_id=algorithm, additional_parameters={"session": self.sessions}, execution_device_override="cpu"
        )
        benchmark = self.handed_in(engine.benchmarks, lambda: engine.benchmarks.submit(request))
        with self.other(engine) as elsewhere:
            record = self.end_of(elsewhere.benchmarks, benchmark)
        assert (record.status, record.progress, record.attempt) == (TaskStatus.COMPLETED, 1.0, 1)
        assert record.data == {"seconds": 0.5, "sizes": [0, 1, 2], "mode": "quick"}
        assert (record.resolved_execution_device, record.algorithm_id) == ("cpu", algorithm)
        assert record.session_token is None
        assert record.time_started is not None
        assert "Benchmark finished" in record.log
        assert self.end_of(engine.benchmarks, benchmark) == record
        self.is_off_the_queue(engine, benchmark, "benchmark-store")
        assert engine.benchmark("sample", mode="long", progress=False)["mode"] == "long"

    @pytest.mark.parametrize("body", [COOPERATIVE, ENDLESS], ids=["cooperative", "endless"])
    def test_a_stop_ends_a_benchmark(self, engine: Engine, folder: Path, body: str) -> None:
        """As it ends a run: STOPPED, without data, and the next job runs."""
        algorithm = self.measured(engine, folder, f"if args['mode'] == 'quick':\n{textwrap.indent(body, '    ')}")
        request = BenchmarkRequest(algorithm_id=algorithm)
        benchmark = self.handed_in(engine.benchmarks, lambda: engine.benchmarks.submit(request))
        until(lambda: "begun" in engine.benchmarks.get(benchmark).log, "a line in the log of a running benchmark")
        assert engine.benchmarks.get(benchmark).status is TaskStatus.RUNNING
        engine.benchmarks.stop(benchmark)
        record = self.end_of(engine.benchmarks, benchmark)
        assert (record.status, record.data) == (TaskStatus.STOPPED, {})
        assert f"rung '{record.stopped_by}'" in record.log
        self.is_off_the_queue(engine, benchmark, "benchmark-store")
        with pytest.raises(ConflictError) as refused:
            engine.benchmarks.stop(benchmark)
        assert refused.value.code == "benchmark_not_stoppable"
        assert engine.benchmark("sample", mode="long", progress=False)["mode"] == "long"

    def test_a_deploy_that_is_a_job_gives_an_algorithm(self, engine: Engine, folder: Path) -> None:
        """Which runs; its package, which nobody needs any more, is gone."""
        write_algorithm(folder, image_runner("return data * 2"), name="other", files={"weights.bin": b"\0" * 100_000})
        deploy = self.handed_in(engine.deploys, lambda: engine.deploys.submit(folder, name="queued", removable=True))
        record = self.end_of(engine.deploys, deploy)
        assert (record.status, record.error, record.added) == (TaskStatus.COMPLETED, None, True)
        assert (record.algorithm_name, record.algorithm_major_version, record.algorithm_minor_version) == (
            *("queued", "1"),
            "0",
        )
        assert (record.removable, record.exportable, record.path) == (True, True, str(folder))
        assert engine.algorithms.get("queued").algorithm_id == record.algorithm_id
        self.is_off_the_queue(engine, deploy, "deploy-store")
        assert record.algorithm_id is not None
        assert self.run(engine, record.algorithm_id).status is TaskStatus.COMPLETED
        again = self.handed_in(engine.deploys, lambda: engine.deploys.submit(folder, name="queued"))
        assert (self.end_of(engine.deploys, again).added, engine.algorithms.get("queued").latest_minor) == (False, 0)

    def test_a_deploy_that_fails_says_why(self, engine: Engine, folder: Path, tmp_path: Path) -> None:
        """With the code that a deploy at once would have, and nothing is left of it."""
        write_algorithm(folder, image_runner("return data"), extra="supported_devices = ['abacus']")
        algorithms = [each.name for each in engine.algorithms]
        before = [info.key for info in engine.store.list("deploy-store")]
        with pytest.raises(PackageError) as refused:
            engine.deploys.submit(folder)
        assert [info.key for info in engine.store.list("deploy-store")] == before
        package = tmp_path / "package.zip"
        zip_folder(folder, package, engine.settings.limits)
        submitted = DeployRecord(
            deploy_id=(deploy := new_id()),
            path=str(folder),
            package_key=f"package/{deploy}",
            time_submitted=utc_now(),
            retries=1,
        )
        # What `submit` refuses can still come to a worker: one with other limits, or another version.
        self.handed_in(engine.deploys, lambda: engine.deploys._accept(submitted, package))
        record = self.end_of(engine.deploys, deploy)
        assert (record.status, record.attempt) == (TaskStatus.FAILED, 1)
        assert record.error is not None
        assert (record.error.code, record.error.message) == ("invalid_pyproject", refused.value.message)
        assert record.error.details == refused.value.details
        assert [each.name for each in engine.algorithms] == algorithms
        self.is_off_the_queue(engine, deploy, "deploy-store")

    def test_a_deploy_that_waits_is_stopped(self, engine: Engine, folder: Path) -> None:
        """It never begins, and its package goes with it."""
        if self.blocks:
            pytest.skip("nothing ever waits")
        slow = self.submit(engine, self.deploy(engine, folder, COOPERATIVE))
        self.begun(engine, slow)
        write_algorithm(folder / "other", image_runner("return data"), name="never")
        deploys = [engine.deploys.submit(folder / "other").deploy_id for _ in range(2)]
        engine.deploys.stop(deploys[0])
        with self.other(engine) as elsewhere:
            elsewhere.deploys.stop(deploys[1])
        for deploy in deploys:
            record = self.end_of(engine.deploys, deploy)
            assert (record.status, record.time_started, record.added) == (TaskStatus.STOPPED, None, None)
        engine.executions.stop(slow)
        self.ended(engine, slow)
        for deploy in deploys:
            self.is_off_the_queue(engine, deploy, "deploy-store")
        assert "never" not in [each.name for each in engine.algorithms]
