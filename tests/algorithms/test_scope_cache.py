"""The folder of extracted modules: deleted, damaged, unwritable, shared; and children that import from it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import compox_core as cx
from compox_core.algorithms.loading import load_version
from compox_core.algorithms.scope.finder import installed_finder
from tests.engine.authors import image_runner, write_algorithm

IMAGE = np.zeros((3, 4), np.float32)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COMPOX_MODULE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def algorithm(folder: Path, files: dict[str, str | bytes] | None = None, body: str = "return data") -> Path:
    return write_algorithm(
        folder / "algorithm", image_runner(body, "import helpers"), files=files or {"helpers.py": ""}
    )


def forget(cache: Path) -> Path:
    """Make this process forget the one extracted module, as a new process would not know it; return its folder."""
    (folder,) = cache.glob("a_*")
    installed_finder().forget(folder.name)
    return folder


@pytest.mark.parametrize("damage", ["one file", "a cut file", "everything", "the manifest"])
def test_a_damaged_cache_is_extracted_anew(damage: str, tmp_path: Path, cache: Path) -> None:
    """What a cleaner of temporary folders took comes back with the next process."""
    engine = cx.Engine(tmp_path / "store")
    version = engine.deploy(algorithm(tmp_path)).version
    load_version(engine.store, version)
    folder = forget(cache)
    if damage == "everything":
        shutil.rmtree(cache)
    elif damage == "a cut file":
        (folder / "Runner.py").write_text("")
    else:
        (folder / {"one file": "helpers.py", "the manifest": ".files.json"}[damage]).unlink()
    assert load_version(engine.store, version).__name__ == "Runner"
    assert sorted(path.name for path in cache.iterdir()) == [folder.name]
    engine.close()


def test_a_whole_cache_is_used_as_it_is(tmp_path: Path, cache: Path) -> None:
    """A later process reads the module from no store."""
    engine = cx.Engine(tmp_path / "store")
    version = engine.deploy(algorithm(tmp_path)).version
    load_version(engine.store, version)
    folder = forget(cache)
    before = (folder / "Runner.py").stat().st_ino
    engine.store.delete("module-store", version.module.key)
    assert load_version(engine.store, version).__name__ == "Runner"
    assert (folder / "Runner.py").stat().st_ino == before
    engine.close()


def test_an_unusable_cache_names_the_folder_and_the_variable(tmp_path: Path, cache: Path) -> None:
    """The run says what to set."""
    cache.write_text("a file, not a folder")
    with cx.Engine("memory://") as engine:
        engine.deploy(algorithm(tmp_path))
        record = engine.submit("sample", IMAGE).wait(20)
    assert record.error is not None
    assert record.error.code == "module_cache_unusable"
    assert str(cache) in record.error.message
    assert "COMPOX_MODULE_CACHE" in record.error.message


@pytest.mark.skipif(os.name != "posix", reason="owners are a matter of POSIX")
def test_a_cache_of_another_user_is_not_executed(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the module lies in it already."""
    engine = cx.Engine("memory://")
    version = engine.deploy(algorithm(tmp_path)).version
    load_version(engine.store, version)
    forget(cache)
    os.chown(cache, 12345, -1) if os.getuid() == 0 else monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(cx.AlgorithmError) as caught:
        load_version(engine.store, version)
    assert caught.value.code == "module_cache_not_private"
    engine.close()


def test_processes_that_extract_at_a_time_share_the_result(tmp_path: Path, cache: Path) -> None:
    """Each of several processes that start at once runs the algorithm; nothing is left beside the module."""
    with cx.Engine(tmp_path / "store") as engine:
        engine.deploy(algorithm(tmp_path))
    code = """
        import sys, numpy, compox_core as cx
        engine = cx.Engine(sys.argv[1])
        print(float(engine.run("sample", numpy.ones((3, 4), "f4"), progress=False)[0, 0]))
        engine.close()
    """
    children = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "store")],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(4)
    ]
    assert [child.communicate(timeout=120)[0].strip() for child in children] == ["1.0"] * 4
    assert len(list(cache.iterdir())) == 1


def test_a_spawned_pool_of_a_deployed_algorithm_works_in_a_script(tmp_path: Path, cache: Path) -> None:
    """Children that start from nothing import the algorithm's own modules, and do not run the script again."""
    body = """
        import multiprocessing
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            return data + sum(pool.map(helpers.double, [1, 2]))
    """
    files: dict[str, str | bytes] = {
        "helpers.py": "from pkg.factor import FACTOR\ndef double(x):\n    return FACTOR * x\n",
        "pkg/factor.py": "FACTOR = 2\n",
    }
    folder = algorithm(tmp_path, files, textwrap.dedent(body))
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
            import numpy, compox_core as cx
            if __name__ == "__main__":
                with cx.Engine("memory://") as engine:
                    engine.deploy({str(folder)!r})
                    print(float(engine.run("sample", numpy.zeros((3, 4), "f4"), progress=False)[0, 0]))
        """)
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=120)
    assert (done.stdout.strip(), done.returncode) == ("6.0", 0), done.stderr
