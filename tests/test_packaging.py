"""What is shipped to those who install the distribution."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"compox_core", "compox_http", "compox_cli"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names of the files in a wheel of this tree."""
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (built,) = target.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        return archive.namelist()


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel: list[str]) -> None:
    """Tests, documentation and templates are not installed into anybody's site-packages."""
    tops = {name.partition("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES


def test_the_wheel_holds_every_module_and_the_type_marker(wheel: list[str]) -> None:
    """Nothing of the source tree is left out, and type checkers use the annotations."""
    source = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src").rglob("*")
        if path.is_file() and path.suffix != ".pyc" and path.relative_to(ROOT / "src").parts[0] in PACKAGES
    }
    assert source <= set(wheel)
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(wheel)


def test_the_wheel_holds_the_licence(wheel: list[str]) -> None:
    """The terms travel with the code."""
    assert any(name.endswith("/licenses/LICENSE") for name in wheel)


def test_the_commands_start() -> None:
    """Each installed command names something that can be called."""
    commands = {point.name: point for point in distribution("compox-core").entry_points}
    assert set(commands) == {"compox", "compox-cli", "compox-http"}
    assert all(callable(point.load()) for point in commands.values())
