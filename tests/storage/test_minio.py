"""A MinIO that an engine starts: by a program of the tests' own that takes the same arguments."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import psutil
import pytest

import compox_core as cx
from compox_core.errors import SettingsError, StorageError
from compox_core.settings import Settings, load_settings
from compox_core.storage.minio import MinioServer, server, start_minio
from compox_core.storage.minio.probe import Answer, ask
from tests.servers import ROOT, S3Server
from tests.settings.test_loading import GENERATED

SCRIPTS = pytest.mark.skipif(sys.platform == "win32", reason="a script is no program on Windows")


@pytest.fixture
def port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        number: int = taken.getsockname()[1]
        return number


@pytest.fixture
def values(tmp_path: Path, port: int) -> dict[str, Any]:
    program = tmp_path / "minio_bin"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from tests.storage.minio_program import main\nmain()\n",
        encoding="utf-8",
    )
    program.chmod(0o755)
    return {
        "provider": "minio",
        "port": port,
        "console_port": 0,
        "executable_path": str(program),
        "storage_path": str(tmp_path / "data"),
    }


@pytest.fixture
def settings(values: dict[str, Any]) -> Settings:
    return made(values)


def made(values: dict[str, Any], **storage: Any) -> Settings:
    return load_settings({"storage": {"backend_settings": values, **storage}})


def starts(folder: Path) -> list[dict[str, Any]]:
    """Return what the program has written at each of its starts."""
    return [json.loads(line) for line in (folder / "data" / "starts").read_text(encoding="utf-8").splitlines()]


def started(settings: Settings) -> MinioServer:
    found = start_minio(settings)
    assert found is not None
    return found


def gone(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(20)
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.s3
@SCRIPTS
def test_an_engine_starts_it_and_ends_it(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The engine's store is on it, with keys made up for this start; another engine uses the same one."""
    monkeypatch.setenv("MINIO_TRIAL", "moto")
    endpoint = f"http://localhost:{settings.storage.backend_settings.port}"  # type: ignore[union-attr]
    with caplog.at_level(logging.INFO, "compox_core.minio"), cx.Engine(settings) as engine:
        engine.store.put("data-store", "a", b"content")
        [once] = starts(tmp_path)
        with cx.Engine(made(settings.storage.backend_settings.model_dump(), **reached(once))) as other:
            assert other.store.get("data-store", "a") == b"content"
        assert len(starts(tmp_path)) == 1
        assert ask(endpoint) is Answer.S3
    assert ask(endpoint) is Answer.NOTHING
    assert gone(once["pids"][0])
    levels = {record.getMessage(): record.levelname for record in caplog.records if record.name == "compox_core.minio"}
    assert (levels["ERROR: a made-up one"], levels["RootUser: *** RootPass: ***"]) == ("ERROR", "INFO")
    assert not any(key in caplog.text for key in once["keys"])


def reached(start: dict[str, Any]) -> dict[str, str]:
    return dict(zip(("access_key_id", "secret_access_key"), start["keys"], strict=True))


@SCRIPTS
def test_the_keys_of_the_settings_are_its_keys(values: dict[str, Any], tmp_path: Path) -> None:
    """Keys that are named are given to it; the port of its console, too."""
    found = started(made({**values, "console_port": 4711}, access_key_id="name", secret_access_key="sesame-sesame"))
    found.close()
    found.close()
    [once] = starts(tmp_path)
    assert (once["keys"], once["console"]) == (["name", "sesame-sesame"], "127.0.0.1:4711")
    assert (
        found.settings.storage.secret_access_key
        == made(values, secret_access_key="sesame-sesame").storage.secret_access_key
    )


@SCRIPTS
def test_a_program_on_the_path_is_found_by_its_name(
    values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name without a folder may be that of an installed program."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    started(made({**values, "executable_path": "minio_bin"})).close()
    assert len(starts(tmp_path)) == 1


def test_without_a_program_the_error_says_what_to_do(values: dict[str, Any], tmp_path: Path) -> None:
    """The first way out is a folder, which needs no server."""
    with pytest.raises(SettingsError) as caught:
        cx.Engine(made({**values, "executable_path": str(tmp_path / "absent")})).open()
    assert caught.value.code == "minio_not_found"
    ways = [caught.value.message.index(way) for way in ("provider to local", "s3_endpoint_url", "provider to aws")]
    assert ways == sorted(ways)


@pytest.mark.s3
def test_what_answers_at_the_endpoint_is_used(moto_server: S3Server, tmp_path: Path) -> None:
    """The file that compox 3.2 generated works beside any S3 server, whether its program is there or not."""
    settings = load_settings(
        GENERATED,
        overrides={
            "storage": {
                "collection_prefix": "generated-",
                "backend_settings": {"s3_endpoint_url": moto_server.endpoint},
            },
            "log_path": str(tmp_path / "log"),
        },
    )
    with cx.Engine(settings) as engine:
        engine.store.put("data-store", "a", b"content")
        assert engine.store.get("data-store", "a") == b"content"


@SCRIPTS
def test_one_that_ends_at_once_is_told_with_its_last_words(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its exit status and what it said are in the error, its keys are not."""
    monkeypatch.setenv("MINIO_TRIAL", "ends")
    with pytest.raises(StorageError, match=r"exit status 3 before it answered(.|\n)*words and words") as caught:
        start_minio(settings)
    assert caught.value.code == "minio_failed"
    assert not any(key in f"{caught.value} {caught.value.details}" for key in starts(tmp_path)[0]["keys"])


@SCRIPTS
def test_a_file_that_is_no_program_is_told(values: dict[str, Any], tmp_path: Path) -> None:
    """What cannot be run says why."""
    plain = tmp_path / "plain"
    plain.write_text("x", encoding="utf-8")
    with pytest.raises(StorageError, match="it cannot be run") as caught:
        start_minio(made({**values, "executable_path": str(plain)}))
    assert caught.value.code == "minio_failed"


@SCRIPTS
def test_one_that_never_answers_is_ended(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the time that it gets, it is an error, and nothing is left of it."""
    monkeypatch.setenv("MINIO_TRIAL", "silent")
    monkeypatch.setattr(server, "START_SECONDS", 1.0)
    with pytest.raises(StorageError, match="does not answer") as caught:
        start_minio(settings)
    assert caught.value.code == "minio_failed"
    assert all(
        gone(pid) for start in (starts(tmp_path) if (tmp_path / "data").exists() else []) for pid in start["pids"]
    )


@SCRIPTS
def test_one_that_heeds_nothing_is_killed_with_its_children(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that ignores its end, and what it has started, are killed."""
    monkeypatch.setenv("MINIO_TRIAL", "deaf")
    monkeypatch.setattr(server, "END_SECONDS", 0.5)
    started(settings).close()
    [once] = starts(tmp_path)
    assert len(once["pids"]) == 2
    assert all(gone(pid) for pid in once["pids"])


@SCRIPTS
def test_it_ends_with_a_process_that_is_killed(values: dict[str, Any], tmp_path: Path) -> None:
    """Nobody cleans up after a kill, and still nothing is left."""
    code = (
        "import json, sys, time\nfrom compox_core.settings import load_settings\n"
        "from compox_core.storage.minio import start_minio\n"
        "server = start_minio(load_settings(json.load(sys.stdin)))\nprint('ready', flush=True)\ntime.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps({"storage": {"backend_settings": values}}).encode())
        process.stdin.close()
        assert process.stdout.readline() == b"ready\n"
        [once] = starts(tmp_path)
        process.send_signal(signal.SIGKILL)
    assert gone(once["pids"][0])


@pytest.fixture
def web_page(port: int) -> Iterator[str]:
    with HTTPServer(("127.0.0.1", port), SimpleHTTPRequestHandler) as page:
        thread = threading.Thread(target=page.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{port}"
        page.shutdown()
        thread.join()


def test_a_port_that_something_else_has_is_told(web_page: str, settings: Settings) -> None:
    """What answers there and is no S3 is not taken for one."""
    assert ask(web_page) is Answer.OTHER
    with pytest.raises(SettingsError, match="no S3 server") as caught:
        start_minio(settings)
    assert caught.value.code == "minio_port_taken"


@pytest.mark.parametrize("endpoint", ["nonsense", "ftp://h", "http://", "http://h:port"])
def test_an_endpoint_that_is_no_url_is_told(values: dict[str, Any], endpoint: str) -> None:
    """By its key."""
    with pytest.raises(SettingsError, match=r"storage\.backend_settings\.s3_endpoint_url cannot be used"):
        start_minio(made({**values, "s3_endpoint_url": endpoint}))


@pytest.mark.parametrize(
    "backend", [{"provider": "minio", "start_instance": False}, {"provider": "aws"}, {"provider": "memory"}]
)
def test_nothing_is_started_unasked(backend: dict[str, Any]) -> None:
    """Only `minio` with `start_instance` starts anything."""
    assert start_minio(made(backend)) is None


@SCRIPTS
def test_one_that_ends_later_is_told(settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log says that the store is away when it ends by itself."""
    found = started(settings)
    [reader] = [thread for thread in threading.enumerate() if thread.name == "compox-minio"]
    os.kill(starts(tmp_path)[0]["pids"][0], signal.SIGKILL)
    reader.join(60)
    found.close()
    [told] = [record for record in caplog.records if "ended with exit status 137" in record.getMessage()]
    assert (told.name, told.levelname) == ("compox_core.minio", "ERROR")
