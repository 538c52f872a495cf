"""A job that finds too little memory on a GPU fails by itself, gives everything back, and the next one works.

There is no GPU here: an exception with the name and the words of PyTorch's stands for one that is full.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compox_core.data import ImageSchema
from compox_core.engine import Engine
from compox_core.records import BenchmarkRequest, ErrorInfo, ExecutionRecord, ExecutionRequest, TaskStatus
from compox_core.settings import load_settings
from tests.engine.authors import write_algorithm

DEADLINE = 60.0
MESSAGE = "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 139.72 GiB."
RUNNER = f"""
import sys
import weakref
from compox_core.runners import Image2ImageRunner

OutOfMemoryError = type("OutOfMemoryError", (RuntimeError,), {{"__module__": "torch"}})


class Tensor:
    def __init__(self):
        if not hasattr(sys, "compox_test_tensors"):
            sys.compox_test_tensors = []
        sys.compox_test_tensors.append(weakref.ref(self))


class Runner(Image2ImageRunner):
    def load_assets(self):
        self.model = Tensor()
        if getattr(sys, "compox_test_full", False):
            sys.compox_test_full = False
            self.allocate(Tensor())

    def inference(self, data, args):
        print("alive", sum(ref() is not None for ref in getattr(sys, "compox_test_tensors", [])))
        sys.compox_test_tensors = []
        if args.get("full_next"):
            sys.compox_test_full = True
        if args.get("too_much"):
            self.batches = [Tensor() for _ in data]
            self.predict(self.batches[0])
        return data

    def predict(self, batch):
        features = Tensor()
        try:
            self.allocate(features)
        except RuntimeError as error:
            raise ValueError("The model could not be applied.") from error

    def allocate(self, held):
        raise OutOfMemoryError({MESSAGE!r})

    def benchmark(self, args):
        self.allocate(Tensor())
"""


class Place:
    """An engine with that algorithm."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.algorithm = engine.deploy(write_algorithm(folder / "algorithm", RUNNER)).record.algorithm_id
        self.input = engine.files.save({"image": np.zeros((2, 2), np.float32)}, ImageSchema)

    def run(self, **args: Any) -> ExecutionRecord:
        request = ExecutionRequest(
            algorithm_id=self.algorithm, input_dataset_ids=[self.input], additional_parameters=args
        )
        record = self.engine.executions.wait(self.engine.executions.submit(request).execution_id, DEADLINE)
        assert record.status.final, record.log
        return record


@pytest.fixture(params=["inline", "threads", "processes"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("COMPOX_MODULE_CACHE", str(tmp_path / "modules"))
    backend = {"executor": request.param, **({"warm_spare": False} if request.param == "processes" else {})}
    settings = {
        "storage": {"backend_settings": {"path": str(tmp_path / "store")}},
        "inference": {"backend_settings": backend},
    }
    with Engine(load_settings(settings)) as engine:
        yield Place(engine, tmp_path)


def short(error: ErrorInfo | None) -> ErrorInfo:
    """Assert that an error tells of too little memory, what was asked for and what to do; return its cause."""
    assert error is not None
    assert error.code == "device_out_of_memory"
    assert error.type == "OutOfMemoryError"
    assert error.details == {"device": "cpu", "asked": "20.00 GiB"}
    for words in (
        "cpu is not enough",
        "20.00 GiB",
        "smaller input",
        "device cpu",
        "inference.backend_settings.workers",
    ):
        assert words in error.message
    assert error.cause is not None
    return error.cause


def alive(record: ExecutionRecord) -> int:
    """Return how much of what earlier jobs had in memory a job found there."""
    assert record.status is TaskStatus.COMPLETED, record.log
    return int(record.log.split(" alive ", 1)[1].split()[0])


def test_a_run_that_finds_too_little_memory_gives_everything_back(place: Place) -> None:
    """What it had in hand, and every loaded algorithm; then the next one works."""
    assert alive(place.run()) == 1
    failed = place.run(too_much=True)
    assert failed.status is TaskStatus.FAILED
    cause = short(failed.error)
    assert (cause.type, cause.message) == ("ValueError", "The model could not be applied.")
    assert cause.cause is not None
    assert cause.cause.message == MESSAGE
    assert MESSAGE in failed.log
    assert "in predict" in failed.log
    after = place.run()
    assert alive(after) == 1  # the model that it has loaded itself
    assert "Loaded sample" in after.log
    assert "Loaded sample" not in place.run().log
    json.dumps(failed.model_dump(mode="json"))


def test_a_model_that_does_not_fit_is_not_held_either(place: Place) -> None:
    """Also where it is the loading that fails."""
    place.run(full_next=True, too_much=True)
    short(place.run().error)
    assert alive(place.run()) == 1


def test_a_benchmark_that_finds_too_little_memory_says_the_same(place: Place) -> None:
    """The next job works."""
    benchmarks = place.engine.benchmarks
    task_id = benchmarks.submit(BenchmarkRequest(algorithm_id=place.algorithm)).benchmark_id
    record = benchmarks.wait(task_id, DEADLINE)
    assert record.status is TaskStatus.FAILED
    assert short(record.error).message == MESSAGE
    assert alive(place.run()) == 1
