"""How a program is made to log: levels, files, noise, secrets."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compox_core.logs import Logs, configure_logging, task_lines
from compox_core.logs.secrets import secrets_of
from compox_core.settings import Settings, load_settings

Said = tuple[list[str], list[str]]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def said(
    folder: Path, speak: Callable[[], None], stream: io.StringIO | None = None, name: str | None = None, **keys: Any
) -> Said:
    """Return the lines on the console and in the file when `speak` logs with these settings of `logging`."""
    stream = stream or io.StringIO()
    settings = load_settings({"log_path": str(folder / "logs" / "compox.log"), "logging": keys})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        with configure_logging(settings, name=name) as logs:
            speak()
    assert logs.path is not None
    return stream.getvalue().splitlines(), logs.path.read_text(encoding="utf-8").splitlines()


def each_level() -> None:
    """Log a line at each level, on a logger of ours and on a foreign one."""
    for name in ("compox_core.x", "foreign.x"):
        for level in (5, 10, 20, 25, 30, 40, 50):
            logging.getLogger(name).log(level, "%s %d", name, level)


@pytest.mark.parametrize(
    ("name", "first"),
    [("TRACE", 5), ("DEBUG", 10), ("INFO", 20), ("SUCCESS", 25), ("WARNING", 30), ("ERROR", 40), ("CRITICAL", 50)],
)
@pytest.mark.parametrize("sink", ["console", "file"])
def test_each_sink_has_a_level_of_its_own(sink: str, name: str, first: int, tmp_path: Path) -> None:
    """What libraries say below INFO is never logged: they show what they send."""
    other = "file" if sink == "console" else "console"
    console, file = said(tmp_path, each_level, **{f"{sink}_level": name, f"{other}_level": "CRITICAL"})
    lines, others = (console, file) if sink == "console" else (file, console)
    levels = [level for level in (5, 10, 20, 25, 30, 40, 50) if level >= first]
    expected = [f"compox_core.x {n}" for n in levels] + [f"foreign.x {n}" for n in levels if n >= 20]
    assert [line.partition(" - ")[2] for line in lines] == expected
    assert len(others) == 2
    if name == "TRACE":
        assert "| TRACE   |" in lines[0] and "| SUCCESS |" in lines[3]


def test_the_noise_is_in_the_file_alone(tmp_path: Path) -> None:
    """Polls, and what MinIO says that is no error; whoever asks for DEBUG sees them."""

    def speak() -> None:
        logging.getLogger("compox_http.access").info("a poll", extra={"noise": True})
        logging.getLogger("compox_http.access").info("a submit", extra={"noise": False})
        logging.getLogger("compox_core.minio").warning("chatter")
        logging.getLogger("compox_core.minio").error("broken")

    console, file = said(tmp_path, speak)
    assert [line.partition(" - ")[2] for line in console] == ["a submit", "broken"] and len(file) == 4
    for level in ("DEBUG", "TRACE"):
        console, file = said(tmp_path / level, speak, console_level=level)
        assert len(console) == len(file) == 4


def test_colours_are_for_terminals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for files nor for who wants none."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    console, file = said(tmp_path, lambda: logging.getLogger("compox").error("x"), Terminal())
    assert "\x1b[31m" in console[0] and "\x1b" not in file[0]
    monkeypatch.setenv("NO_COLOR", "1")
    console, _ = said(tmp_path, lambda: logging.getLogger("compox").error("x"), Terminal())
    assert "\x1b" not in console[0]


def test_lines_may_be_json(tmp_path: Path) -> None:
    """On both sinks."""
    console, file = said(tmp_path, lambda: logging.getLogger("compox").error("x"), format="json")
    assert [json.loads(line)["message"] for line in (*console, *file)] == ["x", "x"]


def test_a_worker_has_a_file_of_its_own(tmp_path: Path) -> None:
    """Named after it, whatever its name is."""
    said(tmp_path, each_level, name="worker-a/b c")
    assert (tmp_path / "logs" / "compox-worker-a_b_c.log").is_file()
    assert not (tmp_path / "logs" / "compox.log").exists()


def test_warnings_are_lines_but_those_of_tasks(tmp_path: Path) -> None:
    """Those go where the task's log finds them."""

    def speak() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("of the program", stacklevel=1)
            with task_lines("t1"):
                warnings.warn("of the task", stacklevel=1)

    stream = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:  # pytest has put its own there, which would keep them
        patch.setattr(warnings, "showwarning", lambda *what: stream.write(f"plain {what[0]}\n"))
        _, file = said(tmp_path, speak, stream)
    assert len([line for line in file if "UserWarning: of the program" in line]) == 1 and "of the task" not in "".join(
        file
    )
    assert "plain of the task\n" in stream.getvalue()


def test_all_is_as_before_when_it_is_closed(tmp_path: Path) -> None:
    """Handlers, levels, and what shows warnings; the handlers of libraries are theirs again."""
    uvicorn = logging.getLogger("uvicorn")
    uvicorn.addHandler(mine := logging.NullHandler())
    try:
        before = _state()
        said(tmp_path, each_level)
        assert _state() == before and mine in uvicorn.handlers
    finally:
        uvicorn.removeHandler(mine)


def _state() -> list[object]:
    names = ("", "compox", "compox_core", "compox_http", "uvicorn", "celery")
    loggers = [logging.getLogger(name) for name in names]
    return [*((each.level, tuple(each.handlers), each.propagate) for each in loggers), warnings.showwarning]


def test_nothing_is_written_before_it_is_set_up(tmp_path: Path) -> None:
    """Nor without a file's name, nor without a console."""
    settings = Settings(log_path="")
    logs = Logs(settings, False, None)
    assert list(tmp_path.iterdir()) == [] and logging.root.handlers.count(logs) == 0  # type: ignore[arg-type]
    with configure_logging(settings, console=False) as opened:
        assert opened.path is None


def test_a_folder_that_cannot_be_written_is_told_and_no_reason_to_fail(tmp_path: Path) -> None:
    """The console goes on."""
    (tmp_path / "taken").write_text("a file")
    stream = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        with configure_logging(Settings(log_path=str(tmp_path / "taken" / "compox.log"))) as logs:
            logging.getLogger("compox").info("goes on")
    assert logs.path is None
    first, second = stream.getvalue().splitlines()
    assert "There will be no log file" in first and "log_path" in first and second.endswith("goes on")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_full_disk_is_told_on_the_console_once(tmp_path: Path) -> None:
    """And every line is there."""
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "compox.log").symlink_to("/dev/full")
    stream = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        with configure_logging(Settings(log_path=str(folder / "compox.log"))):
            for number in range(3):
                logging.getLogger("compox").info("line %d", number)
                for handler in logging.root.handlers:
                    handler.flush()
    lines = stream.getvalue().splitlines()
    assert len([line for line in lines if "takes no more lines" in line]) == 1
    assert len([line for line in lines if line[-6:-1] == "line "]) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_a_fork_of_the_program_logs_too(tmp_path: Path) -> None:
    """Into the same file, at once: it has no thread that would write."""

    def speak() -> None:
        pid = os.fork()
        if pid == 0:
            logging.getLogger("compox").info("of the fork")
            os._exit(0)
        os.waitpid(pid, 0)
        logging.getLogger("compox").info("of the program")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a process with threads forks
        _, file = said(tmp_path, speak)
    assert [line.partition(" - ")[2] for line in file] == ["of the fork", "of the program"]


SECRETS = """
storage:
  access_key_id: access-key
  secret_access_key: secret-key
  builtin_storage_bundle_key: short
  backend_settings: {provider: fsspec, url: "x://y", options: {token: deep-token, client: {key: deeper}}}
inference:
  backend_settings: {executor: celery, broker_url: "amqp://me:p%40ssword@broker:5672//"}
"""


def test_the_secrets_of_the_settings_are_known(tmp_path: Path) -> None:
    """The password of a URL, not where it leads; texts too short to be told from words are not."""
    (tmp_path / "compox.yaml").write_text(SECRETS, encoding="utf-8")
    found = secrets_of(load_settings(tmp_path / "compox.yaml"))
    assert set(found) == {"access-key", "secret-key", "deep-token", "deeper", "p%40ssword", "p@ssword"}
    assert found == sorted(found, key=len, reverse=True)


def test_no_line_shows_a_secret(tmp_path: Path) -> None:
    """Whoever logs it."""
    stream = io.StringIO()
    values = {"log_path": str(tmp_path / "compox.log"), "storage": {"secret_access_key": "hush-hush"}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        with configure_logging(load_settings(values)):
            logging.getLogger("some.library").warning("sent %s", "hush-hush")
    for text in (stream.getvalue(), (tmp_path / "compox.log").read_text()):
        assert "sent ***" in text and "hush" not in text
