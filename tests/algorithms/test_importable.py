"""The import check in a process of its own."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from compox_core.algorithms.importable import check_importable
from compox_core.algorithms.packing import open_package
from compox_core.errors import PackageError
from tests.algorithms.folders import RUNNER, write_folder


def refused(root: Path, timeout_s: float = 60.0) -> PackageError:
    with pytest.raises(PackageError) as caught:
        check_importable(root, timeout_s)
    assert caught.value.code == "algorithm_module_import_check_failed"
    assert caught.value.details["output"] in str(caught.value)
    return caught.value


def test_what_imports_is_silent(tmp_path: Path) -> None:
    """An algorithm with a module of its own and old names imports, and leaves no bytecode in its folder."""
    runner = "from pkg.a import A\nfrom compox.algorithm_utils.Image2ImageRunner import Image2ImageRunner\n" + RUNNER
    root = write_folder(tmp_path, {"Runner.py": runner, "pkg/a.py": "A = 1"})
    check_importable(root)
    assert not list(root.rglob("__pycache__"))


@pytest.mark.parametrize(
    ("top", "said"),
    [
        ("import a_library_that_nobody_has", "No module named 'a_library_that_nobody_has'"),
        ("raise ValueError('no weights')", "ValueError: no weights"),
        ("import sys; print('last words'); sys.exit(3)", "last words"),
        ("import os; os._exit(7)", "exit status 7"),
        ("x = 1 / 0", "ZeroDivisionError"),
    ],
)
def test_the_end_of_the_output_is_told(top: str, said: str, tmp_path: Path) -> None:
    """The error holds what the import printed last, the author's own line among it."""
    error = refused(write_folder(tmp_path, {"Runner.py": f"{top}\n{RUNNER}"}))
    assert said in str(error)
    if "os._exit" not in top:
        assert "Runner.py" in str(error)


def test_a_long_output_is_cut(tmp_path: Path) -> None:
    """Only the end is kept, since that has the reason."""
    error = refused(write_folder(tmp_path, {"Runner.py": f"print('x' * 100000)\nraise ValueError('why')\n{RUNNER}"}))
    assert "ValueError: why" in str(error) and len(str(error)) < 5000


def test_an_import_that_never_ends_is_ended(tmp_path: Path) -> None:
    """After the time limit the child and its own children are gone."""
    mark = tmp_path / "pid"
    top = (
        "import subprocess, sys, time, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"pathlib.Path({str(mark)!r}).write_text(str(child.pid))\n"
        "print('waiting', flush=True)\ntime.sleep(600)\n"
    )
    error = refused(write_folder(tmp_path / "root", {"Runner.py": top + RUNNER}), timeout_s=5)
    assert "it took more than 5 seconds" in str(error)
    if os.name == "posix" and mark.exists():
        for _ in range(100):
            if not alive(int(mark.read_text())):
                return
            time.sleep(0.05)
        pytest.fail("the child of the child lives")


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    if status.parent.parent.is_dir() and Path("/proc/self/stat").exists():
        return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_grandchild_that_stays_delays_nothing(tmp_path: Path) -> None:
    """What an import leaves running does not hold up the deploy."""
    top = "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    root = write_folder(tmp_path, {"Runner.py": top + RUNNER})
    check_importable(root, 120)  # else the time limit would pass


@pytest.mark.parametrize("options", ["obfuscate = true", "pyc_only = true", "obfuscate = false"])
def test_a_deploy_checks_what_it_stores(options: str, tmp_path: Path) -> None:
    """With `check_importable` the module is imported as it was minified or compiled."""
    files = {"pkg/a.py": "A = 1", "Runner.py": "from pkg.a import A\n" + RUNNER}
    with open_package(write_folder(tmp_path / "1", files, options=f"{options}\ncheck_importable = true")):
        pass
    broken = write_folder(tmp_path / "2", {"Runner.py": "from pkg import A\n" + RUNNER}, options=options)
    with open_package(broken):
        pass  # nobody asked
    checked = write_folder(
        broken, {"Runner.py": "import pkg_x\n" + RUNNER}, options=f"{options}\ncheck_importable=true"
    )
    with pytest.raises(PackageError) as caught, open_package(checked):
        pass
    assert caught.value.code == "algorithm_module_import_check_failed" and "pkg_x" in str(caught.value)
