"""Benchmarks: what an algorithm may find, what it may not, and what is asked of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import compox_core as cx
from compox_core.errors import InvalidInputError, NotFoundError, ParameterError, TaskFailedError
from compox_core.records import BenchmarkRequest, TaskStatus
from tests.engine.authors import write_algorithm

RUNNER = """
import enum
import pathlib
import numpy as np
from compox_core.data import ImageSchema
from compox_core.runners import BaseRunner


class Half(dict):
    def __bool__(self):
        raise ValueError("neither")


class Runner(BaseRunner):
    def load_assets(self):
        self.loaded = 41

    def benchmark(self, args):
        {body}
"""
EXTRA = """
[[tool.compox.additional_parameters]]
name = "size"
config = { type = "int_range", default = 8, min = 1, max = 64, step = 1 }
"""


@pytest.fixture(autouse=True)
def module_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep modules apart from those of the user who runs the tests."""
    monkeypatch.setenv("COMPOX_MODULE_CACHE", str(tmp_path / "modules"))


@pytest.fixture
def engine() -> Iterator[cx.Engine]:
    with cx.Engine("memory://") as engine:
        yield engine


def deploy(engine: cx.Engine, folder: Path, body: str, **options: Any) -> str:
    """Deploy an algorithm whose `benchmark` is `body`, and return its id."""
    source = RUNNER.format(body=body.strip().replace("\n", "\n        "))
    return engine.deploy(write_algorithm(folder, source, kind="Generic", **options)).record.algorithm_id


@pytest.mark.parametrize(
    ("expression", "data"),
    [
        ("{'a': np.float32(0.5), 'b': np.int64(2), 'c': np.bool_(True)}", {"a": 0.5, "b": 2, "c": True}),
        ("{'a': np.eye(2), 'b': {'c': (1, None, 'x')}}", {"a": [[1.0, 0.0], [0.0, 1.0]], "b": {"c": [1, None, "x"]}}),
        ("{'a': np.array([], np.float32)}", {"a": []}),
        ("{'loaded': self.loaded}", {"loaded": 41}),
        ("Half(a=1)", {"a": 1}),
        ("None", {}),
        ("{}", {}),
        ("[]", {}),
        ("False", {}),
    ],
)
def test_what_it_finds_is_given_as_json_holds_it(
    engine: cx.Engine, tmp_path: Path, expression: str, data: dict[str, Any]
) -> None:
    """Scalars and arrays of numpy become numbers and lists; nothing becomes an empty dict."""
    deploy(engine, tmp_path, f"return {expression}")
    assert engine.benchmark("sample", progress=False) == data
    [record] = engine.benchmarks.list()
    assert record.data == data


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("{'psnr': float('inf')}", "'psnr' holds inf"),
        ("{'deep': {'nan': np.array([1, np.nan])}}", "'deep' holds nan"),
        ("{'image': object()}", "'image' holds object"),
        ("{1: 'a'}", "the key 1"),
        ("[1, 2]", "it returned list"),
        ("np.ones(3)", "it returned ndarray"),
        ("'fast'", "it returned str"),
        ("{'image': 'x' * 17_000_000}", "bytes as JSON"),
    ],
)
def test_what_no_record_holds_is_a_clear_failure(engine: cx.Engine, tmp_path: Path, expression: str, said: str) -> None:
    """FAILED, `invalid_result`, and the message names the place."""
    deploy(engine, tmp_path, f"return {expression}")
    with pytest.raises(TaskFailedError, match="benchmark must return a dict") as failed:
        engine.benchmark("sample", progress=False)
    assert failed.value.code == "invalid_result"
    assert said in failed.value.message
    record = engine.benchmarks.get(failed.value.details["benchmark_id"])
    assert (record.status, record.data) == (TaskStatus.FAILED, {})


def test_an_algorithm_without_one_says_so(engine: cx.Engine, tmp_path: Path) -> None:
    """The error names the hook to write, as for the hooks of an execution."""
    deploy(engine, tmp_path, "pass")
    write_algorithm(tmp_path, "from compox_core.runners import BaseRunner\nclass Runner(BaseRunner): pass\n")
    engine.deploy(tmp_path)
    with pytest.raises(TaskFailedError, match=r"no `benchmark`.*a benchmark needs.*def benchmark\(self, args\)") as e:
        engine.benchmark("sample", progress=False)
    assert e.value.code == "runner_hook_missing"
    assert e.value.details["error"]["details"] == {"hook": "benchmark"}


def test_parameters_are_checked_and_filled_in(engine: cx.Engine, tmp_path: Path) -> None:
    """As for an execution: defaults arrive, what breaks a rule is refused before anything is recorded."""
    deploy(engine, tmp_path, "args['size'] += 1\nreturn {'size': args['size']}", extra=EXTRA)
    assert engine.benchmark("sample", progress=False) == {"size": 9}
    assert engine.benchmark("sample", size=64, progress=False) == {"size": 65}
    assert engine.benchmark("sample", parameters={"size": 1}, progress=False) == {"size": 2}
    assert [record.additional_parameters["size"] for record in engine.benchmarks.list()] == [8, 64, 1]
    with pytest.raises(ParameterError):
        engine.benchmark("sample", size=65, progress=False)
    with pytest.raises(InvalidInputError, match="timeout_s"):
        engine.benchmark("sample", timeout_s=-1, progress=False)
    with pytest.raises(NotFoundError) as missing:
        engine.benchmark("sample", minor=7, progress=False)
    assert missing.value.code == "minor_version_not_found"
    with pytest.raises(NotFoundError) as absent:
        engine.benchmarks.submit(BenchmarkRequest(algorithm_id="nobody"))
    assert absent.value.code == "algorithm_not_found"
    assert len(list(engine.benchmarks.list())) == 3


def test_the_version_and_its_declared_limits_count(engine: cx.Engine, tmp_path: Path) -> None:
    """A minor version can be chosen; its time limit and its retries are in the record."""
    deploy(engine, tmp_path, "return {'is': 'old'}", extra="timeout_s = 50\nretry = 2")
    deploy(engine, tmp_path, "return {'is': 'new'}")
    assert engine.benchmark("sample", progress=False) == {"is": "new"}
    assert engine.benchmark("sample", minor=0, timeout_s=70, progress=False) == {"is": "old"}
    new, old = engine.benchmarks.list()
    assert (new.resolved_minor_version, new.timeout_s, new.retries) == ("1", None, 0)
    assert (old.resolved_minor_version, old.timeout_s, old.retries) == ("0", 50, 2)


def test_progress_is_told_and_a_caller_who_gives_up_stops_it(engine: cx.Engine, tmp_path: Path) -> None:
    """An exception of the progress function is the caller's Ctrl-C: the benchmark does not go on for nobody."""
    deploy(engine, tmp_path, "while not args.get('short'): self.set_progress(0.25)\nreturn {}")
    told: list[float] = []
    engine.benchmark("sample", short=True, progress=told.append)
    assert told[-1] == 1.0

    def give_up(progress: float) -> None:
        if progress == 0.25:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        engine.benchmark("sample", progress=give_up)
    last = list(engine.benchmarks.list())[-1]
    assert engine.benchmarks.wait(last.benchmark_id, 60).status is TaskStatus.STOPPED


def test_its_session_is_thrown_away(engine: cx.Engine, tmp_path: Path) -> None:
    """What a benchmark keeps is there for itself alone, and takes no place of a session that somebody uses."""
    deploy(
        engine,
        tmp_path,
        "try: self.load_item_from_session('n')\n"
        "except KeyError: self.save_item_to_session(1, 'n')\n"
        "else: return {'found': True}\n"
        "return {'kept': self.load_item_from_session('n')}",
    )
    for _ in range(2):
        assert engine.benchmark("sample", progress=False) == {"kept": 1}
    assert [record.session_token for record in engine.benchmarks.list()] == [None, None]
    sessions = engine._open_parts.desk.bench.sessions
    assert sessions is not None
    assert len(sessions) == 0


def test_files_stay_where_it_completes_and_go_where_it_does_not(engine: cx.Engine, tmp_path: Path) -> None:
    """Its data may name them; where there is no data nobody is told of them."""
    deploy(
        engine,
        tmp_path,
        "[file_id] = self.post_data([{'image': np.zeros((2, 2), np.uint8)}], ImageSchema)\n"
        "if args.get('bad'): raise ValueError('bad')\n"
        "return {'picture': file_id}",
    )
    data = engine.benchmark("sample", progress=False)
    assert engine.files.read(data["picture"])["image"].shape == (2, 2)
    with pytest.raises(TaskFailedError, match="bad"):
        engine.benchmark("sample", bad=True, progress=False)
    assert {info.key.rpartition("/")[2] for info in engine.store.list("data-store")} == {data["picture"]}


def test_a_record_is_deleted_and_no_other_kind_knows_it(engine: cx.Engine, tmp_path: Path) -> None:
    """Each kind of job has its own records."""
    deploy(engine, tmp_path, "return {}")
    engine.benchmark("sample", progress=False)
    [record] = engine.benchmarks.list()
    for others in (engine.executions, engine.deploys):
        with pytest.raises(NotFoundError):
            others.get(record.benchmark_id)
    engine.benchmarks.delete(record.benchmark_id)
    with pytest.raises(NotFoundError) as missing:
        engine.benchmarks.get(record.benchmark_id)
    assert missing.value.code == "benchmark_record_not_found"
    assert list(engine.store.list("benchmark-store")) == []
