"""Sites with a broker each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.brokers import BROKERS, Broker, started


@pytest.fixture(scope="module", params=list(BROKERS))
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker of the module's own."""
    broker = started(request.param, tmp_path_factory.mktemp(request.param))
    yield broker
    broker.kill()


@pytest.fixture(scope="module", autouse=True)
def module_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Workers extract modules apart from those of the user who runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMPOX_MODULE_CACHE", str(tmp_path_factory.mktemp("modules")))
        yield
