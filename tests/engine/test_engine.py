"""From a folder of Python to a result."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import compox_core as cx
from compox_core.data import GenericSchema, ImageSchema
from compox_core.records import Job, JobKind
from compox_core.storage import SYSTEM
from compox_core.tasks import TaskStore
from tests.engine.authors import image_runner, write_algorithm


@pytest.fixture(autouse=True)
def module_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPOX_MODULE_CACHE", str(tmp_path_factory.mktemp("modules")))


@pytest.fixture(params=["memory", "folder"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[cx.Engine]:
    engine = cx.Engine("memory://" if request.param == "memory" else tmp_path / "store")
    yield engine
    engine.close(wait=False)


IMAGE = np.arange(12, dtype=np.float32).reshape(3, 4)


def deploy(engine: cx.Engine, folder: Path, body: str, **options: Any) -> cx.Deployment:
    return engine.deploy(write_algorithm(folder / "algorithm", image_runner(body), **options))


def eventually(condition: Any, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def test_a_folder_becomes_a_result(engine: cx.Engine, tmp_path: Path) -> None:
    """Deploy, run, and the array is back in the shape it came in."""
    done = deploy(engine, tmp_path, "self.log_message('working'); self.set_progress(0.5); return data * 2")
    assert (done.record.name, done.record.major, done.record.latest_minor, done.created) == ("sample", "1", 0, True)
    result = engine.run("sample", IMAGE, progress=False)
    np.testing.assert_array_equal(result, IMAGE * 2)
    assert isinstance(result, cx.ResultArray)
    record = result.record
    assert record is not None
    assert (record.status, record.progress, record.resolved_execution_device) == ("COMPLETED", 1.0, "cpu")
    assert record.session_token
    assert " INFO working\n" in record.log
    assert record.time_submitted <= record.time_started <= record.time_completed  # type: ignore[operator]
    assert result.outputs[0].keys() == {"image"}


WIDE = np.arange(30, dtype=np.float32).reshape(5, 6)
RGB = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(4, 5, 3)


@pytest.mark.parametrize(
    ("data", "shape"),
    [
        (IMAGE, (3, 4)),
        (np.moveaxis(RGB, -1, 0), (3, 4, 5)),
        (RGB, (4, 5, 3)),
        (np.stack([WIDE] * 4), (4, 5, 6)),
        (np.stack([RGB] * 2), (2, 4, 5, 3)),
        (np.stack([np.moveaxis(RGB, -1, 0)] * 2), (2, 3, 4, 5)),
        (WIDE[None], (1, 5, 6)),
    ],
)
def test_results_come_back_as_the_inputs_came(data: Any, shape: tuple[int, ...], tmp_path: Path) -> None:
    """An image gives an image, a stack a stack, channels last stay last."""
    with cx.Engine("memory://", executor="inline") as engine:
        deploy(engine, tmp_path, "return data + 1")
        result = engine.run("sample", data, progress=False)
    assert result.shape == shape  # type: ignore[union-attr]
    np.testing.assert_array_equal(result, data + 1)


def test_lists_dicts_and_file_ids_are_inputs(tmp_path: Path) -> None:
    """A list gives a list; a dict of the schema and a stored file give one array."""
    with cx.Engine("memory://", executor="inline") as engine:
        deploy(engine, tmp_path, "return data + 1")
        many = engine.run("sample", [IMAGE, IMAGE + 5], progress=False)
        assert isinstance(many, cx.ResultList)
        np.testing.assert_array_equal(many[1], IMAGE + 6)
        single = engine.run("sample", {"image": IMAGE, "mask": IMAGE > 3}, progress=False)
        np.testing.assert_array_equal(single, IMAGE + 1)
        file_id = engine.files.save({"image": IMAGE}, ImageSchema)
        np.testing.assert_array_equal(engine.run("sample", file_id, progress=False), IMAGE + 1)
        np.testing.assert_array_equal(engine.run("sample", [file_id, IMAGE], progress=False)[0], IMAGE + 1)


def test_parameters_get_defaults_and_are_checked(engine: cx.Engine, tmp_path: Path) -> None:
    """A declared default is filled in, a value out of range is refused before anything is queued or stored."""
    extra = """
        additional_parameters = [
          { name = "gain", config = { type = "float_range", default = 2.0, min = 0.0, max = 4.0, step = 0.5 } },
        ]
    """
    deploy(engine, tmp_path, "return data * args['gain']", extra=extra)
    np.testing.assert_array_equal(engine.run("sample", IMAGE, progress=False), IMAGE * 2)
    np.testing.assert_array_equal(engine.run("sample", IMAGE, gain=3, progress=False), IMAGE * 3)
    files = len(list(engine.files.list()))
    with pytest.raises(cx.ParameterError, match="gain"):
        engine.run("sample", IMAGE, gain=9.0, progress=False)
    assert len(list(engine.files.list())) == files
    assert all(record.status == "COMPLETED" for record in engine.executions.list())


def test_versions_assets_and_a_redeploy(engine: cx.Engine, tmp_path: Path) -> None:
    """Other content adds a minor that runs from then on; the earlier one can still be asked for."""
    source = """
        import json
        from compox_core.runners import Image2ImageRunner
        class Runner(Image2ImageRunner):
            def load_assets(self):
                self.factor = json.loads(self.fetch_asset("files/factor.json").read())
            def inference(self, data, args):
                return data * self.factor
    """
    for factor, minor, created in ((2, 0, True), (2, 0, False), (5, 1, True)):
        folder = write_algorithm(tmp_path / "a", source, files={"files/factor.json": str(factor)})
        done = engine.deploy(folder)
        assert (done.version.minor, done.created) == (minor, created)
        np.testing.assert_array_equal(engine.run("sample", IMAGE, progress=False), IMAGE * factor)
    np.testing.assert_array_equal(engine.run("sample", IMAGE, minor=0, progress=False), IMAGE * 2)
    with pytest.raises(cx.NotFoundError) as caught:
        engine.run("sample", IMAGE, minor=7, progress=False)
    assert caught.value.code == "minor_version_not_found"


def test_a_failure_names_the_cause_and_the_authors_line(engine: cx.Engine, tmp_path: Path) -> None:
    """The error, the record and the log tell what happened where, without our own frames or paths of the machine."""
    folder = write_algorithm(
        tmp_path / "a",
        image_runner("return step.one(data)", "from parts import step"),
        files={"parts/step.py": "def one(data):\n    raise ValueError('too dark')\n"},
    )
    engine.deploy(folder)
    with pytest.raises(cx.TaskFailedError, match="ValueError: too dark") as caught:
        engine.run("sample", IMAGE, progress=False)
    record = engine.executions.get(caught.value.details["execution_id"])
    assert record.status == "FAILED"
    assert record.output_dataset_ids == []
    assert record.error is not None
    assert (record.error.type, record.error.code, record.error.message) == ("ValueError", "ValueError", "too dark")
    assert 'File "Runner.py", line' in record.log
    assert 'File "parts/step.py", line 2, in one' in record.log
    assert str(tmp_path) not in record.log
    assert "compox_core/" not in record.log
    lines = record.log.splitlines()
    call = next(number for number, line in enumerate(lines) if "return step.one(data)" in line)
    assert lines[call + 1].index("^") == lines[call].index("step")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("import sys; sys.exit(2)", "algorithm_exited"),
        ("raise MemoryError", "MemoryError"),
        ("raise BaseException('odd')", "BaseException"),
        ("return None", "invalid_result"),
        ("return data[:0]", "invalid_result"),
        ("return np.stack([data, data])[0][None].repeat(2, 0)", "invalid_result"),
        ("return (data > 3)", "invalid_data"),
        ("return self.nothing", "AttributeError"),
        ("self.set_progress(2)", "invalid_progress"),
        ("self.fetch_asset('../../etc/passwd')", "asset_path_not_found"),
        ("self.fetch_data(['nope'])", "file_not_found"),
        ("self.load_item_from_session('x')", "KeyError"),
    ],
)
def test_whatever_an_algorithm_does_its_task_fails_and_the_next_one_runs(body: str, code: str, tmp_path: Path) -> None:
    """Exits, odd exceptions and wrong results end in FAILED with a code; the engine goes on."""
    with cx.Engine("memory://") as engine:
        deploy(engine, tmp_path, f"if data[0, 0, 0] == 0:\n    {body}\nreturn data")
        handle = engine.submit("sample", IMAGE)
        record = handle.wait(20)
        assert record.status == "FAILED"
        assert record.error is not None
        assert record.error.code == code
        np.testing.assert_array_equal(engine.run("sample", IMAGE + 1, progress=False), IMAGE + 1)


@pytest.mark.parametrize(
    ("runner", "outputs"),
    [("return 5", "int"), ("return ['no such file']", "no such file"), ("return [1]", "int"), ("return 'x'", "str")],
)
def test_postprocess_must_return_files_that_exist(runner: str, outputs: str, tmp_path: Path) -> None:
    """A made-up output is a failure, never a COMPLETED run without files."""
    source = f"""
        from compox_core.runners import BaseRunner
        class Runner(BaseRunner):
            def preprocess(self, input_data, args): return 1
            def inference(self, data, args): return data
            def postprocess(self, data, args): {runner}
    """
    with cx.Engine("memory://", executor="inline") as engine:
        engine.deploy(write_algorithm(tmp_path / "a", source, kind="Generic"))
        with pytest.raises(cx.TaskFailedError, match=outputs) as caught:
            engine.run("sample", IMAGE, progress=False)
        assert caught.value.code == "invalid_result"


def test_a_stop_ends_a_run_that_reports(engine: cx.Engine, tmp_path: Path) -> None:
    """A running task is STOPPED at its next call, its outputs are none, its progress is left."""
    deploy(
        engine,
        tmp_path,
        """
        self.set_progress(0.25)
        while True:
            try:
                self.set_progress(0.25)
            except Exception:
                pass
            time.sleep(0.005)
        """,
    )
    handle = engine.submit("sample", IMAGE)
    eventually(lambda: handle.progress == 0.25)
    assert handle.status == "RUNNING"
    handle.stop()
    record = handle.wait(20)
    assert (record.status, record.progress, record.output_dataset_ids) == ("STOPPED", 0.25, [])
    with pytest.raises(cx.ConflictError) as caught:
        handle.stop()
    assert caught.value.code == "execution_not_stoppable"
    with pytest.raises(cx.TaskFailedError, match="stopped"):
        handle.result()


def test_an_algorithm_that_swallows_the_stop_is_stopped_all_the_same(tmp_path: Path) -> None:
    """Catching BaseException and returning a result does not make it COMPLETED."""
    with cx.Engine("memory://") as engine:
        deploy(
            engine,
            tmp_path,
            """
            self.set_progress(0.1)
            for _ in range(2000):
                try:
                    self.set_progress(0.1)
                except BaseException:
                    break
                time.sleep(0.005)
            return data
            """,
        )
        handle = engine.submit("sample", IMAGE)
        eventually(lambda: handle.progress > 0)
        handle.stop()
        assert handle.wait(20).status == "STOPPED"


def test_a_stop_that_comes_too_late_leaves_finished_work_finished(tmp_path: Path) -> None:
    """A run that never met its stop request and finished is COMPLETED."""
    with cx.Engine("memory://") as engine:
        folder = write_algorithm(
            tmp_path / "a",
            """
            import time
            from compox_core.runners import BaseRunner
            class Runner(BaseRunner):
                def preprocess(self, input_data, args): return input_data["input_dataset_ids"]
                def inference(self, data, args):
                    time.sleep(0.4)
                    return data
                def postprocess(self, data, args): return data
                def _stage(self, title, hook, data, args): return hook(data, args)
            """,
            kind="Generic",
        )
        engine.deploy(folder)
        handle = engine.submit("sample", IMAGE)
        eventually(lambda: handle.status == "RUNNING")
        handle.stop()
        assert handle.wait(20).status == "COMPLETED"


def test_a_queued_run_is_stopped_at_once(tmp_path: Path) -> None:
    """A task that waits behind another is STOPPED without being started, and without waiting for its turn."""
    with cx.Engine("memory://") as engine:
        deploy(engine, tmp_path, "self.set_progress(0.1)\nwhile True:\n    self.set_progress(0.1); time.sleep(0.01)")
        first, second = engine.submit("sample", IMAGE), engine.submit("sample", IMAGE)
        eventually(lambda: first.status == "RUNNING")
        second.stop()
        record = second.record
        assert first.status == "RUNNING"
        first.stop()
        assert (record.status, record.time_started, record.resolved_execution_device) == ("STOPPED", None, None)


def test_another_process_can_ask_for_the_stop(tmp_path: Path) -> None:
    """A second engine on the same folder sees the run, and its stop request reaches it."""
    with cx.Engine(tmp_path / "store") as runs, cx.Engine(tmp_path / "store") as looks_on:
        deploy(runs, tmp_path, "while True:\n    self.set_progress(0.5); time.sleep(0.01)")
        handle = runs.submit("sample", IMAGE)
        eventually(lambda: looks_on.executions.get(handle.id).progress == 0.5)
        looks_on.executions.stop(handle.id)
        assert looks_on.executions.wait(handle.id, 20).status == "STOPPED"
        eventually(lambda: not looks_on.store.exists("stop-requests", handle.id))


def test_sessions_carry_live_objects_between_runs(engine: cx.Engine, tmp_path: Path) -> None:
    """The token that a first run got finds its objects in the second."""
    deploy(
        engine,
        tmp_path,
        """
        try:
            seen = self.load_item_from_session("count")
        except KeyError:
            seen = 0
        self.save_item_to_session(seen + 1, "count")
        return data * 0 + seen
        """,
    )
    first = engine.run("sample", IMAGE, progress=False)
    token = first.record.session_token  # type: ignore[union-attr]
    assert float(np.asarray(first).max()) == 0
    assert float(np.asarray(engine.run("sample", IMAGE, session_token=token, progress=False)).max()) == 1
    assert float(np.asarray(engine.run("sample", IMAGE, progress=False)).max()) == 0


def test_logs_and_prints_are_readable_while_the_task_runs(engine: cx.Engine, tmp_path: Path) -> None:
    """A handle shows log lines and prints before the run ends, and the stored record has them soon after."""
    deploy(
        engine,
        tmp_path,
        "print('printed'); self.log_message('logged', 'WARNING'); self.log_message('quiet', 'DEBUG')\n"
        "while True:\n    self.set_progress(0.5); time.sleep(0.01)",
    )
    handle = engine.submit("sample", IMAGE)
    eventually(lambda: "WARNING logged" in handle.log)
    assert "INFO printed" in handle.log
    assert "quiet" not in handle.log
    eventually(lambda: b"WARNING logged" in engine.store.get("execution-store", f"record/{handle.id}"))
    handle.stop()
    handle.wait(20)


def test_a_long_log_is_whole_in_the_store_and_bounded_in_the_record(tmp_path: Path) -> None:
    """Every line of a log beyond the limit can be read back, from this engine and from another."""
    settings = {"storage": {"backend_settings": {"provider": "local", "path": str(tmp_path / "store")}}}
    with cx.Engine({**settings, "limits": {"max_log_bytes": 20_000}}, executor="inline") as engine:
        deploy(engine, tmp_path, "for n in range(3000):\n    self.log_message(f'line {n};')\nreturn data")
        handle = engine.submit("sample", IMAGE)
        assert len(handle.record.log) < 21_000
        for text in (handle.log, cx.Engine(settings).executions.log(handle.id)):
            positions = [text.find(f"line {n};") for n in range(3000)]
            assert -1 not in positions
            assert positions == sorted(positions)


def test_set_progress_costs_no_storage(tmp_path: Path) -> None:
    """Ten thousand reports in a moment lead to a handful of writes."""
    with cx.Engine("memory://") as engine:
        deploy(engine, tmp_path, "for n in range(10_000):\n    self.set_progress(n / 10_000)\nreturn data")
        writes = []
        put = engine.store.put
        engine.store.put = lambda collection, key, data: (writes.append(key), put(collection, key, data))[1]  # type: ignore[method-assign,assignment]
        engine.run("sample", IMAGE, progress=False)
    assert len(writes) < 40


def test_inputs_that_cannot_be_used_are_said_before_anything_is_queued(engine: cx.Engine, tmp_path: Path) -> None:
    """Wrong shapes, types, paths and ids are errors of their own kind, and leave no file behind."""
    deploy(engine, tmp_path, "return data")
    cases: list[tuple[Any, type[Exception], str]] = [
        (np.zeros((2, 2, 2, 2, 2)), cx.DataError, "unsupported_image"),
        (np.zeros(5), cx.DataError, "unsupported_image"),
        ([], cx.DataError, "no_inputs"),
        (object(), cx.DataError, "invalid_input"),
        ("no/such/file.png", cx.NotFoundError, "input_not_found"),
        ("019a0000-0000-7000-8000-000000000000", cx.NotFoundError, "input_datasets_not_found"),
        (tmp_path, cx.DataError, "no_inputs"),
    ]
    for data, kind, code in cases:
        with pytest.raises(kind) as caught:
            engine.run("sample", data, progress=False)
        assert caught.value.code == code, data  # type: ignore[attr-defined]
    with pytest.raises(cx.NotFoundError) as missing:
        engine.run("unknown", IMAGE, progress=False)
    assert missing.value.code == "algorithm_not_found"
    assert list(engine.files.list()) == []


def test_inputs_of_unequal_shape_fail_with_both_shapes_named(tmp_path: Path) -> None:
    """The error says which shapes met."""
    with cx.Engine("memory://", executor="inline") as engine:
        deploy(engine, tmp_path, "return data")
        with pytest.raises(cx.TaskFailedError, match="3×4 and 3×5") as caught:
            engine.run("sample", [IMAGE, np.zeros((3, 5), np.float32)], progress=False)
        assert caught.value.code == "unequal_shapes"


def test_generic_algorithms_get_what_they_ask_for(tmp_path: Path) -> None:
    """Data of the author's own schema goes in and comes back as a dict."""
    source = """
        import numpy as np
        from compox_core.data import DataSchema
        from compox_core.runners import BaseRunner
        class Out(DataSchema):
            total: float
            hist: np.ndarray
        class In(DataSchema):
            data: np.ndarray
        class Runner(BaseRunner):
            def preprocess(self, input_data, args):
                return self.fetch_data(input_data["input_dataset_ids"], pydantic_data_schema=In, parallel=True)
            def inference(self, items, args):
                return [{"total": float(i["data"].sum()), "hist": np.bincount(i["data"])} for i in items]
            def postprocess(self, results, args):
                return self.post_data(results, Out, parallel=True)
    """
    with cx.Engine("memory://", executor="inline") as engine:
        engine.deploy(write_algorithm(tmp_path / "a", source, kind="Generic"))
        result = engine.run("sample", np.array([1, 2, 2, 5]), progress=False)
        assert isinstance(result, cx.ResultDict)
        assert result["total"] == 10.0
        assert result["hist"].tolist() == [0, 1, 2, 0, 0, 1]
        many = engine.run("sample", [{"data": np.array([n, n])} for n in range(4)], progress=False)
        assert [item["total"] for item in many] == [0.0, 2.0, 4.0, 6.0]
        assert engine.files.read(engine.files.save({"data": IMAGE}, GenericSchema), "data")["data"].shape == (3, 4)


def test_closing_waits_for_what_was_submitted(tmp_path: Path) -> None:
    """Leaving the `with` block lets queued work finish; the records say COMPLETED for another engine."""
    with cx.Engine(tmp_path / "store") as engine:
        deploy(engine, tmp_path, "time.sleep(0.05)\nreturn data")
        ids = [engine.submit("sample", IMAGE).id for _ in range(4)]
    with cx.Engine(tmp_path / "store") as other:
        assert [other.executions.get(i).status for i in ids] == ["COMPLETED"] * 4
    with pytest.raises(cx.StateError, match="closed"):
        engine.run("sample", IMAGE)


@pytest.mark.parametrize("in_time", [True, False])
def test_closing_without_waiting_leaves_no_record_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_time: bool
) -> None:
    """What never began is STOPPED, and so is what nothing ends; FAILED with the reason where that is not seen to."""
    monkeypatch.setattr("compox_core.engine.wiring.CLOSE_SECONDS", 1.0)
    if not in_time:
        monkeypatch.setattr("compox_core.jobs.rungs.HURRY", 100.0)
    engine = cx.Engine(tmp_path / "store")
    deploy(engine, tmp_path, "self.set_progress(0.5)\ntime.sleep(600 if data[0, 0, 0] > 0 else 0)\nreturn data")
    stuck, queued = engine.submit("sample", IMAGE + 1), engine.submit("sample", IMAGE)
    eventually(lambda: stuck.progress == 0.5)
    engine.close(wait=False)
    with cx.Engine(tmp_path / "store") as other:
        record = other.executions.get(stuck.id)
        if in_time:
            assert (record.status, record.stopped_by) == ("STOPPED", "abandoned")
        else:
            assert record.error is not None
            assert (record.status, record.error.code) == ("FAILED", "engine_closed")
        assert other.executions.get(queued.id).status == "STOPPED"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no system call of that name")
def test_a_fork_of_the_program_leaves_its_jobs_alone(tmp_path: Path) -> None:
    """A child that closes what it finds, as it does when it exits, ends nothing of its parent's."""
    with cx.Engine(tmp_path / "store") as engine:
        wait = f"import os\nwhile not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.01)\nreturn data"
        deploy(engine, tmp_path, wait)
        handle = engine.submit("sample", IMAGE)
        eventually(lambda: handle.status == "RUNNING")
        child = os.fork()
        if child == 0:
            status = 1
            try:
                engine.close(wait=False)
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        stores = engine._open_parts.desk.live.stores
        assert stores.of(JobKind.EXECUTION).end_of(handle.id, 1) is None
        assert engine._open_parts.desk.presence.incarnation in "".join(each.key for each in engine.store.list(SYSTEM))
        (tmp_path / "go").touch()
        assert handle.wait(60).status == "COMPLETED"
    with cx.Engine(tmp_path / "store") as other:
        assert other.executions.get(handle.id).status == "COMPLETED"


def test_a_job_that_is_queued_twice_is_stopped(tmp_path: Path) -> None:
    """The request reaches the run that goes on, not only the one that waits."""
    with cx.Engine(tmp_path / "store") as engine:
        deploy(engine, tmp_path, "while True:\n    self.set_progress(0.5); time.sleep(0.01)")
        handle = engine.submit("sample", IMAGE)
        eventually(lambda: handle.progress == 0.5)
        engine._open_parts.desk.executor.submit(Job(JobKind.EXECUTION, handle.id))
        handle.stop()
        assert handle.wait(60).status == "STOPPED"


def test_a_stop_that_the_store_refuses_leaves_no_ghost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine that was asked sees what becomes of another one's job, and can be asked again."""
    with cx.Engine(tmp_path / "store") as engine, cx.Engine(tmp_path / "store") as other:
        wait = f"import os\nwhile not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.01)\nreturn data"
        deploy(engine, tmp_path, wait)
        handles = [engine.submit("sample", IMAGE) for _ in range(2)]

        def claim(*given: Any) -> bool:
            raise cx.StorageError("refused")

        with monkeypatch.context() as patch:
            patch.setattr(TaskStore, "claim", claim)
            with pytest.raises(cx.StorageError, match="refused"):
                other.executions.stop(handles[1].id)
        (tmp_path / "go").touch()
        assert [handle.wait(60).status for handle in handles] == ["COMPLETED"] * 2
        assert other.executions.get(handles[1].id).status == "COMPLETED"


def test_a_stop_needs_no_new_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None can be started when the interpreter exits, which is when an engine that nobody closed is closed."""
    engine = cx.Engine(tmp_path / "store")
    deploy(engine, tmp_path, "self.set_progress(0.5)\nwhile True:\n    time.sleep(0.01)")
    handle = engine.submit("sample", IMAGE)
    eventually(lambda: handle.progress == 0.5)

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", start)
    engine.close(wait=False)
    monkeypatch.undo()
    with cx.Engine(tmp_path / "store") as other:
        record = other.executions.get(handle.id)
        assert (record.status, record.stopped_by) == ("STOPPED", "exception")


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_time_limit_may_be_long(tmp_path: Path) -> None:
    """Longer than the system can wait; the thread that waits for it lives on."""
    with cx.Engine(tmp_path / "store") as engine:
        deploy(engine, tmp_path, "return data")
        assert engine.submit("sample", IMAGE, timeout_s=1e11).wait(60).status == "COMPLETED"


def test_records_can_be_listed_and_deleted(engine: cx.Engine, tmp_path: Path) -> None:
    """Oldest first; a deleted one is gone, a running one is not deleted."""
    deploy(engine, tmp_path, "while data[0, 0, 0] > 0:\n    self.set_progress(0.5); time.sleep(0.01)\nreturn data")
    handles = [engine.submit("sample", IMAGE), engine.submit("sample", IMAGE + 1)]
    eventually(lambda: handles[1].progress == 0.5)
    assert [record.execution_id for record in engine.executions.list()] == [handle.id for handle in handles]
    engine.executions.delete(handles[0].id)
    with pytest.raises(cx.NotFoundError) as caught:
        engine.executions.get(handles[0].id)
    assert caught.value.code == "execution_record_not_found"
    with pytest.raises(cx.ConflictError):
        engine.executions.delete(handles[1].id)
    handles[1].stop()


@pytest.mark.parametrize("hostile", ["", "..", "../x", "a/b", "\x00", "x" * 5000, "ä", "log/1"])
def test_ids_of_any_kind_are_just_not_found(hostile: str, engine: cx.Engine) -> None:
    """No text that somebody sends as an id reaches a path."""
    for call, code in (
        (engine.executions.get, "execution_record_not_found"),
        (engine.executions.stop, "execution_record_not_found"),
        (engine.files.info, "file_not_found"),
        (engine.files.delete, "file_not_found"),
        (engine.algorithms.find, "algorithm_not_found"),
        (engine.algorithms.get, "algorithm_not_found"),
    ):
        with pytest.raises(cx.NotFoundError) as caught:
            call(hostile)
        assert caught.value.code == code


def test_a_progress_function_and_a_timeout(engine: cx.Engine, tmp_path: Path) -> None:
    """Progress is told to a function; a run that takes too long is stopped, and says so."""
    deploy(
        engine,
        tmp_path,
        "for n in range(5):\n    self.set_progress(n / 5); time.sleep(0.06)\n"
        "while data[0, 0, 0] > 0:\n    self.set_progress(0.9); time.sleep(0.01)\nreturn data",
    )
    told: list[float] = []
    engine.run("sample", IMAGE, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) > 2
    with pytest.raises(cx.StateError) as caught:
        engine.run("sample", IMAGE + 1, progress=False, timeout=0.5)
    assert caught.value.code == "wait_timed_out"
    assert engine.executions.wait(caught.value.details["execution_id"], 20).status == "STOPPED"


def test_a_result_shows_itself_in_a_notebook(tmp_path: Path) -> None:
    """Arrays, lists and dicts have an HTML form with a picture; the engine's algorithms are a table."""
    with cx.Engine("memory://", executor="inline") as engine:
        deploy(engine, tmp_path, "return data")
        for data in (IMAGE, [IMAGE, IMAGE], np.stack([RGB] * 6), np.zeros((3, 4), np.uint8)):
            html = engine.run("sample", data, progress=False)._repr_html_()
            assert html.count("data:image/png;base64,") >= 1
        assert "<td>sample</td>" in engine.algorithms._repr_html_()
        assert "COMPLETED" in engine.submit("sample", IMAGE)._repr_html_()


def test_warnings_of_a_deploy_are_returned_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An author learns what is doubtful without having to look for it."""
    with cx.Engine("memory://") as engine, caplog.at_level(logging.WARNING):
        folder = write_algorithm(tmp_path / "a", image_runner("return data"), kind="Generic")
        done = engine.deploy(folder)
    assert any("Image2ImageRunner" in warning for warning in done.warnings)
    assert any("Image2ImageRunner" in message for message in caplog.messages)


def test_what_the_ancestor_computed_we_compute(tmp_path: Path) -> None:
    """Its algorithms on its inputs give, in ours, the very arrays that it wrote."""
    interop = Path(__file__).parent.parent / "artefacts" / "interop"
    with cx.Engine("memory://", executor="inline") as engine:
        for folder in sorted((interop / "algorithms").iterdir()):
            copy = shutil.copytree(folder, tmp_path / folder.name)
            if folder.name == "level_cut":
                # The outputs are those of the latest minor that the ancestor had, which differs in this asset.
                (copy / "files" / "level.json").write_text('{"level": 0.8}')
            engine.deploy(copy)
        inputs = [interop / "data" / f"input_image_{n}.h5" for n in range(3)]
        for name, parameters, key in (
            ("box_mean", {"size": 5}, "image"),
            ("level_cut", {}, "mask"),
        ):
            results = engine.run(name, inputs, progress=False, **parameters)
            for n, result in enumerate(results):
                expected = engine.files.read(engine.files.upload(interop / "data" / f"{name}_{n}.h5"))[key]
                assert result.dtype == expected.dtype
                np.testing.assert_array_equal(result, expected)
        regions = engine.run("two_regions", inputs, progress=False)
        for n, result in enumerate(regions):
            expected = engine.files.read(engine.files.upload(interop / "data" / f"two_regions_{n}.h5"))
            assert list(result) == expected["region_names"]
            np.testing.assert_array_equal(np.stack(list(result.values())), expected["region_masks"])


@pytest.mark.parametrize("export", ["box_mean_1_source", "level_cut_2_latest"])
def test_what_the_ancestor_exported_deploys_and_runs(export: str, tmp_path: Path) -> None:
    """A zip of its export route, with source or compiled for this Python, is an algorithm here."""
    interop = Path(__file__).parent.parent / "artefacts" / "interop"
    compiled = export == "level_cut_2_latest"
    with cx.Engine("memory://", executor="inline") as engine:
        if compiled and sys.version_info[:2] != (3, 11):
            with pytest.raises(cx.PackageError, match=r"3\.11"):
                engine.deploy(interop / "exports" / f"{export}.zip")
            return
        done = engine.deploy(interop / "exports" / f"{export}.zip")
        assert done.version.module.python == ("3.11" if compiled else None)
        result = engine.run(done.record.name, interop / "data" / "input_image_0.h5", progress=False)
        name, key = ("level_cut", "mask") if compiled else ("box_mean", "image")
        expected = engine.files.read(engine.files.upload(interop / "data" / f"{name}_0.h5"))[key]
        assert result.shape == expected.shape  # type: ignore[union-attr]
        if compiled:
            np.testing.assert_array_equal(result, expected)


def test_a_parameter_may_have_any_name(tmp_path: Path) -> None:
    """What is named like an argument of `run` is given in `parameters`."""
    with cx.Engine("memory://", executor="inline") as engine:
        deploy(engine, tmp_path, "return data * args['device'] + args['timeout']")
        result = engine.run("sample", IMAGE, parameters={"device": 2, "timeout": 3}, progress=False)
        np.testing.assert_array_equal(result, IMAGE * 2 + 3)


def test_masks_and_opaque_alpha_are_inputs_too(tmp_path: Path) -> None:
    """A stack of masks goes through a mask algorithm; RGBA that is opaque is RGB, other RGBA is refused."""
    source = """
        from compox_core.runners import Segmentation2SegmentationRunner
        class Runner(Segmentation2SegmentationRunner):
            def inference(self, data, args):
                return ~data
    """
    with cx.Engine("memory://", executor="inline") as engine:
        engine.deploy(write_algorithm(tmp_path / "m", source, name="inverse", kind="Segmentation2Segmentation"))
        for mask in (IMAGE > 3, np.stack([IMAGE > 3, IMAGE > 5, IMAGE > 7])):
            np.testing.assert_array_equal(engine.run("inverse", mask, progress=False), ~mask)
        deploy(engine, tmp_path, "return data")
        rgba = np.concatenate([RGB, np.full((4, 5, 1), 255, np.uint8)], axis=-1)
        np.testing.assert_array_equal(engine.run("sample", rgba, progress=False), RGB)
        rgba[0, 0, 3] = 7
        with pytest.raises(cx.DataError, match="transparent"):
            engine.run("sample", rgba, progress=False)


def test_a_plain_program_logs_every_line_once(tmp_path: Path) -> None:
    """Without any logging set up, warnings of the author, of Python and of libraries are each one line of the log."""
    body = """
    import logging, warnings
    self.log_message("from the author", "WARNING")
    warnings.warn("from python")
    logging.getLogger("library").warning("from a library")
    return data
    """
    folder = write_algorithm(tmp_path / "a", image_runner(body))
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, numpy as np, compox_core as cx\n"
        "with cx.Engine('memory://') as engine:\n"
        "    engine.deploy(sys.argv[1])\n"
        "    handle = engine.submit('sample', np.zeros((3, 4), np.float32))\n"
        "    handle.wait()\n"
        "    print(handle.log)\n"
    )
    done = subprocess.run([sys.executable, script, folder], capture_output=True, text=True, check=True, cwd=tmp_path)
    for text in ("from the author", "UserWarning: from python", "from a library"):
        assert sum(text in line for line in done.stdout.splitlines() if "WARNING" in line) == 1, done.stdout
    assert "Runner.py:" in done.stdout
    assert "modules" not in done.stdout
