"""How a record looks as a line of text, and as one of JSON."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from compox_core.logs.context import belonging
from compox_core.logs.kinds import kind_of

MASK = "***"
INDENT = "    "
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_COLOURS = {"TRACE": 36, "DEBUG": 34, "SUCCESS": 32, "WARNING": 33, "ERROR": 31, "CRITICAL": 41}


def shown(text: str) -> str:
    """Return text in which control characters and line ends are escaped, so that it is one line that hides nothing."""
    return _CONTROL.sub(_escaped, text).replace("\n", "\\n")


def _escaped(found: re.Match[str]) -> str:
    return "\t" if found[0] == "\t" else found[0].encode("unicode_escape").decode("ascii")


class _Lines(logging.Formatter):
    """What both forms have in common. `secrets` are texts that no line may show."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        super().__init__()
        self._secrets = secrets

    def message(self, record: logging.LogRecord, task_id: str | None, algorithm: str | None) -> str:
        """Return the message, without what the line says of its task anyway."""
        try:
            text = record.getMessage()
        except Exception:  # arguments that do not fit: the line is still worth more than none
            text = f"{record.msg!r} {record.args!r}"
        return text.removeprefix(f"[{task_id}] ").removeprefix(f"{algorithm}: ") if task_id else text

    def trace(self, record: logging.LogRecord) -> str:
        """Return the traceback, or an empty text."""
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        stack = self.formatStack(record.stack_info) if record.stack_info else ""
        return "\n".join(part for part in (record.exc_text, stack) if part)

    def without_secrets(self, text: str) -> str:
        """Return text that shows no secret of the settings."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, MASK)
        return text


class TextLines(_Lines):
    """Lines `DAY at TIME | TYPE | LEVEL | ALGORITHM module:function:line - message`, in local time.

    What goes on in a second line is indented there, and control characters are escaped: nobody can forge a line, or
    send a terminal what it would obey.
    """

    def __init__(self, secrets: Sequence[str] = (), *, colour: bool = False) -> None:
        super().__init__(secrets)
        self._colour = colour
        self._second = -1
        self._time = ""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        whose = belonging(record)
        text = self.message(record, whose.task_id, whose.algorithm)
        trace = self.trace(record)
        said = self.without_secrets(f"{text}\n{trace}" if trace else text)
        said = _CONTROL.sub(_escaped, said).replace("\n", f"\n{INDENT}")
        level = f"{record.levelname:<7}"
        if self._colour and record.levelname in _COLOURS:
            level = f"\x1b[{_COLOURS[record.levelname]}m{level}\x1b[0m"
        algorithm = f"{whose.algorithm} " if whose.algorithm else ""
        task = f"[task {whose.task_id}] " if whose.task_id else ""
        request = f"[req {whose.request_id}] " if whose.request_id else ""
        place = f"{record.module}:{record.funcName}:{record.lineno}"
        when = self._when(record.created)
        return f"{when} | {kind_of(record.name):<8} | {level} | {algorithm}{place} - {task}{request}{said}"

    def _when(self, created: float) -> str:
        second = int(created)
        if second != self._second:
            self._time = time.strftime("%Y-%m-%d at %H:%M:%S", time.localtime(second))
            self._second = second
        return self._time


class JsonLines(_Lines):
    """Lines that are JSON objects with `time` (UTC), `level`, `type`, `logger`, `place`, `message` and whose it is."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        whose = belonging(record)
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "time": when.replace("+00:00", "Z"),
            "level": record.levelname,
            "type": kind_of(record.name),
            "logger": record.name,
            "place": f"{record.module}:{record.funcName}:{record.lineno}",
            "message": self.without_secrets(self.message(record, whose.task_id, whose.algorithm)),
            "request_id": whose.request_id,
            "task_id": whose.task_id,
            "algorithm": whose.algorithm,
            "exception": self.without_secrets(self.trace(record)) or None,
        }
        return json.dumps(line)
