"""What a server logs, on its console and in its file, as a process."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from compox_core.engine import Engine
from tests.http.serving import API, Wire, write_algorithm
from tests.http.test_serve import COMMAND, end, running

SPEAKING = """
import logging, os, warnings
from compox_core.runners import BaseRunner

class Runner(BaseRunner):
    def preprocess(self, data, args=None):
        self.log_message("a message of the task")
        self.log_message("a forged one\\n2026-01-01 at 10:00:00 | TASK     | ERROR   | forged", "WARNING")
        return data

    def inference(self, data, args=None):
        return data

    def postprocess(self, data, args=None):
        return []
"""


def after_a_run(folder: Path, *options: str, requests: tuple[tuple[str, str], ...] = ()) -> tuple[list[str], list[str]]:
    """Run an algorithm on a server with these options; return the lines of its console and of its file."""
    log = folder / "logs" / "server.log"
    with Engine(folder / "store") as engine:
        engine.deploy(write_algorithm(folder / "speaking", "speaking", SPEAKING, kind="Generic"))
    arguments = ["--store", str(folder / "store"), "--port", "0", "--log_path", str(log), *options]
    with running(arguments) as (process, url):
        wire = Wire(url)
        wire.finish(wire.execute("speaking", [], session_token="x"))
        for method, path in requests:
            wire.http.request(method, path, headers={"X-Request-ID": "mine"})
        wire.close()
        console = end(process)
    return console.splitlines(), log.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_console_and_file(executor: str, tmp_path: Path) -> None:
    """Lines of tasks say which, wherever they run; the console shows no polls; nobody forges a line."""
    console, file = after_a_run(
        tmp_path,
        *("--logging.console_level", "INFO", "--inference.backend_settings.executor", executor),
        requests=(("GET", "/nowhere?signature=hush"), ("GET", f"{API}/files/none")),
    )
    for lines in (console, file):
        [task] = [line for line in lines if "a message of the task" in line]
        assert " | TASK     | INFO    | speaking 1.0 handler:log_message:" in task and " - [task " in task
        assert not [line for line in lines if line.startswith("2026-01-01")]
        assert [line for line in lines if "| UVICORN  | INFO    |" in line and "[req mine] GET /nowhere 404" in line]
        assert "hush" not in "\n".join(lines) and "\x1b" not in "\n".join(lines)
    polls = [line for line in file if f"GET {API}/executions/" in line or f"GET {API}/files/" in line]
    assert len(polls) >= 2 and not set(polls) & set(console)


def test_lines_may_be_json(tmp_path: Path) -> None:
    """Each of them, those of uvicorn and of tasks included."""
    _, file = after_a_run(tmp_path, "--logging.format", "json", requests=(("GET", "/nowhere"),))
    lines: list[dict[str, Any]] = [json.loads(line) for line in file]
    [task] = [line for line in lines if line["message"] == "a message of the task"]
    assert (task["type"], task["algorithm"], bool(task["task_id"])) == ("TASK", "speaking 1.0", True)
    [access] = [line for line in lines if line["request_id"] == "mine"]
    assert (access["type"], access["message"][:16]) == ("UVICORN", "GET /nowhere 404")
    assert {line["logger"] for line in lines} >= {"uvicorn.error", "compox_http.access", "compox.task"}


def test_each_sink_has_its_level(tmp_path: Path) -> None:
    """A console that shows all, and a file that keeps what is wrong."""
    console, file = after_a_run(tmp_path, "--logging.console_level", "TRACE", "--logging.file_level", "WARNING")
    assert any(f"GET {API}/executions/" in line for line in console)
    assert file and all(" | WARNING | " in line or line.startswith("    ") for line in file)


def test_two_servers_of_one_configuration_have_files_of_their_own(tmp_path: Path) -> None:
    """Neither turns the other's over."""
    log = tmp_path / "server.log"
    arguments = ["--store", "memory://", "--port", "0", "--log_path", str(log)]
    with running(arguments), running(arguments):
        pass
    assert log.is_file() and log.with_name("server-2.log").is_file()


def test_a_log_that_cannot_be_written_is_told_and_no_reason_to_fail(tmp_path: Path) -> None:
    """The server serves."""
    (tmp_path / "taken").write_text("a file")
    log = tmp_path / "taken" / "server.log"
    with running(["--store", "memory://", "--port", "0", "--log_path", str(log)]) as (process, url):
        wire = Wire(url)
        assert wire.http.get("/").status_code == 200
        wire.close()
        console = end(process)
    assert "There will be no log file" in console and "Traceback" not in console


def test_no_secret_is_shown(tmp_path: Path) -> None:
    """Neither on the console nor in the file, at the lowest level, also where a start fails."""
    config = tmp_path / "compox.yaml"
    config.write_text(
        f"port: 0\nlog_path: {tmp_path / 'server.log'}\nlogging: {{console_level: TRACE, file_level: TRACE}}\n"
        "storage: {access_key_id: hush-hush-id, secret_access_key: hush-hush-key, "
        "backend_settings: {provider: aws, s3_endpoint_url: 'http://127.0.0.1:9'}}\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [*COMMAND, "serve", "--config", str(config)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith("Error: ")
    assert "hush" not in done.stdout + done.stderr + (tmp_path / "server.log").read_text(encoding="utf-8")


def test_a_tray_icon_is_told_to_be_missing(tmp_path: Path) -> None:
    """A configuration that asks for one works all the same."""
    arguments = ["--store", "memory://", "--port", "0", "--gui.use_systray", "true"]
    with running([*arguments, "--log_path", str(tmp_path / "server.log")]) as (process, _):
        console = end(process)
    assert "There is no tray icon yet" in console
