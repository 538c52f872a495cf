"""What trainings have saved outlives their server and their worker processes."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from compox_core.engine import Engine
from compox_core.records import TaskStatus
from compox_http.client import Client
from tests.http.learner import write_learner
from tests.http.test_serve import running
from tests.http.test_survival import CONFIG, DEADLINE, alive, until

pytestmark = pytest.mark.slow


def site(folder: Path, retry: int) -> Path:
    """Make a store with the algorithm that learns, and return the configuration of servers for it."""
    config = folder / "compox.yaml"
    config.write_text(CONFIG.format(store=folder / "store"), encoding="utf-8")
    with Engine(folder / "store") as engine:
        engine.deploy(write_learner(folder / "learner", extra=f"retry = {retry}"))
    return config


@pytest.mark.parametrize("retry", [0, 1])
def test_kill_9_in_the_middle_keeps_checkpoints(retry: int, tmp_path: Path) -> None:
    """The next server lists the checkpoints and the metrics so far. The training is FAILED with the reason, and another
    one goes on from the last checkpoint; or it begins again where the algorithm says so. What waited completes."""
    config, gate = site(tmp_path, retry), tmp_path / "go"
    with running(["--config", str(config)]) as (server, url), Client(url) as client:
        handle = client.train("learner", [], steps=4, wait_at=1, gate=str(gate))
        behind = client.train("learner", [], steps=1)
        until(lambda: handle.progress == 0.5, "the second step")
        until(lambda: stored(tmp_path, handle.id) == 2, "its metrics in the store")
        saved = [each.checkpoint_id for each in handle.checkpoints]
        assert len(saved) == 2
        children = psutil.Process(server.pid).children(recursive=True)
        server.kill()
        server.wait(30)
        until(lambda: not alive(children), "the end of the worker processes, whose parent is dead")
    gate.touch()
    with running(["--config", str(config)]) as (_, url), Client(url) as client:
        record = client.trainings.wait(handle.id, DEADLINE)
        assert record.output_checkpoint_ids[:2] == saved
        assert [client.checkpoints.get(each).properties["step"] for each in saved] == [0, 1]
        losses = client.trainings.metrics(handle.id).values("loss")
        assert losses[:2] == [1.0, 0.5]
        if retry:
            assert (record.status, record.attempt) == (TaskStatus.COMPLETED, 2)
            assert losses[2:] == [1.0, 0.5, 1 / 3, 0.25]
            assert len(record.output_checkpoint_ids) == 6
        else:
            assert record.error is not None and len(losses) == 2
            assert (record.status, record.error.code) == (TaskStatus.FAILED, "worker_lost")
        more = client.train("learner", [], checkpoint=saved[-1], steps=1)
        [child] = more.result(DEADLINE, progress=False)
        assert child.parent_checkpoint_id == saved[-1]
        assert client.trainings.wait(behind.id, DEADLINE).status is TaskStatus.COMPLETED


def stored(folder: Path, training_id: str) -> int:
    """Return how many points of a training's metric history are in the store."""
    with Engine(folder / "store") as engine:
        return engine.trainings.metrics_count(training_id)
