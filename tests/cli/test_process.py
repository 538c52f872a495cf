"""The installed command, in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import compox_core as cx
from tests.cli.conftest import Shell
from tests.cli.terminal import in_terminal
from tests.engine.authors import image_runner, write_algorithm

SCRIPTS = Path(sys.executable).parent
COMMAND = SCRIPTS / ("compox-cli.exe" if os.name == "nt" else "compox-cli")
TIMEOUT = 120


def call(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, *words], capture_output=True, text=True, timeout=TIMEOUT)


def test_from_a_folder_to_a_file(scaling: Path, coins: Path, home: Path) -> None:
    """Deploy, list, run and remove work from a shell, one process after the other."""
    store = ("--store", home / "here")
    assert call("deploy", scaling, *store).stdout == "Deployed scaling 1.0\n"
    assert "scaling" in call("list", *store).stdout
    done = call("run", "scaling", coins, "-o", "out.tif", *store)
    assert (done.returncode, done.stdout) == (0, "out.tif\n")
    assert (home / "out.tif").stat().st_size > 303 * 384
    assert call("remove", "scaling", "--yes", *store).returncode == 0
    assert call("show", "scaling", *store).returncode == 1


def test_an_engine_elsewhere_sees_a_deploy_from_the_shell(scaling: Path, home: Path) -> None:
    """An engine that is open in another process runs what a shell deployed meanwhile."""
    with cx.Engine(home / "here") as engine:
        assert list(engine.algorithms) == []
        call("deploy", scaling, "--store", home / "here")
        assert [record.name for record in engine.algorithms] == ["scaling"]


def test_native_output_stays_off_stdout(shell: Shell, home: Path, coins: Path) -> None:
    """Also what native code writes to the file descriptor goes to stderr."""
    body = "import os; os.write(1, b'native'); print('python'); return data"
    shell("deploy", write_algorithm(home / "loud", image_runner(body), name="loud"), "--store", "here")
    done = call("run", "loud", coins, "--store", "here", "--json")
    assert json.loads(done.stdout)["execution"]["status"] == "COMPLETED"
    assert "native" in done.stderr and "python" in done.stderr


OBEDIENT = "self.set_progress(0.5); time.sleep(0.01)"
BUSY = "time.sleep(0.01)"
DEAF = "time.sleep(600)"

# A shell starts what it puts into the background with SIGINT ignored, and so would be what pytest starts from there.
LISTENING = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize(("step", "rung"), [(OBEDIENT, "flag"), (BUSY, "exception"), (DEAF, "abandoned")])
def test_ctrl_c_ends_the_run(shell: Shell, home: Path, coins: Path, step: str, rung: str) -> None:
    """The exit code is 130 and no output is there; an algorithm that cannot be ended is left behind after a while."""
    body = f"open('started', 'w').close()\nwhile True:\n    {step}"
    shell("deploy", write_algorithm(home / "endless", image_runner(body), name="endless"), "--store", "here")
    command = [sys.executable, "-c", LISTENING, COMMAND, "run", "endless", coins, "--store", "here"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + TIMEOUT
    while not (home / "started").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130
    assert "Stopping the task" in said and "Traceback" not in said
    with cx.Engine(home / "here") as engine:
        assert [(record.status, record.stopped_by) for record in engine.executions.list()] == [("STOPPED", rung)]
    assert not (home / "coins_endless.tif").exists()


def test_help_is_quick_and_loads_little() -> None:
    """The parser starts without arrays, HDF5, tables and servers."""
    code = (
        "import sys, compox_cli.commands\n"
        "print([name for name in ('numpy', 'h5py', 'rich', 'litestar', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT, check=True)
    assert done.stdout.strip() == "[]"


def test_without_click_the_message_names_the_extra() -> None:
    """A bare installation says what to install, without a traceback."""
    code = "import sys; sys.modules['click'] = None\nfrom compox_cli.main import main\nmain()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 1
    assert done.stderr.strip() == 'Error: the command line needs click: run pip install "compox-core[cli]".'


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_a_terminal_gets_a_bar_and_a_question(shell: Shell, scaling: Path, home: Path, coins: Path) -> None:
    """In a terminal the progress is drawn, and a removal asks."""
    shell("deploy", scaling, "--store", "here")
    code, shown = in_terminal(COMMAND, "run", "scaling", coins, "--store", "here")
    assert code == 0
    assert "━" in shown and "100%" in shown and "coins_scaling.tif" in shown
    code, shown = in_terminal(COMMAND, "remove", "scaling", "--store", "here", keys="n\n")
    assert code == 1
    assert "Remove scaling 1?" in shown and "Nothing was removed." in shown
    code, shown = in_terminal(COMMAND, "remove", "scaling", "--store", "here", keys="y\n")
    assert code == 0
    assert "Removed scaling 1." in shown
