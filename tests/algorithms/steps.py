"""Runs several actors on one store in every order of their store operations.

Each actor is a function that gets a view of the store; each operation on the view is one step that happens at once. An
actor runs in a thread of its own and stops before every step until it is told to go on, so that exactly one runs at
any time. `explore` runs the actors again and again, each time in another order, until it has seen every state that
can be reached; two orders that leave the same store and have shown every actor the same answers are one state.
What an actor that dies leaves is seen too: in many orders the others run to their end while it stands still.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import random
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from compox_core.records import AlgorithmFlags
from compox_core.storage.collections import ALL
from compox_core.storage.memory import MemoryStore
from compox_core.storage.objects import ObjectInfo, ObjectStore

Actor = Callable[[ObjectStore], object]

_TIMES = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")


class Abandoned(BaseException):
    """Ends an actor whose further steps are of no interest."""


class Hooked(ObjectStore):
    """A store that calls `step(name, action)` for every operation, which performs it by calling `action`."""

    def __init__(self, store: ObjectStore, step: Callable[[str, Callable[[], Any]], Any]) -> None:
        self.inner = store
        self.url = store.url
        self.shared = store.shared
        self._step = step

    def put(self, collection: str, key: str, data: bytes) -> None:
        self._step(f"put {collection}/{key}", lambda: self.inner.put(collection, key, data))

    def create(self, collection: str, key: str, data: bytes) -> None:
        self._step(f"create {collection}/{key}", lambda: self.inner.create(collection, key, data))

    def put_file(
        self, collection: str, key: str, path: Path, *, consume: bool = False, exclusive: bool = False
    ) -> None:
        raise NotImplementedError

    @contextmanager
    def write(self, collection: str, key: str, *, exclusive: bool = False) -> Iterator[BinaryIO]:
        stream = io.BytesIO()
        yield stream
        write = self.inner.create if exclusive else self.inner.put
        self._step(f"write {collection}/{key}", lambda: write(collection, key, stream.getvalue()))

    def get(self, collection: str, key: str) -> bytes:
        return self._step(f"get {collection}/{key}", lambda: self.inner.get(collection, key))

    def open(self, collection: str, key: str) -> BinaryIO:
        return io.BytesIO(self.get(collection, key))

    def stat(self, collection: str, key: str) -> ObjectInfo:
        return self._step(f"stat {collection}/{key}", lambda: self.inner.stat(collection, key))

    def delete(self, collection: str, key: str) -> bool:
        return self._step(f"delete {collection}/{key}", lambda: self.inner.delete(collection, key))

    def list(self, collection: str, prefix: str = "") -> Iterator[ObjectInfo]:
        return iter(self._step(f"list {collection}/{prefix}", lambda: [*self.inner.list(collection, prefix)]))

    def is_empty(self) -> bool:
        return self.inner.is_empty()

    def ensure_collections(self) -> None:
        self.inner.ensure_collections()

    def scratch(self) -> Path:
        return self.inner.scratch()


class _Player:
    """One actor in one run: its thread, where it stands, and what it has been told."""

    def __init__(self, name: str, actor: Actor, store: ObjectStore) -> None:
        self.name = name
        self.story = hashlib.sha256(name.encode())
        self.done = False
        self.error: BaseException | None = None
        self.steps: list[str] = []
        self._go, self._arrived = threading.Lock(), threading.Lock()  # held, each handed over by a release
        self._go.acquire()
        self._arrived.acquire()
        self._abandoned = False
        self._thread = threading.Thread(
            target=self._play, args=(actor, Hooked(store, self._step)), daemon=True, name=name
        )
        self._thread.start()
        self._arrived.acquire()

    def advance(self) -> None:
        """Let the actor do its next step and return when it stands before the one after, or has ended."""
        self._go.release()
        self._arrived.acquire()

    def abandon(self) -> None:
        self._abandoned = True
        while not self.done:
            self.advance()
        self._thread.join()

    def _step(self, name: str, action: Callable[[], Any]) -> Any:
        self._arrived.release()
        self._go.acquire()
        if self._abandoned:
            raise Abandoned
        self.steps.append(name)
        try:
            answer = action()
        except Exception as error:
            self._remember(name, type(error).__name__.encode())
            raise
        self._remember(name, _text(answer))
        return answer

    def _remember(self, name: str, answer: bytes) -> None:
        self.story.update(name.encode() + b"\0" + answer + b"\0")

    def _play(self, actor: Actor, store: ObjectStore) -> None:
        try:
            actor(store)
        except Abandoned:
            pass
        except BaseException as error:
            self.error = error
        self.done = True
        self._arrived.release()


class Explorer:
    """Finds every state that `actors` can reach on a store that `prepare` has filled.

    `check` looks at the store in each state, `check_end` at the store when all actors have ended.
    """

    def __init__(
        self,
        prepare: Callable[[ObjectStore], None],
        actors: dict[str, Actor],
        check: Callable[[ObjectStore], None],
        check_end: Callable[[ObjectStore], None] = lambda store: None,
    ) -> None:
        self._prepare = prepare
        self._actors = actors
        self._check = check
        self._check_end = check_end
        self._seen: set[bytes] = set()
        self.ends = 0

    @property
    def states(self) -> int:
        """How many states were seen."""
        return len(self._seen)

    def explore(self, limit: int | None = None) -> None:
        """Visit every state, or about `limit` of them, picked at random but the same in every run.

        With COMPOX_EVERY_ORDER set in the environment there is no limit; that takes many minutes.
        An error of an actor or a failed check is raised with the order of steps that led to it.
        """
        if os.environ.get("COMPOX_EVERY_ORDER"):
            limit = None
        pick = random.Random(0)
        waiting: list[tuple[str, ...]] = [()]
        while waiting and (limit is None or self.states < limit):
            waiting += self._follow(waiting.pop(pick.randrange(len(waiting))), pick)

    def _follow(self, order: tuple[str, ...], pick: random.Random) -> list[tuple[str, ...]]:
        """Run in the given order and on until a state was seen before; return the orders that branch off."""
        store = MemoryStore()
        self._prepare(store)
        players = {name: _Player(name, actor, store) for name, actor in self._actors.items()}
        branches: list[tuple[str, ...]] = []
        done: list[str] = []
        try:
            for name in order:
                players[name].advance()
                done.append(name)
            while self._is_new(store, players, done):
                able = [name for name, player in players.items() if not player.done]
                if not able:
                    self.ends += 1
                    self._judge(self._check_end, store, players, done)
                    break
                name = pick.choice(able)
                branches += [(*done, other) for other in able if other != name]
                players[name].advance()
                done.append(name)
        finally:
            for player in players.values():
                player.abandon()
        return branches

    def _is_new(self, store: ObjectStore, players: dict[str, _Player], done: list[str]) -> bool:
        state = hashlib.sha256(_content(store))
        for player in players.values():
            state.update(player.story.digest() + bytes([player.done]))
        if state.digest() in self._seen:
            return False
        self._seen.add(state.digest())
        self._judge(self._check, store, players, done)
        return True

    def _judge(
        self,
        check: Callable[[ObjectStore], None],
        store: ObjectStore,
        players: dict[str, _Player],
        done: list[str],
    ) -> None:
        try:
            for player in players.values():
                if player.error is not None:
                    raise player.error
            check(store)
        except BaseException as error:
            counts = {name: iter(player.steps) for name, player in players.items()}
            error.add_note("\n".join(f"{name}: {next(counts[name], 'ends')}" for name in done))
            raise


@contextmanager
def repeatable_names(*, announced: bool = False) -> Iterator[None]:
    """Make the random parts of keys repeat from run to run, each actor (thread) having its own.

    Unless they are to be `announced`, changes of algorithms are made without: the announcements are of use to lists
    alone, and their steps would be most of what is searched.
    """
    local = threading.local()

    def next_name(*_: object) -> str:
        if not hasattr(local, "count"):
            local.count = itertools.count()
        return f"{threading.current_thread().name}-{next(local.count)}"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("compox_core.algorithms.blobs.new_id", next_name)
        patch.setattr("compox_core.algorithms.blob_writer.secrets.token_hex", next_name)
        patch.setattr("compox_core.algorithms.changes.new_id", next_name)
        patch.setattr("compox_core.algorithms.checkpoints.new_id", next_name)
        patch.setattr("compox_core.algorithms.changes.new_token", next_name)
        if not announced:
            patch.setattr("compox_core.algorithms.changes.Changes.announced", lambda self: nullcontext())
        patch.setattr("compox_core.algorithms.minors._StampedFlags", AlgorithmFlags)
        patch.setattr("compox_core.algorithms.publishing.utc_now", lambda: datetime(2026, 1, 1, tzinfo=UTC))
        yield


def _content(store: ObjectStore) -> bytes:
    parts = []
    for collection in ALL:
        for info in store.list(collection):
            parts += [f"{collection}/{info.key}".encode(), _text(store.get(collection, info.key))]
    return b"\0".join(parts)


def _text(answer: object) -> bytes:
    """Return an answer of the store without what depends on the clock or on a count of writes."""
    if isinstance(answer, bytes):
        return _TIMES.sub(b"then", answer)
    if isinstance(answer, ObjectInfo):
        return f"{answer.key} {answer.size}".encode()
    if isinstance(answer, list):
        return b"\0".join(map(_text, answer))
    return repr(answer).encode()
