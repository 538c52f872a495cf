"""What all tests share: fixtures of servers and disks, how hypothesis judges time, a folder for logs."""

from collections.abc import Iterator

import hypothesis
import pytest

pytest_plugins = ["tests.disks", "tests.servers"]

# How long an example takes says how busy the machine is; the first text on a fresh one takes seconds.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Emergency records of tests lie apart from those of the user who runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield
