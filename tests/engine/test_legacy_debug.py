"""Scripts of compox 3.2 that debug an algorithm go on working."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from compox_core.engine.legacy_debug import LocalDebugSession, app, build_params_dict, debug, debug_run
from compox_core.errors import NotFoundError
from tests.engine.authors import image_runner, write_algorithm

COINS = skimage.data.coins()


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COMPOX_MODULE_CACHE", str(tmp_path / "modules"))
    monkeypatch.chdir(tmp_path)
    write_algorithm(tmp_path / "a", image_runner("return data + args.get('step', 1)"))
    Image.fromarray(COINS).save(tmp_path / "coins.png")
    return tmp_path


def test_debug_runs_a_folder() -> None:
    """With the names of its arguments as they were; outputs come back."""
    np.testing.assert_array_equal(debug(algo_dir="a", data="coins.png", params={"step": 3}, device="cpu"), COINS + 3)
    np.testing.assert_array_equal(debug_run("coins.png", "a", param=["step=4"]), COINS + 4)
    assert build_params_dict(["a=1", "b=x"]) == {"a": 1, "b": "x"}
    assert build_params_dict(None) == {}


def test_a_guarded_app_reads_a_command_line(workplace: Path) -> None:
    """With and without the word `run`, and it writes what it made."""
    app(["run", "--algo", "a", "--data", "coins.png", "-p", "step=2"])
    assert (workplace / "debug_output" / "debug.png").is_file()
    app(["--algo", "a", "--data", "coins.png", "--out", "elsewhere", "--device", "cpu"])
    assert (workplace / "elsewhere" / "coins_output.tif").is_file()


def test_an_app_that_fails_says_why_in_its_exit() -> None:
    """A wrong command line and a failing algorithm end with a message, not with a traceback of ours."""
    with pytest.raises(SystemExit) as usage:
        app(["run"])
    assert usage.value.code == 2
    with pytest.raises(SystemExit, match=r"Error: .*nothing"):
        app(["--algo", "a", "--data", "nothing.png"])


def test_a_session_runs_one_algorithm_after_the_other(workplace: Path) -> None:
    """Outputs of one run are inputs of the next, as often as wanted."""
    write_algorithm(workplace / "b", image_runner("return data // 2"), name="other")
    session = LocalDebugSession(task_id="mine", device="cpu", tmp_bucket="data-store")
    inputs = session.load_data("coins.png")
    first = session.run("a", inputs, {"step": 10})
    second = session.run("b", first)
    again = session.run("a", inputs)
    assert len({*inputs, *first, *second, *again}) == 4
    np.testing.assert_array_equal(session.read(second[0])["image"], (COINS + 10) // 2)
    np.testing.assert_array_equal(session.read(again[0])["image"], COINS + 1)
    with pytest.raises(NotFoundError):
        session.run("a", ["unknown"])


def test_a_session_loads_stacks_and_folders(workplace: Path) -> None:
    """One id an image."""
    session = LocalDebugSession()
    assert len(session.load_data(np.stack([COINS] * 4))) == 4
    assert len(session.load_data(workplace)) == 1


def test_importing_it_loads_no_parser_and_no_torch() -> None:
    """Old algorithms import these names at the top of Runner.py, on a server too."""
    code = (
        "import sys, compox_core.engine.legacy_debug\n"
        "print([name for name in ('click', 'rich', 'argparse', 'torch', 'PIL', 'tifffile') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert set(done.stdout.strip(" []\n").replace("'", "").split(", ")) <= {"", "argparse"}
