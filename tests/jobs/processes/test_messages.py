"""What goes over the pipes comes out as it went in, and nonsense is told from it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compox_core.jobs.processes.messages import (
    Done,
    Exit,
    Lines,
    Log,
    Message,
    MessageError,
    Metrics,
    Open,
    Posted,
    Progress,
    Raise,
    Ready,
    Relay,
    Run,
    Stop,
    Taken,
    Update,
    Withdrawn,
    decode,
    encode,
)

TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates too
PLAIN: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)
DICTS = st.dictionaries(TEXT, PLAIN, max_size=4)
NUMBERS = st.integers(1, 10**9)
MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(Open, DICTS, st.none() | TEXT, st.lists(TEXT, max_size=3), TEXT, st.integers(0, 60)),
    st.builds(Run, NUMBERS, TEXT, DICTS, st.none() | TEXT),
    st.builds(Stop, NUMBERS),
    st.builds(Raise, NUMBERS),
    st.just(Exit()),
    st.just(Ready()),
    st.builds(Taken, NUMBERS),
    st.builds(Progress, NUMBERS, st.floats(allow_nan=False)),
    st.builds(Log, NUMBERS, TEXT, TEXT),
    st.builds(Relay, TEXT, st.integers(0, 60), TEXT),
    st.builds(Update, NUMBERS, DICTS),
    st.builds(Metrics, NUMBERS, st.none() | st.integers(), DICTS),
    st.builds(Posted, NUMBERS, TEXT),
    st.builds(Withdrawn, NUMBERS, TEXT),
    st.builds(Done, NUMBERS, DICTS, st.lists(TEXT, max_size=3), st.booleans()),
)


@given(MESSAGES)
def test_every_message_survives(message: Message) -> None:
    """Any text, lone surrogates and line ends included, on one line."""
    line = encode(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line[:-1]) == message


@given(st.lists(MESSAGES, max_size=5), st.data())
def test_pieces_are_put_together(messages: list[Message], data: st.DataObject) -> None:
    """A pipe may cut anywhere; what comes out is what went in, and nothing before it is whole."""
    stream = b"".join(encode(message) for message in messages)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=8)))
    lines = Lines()
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert [message for piece in pieces for message in lines.feed(piece)] == messages


@given(st.binary())
def test_nonsense_is_an_error(data: bytes) -> None:
    """No bytes but a message make a message; nothing else is raised."""
    with pytest.raises(MessageError):
        decode(b"x" + data)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"type":"Nobody"}',
        b'{"type":["Ready"]}',
        b'{"type":"Progress","number":1}',
        b'{"type":"Progress","number":1,"value":"half"}',
        b'{"type":"Progress","number":true,"value":0.5}',
        b'{"type":"Progress","number":1,"value":0.5,"more":1}',
        b'{"type":"Done","number":1,"outcome":{},"sessions":[1],"leftovers":false}',
        b"[" * 100_000,
        b"9" * 10_000,
    ],
)
def test_what_almost_is_a_message_is_none(line: bytes) -> None:
    """Unknown types, missing, superfluous and wrong fields, and what JSON parsers stumble over."""
    with pytest.raises(MessageError):
        decode(line)


def test_a_line_without_end_is_refused() -> None:
    """It would fill the memory of the reader."""
    lines = Lines(limit=1000)
    assert list(lines.feed(b"x" * 900)) == []
    with pytest.raises(MessageError):
        list(lines.feed(b"x" * 200))
