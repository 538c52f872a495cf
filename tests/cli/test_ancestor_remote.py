"""The commands of `compox` that ask a server: bodies on stdout, errors on stderr, codes that tell the truth."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compox_core.engine import Engine
from compox_core.errors import NotFoundError
from compox_core.records import AlgorithmRecord
from compox_core.storage import DEPLOYS
from tests.cli.conftest import Shell
from tests.engine.authors import image_runner, write_algorithm
from tests.http.serving import ENDLESS, served
from tests.http.serving import write_algorithm as write_served

RETURNS = image_runner("return data")


@pytest.fixture
def mine(home: Path) -> Path:
    """An algorithm in the folder from which the server deploys."""
    return write_algorithm(home / "allowed" / "mine", RETURNS, name="mine", version="1.4", extra="removable = true")


@pytest.fixture
def engine(home: Path) -> Iterator[Engine]:
    """An engine with one worker thread, which deploys from the folder `allowed`."""
    settings = {
        "deploy": {"allowed_roots": [str(home / "allowed")]},
        "storage": {"backend_settings": {"provider": "local", "path": str(home / "store")}},
        "inference": {"backend_settings": {"executor": "threads", "worker_number": 1}},
    }
    engine = Engine(settings)
    yield engine
    engine.close(wait=False)


@pytest.fixture
def server(engine: Engine, home: Path) -> Iterator[list[str]]:
    """The words that name a server of that engine, without its scheme and with a slash."""
    with served(engine) as url:
        yield ["--server-url", url.removeprefix("http://") + "/"]


def bodies(text: str) -> list[dict[str, Any]]:
    """Return the bodies that were printed, one a line."""
    return [json.loads(line) for line in text.splitlines()]


# -- deploy-local ---------------------------------------------------------------------------------------------------


def test_a_deploy_prints_the_answer(old_shell: Shell, server: list[str], engine: Engine, mine: Path) -> None:
    """A relative path is one of here; name, major and flags of the command line win over the package's."""
    done = old_shell("deploy-local", "allowed/mine", *server)
    assert (done.exit_code, done.stderr) == (0, "")
    assert bodies(done.stdout) == [
        {
            "algorithm_id": engine.algorithms.get("mine", 1).algorithm_id,
            "algorithm_name": "mine",
            "algorithm_major_version": "1",
            "algorithm_minor_version": "4",
        }
    ]
    words = ["--algorithm-name", "other", "--algorithm-major-version", "3", "--removable", "No", "--exportable", "0"]
    assert old_shell("deploy-local", mine, *words, *server).exit_code == 0
    record = engine.algorithms.get("other", 3)
    assert (record.minors, record.removable, record.exportable) == ([4], False, False)


def test_a_refused_deploy_is_a_failure(old_shell: Shell, server: list[str], home: Path, mine: Path) -> None:
    """The body goes to stdout, what it says to stderr, and the exit code is 1: outside, missing and broken paths."""
    write_algorithm(home / "outside", RETURNS)
    (mine / "Runner.py").write_text("def broken(:", "utf-8")
    for path, code in (
        (home / "outside", "deploy_path_not_allowed"),
        (home / "allowed" / "none", "deploy_path_not_found"),
        (mine, "algorithm_module_create_failed"),
    ):
        for words in ([], ["--async"]):
            done = old_shell("deploy-local", path, *words, *server)
            assert done.exit_code == 1
            (body,) = bodies(done.stdout)
            assert body["code"] == code
            assert body["detail"] in done.stderr and "Traceback" not in done.stderr


def test_a_queued_deploy_is_followed(old_shell: Shell, server: list[str], engine: Engine, mine: Path) -> None:
    """Every poll's body is printed until the deploy has ended."""
    done = old_shell("deploy-local", mine, "--async", "--poll-interval-s", "0.01", *server)
    assert done.exit_code == 0
    first, *polls = bodies(done.stdout)
    assert list(first) == ["deploy_id"]
    assert {poll["deploy_id"] for poll in polls} == {first["deploy_id"]}
    assert polls[-1]["status"] == "COMPLETED" and polls[-1]["algorithm_name"] == "mine"
    assert all(poll["status"] in ("PENDING", "STARTED", "RUNNING") for poll in polls[:-1])
    assert "Following" in done.stderr
    assert engine.algorithms.get("mine", 1).minors == [4]


def test_a_queued_deploy_need_not_be_followed(old_shell: Shell, server: list[str], engine: Engine, mine: Path) -> None:
    """--no-poll prints the id and ends."""
    done = old_shell("deploy-local", mine, "--async", "--no-poll", *server)
    assert (done.exit_code, done.stderr) == (0, "")
    (body,) = bodies(done.stdout)
    assert engine.deploys.wait(body["deploy_id"], 30).status == "COMPLETED"


def test_a_queued_deploy_that_fails_is_a_failure(server: list[str], engine: Engine, home: Path, mine: Path) -> None:
    """Its package goes while it waits behind a run, so that the job has nothing to deploy."""
    engine.deploy(write_served(home / "endless", "endless", ENDLESS, kind="Generic"))
    busy = engine.submit("endless", {"data": 1.0})
    words = [sys.executable, "-c", "from compox_cli.main import compox; compox()", "deploy-local", mine, "--async"]
    with subprocess.Popen([*words, *server], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        record = engine.deploys.get(json.loads(process.stdout.readline())["deploy_id"])
        engine.store.delete(DEPLOYS, record.package_key)
        busy.stop()
        out, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert bodies(out)[-1]["status"] == "FAILED"
    assert "ended FAILED" in err and "Traceback" not in err


def test_a_queued_deploy_that_takes_too_long_is_a_failure(
    old_shell: Shell, server: list[str], engine: Engine, home: Path, mine: Path
) -> None:
    """It goes on: only who waited for it gives up."""
    engine.deploy(write_served(home / "endless", "endless", ENDLESS, kind="Generic"))
    busy = engine.submit("endless", {"data": 1.0})
    done = old_shell("deploy-local", mine, "--async", "--timeout-s", "0", *server)
    assert done.exit_code == 1
    deploy_id = bodies(done.stdout)[0]["deploy_id"]
    assert "after 0 s" in done.stderr and deploy_id in done.stderr
    busy.stop()
    assert engine.deploys.wait(deploy_id, 30).status == "COMPLETED"


# -- delete-algorithm -----------------------------------------------------------------------------------------------


def test_one_minor_version_is_deleted_or_all(old_shell: Shell, server: list[str], engine: Engine, mine: Path) -> None:
    """The answer is printed as the server gave it; case does not count."""
    engine.deploy(mine)
    (mine / "Runner.py").write_text(image_runner("return data * 2"), "utf-8")
    engine.deploy(mine)
    done = old_shell("delete-algorithm", "MINE", "1", "--algorithm-minor-version", "4", *server)
    assert (done.exit_code, done.stdout) == (0, '{"detail":"Algorithm minor version 4 removed"}\n')
    assert engine.algorithms.get("mine").minors == [5]
    done = old_shell("delete-algorithm", "mine", "1", *server)
    assert (done.exit_code, done.stdout, done.stderr) == (0, '{"detail":"Algorithm removed"}\n', "")
    with pytest.raises(NotFoundError):
        engine.algorithms.get("mine")


def test_a_refused_deletion_is_a_failure(old_shell: Shell, server: list[str], engine: Engine, mine: Path) -> None:
    """No such name, no such minor version, and an algorithm that is not removable."""
    engine.deploy(mine, removable=False)
    engine.deploy(mine, name="free")
    for words, code in (
        (["none", "1"], "algorithm_not_found"),
        (["mine", "9"], "algorithm_not_found"),
        (["mine", "1"], "algorithm_not_removable"),
        (["free", "1", "--algorithm-minor-version", "77"], "minor_version_not_found"),
    ):
        done = old_shell("delete-algorithm", *words, *server)
        assert done.exit_code == 1
        (body,) = bodies(done.stdout)
        assert body["code"] == code
        assert body["detail"] in done.stderr and "Traceback" not in done.stderr
    assert {record.name for record in engine.algorithms} == {"mine", "free"}


# -- export-algorithm -----------------------------------------------------------------------------------------------


def content(record: AlgorithmRecord) -> tuple[str, list[int]]:
    """Return what must not change when an export is deployed again."""
    return record.algorithm_id, record.minors


def test_an_export_deploys_again(old_shell: Shell, server: list[str], engine: Engine, home: Path, mine: Path) -> None:
    """The zip has the name that was typed, lies where it was asked for, and is the package as it was."""
    engine.deploy(mine)
    before = content(engine.algorithms.get("mine"))
    done = old_shell("export-algorithm", "mine", "1", *server)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "Saved: mine_1.zip\n", "")
    (home / "out").mkdir()
    done = old_shell("export-algorithm", "Mine", "1", "--output-dir", "out", "--algorithm-minor-version", "4", *server)
    assert (done.exit_code, done.stdout) == (0, f"Saved: {Path('out', 'Mine_1.zip')}\n")
    assert (home / "out" / "Mine_1.zip").read_bytes() == (home / "mine_1.zip").read_bytes()
    assert sorted(zipfile.ZipFile("mine_1.zip").namelist()) == ["Runner.py", "pyproject.toml"]
    (home / "mine_1.zip").rename(home / "allowed" / "mine_1.zip")
    assert old_shell("deploy-local", home / "allowed" / "mine_1.zip", *server).exit_code == 0
    assert content(engine.algorithms.get("mine")) == before


def test_a_refused_export_leaves_no_file(
    old_shell: Shell, server: list[str], engine: Engine, home: Path, mine: Path
) -> None:
    """Nothing is saved, and what was there stays."""
    engine.deploy(mine, exportable=False)
    engine.deploy(mine, name="free")
    (home / "mine_1.zip").write_bytes(b"earlier")
    before = sorted(home.iterdir())
    for words, says in (
        (["none", "1"], "There is no algorithm"),
        (["mine", "1"], "may not be exported"),
        (["free", "1", "--algorithm-minor-version", "77"], "no minor version"),
        (["free", "1", "--checkpoint-id", "none"], "no checkpoint"),
        (["free", "one"], "major"),
    ):
        done = old_shell("export-algorithm", *words, *server)
        assert (done.exit_code, done.stdout) == (1, "")
        assert says in done.stderr and "Traceback" not in done.stderr
    assert sorted(home.iterdir()) == before
    assert (home / "mine_1.zip").read_bytes() == b"earlier"


def test_an_export_that_cannot_be_written_is_a_failure(
    old_shell: Shell, server: list[str], engine: Engine, home: Path, mine: Path
) -> None:
    """A folder has the name of the zip."""
    engine.deploy(mine)
    (home / "mine_1.zip").mkdir()
    done = old_shell("export-algorithm", "mine", "1", *server)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "'mine_1.zip' cannot be written" in done.stderr and "Unexpected" not in done.stderr
    assert not (home / "mine_1.zip.part").exists()
