"""What every executor does with a training, whether it runs it here, in a process of its own, or on another machine."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compox_core.engine import Engine
from compox_core.engine.training_handle import TrainingHandle
from compox_core.records import SampleRecord, TaskStatus
from tests.engine.authors import write_algorithm

DEADLINE = 60.0
IMAGE = np.zeros((3, 4), np.float32)
RUNNER = """
import sys
import time

from compox_core.data import ImageSchema
from compox_core.runners import Image2ImageRunner


class Runner(Image2ImageRunner):
    def load_assets(self):
        self.weights = int(self.fetch_asset("weights.bin").read())

    def inference(self, data, args):
        return data + self.weights

    def train(self, training_data, args):
        dataset = self.get_training_dataset(training_data)
        local = self.download_dataset_to_temp_store(dataset, {"input": ImageSchema})
        loaded = self.load_dataset_from_temp_store(local)
        total = sum(float(group["input"]["image"].mean()) for sample in loaded for group in sample)
        for epoch in range(3):
            self.log_metrics({"loss": total / (epoch + 1)})
            self.set_progress(epoch / 4)
        self.set_state({"total": total, "from": self.weights})
        if args["save"]:
            self.save_checkpoint({"weights.bin": str(self.weights + int(total)).encode()}, {"total": total})
        self.log_message("begun")
        end = args["end"]
        while end == "flag":
            self.log_metrics({"late": 1.0}, step=1)
            time.sleep(0.01)
        while end == "exception":
            pass
        if end == "exit":
            sys.exit(3)
"""
PARAMETERS = """
[[tool.compox.training_parameters]]
name = "end"
config = { type = "string", default = "" }
[[tool.compox.training_parameters]]
name = "save"
config = { type = "bool", default = true }
"""


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.02)
    return value


class TrainingContract:
    """Subclasses give an `engine` with one worker.

    Its ladder is short: the flag has 0.3 seconds, then an exception is raised.
    """

    blocks = False

    @pytest.fixture
    def sample(self, engine: Engine, tmp_path: Path) -> SampleRecord:
        """A sample of two images, the means of which are 2 and 3; the algorithm is deployed."""
        folder = tmp_path / "training"
        code = textwrap.dedent(RUNNER)
        engine.deploy(write_algorithm(folder, code, name="trained", extra=PARAMETERS, files={"weights.bin": b"10"}))
        return engine.samples.create([{"input": {"image": IMAGE + mean}} for mean in (2, 3)])

    def train(self, engine: Engine, sample: SampleRecord, **options: Any) -> TrainingHandle:
        return engine.train("trained", sample, **options)

    def test_it_learns_and_what_it_learned_runs(self, engine: Engine, sample: SampleRecord) -> None:
        """Its record, metrics, state and checkpoint are there; runs use it, and another training goes on from it."""
        handle = self.train(engine, sample)
        [first] = handle.result(DEADLINE)
        record = handle.record
        assert (record.status, record.progress) == (TaskStatus.COMPLETED, 1.0)
        assert (record.state, record.error) == ({"total": 5.0, "from": 10}, None)
        assert record.output_checkpoint_ids == [first.checkpoint_id]
        assert handle.metrics().values("loss") == [5.0, 2.5, 5.0 / 3]
        assert handle.metrics().steps("loss") == [0, 1, 2]
        assert (first.properties, first.training_id) == ({"total": 5.0}, handle.id)
        later = self.train(engine, sample, checkpoint=first)
        [second] = later.result(DEADLINE)
        assert (later.record.state["from"], second.parent_checkpoint_id) == (15, first.checkpoint_id)
        for checkpoint, added in ((None, 10), (first, 15), (second, 20)):
            result = engine.submit("trained", IMAGE, checkpoint=checkpoint).result(DEADLINE)
            np.testing.assert_array_equal(result, IMAGE + added)

    def test_it_fails_without_a_checkpoint(self, engine: Engine, sample: SampleRecord) -> None:
        """With that one cause; its metrics stay."""
        record = self.train(engine, sample, save=False).wait(DEADLINE)
        assert record.error is not None
        assert (record.status, record.error.code) == (TaskStatus.FAILED, "training_checkpoint_missing")
        assert len(engine.trainings.metrics(record.training_id)) == 3

    def test_an_exit_keeps_what_was_saved(self, engine: Engine, sample: SampleRecord) -> None:
        """It is a failure, and the record names the checkpoint."""
        record = self.train(engine, sample, end="exit").wait(DEADLINE)
        assert record.status is TaskStatus.FAILED, record.log
        assert record.error is not None
        assert record.error.code != "worker_crashed"
        assert len(record.output_checkpoint_ids) == 1

    @pytest.mark.parametrize("rung", ["flag", "exception"])
    def test_a_stop_keeps_what_was_saved(self, engine: Engine, sample: SampleRecord, rung: str) -> None:
        """Until then metrics, state, progress and checkpoints are seen as they come."""
        if self.blocks:
            pytest.skip("who submits waits for the end")
        handle = self.train(engine, sample, end=rung)
        until(lambda: "begun" in handle.log, "it began")
        until(lambda: handle.record.state == {"total": 5.0, "from": 10}, "its state was seen")
        until(lambda: len(handle.metrics()) >= 3, "its metrics were seen")
        until(lambda: len(handle.checkpoints) == 1, "its checkpoint was seen")
        until(lambda: handle.progress == 0.5, "its progress was seen")
        handle.stop()
        record = handle.wait(DEADLINE)
        assert (record.status, record.stopped_by) == (TaskStatus.STOPPED, rung), record.log
        assert len(record.output_checkpoint_ids) == 1
        assert record.error is None

    def test_a_time_limit_keeps_what_was_saved(self, engine: Engine, sample: SampleRecord) -> None:
        """The training is FAILED with `timed_out`."""
        record = self.train(engine, sample, end="flag", timeout_s=3).wait(DEADLINE)
        assert record.error is not None
        assert (record.status, record.error.code) == (TaskStatus.FAILED, "timed_out"), record.log
        assert len(record.output_checkpoint_ids) == 1
