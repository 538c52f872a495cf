"""What a training measures in a worker process is in its history, however it ends."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from compox_core.engine import Engine, TrainingHandle
from compox_core.records import MetricPoint, TaskStatus
from tests.engine.authors import write_algorithm
from tests.jobs.processes.shop import DEADLINE, PATIENT, Shop, messages, opened, until

RUNNER = """
from compox_core.runners import Image2ImageRunner


class Runner(Image2ImageRunner):
    def inference(self, data, args):
        return data

    def train(self, training_data, args):
        exec(compile(args["code"], "<code of the test>", "exec"), {"self": self, "args": args})
        self.save_checkpoint({"files/weights": b"better"})
"""


class School:
    """Has worker processes train an algorithm that does what a test asks of it."""

    def __init__(self, shop: Shop, folder: Path) -> None:
        self.engine: Engine = shop.engine
        pupil = write_algorithm(folder / "pupil", RUNNER, name="pupil", files={"files/weights": b"good"})
        self.algorithm = self.engine.deploy(pupil).record
        self.sample = self.engine.samples.create({"input": np.zeros((2, 2), np.float32)}).sample_id

    def train(self, code: str, **args: str) -> TrainingHandle:
        parameters = {"code": textwrap.dedent(code), **args}
        return self.engine.train(self.algorithm.name, [self.sample], parameters=parameters)

    def stored(self, handle: TrainingHandle) -> list[MetricPoint]:
        """Return the points that another process would find."""
        return list(self.engine.trainings._stored.metrics(handle.id))


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    folder = tmp_path_factory.mktemp("school")
    with opened(folder) as shop:
        yield School(shop, folder)


def test_points_come_out_as_they_went_in(school: School) -> None:
    """Steps that were given and others, and numbers that JSON has no word for."""
    handle = school.train("""
        self.log_metrics({"loss": 0.1, "accuracy": 1})
        self.log_metrics({"loss": float("nan")}, step=10)
        self.log_metrics({"loss": float("-inf"), "größe": 1e-300})
    """)
    assert handle.wait(DEADLINE).status is TaskStatus.COMPLETED, handle.log
    points = school.stored(handle)
    assert [point.step for point in points] == [0, 10, 11]
    assert repr([point.values for point in points]) == repr(
        [{"loss": 0.1, "accuracy": 1.0}, {"loss": math.nan}, {"loss": -math.inf, "größe": 1e-300}]
    )
    assert repr(handle.metrics().values("loss")) == repr([0.1, math.nan, -math.inf])


def test_points_can_be_read_while_the_training_goes_on(school: School, tmp_path: Path) -> None:
    """By the process that has the engine, and by others."""
    go = tmp_path / "go"
    handle = school.train(
        """
        import pathlib, time
        self.log_metrics({"loss": 0.5})
        print("begun")
        while not pathlib.Path(args["go"]).exists():
            time.sleep(0.01)
            self.task_handler.check_stop()
        self.log_metrics({"loss": 0.25})
        """,
        go=str(go),
    )
    try:
        until(lambda: "begun" in handle.log, "the first point")
        assert handle.metrics().values("loss") == [0.5]
        until(lambda: [point.values["loss"] for point in school.stored(handle)] == [0.5], "a point in the store")
        assert not handle.done
    finally:
        go.touch()
    handle.wait(DEADLINE)
    assert handle.metrics().values("loss") == [0.5, 0.25]


@pytest.mark.parametrize(
    ("end", "status"),
    [("os._exit(3)", TaskStatus.FAILED), ("1 / 0", TaskStatus.FAILED), ("print('begun'); hang()", TaskStatus.STOPPED)],
    ids=["dies", "fails", "is stopped"],
)
def test_a_training_that_does_not_complete_keeps_its_points(school: School, end: str, status: TaskStatus) -> None:
    """All that it had logged."""
    handle = school.train(f"""
        import os

        def hang():
            while True:
                self.task_handler.check_stop()

        for number in range(50):
            self.log_metrics({{"v": number}})
        {end}
    """)
    if status is TaskStatus.STOPPED:
        until(lambda: "begun" in handle.log, "the training to begin")
        handle.stop()
    assert handle.wait(DEADLINE).status is status
    assert [point.values["v"] for point in school.stored(handle)] == list(range(50))


def test_points_of_threads_come_each_once(school: School) -> None:
    """Whatever else the training says meanwhile."""
    handle = school.train("""
        import threading

        def say(first):
            for number in range(first, first + 100):
                self.log_metrics({"v": number})
                self.log_message(f"said {number}")
                self.set_progress(0.5)

        threads = [threading.Thread(target=say, args=(first,)) for first in range(0, 400, 100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    """)
    assert handle.wait(DEADLINE).status is TaskStatus.COMPLETED, handle.log
    points = school.stored(handle)
    assert [point.step for point in points] == list(range(400))
    assert sorted(point.values["v"] for point in points) == list(range(400))
    assert len([line for line in messages(handle.record) if "said" in line]) == 400


def test_a_worker_that_logs_an_odd_metric_lives_on(school: School) -> None:
    """The training fails with what was wrong, in its own process; the next one works."""
    bad = school.train("self.log_metrics({'loss': 'low'})")
    assert bad.wait(PATIENT).status is TaskStatus.FAILED
    error = bad.record.error
    assert error is not None and error.code == "invalid_metrics"
    good = school.train("self.log_metrics({'loss': 1})")
    assert good.wait(PATIENT).status is TaskStatus.COMPLETED
    assert bad.metrics().names == []
