"""Trainings that travel through a broker to a worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from compox_core.engine import Engine
from compox_core.records import TaskStatus
from tests.brokers import Broker
from tests.celery.site import Site, until
from tests.contracts.trainings import PARAMETERS, RUNNER, TrainingContract
from tests.engine.authors import write_algorithm

pytestmark = [pytest.mark.broker, pytest.mark.slow]


@pytest.fixture(scope="module")
def site(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One worker, with one process."""
    site = Site(tmp_path_factory.mktemp("site"), broker)
    site.work()
    yield site
    site.close()


class TestCelery(TrainingContract):
    """On a worker of its own for each broker."""

    @pytest.fixture
    def engine(self, site: Site) -> Iterator[Engine]:
        with site.server() as engine:
            yield engine


def test_a_killed_worker_leaves_its_checkpoints(broker: Broker, tmp_path: Path) -> None:
    """The record is FAILED with `worker_lost` and names them; another worker goes on from the last."""
    site = Site(tmp_path / "site", broker)
    doomed = site.work()
    try:
        with site.server() as engine:
            files = {"weights.bin": b"10"}
            engine.deploy(write_algorithm(tmp_path / "a", RUNNER, name="trained", extra=PARAMETERS, files=files))
            sample = engine.samples.create({"input": {"image": [[2.0]]}})
            handle = engine.train("trained", sample, end="flag")
            until(lambda: handle.record.output_checkpoint_ids, "its checkpoint was seen")
            doomed.kill()
            site.work()
            record = handle.wait(120)
            assert record.error is not None
            assert (record.status, record.error.code) == (TaskStatus.FAILED, "worker_lost"), record.log
            [last] = handle.checkpoints
            [later] = engine.train("trained", sample, checkpoint=last).result(120)
            assert later.parent_checkpoint_id == last.checkpoint_id
    finally:
        site.close()
