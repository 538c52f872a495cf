"""The command `compox-http serve`, as a process."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from compox_core.engine import Engine
from compox_core.records import TaskStatus
from tests.http.serving import ENDLESS, Wire, served, write_algorithm

COMMAND = [sys.executable, "-m", "compox_http.main"]


@contextmanager
def running(arguments: Sequence[str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the server, which says on stderr only what is wrong, and give it with the URL that it prints."""
    flags = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    process = subprocess.Popen(
        [*COMMAND, "serve", "--logging.console_level", "WARNING", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        creationflags=flags,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"https?://\S+", line)
        assert found, (line, process.communicate(timeout=30))
        yield process, found[0]
    finally:
        process.kill()
        process.communicate()


def end(process: subprocess.Popen[str]) -> str:
    """Ask a server to end, wait until it has, and return what it said on stderr."""
    process.send_signal(signal.CTRL_BREAK_EVENT if sys.platform == "win32" else signal.SIGTERM)
    return process.communicate(timeout=60)[1]


def run(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60)


def test_it_serves_prints_its_address_and_ends_cleanly(tmp_path: Path) -> None:
    """Port 0 takes a free port; a signal ends it with exit code 0 and an empty stderr."""
    stop = signal.CTRL_BREAK_EVENT if sys.platform == "win32" else signal.SIGTERM
    with running(["--store", str(tmp_path / "store"), "--port", "0"]) as (process, url):
        assert not url.endswith(":0")
        assert httpx2.get(url, trust_env=False).json()["name"]
        process.send_signal(stop)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (0, "")
        assert out == ""


@pytest.mark.skipif(sys.platform == "win32", reason="a process group cannot be sent Ctrl+C alone")
def test_ctrl_c_ends_it_too() -> None:
    """Without a traceback."""
    with running(["--store", "memory://", "--port", "0"]) as (process, _):
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (0, "")


def test_the_configuration_says_where_and_what(tmp_path: Path) -> None:
    """A YAML file, whose secrets are not printed."""
    config = tmp_path / "compox.yaml"
    config.write_text(
        "port: 0\ninfo: {product_name: Here}\n"
        "storage: {secret_access_key: hush-hush, backend_settings: {provider: memory}}\n",
        encoding="utf-8",
    )
    with running(["--config", str(config)]) as (process, url):
        assert httpx2.get(url, trust_env=False).json()["name"] == "Here"
        process.terminate()
        out, err = process.communicate(timeout=30)
    assert "hush" not in out + err


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    """Exit code 1, one line, no traceback."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run(["serve", "--store", str(tmp_path), "--port", str(port)])
    assert done.returncode == 1 and done.stdout == ""
    assert f"Port {port} on 127.0.0.1 is in use" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["serve", "--nonsense"], 2, "--nonsense"),
        (["serve", "--port", "99999"], 2, "--port"),
        (["serve", "--port", "x"], 2, "--port"),
        (["serve", "--config", "missing.yaml"], 1, "missing.yaml"),
        (["serve", "--config", "a", "--store", "b"], 2, "--store"),
        (["serve", "--config", "tls.yaml"], 1, "ssl.ssl_certfile names no certificate"),
        (["serve", "--store", "nonsense://x"], 1, "nonsense"),
        (["serve", "--store", "memory://", "--host", "no.such.host.invalid"], 1, "no.such.host.invalid"),
        (["serve", "--store", "memory://", "--host", "0.0.0.0"], 1, "add --insecure"),
        (["serve", "--store", "memory://", "--host", "::"], 1, "add --insecure"),
        (["serve", "--store", "memory://", "--logging.console_level", "LOUD"], 1, "logging.console_level"),
        (["serve", "--store", "memory://", "--loging.console_level", "INFO"], 2, "logging"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_what_cannot_be_served_ends_with_a_reason(arguments: list[str], code: int, says: str, tmp_path: Path) -> None:
    """2 for the command line, 1 for the rest; never a traceback."""
    tls = "ssl: {use_ssl: true}\nstorage: {backend_settings: {provider: memory}}\n"
    (tmp_path / "tls.yaml").write_text(tls, encoding="utf-8")
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert says in done.stderr and "Traceback" not in done.stderr


def test_a_foreign_store_is_refused(tmp_path: Path) -> None:
    """The message has the way out."""
    (tmp_path / "algorithm-store").mkdir()
    (tmp_path / "algorithm-store" / "something").write_text("else")
    done = run(["serve", "--store", str(tmp_path), "--port", "0"])
    assert done.returncode == 1 and done.stderr.startswith("Error: ") and "Traceback" not in done.stderr


PID = """
import os
from compox_core.runners import BaseRunner

class Runner(BaseRunner):
    def preprocess(self, data, args=None):
        raise RuntimeError(f"process {os.getpid()}")

    inference = postprocess = preprocess
"""


def test_jobs_run_in_processes_of_their_own(tmp_path: Path) -> None:
    """Where nobody says otherwise, and processes can open the store."""
    with Engine(tmp_path / "store") as engine:
        engine.deploy(write_algorithm(tmp_path / "pids", "pids", PID, kind="Generic"))
    with running(["--store", str(tmp_path / "store"), "--port", "0"]) as (process, url):
        wire = Wire(url)
        message = wire.finish(wire.execute("pids", []))["error"]["message"]
        wire.close()
        assert message.startswith("process ") and message != f"process {process.pid}"


def test_a_crash_of_an_algorithm_is_no_crash_of_the_server(tmp_path: Path) -> None:
    """It answers all the while, and every job has its end."""
    crash = PID.replace('raise RuntimeError(f"process {os.getpid()}")', "os.kill(os.getpid(), 11)")
    with Engine(tmp_path / "store") as engine:
        engine.deploy(write_algorithm(tmp_path / "crash", "crash", crash, kind="Generic"))
    with running(["--store", str(tmp_path / "store"), "--port", "0"]) as (process, url):
        wire = Wire(url)
        ids = [wire.execute("crash", []) for _ in range(4)]
        while not all(wire.record(each)["status"] in ("FAILED", "COMPLETED") for each in ids):
            assert wire.http.get("/").status_code == 200
        assert [wire.record(each)["error"]["code"] for each in ids] == ["worker_crashed"] * 4
        assert wire.http.get("/").status_code == 200 and process.poll() is None
        wire.close()


def test_jobs_on_a_store_in_memory_run_in_the_server(tmp_path: Path) -> None:
    """No other process could open it."""
    with Engine("memory://", resume=True) as engine, served(engine) as url:
        engine.deploy(write_algorithm(tmp_path / "pids", "pids", PID, kind="Generic"))
        wire = Wire(url)
        message = wire.finish(wire.execute("pids", []))["error"]["message"]
        wire.close()
        assert message == f"process {os.getpid()}"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signal that a program can send to another")
def test_a_running_task_does_not_hold_the_server_back(tmp_path: Path) -> None:
    """At the end it is asked to stop, and its record says so."""
    store = tmp_path / "store"
    with Engine(store) as engine:
        engine.deploy(write_algorithm(tmp_path / "endless", "endless", ENDLESS, kind="Generic"))
    with running(["--store", str(store), "--port", "0"]) as (process, url):
        wire = Wire(url)
        execution_id = wire.execute("endless", [])
        while wire.record(execution_id)["status"] != "RUNNING":
            pass
        wire.close()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 0
    with Engine(store) as engine:
        assert engine.executions.get(execution_id).status is TaskStatus.STOPPED
