"""What all tests share: fixtures of servers and disks, how hypothesis judges time, a folder for logs."""

import os
import shutil
from collections.abc import Iterator

import hypothesis
import pytest

pytest_plugins = ["tests.disks", "tests.servers"]

# How long an example takes says how busy the machine is; the first text on a fresh one takes seconds.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")


LONG = ("docs", "demo", "cli", "jobs")
"""Folders whose files take long, each in a process of its own."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the files that take long, so that no process has one left when the others are through."""
    _leave_out_doubles(config, items)
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, item.path.parent.name not in LONG))


def _leave_out_doubles(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where there is a real S3 server, leave out what would be the same on the one that stands in for it."""
    if not (os.environ.get("COMPOX_TEST_S3_ENDPOINT") or shutil.which("radosgw")):
        return
    names = {item.nodeid for item in items}
    doubled = [
        item for item in items if "moto" in item.nodeid and item.nodeid.replace("moto", "ceph") in names - {item.nodeid}
    ]
    if doubled:
        config.hook.pytest_deselected(items=doubled)
        items[:] = [item for item in items if item not in set(doubled)]


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Emergency records of tests lie apart from those of the user who runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield
