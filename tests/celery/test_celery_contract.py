"""Jobs that travel through a broker to a worker keep the contract of every executor."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from compox_core.engine import Engine
from tests.brokers import Broker
from tests.celery.site import Site
from tests.contracts.executor import ExecutorContract

pytestmark = [pytest.mark.broker, pytest.mark.slow]


@pytest.fixture(scope="module")
def site(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One worker, with one process."""
    site = Site(tmp_path_factory.mktemp("site"), broker)
    site.work()
    yield site
    site.close()


class TestCelery(ExecutorContract):
    """On a worker of its own for each broker."""

    sessions = False

    @pytest.fixture
    def engine(self, site: Site) -> Iterator[Engine]:
        with site.server() as engine:
            yield engine
