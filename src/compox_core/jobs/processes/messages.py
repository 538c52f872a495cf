"""What a worker process and its parent say to each other: one JSON object a line.

Every line names its message in `type`; the other keys are the fields of the class of that name. All text survives,
lone surrogates included, because JSON is written in ASCII.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, get_args, get_type_hints

MAX_LINE = 256 * 1024 * 1024
"""A longer line is no message: somebody writes nonsense, which must not fill the memory of the reader."""


class MessageError(ValueError):
    """Something came over a pipe that is no message."""


@dataclass(frozen=True)
class Open:
    """To a worker, first: be ready to work. The settings hold secrets, so they come through the pipe alone.

    `path` is the parent's `sys.path`; `marker` begins the line on stderr that ends each job; program log records of
    `log_level` and above are to be relayed.
    """

    settings: dict[str, Any]
    url: str | None
    path: list[str]
    marker: str
    log_level: int


@dataclass(frozen=True)
class Run:
    """To a worker: do this job, the worker's `number`-th. `device` is the runtime device it is bound to, if any."""

    number: int
    kind: str
    record: dict[str, Any]
    device: str | None


@dataclass(frozen=True)
class Stop:
    """To a worker: the job is to stop at the next call of its handler."""

    number: int


@dataclass(frozen=True)
class Raise:
    """To a worker: raise the stop in the algorithm's code. Where there are signals, one is sent instead."""

    number: int


@dataclass(frozen=True)
class Exit:
    """To a worker: end, nobody needs you."""


@dataclass(frozen=True)
class Ready:
    """From a worker: it waits for jobs."""


@dataclass(frozen=True)
class Taken:
    """From a worker, first of a job: it begins with it now. A job that no worker has taken can go to another."""

    number: int


@dataclass(frozen=True)
class Progress:
    """From a worker: how far the job is, in [0, 1]."""

    number: int
    value: float


@dataclass(frozen=True)
class Log:
    """From a worker: a message for the log of the job."""

    number: int
    level: str
    text: str


@dataclass(frozen=True)
class Relay:
    """From a worker: a message for the program's log, and what else `compox_core.logs.facts_of` says of it."""

    logger: str
    level: int
    text: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Update:
    """From a worker: fields of the record that have changed."""

    number: int
    values: dict[str, Any]


@dataclass(frozen=True)
class Metrics:
    """From a worker: a point of the metric history; numbers are written as in `compox_core.records.metric`."""

    number: int
    step: int | None
    values: dict[str, Any]


@dataclass(frozen=True)
class Posted:
    """From a worker: the job has stored a file."""

    number: int
    file_id: str


@dataclass(frozen=True)
class Withdrawn:
    """From a worker: such a file is gone again."""

    number: int
    file_id: str


@dataclass(frozen=True)
class Done:
    """From a worker, last of a job: how it ended. What it wrote on stderr itself ends with the marker line.

    `sessions` are the tokens of all sessions that live in the worker. `leftovers`: threads of the job go on that a
    program would wait for.
    """

    number: int
    outcome: dict[str, Any]
    sessions: list[str] = field(default_factory=list)
    leftovers: bool = False


FromJob = Taken | Progress | Log | Update | Metrics | Posted | Withdrawn | Done
Message = Open | Run | Stop | Raise | Exit | Ready | Relay | FromJob

_CLASSES: dict[str, type[Message]] = {c.__name__: c for c in get_args(Message)}
_JSON_TYPES: dict[Any, tuple[type, ...]] = {
    str: (str,),
    int: (int,),
    float: (int, float),
    bool: (bool,),
    str | None: (str, type(None)),
    int | None: (int, type(None)),
    list[str]: (list,),
    dict[str, Any]: (dict,),
}
_FIELDS: dict[str, dict[str, tuple[type, ...]]] = {
    name: {key: _JSON_TYPES[hint] for key, hint in get_type_hints(c).items()} for name, c in _CLASSES.items()
}


def encode(message: Message) -> bytes:
    """Return a message as its line. Raises TypeError or ValueError for what JSON cannot hold."""
    values = {f.name: getattr(message, f.name) for f in fields(message)}
    return json.dumps({"type": type(message).__name__, **values}, separators=(",", ":")).encode("ascii") + b"\n"


def decode(line: bytes) -> Message:
    """Return the message of a line. Raises MessageError."""
    try:
        values = json.loads(line)
        name = values.pop("type")
        expected = _FIELDS[name]
        if (
            values.keys() != expected.keys()
            or not all(
                isinstance(values[key], types) and (bool in types or not isinstance(values[key], bool))
                for key, types in expected.items()
            )
            or not all(isinstance(item, str) for value in values.values() if isinstance(value, list) for item in value)
        ):
            raise ValueError("its fields do not fit")
        return _CLASSES[name](**values)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MessageError(f"{line[:200]!r} is no message: {type(error).__name__} {error}") from error


class Lines:
    """Cuts what comes out of a pipe into messages."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._held = 0

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yield the messages that are whole now. Raises MessageError."""
        *whole, rest = data.split(b"\n")
        for line in whole:
            self._parts.append(line)
            joined, self._parts, self._held = b"".join(self._parts), [], 0
            yield decode(joined)
        if rest:
            self._parts.append(rest)
            self._held += len(rest)
            if self._held > self._limit:
                raise MessageError(f"A line of more than {self._limit} bytes is no message.")
