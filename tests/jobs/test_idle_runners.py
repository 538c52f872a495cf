"""A loaded algorithm that nobody uses for a while is unloaded by the process that has it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from compox_core.data import ImageSchema
from compox_core.engine import Engine
from compox_core.records import ExecutionRequest, TaskStatus
from compox_core.settings import load_settings
from tests.engine.authors import write_algorithm

DEADLINE = 60.0
RUNNER = """
from pathlib import Path
from compox_core.runners import Image2ImageRunner


class Model:
    def __init__(self, path):
        self.path = path

    def __del__(self):
        self.path.write_text("unloaded")


class Runner(Image2ImageRunner):
    def load_assets(self):
        self.model = Model(Path({path!r}))

    def inference(self, data, args):
        return data
"""


@pytest.fixture(params=["threads", "processes"])
def engine(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setenv("COMPOX_MODULE_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr("compox_core.tasks.live.FINISHED_SECONDS", 0.5)  # how often an idle engine looks after things
    settings = {
        "storage": {"backend_settings": {"path": str(tmp_path / "store")}},
        "inference": {"backend_settings": {"executor": request.param}, "runner_idle_seconds": 0.5},
    }
    with Engine(load_settings(settings)) as engine:
        yield engine


def test_an_idle_model_is_unloaded(engine: Engine, tmp_path: Path) -> None:
    """While its process lives on; the next run loads it again."""
    unloaded = tmp_path / "unloaded"
    runner = write_algorithm(tmp_path / "algorithm", RUNNER.format(path=str(unloaded)))
    algorithm = engine.deploy(runner).record.algorithm_id
    image = engine.files.save({"image": np.zeros((2, 2), np.float32)}, ImageSchema)

    def run() -> str:
        request = ExecutionRequest(algorithm_id=algorithm, input_dataset_ids=[image])
        record = engine.executions.wait(engine.executions.submit(request).execution_id, DEADLINE)
        assert record.status is TaskStatus.COMPLETED, record.log
        return record.log

    run()
    deadline = time.monotonic() + DEADLINE
    while not unloaded.exists():
        assert time.monotonic() < deadline, "the model was never unloaded"
        time.sleep(0.05)
    assert "Loaded sample" in run()
