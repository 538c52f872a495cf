"""How a program that serves or works is made to log."""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from compox_core.logs.claim import Claim, claim_file
from compox_core.logs.context import in_task
from compox_core.logs.file import LogFile
from compox_core.logs.kinds import MINIO, kind_of
from compox_core.logs.levels import OURS, level_of, name_levels
from compox_core.logs.lines import JsonLines, TextLines
from compox_core.logs.secrets import secrets_of
from compox_core.logs.sink import Console, Sink
from compox_core.settings import Settings, log_file

logger = logging.getLogger(__name__)

OTHERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "celery", "celery.task", "celery.redirected", "litestar")
"""Loggers that libraries may have given handlers of their own."""


def configure_logging(settings: Settings, *, console: bool = True, name: str | None = None) -> Logs:
    """Send all log lines of this program to stderr and to the log file of the settings, each by its own level.

    Args:
        settings: Levels, format, and where the file is.
        console: Whether lines go to stderr as well.
        name: What the file's name is to tell this program by: `compox.log` becomes `compox-NAME.log`.
    """
    return Logs(settings, console, name).open()


class Logs:
    """The log of this program as long as it is open; as a context manager, closed at the end.

    `path` is the log file; None where there is none. The file's folder is made here. One that cannot be written is
    told on the console, and no reason to fail.
    """

    def __init__(self, settings: Settings, console: bool, name: str | None) -> None:
        self.path: Path | None = None
        self._settings = settings
        self._console = console
        self._name = name
        self._claim: Claim | None = None
        self._sinks: list[Sink] = []
        self._undo: list[Callable[[], None]] = []
        self._stream: TextIO | None = sys.stderr if console else None  # not a later stand-in for it

    def open(self) -> Self:
        """Begin to log."""
        name_levels()
        wanted = self._settings.logging
        if self._stream is not None:
            sink = self._add(Sink(Console(self._stream), self._lines(self._stream), level_of(wanted.console_level)))
            if level_of(wanted.console_level) > logging.DEBUG:
                sink.addFilter(is_no_noise)
        problem = self._open_file(level_of(wanted.file_level))
        self._set_levels()
        self._take_warnings()
        if problem is not None:
            logger.warning("There will be no log file: %s. Set log_path to one that can be written.", problem)
        return self

    def close(self) -> None:
        """Write what is still to be written, and put `logging` back to what it was."""
        while self._undo:
            self._undo.pop()()
        while self._sinks:
            self._sinks.pop().close()
        if self._claim is not None:
            self._claim.close()
            self._claim = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # -- where lines go ---------------------------------------------------------------------------------------------

    def _add(self, sink: Sink) -> Sink:
        sink.start()
        self._sinks.append(sink)
        logging.root.addHandler(sink)
        self._undo.append(lambda: logging.root.removeHandler(sink))
        return sink

    def _lines(self, stream: TextIO | None = None) -> logging.Formatter:
        secrets = secrets_of(self._settings)
        if self._settings.logging.format == "json":
            return JsonLines(secrets)
        return TextLines(secrets, colour=stream is not None and _shows_colours(stream))

    def _open_file(self, level: int) -> OSError | None:
        path = log_file(self._settings)
        if path is None:
            return None
        if self._name is not None:
            path = path.with_stem(f"{path.stem}-{re.sub('[^A-Za-z0-9._-]', '_', self._name)}")
        wanted = self._settings.logging
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._claim = claim_file(path)
            limit = max(int(wanted.rotate_mb * 1024 * 1024), 1)
            target = LogFile(self._claim.path, limit, wanted.keep_days, self._complain)
            target.open()
        except OSError as problem:
            return problem
        self.path = target.path
        self._add(Sink(target, self._lines(), level))
        return None

    def _complain(self, text: str) -> None:
        if self._stream is not None:
            Console(self._stream).write([text])

    # -- what is logged ---------------------------------------------------------------------------------------------

    def _set_levels(self) -> None:
        lowest = min((sink.level for sink in self._sinks), default=logging.CRITICAL)
        self._set_level(logging.root, max(lowest, logging.INFO))
        for name in OURS:
            self._set_level(logging.getLogger(name), lowest)
        for name in OTHERS:
            self._let_pass(logging.getLogger(name))

    def _set_level(self, target: logging.Logger, level: int) -> None:
        before = target.level
        target.setLevel(level)
        self._undo.append(lambda: target.setLevel(before))

    def _let_pass(self, target: logging.Logger) -> None:
        before = target.handlers, target.propagate
        target.handlers, target.propagate = [], True

        def undo() -> None:
            target.handlers, target.propagate = before

        self._undo.append(undo)

    def _take_warnings(self) -> None:
        before = warnings.showwarning

        def show(message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None) -> None:
            if file is not None or in_task():  # what a task warns of is written to stderr, and so to the task's log
                before(message, category, filename, lineno, file, line)
            else:
                text = warnings.formatwarning(message, category, filename, lineno, line)
                logging.getLogger("py.warnings").warning("%s", text.rstrip())

        warnings.showwarning = show

        def undo() -> None:
            if warnings.showwarning is show:
                warnings.showwarning = before

        self._undo.append(undo)


def is_no_noise(record: logging.LogRecord) -> bool:
    """Return whether a record is to be seen by whoever watches the console at INFO or above.

    Records with a true `noise` are not: a client that polls fills a screen in a second. The file has them all.
    """
    if getattr(record, "noise", False):
        return False
    return record.levelno >= logging.ERROR or kind_of(record.name) != MINIO


def _shows_colours(stream: TextIO) -> bool:
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return False
    return sys.platform != "win32" or bool(os.environ.get("WT_SESSION") or os.environ.get("TERM"))
