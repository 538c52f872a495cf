"""Whatever an algorithm does, its run ends with the right status, and the engine and its other runs go on."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import compox_core as cx
from tests.engine.authors import image_runner, write_algorithm

IMAGE = np.zeros((3, 4), np.float32)


@pytest.fixture(autouse=True)
def module_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("COMPOX_MODULE_CACHE", str(tmp_path_factory.mktemp("modules")))
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def deploy(engine: cx.Engine, folder: Path, body: str, **options: Any) -> cx.Deployment:
    return engine.deploy(write_algorithm(folder / "algorithm", image_runner(body), **options))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("class E(Exception):\n    def __str__(self):\n        raise RuntimeError('no')\nraise E", "cannot be read"),
        ("e, f = ValueError('one'), ValueError('two')\ne.__cause__, f.__cause__ = f, e\nraise e", "one"),
        ("import compox_core as cx\nraise cx.CompoxError('m', details={'a': object(), 'b': {1}})", "m"),
        ("import compox_core as cx\nclass E(cx.CompoxError):\n    def __init__(self): ...\nraise E", "cannot be read"),
        ("raise ValueError('a\\udc80b')", "a\\udc80b"),
        ("def f(n):\n    return f(n + 1)\nf(0)", "recursion"),
        ("raise ExceptionGroup('many', [ValueError('a'), ValueError('b')])", "many"),
        ("class E(SystemExit):\n    def __repr__(self): raise ValueError\nraise E(E())", "sys.exit"),
        (
            """
            import logging
            class H(logging.Handler):
                def emit(self, record): raise RuntimeError('emit')
            logging.basicConfig(level=1, handlers=[H()], force=True)
            raise ValueError('q')
            """,
            "q",
        ),
    ],
)
def test_an_exception_that_is_hard_to_tell_is_told(body: str, message: str, tmp_path: Path) -> None:
    """The run is FAILED with what can be said of the exception, and the one worker takes the next run."""
    with cx.Engine(tmp_path / "store") as engine:
        deploy(engine, tmp_path, body)
        for _ in range(2):
            record = engine.submit("sample", IMAGE).wait(20)
            assert record.status == "FAILED"
            assert record.error is not None
            assert message in record.error.message
            assert engine.executions._stored.load(record.execution_id) == record


def test_a_huge_message_is_cut(tmp_path: Path) -> None:
    """A record does not carry megabytes of message."""
    with cx.Engine("memory://") as engine:
        deploy(engine, tmp_path, "raise ValueError('x' * 5_000_000)")
        record = engine.submit("sample", IMAGE).wait(20)
    assert record.error is not None
    assert len(record.error.message) < 100_000
    assert len(record.log) < 200_000


def test_a_group_shows_no_paths_of_the_machine(tmp_path: Path) -> None:
    """The frames of every member of an exception group are named relative to the algorithm."""
    body = "try:\n    raise ValueError('a')\nexcept ValueError as e:\n    raise ExceptionGroup('g', [e]) from None"
    with cx.Engine("memory://") as engine:
        deploy(engine, tmp_path, body)
        record = engine.submit("sample", IMAGE).wait(20)
    assert record.log.count('File "Runner.py"') == 2
    assert "modules" not in record.log


def test_an_interrupt_inside_an_algorithm_costs_no_worker(tmp_path: Path) -> None:
    """A KeyboardInterrupt that an algorithm raises stops its run; the one worker takes the next."""
    with cx.Engine("memory://") as engine:
        deploy(engine, tmp_path, "raise KeyboardInterrupt")
        assert [engine.submit("sample", IMAGE).wait(20).status for _ in range(2)] == ["STOPPED", "STOPPED"]


@pytest.mark.parametrize(
    "body",
    [
        "import sys\nsys.stdout.buffer.write(b'out\\n')\nsys.stdout.buffer.flush()",
        "import sys\nsys.stdout.reconfigure(line_buffering=True)\nassert sys.stdout.errors",
        "import sys\nsys.stdout.close()\nprint('after')",
        "import sys\nassert sys.stdout.name",
    ],
)
def test_the_captured_streams_are_still_text_files(
    body: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What algorithms do with `sys.stdout` elsewhere works while it is captured."""
    with cx.Engine("memory://") as engine:
        deploy(engine, tmp_path, f"{body}\nreturn data")
        record = engine.submit("sample", IMAGE).wait(20)
        assert record.status == "COMPLETED", record.log


def test_a_stream_that_an_algorithm_wraps_doubles_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrapper around `sys.stdout` that outlives its run leads each later line to the log once."""
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    body = """
        import sys
        class Tee:
            def __init__(self, inner):
                self.inner = inner
            def write(self, text):
                return self.inner.write(text)
            def flush(self):
                self.inner.flush()
        sys.stdout = Tee(sys.stdout)
        print("said once")
        return data
    """
    with cx.Engine("memory://") as engine:
        deploy(engine, tmp_path, body)
        for _ in range(3):
            assert engine.submit("sample", IMAGE).wait(20).log.count("said once") == 1


def test_what_was_the_latest_at_submit_is_what_runs(tmp_path: Path) -> None:
    """A deploy between submit and run changes neither the code nor the parameters that were checked."""
    begun, go_on = threading.Event(), threading.Event()
    sys.modules["gates"] = type(sys)("gates")
    sys.modules["gates"].begun, sys.modules["gates"].go_on = begun, go_on  # type: ignore[attr-defined]
    try:
        with cx.Engine("memory://") as engine:
            deploy(engine, tmp_path, "import gates\ngates.begun.set()\ngates.go_on.wait(20)\nreturn data + 1")
            first = engine.submit("sample", IMAGE)
            assert begun.wait(20)
            queued = engine.submit("sample", IMAGE)
            deploy(engine, tmp_path, "return data + 2")
            go_on.set()
            assert first.result(20)[0, 0] == 1  # type: ignore[call-overload]
            assert queued.result(20)[0, 0] == 1  # type: ignore[call-overload]
            assert (queued.record.algorithm_minor_version, queued.record.resolved_minor_version) == (None, "0")
    finally:
        del sys.modules["gates"]


def test_an_interrupted_close_still_records_the_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while a close waits stops what runs; no record stays RUNNING."""
    engine = cx.Engine(tmp_path / "store")
    deploy(engine, tmp_path, "while True:\n    self.set_progress(0.5)\n    time.sleep(0.01)")
    running, queued = engine.submit("sample", IMAGE), engine.submit("sample", IMAGE)
    executor = engine._open_parts.desk.executor
    close = executor.close

    def interrupted(timeout: float | None) -> Any:
        if timeout is None:
            raise KeyboardInterrupt
        return close(timeout)

    monkeypatch.setattr(executor, "close", interrupted)
    with pytest.raises(KeyboardInterrupt):
        engine.close()
    with cx.Engine(tmp_path / "store") as later:
        statuses = {later.executions.get(handle.id).status for handle in (running, queued)}
    assert statuses == {"STOPPED"}


def test_a_progress_function_that_raises_stops_the_run(tmp_path: Path) -> None:
    """Nobody holds a handle to it, so nobody could."""
    with cx.Engine("memory://") as engine:
        deploy(engine, tmp_path, "while True:\n    self.set_progress(0.5)\n    time.sleep(0.01)")

        def report(progress: float) -> None:
            raise RuntimeError("no more")

        with pytest.raises(RuntimeError, match="no more"):
            engine.run("sample", IMAGE, progress=report)
        (record,) = engine.executions.list()
        assert engine.executions.wait(record.execution_id, 20).status == "STOPPED"


def test_ids_of_a_subclass_of_str_are_ids(tmp_path: Path) -> None:
    """A list of numpy's strings is a list of file ids, and plain strings in the record."""
    runner = """
        import numpy as np
        from compox_core.runners import Image2ImageRunner
        class Runner(Image2ImageRunner):
            def inference(self, data, args):
                return data
            def postprocess(self, data, args):
                return list(np.array(super().postprocess(data, args)))
    """
    with cx.Engine(tmp_path / "store") as engine:
        engine.deploy(write_algorithm(tmp_path / "a", runner))
        record = engine.submit("sample", IMAGE).wait(20)
    assert record.status == "COMPLETED"
    assert [type(item) for item in record.output_dataset_ids] == [str]


@pytest.mark.parametrize("options", [{"session_token": "\udc80"}, {"device": "\udc80"}, {"device": 5}])
def test_a_request_that_no_record_can_hold_is_refused(options: dict[str, Any], tmp_path: Path) -> None:
    """It is said before anything is queued."""
    with cx.Engine("memory://") as engine:
        deploy(engine, tmp_path, "return data")
        with pytest.raises(cx.InvalidInputError):
            engine.submit("sample", IMAGE, **options)
        assert list(engine.executions.list()) == []
        assert list(engine.files.list()) == []


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.arange(3), [0, 1, 2]),
        ({"a": [np.float64(1.5), (1, None)]}, {"a": [1.5, [1, None]]}),
        (Path("a") / "b", str(Path("a") / "b")),
    ],
)
def test_a_run_gets_its_undeclared_parameters_as_its_record_says(given: Any, kept: Any, tmp_path: Path) -> None:
    """Values of numpy are numbers and lists, a tuple is a list, a path is text: in the run, and in the store."""
    with cx.Engine(tmp_path / "store") as engine:
        deploy(engine, tmp_path, "self.log_message(f\"got {args['more']!r}\"); return data")
        handle = engine.submit("sample", IMAGE, more=given)
        assert handle.wait(20).additional_parameters == {"more": kept}
        assert f"got {kept!r}\n" in handle.log
        assert engine.executions._stored.load(handle.id).additional_parameters == {"more": kept}


HOLDS_ITSELF: list[Any] = []
HOLDS_ITSELF.append(HOLDS_ITSELF)


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        np.array([np.inf]),
        {1, 2},
        b"x",
        object(),
        {1: 2},
        "\udc80",
        np.complex64(1),
        np.longdouble(1),
        HOLDS_ITSELF,
    ],
)
def test_a_parameter_that_no_record_can_hold_is_refused_by_name(value: Any, tmp_path: Path) -> None:
    """It is said before anything is queued, and the inputs are removed again."""
    with cx.Engine("memory://") as engine:
        deploy(engine, tmp_path, "return data")
        with pytest.raises(cx.ParameterError, match="'more'") as caught:
            engine.submit("sample", IMAGE, more=value)
        assert caught.value.details["parameter"] == "more"
        assert list(engine.executions.list()) == []
        assert list(engine.files.list()) == []


@pytest.mark.parametrize("how", ["self.set_progress(x)", "self.task_handler.progress = x"])
@pytest.mark.parametrize("value", ["nan", "inf", "-1"])
def test_a_progress_that_is_none_is_refused(how: str, value: str, tmp_path: Path) -> None:
    """By either way, and the record can be read by everybody."""
    with cx.Engine(tmp_path / "store") as engine:
        deploy(engine, tmp_path, f"x = float('{value}')\n{how}\nreturn data")
        handle = engine.submit("sample", IMAGE)
        handle.wait(60)
    with cx.Engine(tmp_path / "store") as other:
        record = other.executions.get(handle.id)
    assert (record.status, record.error and record.error.code) == ("FAILED", "invalid_progress")
