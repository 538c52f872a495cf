"""`compox run` and `compox spawn-worker`, as processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

TIMEOUT = 120
COMMAND = [sys.executable, "-c", "from compox_cli.main import compox; compox()"]
SECRETS = """
log_path: compox.log
storage:
  access_key_id: hush-id
  secret_access_key: hush-hush
  backend_settings: {provider: memory}
"""


@pytest.fixture
def site(home: Path) -> Path:
    """A configuration with secrets."""
    path = home / "site.yaml"
    path.write_text(SECRETS, "utf-8")
    return path


def call(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    return subprocess.run(
        [*COMMAND, *words], capture_output=True, text=True, timeout=TIMEOUT, env={**os.environ, **environment}
    )


@contextmanager
def running(*words: str | Path, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a server and give it with the line that it prints."""
    process = subprocess.Popen(
        [*COMMAND, "run", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Serving"), (line, process.communicate(timeout=TIMEOUT))
        yield process, line
    finally:
        process.kill()
        process.communicate()


def test_the_server_runs_until_a_signal_and_shows_no_secret(site: Path, home: Path) -> None:
    """A dotted setting wins over the file, the file over the environment; the exit code is 0 at the end."""
    stop = signal.CTRL_BREAK_EVENT if sys.platform == "win32" else signal.SIGTERM
    names = {"COMPOX_INFO__PRODUCT_NAME": "Here", "COMPOX_PORT": "1"}
    with running("--config", site, "--port", "0", "--info.group_name=Us", **names) as (process, line):
        found = re.search(r"http://\S+", line)
        assert found
        body = httpx2.get(found[0], trust_env=False).json()
        assert (body["name"], body["group"]) == ("Here", "Us")
        process.send_signal(stop)
        out, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0
    assert out == "" and "Traceback" not in err
    assert "hush" not in line + err
    assert all("hush" not in path.read_text("utf-8") for path in home.glob("*.log"))


def test_a_server_that_cannot_start_fails(site: Path) -> None:
    """A port in use, another host without --insecure, a key file that is not there."""
    with running("--config", site, "--port", "0") as (_, line):
        found = re.search(r":(\d+) ", line)
        assert found
        done = call("run", "--config", site, "--port", found[1])
        assert done.returncode == 1
        assert f"Port {found[1]} on 127.0.0.1 is in use" in done.stderr
    done = call("run", "--config", site, "--host", "0.0.0.0")
    assert done.returncode == 1
    assert "--insecure" in done.stderr
    done = call("run", "--config", site, "--ssl.use_ssl", "true", "--ssl.ssl_keyfile", "none.pem")
    assert done.returncode == 1
    assert "ssl" in done.stderr
    assert "hush" not in done.stderr and "Traceback" not in done.stderr


def test_insecure_is_a_setting_without_a_value(site: Path) -> None:
    """As `compox-http serve --insecure`."""
    with running("--config", site, "--port", "0", "--host", "0.0.0.0", "--insecure") as (_, line):
        assert "http://0.0.0.0:" in line


def test_a_server_without_its_extra_says_what_to_install(site: Path) -> None:
    """No traceback, and exit code 1."""
    code = (
        "import sys; sys.modules['litestar'] = None\n"
        f"sys.argv = ['compox', 'run', '--config', {str(site)!r}]\n"
        "from compox_cli.main import compox; compox()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 1
    assert 'pip install "compox-core[http]"' in done.stderr and "Traceback" not in done.stderr


def test_a_worker_needs_a_broker(site: Path) -> None:
    """The line names the executor that there is."""
    done = call("spawn-worker", "--config", site, "--inference.backend_settings.executor", "threads")
    assert (done.returncode, done.stdout) == (1, "")
    assert "their executor is 'threads'" in done.stderr and "Traceback" not in done.stderr


def test_a_broker_that_is_not_there_is_an_error(site: Path, home: Path) -> None:
    """The password in its URL is not shown."""
    words = ["--inference.backend_settings.executor", "celery", "--storage.backend_settings", '{"provider": "local"}']
    url = ["--inference.backend_settings.broker_url", "amqp://me:hush-password@127.0.0.1:9//"]
    path = ["--storage.backend_settings.path", str(home / "store")]
    done = call("spawn-worker", "--config", site, *words, *path, *url)
    assert (done.returncode, done.stdout) == (1, "")
    assert "The broker at amqp://me@127.0.0.1" in done.stderr
    assert "hush" not in done.stderr and "Traceback" not in done.stderr
