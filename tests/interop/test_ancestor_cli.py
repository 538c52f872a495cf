"""The command line of compox 3.2.0 drives our server, and prints what it always printed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compox_http.client import Client
from tests.engine.authors import image_runner, write_algorithm
from tests.http.learner import write_learner
from tests.interop.ancestor import Ancestor, ancestor

pytestmark = pytest.mark.slow
RUNNER = """
from compox.algorithm_utils.Image2ImageRunner import Image2ImageRunner


class Runner(Image2ImageRunner):
    def inference(self, data, args={}):
        return data * 2
"""


@pytest.fixture(scope="module")
def old() -> Ancestor:
    """The ancestor's command line."""
    return ancestor()


@pytest.fixture
def allowed(tmp_path: Path) -> Path:
    """The folder from which the server deploys, with the algorithm `mine`."""
    write_algorithm(
        tmp_path / "allowed" / "mine", RUNNER, name="mine", version="1.4", extra="removable = true",
        files={"files/weights.bin": b"\x00\x01\x02"},
    )  # fmt: skip
    return tmp_path / "allowed"


@pytest.fixture
def server(tmp_path: Path, allowed: Path) -> Iterator[str]:
    """The URL of `compox-http serve`, a process with a folder as its store."""
    config = tmp_path / "site.yaml"
    settings = {
        "port": 0,
        "log_path": str(tmp_path / "compox.log"),
        "deploy": {"allowed_roots": [str(allowed)]},
        "storage": {"backend_settings": {"provider": "local", "path": str(tmp_path / "store")}},
        "inference": {"backend_settings": {"executor": "threads"}},
    }
    config.write_text(json.dumps(settings), "utf-8")  # which is YAML, too
    command = [sys.executable, "-m", "compox_http.main", "serve", "--config", str(config)]
    with (tmp_path / "server.log").open("wb") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found, (tmp_path / "server.log").read_text("utf-8")
        yield found[0]
    finally:
        process.terminate()
        process.communicate(timeout=60)


def bodies(text: str) -> list[dict[str, Any]]:
    """Return the bodies that were printed, one a line."""
    return [json.loads(line) for line in text.splitlines()]


def test_it_deploys_and_deletes(old: Ancestor, server: str, allowed: Path) -> None:
    """`deploy-local` at once and queued, `delete-algorithm` of a minor version and of all, with their outputs."""
    done = old("deploy-local", "mine", "--server-url", server, folder=allowed)
    assert (done.returncode, done.stderr) == (0, "")
    (body,) = bodies(done.stdout)
    assert list(body) == [
        "algorithm_id", "algorithm_name", "algorithm_major_version", "algorithm_minor_version",
    ]  # fmt: skip
    assert list(body.values())[1:] == ["mine", "1", "4"]

    (allowed / "mine" / "Runner.py").write_text(image_runner("return data * 3"), "utf-8")
    words = ["--async", "--poll-interval-s", "0.05", "--removable", "true", "--server-url", server]
    done = old("deploy-local", "mine", *words, folder=allowed)
    assert (done.returncode, done.stderr) == (0, "")
    first, *polls = bodies(done.stdout)
    assert list(first) == ["deploy_id"]
    assert polls[-1]["status"] == "COMPLETED" and polls[-1]["algorithm_id"] == body["algorithm_id"]
    with Client(server) as client:
        assert client.algorithms.get("mine", 1).minors == [4, 5]

    done = old(
        "delete-algorithm", "mine", "1", "--algorithm-minor-version", "4", "--server-url", server, folder=allowed
    )
    assert (done.returncode, done.stdout) == (0, '{"detail":"Algorithm minor version 4 removed"}\n')
    done = old("delete-algorithm", "mine", "1", "--server-url", server, folder=allowed)
    assert (done.returncode, done.stdout) == (0, '{"detail":"Algorithm removed"}\n')
    done = old("delete-algorithm", "mine", "1", "--server-url", server, folder=allowed)
    assert done.returncode == 1
    assert bodies(done.stdout)[0]["code"] == "algorithm_not_found"


def test_what_it_exports_deploys_again(old: Ancestor, server: str, allowed: Path, tmp_path: Path) -> None:
    """`export-algorithm` saves a complete package, which adds nothing where it is deployed once more."""
    assert old("deploy-local", "mine", "--server-url", server, folder=allowed).returncode == 0
    done = old("export-algorithm", "mine", "1", "--server-url", server, folder=allowed)
    assert (done.returncode, done.stdout) == (0, "Saved: mine_1.zip\n")
    with zipfile.ZipFile(allowed / "mine_1.zip") as archive:
        assert sorted(archive.namelist()) == ["Runner.py", "files/weights.bin", "pyproject.toml"]
        assert archive.read("files/weights.bin") == b"\x00\x01\x02"
    again = old("deploy-local", "mine_1.zip", "--server-url", server, folder=allowed)
    assert bodies(again.stdout)[0]["algorithm_minor_version"] == "4"
    other = old("deploy-local", "mine_1.zip", "--algorithm-name", "copy", "--server-url", server, folder=allowed)
    assert bodies(other.stdout)[0]["algorithm_name"] == "copy"
    with Client(server) as client:
        assert client.algorithms.get("mine", 1).minors == [4]
        assert client.algorithms.get("copy", 1).minors == [4]


def test_its_errors_are_the_ones_it_knows(old: Ancestor, server: str, allowed: Path, tmp_path: Path) -> None:
    """Refusals are bodies with a code, also where the ancestor's exit code says nothing."""
    write_algorithm(tmp_path / "outside", RUNNER)
    done = old("deploy-local", tmp_path / "outside", "--server-url", server, folder=allowed)
    assert bodies(done.stdout)[0]["code"] == "deploy_path_not_allowed"
    done = old("deploy-local", "none", "--server-url", server, folder=allowed)
    assert bodies(done.stdout)[0]["code"] == "deploy_path_not_found"
    words = ["--removable", "false", "--exportable", "no", "--server-url", server]
    assert old("deploy-local", "mine", *words, folder=allowed).returncode == 0
    done = old("delete-algorithm", "mine", "1", "--server-url", server, folder=allowed)
    assert bodies(done.stdout)[0]["code"] == "algorithm_not_removable"
    done = old("export-algorithm", "mine", "1", "--server-url", server, folder=allowed)
    assert done.returncode == 1
    assert bodies(done.stdout)[0]["code"] == "algorithm_not_exportable"
    assert not (allowed / "mine_1.zip").exists()


def test_it_exports_what_was_learned(old: Ancestor, server: str, allowed: Path, tmp_path: Path) -> None:
    """`export-algorithm --checkpoint-id` saves a package with the checkpoint's assets; refusals have their codes."""
    folder = write_learner(allowed / "learner")
    assert old("deploy-local", folder, "--server-url", server, folder=allowed).returncode == 0
    with Client(server) as client:
        [*_, last] = client.train("learner", []).result(60, progress=False)
    words = ["--checkpoint-id", last.checkpoint_id, "--server-url", server]
    done = old("export-algorithm", "learner", "1", *words, folder=allowed)
    assert (done.returncode, done.stdout) == (0, "Saved: learner_1.zip\n")
    with zipfile.ZipFile(allowed / "learner_1.zip") as archive:
        assert archive.read("files/factor.txt") == b"3.0"
    words = ["--checkpoint-id", "none", "--output-dir", str(tmp_path), "--server-url", server]
    done = old("export-algorithm", "learner", "1", *words, folder=allowed)
    assert done.returncode == 1
    assert bodies(done.stdout)[0]["code"] == "checkpoint_not_found"
