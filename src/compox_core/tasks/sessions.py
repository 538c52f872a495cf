"""Live objects that outlast a run: a session is found again by its token, in this process."""

from __future__ import annotations

import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from compox_core.errors import StateError
from compox_core.identity import new_token


class DataCache:
    """A few live objects by key; the least recently used one goes first. Safe for threads.

    Args:
        max_size: How many items are kept.
        max_memory_mb: How many MiB they may hold together; None for no limit. Arrays count with their bytes, other
            objects as `sys.getsizeof` and their direct members say.
    """

    def __init__(self, max_size: int = 5, max_memory_mb: float | None = None) -> None:
        self.max_size = max_size
        self._max_bytes = None if max_memory_mb is None else int(max_memory_mb * 1024 * 1024)
        self._lock = threading.Lock()
        self._items: OrderedDict[str, tuple[Any, int]] = OrderedDict()

    def add_item(self, obj: Any, key: str) -> None:
        """Keep `obj` under `key`, in place of what was there. Raises StateError when it alone is over the limit."""
        size = _size(obj)
        if self._max_bytes is not None and size > self._max_bytes:
            raise StateError(
                f"The item '{key}' has {size} bytes; a session holds at most {self._max_bytes} "
                "(inference.sessions.max_memory_mb).",
                code="task_session_save_failed",
                details={"key": key, "bytes": size},
            )
        with self._lock:
            self._items.pop(key, None)
            self._items[key] = (obj, size)
            while len(self._items) > self.max_size or self._over_memory():
                self._items.popitem(last=False)

    def _over_memory(self) -> bool:
        return self._max_bytes is not None and sum(size for _, size in self._items.values()) > self._max_bytes

    def __getitem__(self, key: str) -> Any:
        with self._lock:
            if key not in self._items:
                raise KeyError(f"The session has no item '{key}': it was never saved, or gave way to newer ones.")
            self._items.move_to_end(key)
            return self._items[key][0]

    def remove_item(self, key: str) -> None:
        """Forget an item; an absent one is no error."""
        with self._lock:
            self._items.pop(key, None)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, key: object) -> bool:
        return key in self._items


class Session:
    """The items of one token. It takes a place in the store when its first item is saved."""

    def __init__(self, token: str, cache: DataCache, on_save: Callable[[Session], None]) -> None:
        self.session_token = token
        self._cache = cache
        self._on_save = on_save
        self.tasks = 0
        self.last_used = 0.0

    def add_item(self, obj: Any, key: str) -> None:
        """Keep a live object under `key`."""
        self._cache.add_item(obj, key)
        self._on_save(self)

    def __getitem__(self, key: str) -> Any:
        return self._cache[key]

    def remove_item(self, key: str) -> None:
        """Forget an item; an absent one is no error."""
        self._cache.remove_item(key)


class SessionStore:
    """The sessions of one engine.

    A session expires when it was not used for `expire_hours`. When `max_sessions` hold items and another one is to,
    the least recently used session that no running task holds gives way; one that a task holds never does.
    """

    def __init__(
        self,
        max_sessions: int = 5,
        max_items: int = 5,
        max_memory_mb: float | None = None,
        expire_hours: float = 24,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_sessions = max_sessions
        self._max_items = max_items
        self._max_memory_mb = max_memory_mb
        self._expire_seconds = expire_hours * 3600
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, Session] = {}
        self._held: dict[str, Session] = {}

    @contextmanager
    def hold(self, token: str | None) -> Iterator[Session]:
        """Open the session `token`, a new one where it is None or empty, for the length of a task."""
        with self._lock:
            self._expire()
            name = token or new_token()
            session = self._held.get(name) or self._kept.get(name)
            if session is None:
                session = Session(name, DataCache(self._max_items, self._max_memory_mb), self._keep)
            session.tasks += 1
            session.last_used = self._clock()
            self._held[name] = session
        try:
            yield session
        finally:
            with self._lock:
                session.tasks -= 1
                session.last_used = self._clock()
                if session.tasks == 0:
                    del self._held[name]

    def throwaway(self) -> Session:
        """Return a session of one task that takes nobody's place, and that nobody can come back to."""
        return Session(new_token(), DataCache(self._max_items, self._max_memory_mb), lambda session: None)

    def _keep(self, session: Session) -> None:
        with self._lock:
            if session.session_token in self._kept:
                return
            idle = sorted((s for s in self._kept.values() if s.tasks == 0), key=lambda s: s.last_used)
            excess = len(self._kept) + 1 - self._max_sessions
            for victim in idle[: max(excess, 0)]:
                del self._kept[victim.session_token]
            self._kept[session.session_token] = session

    def _expire(self) -> None:
        deadline = self._clock() - self._expire_seconds
        for token in [t for t, s in self._kept.items() if s.tasks == 0 and s.last_used < deadline]:
            del self._kept[token]

    def tokens(self) -> list[str]:
        """Return the tokens of the sessions that hold items."""
        with self._lock:
            return list(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, token: object) -> bool:
        return token in self._kept


def _size(obj: Any) -> int:
    nbytes = getattr(obj, "nbytes", None)
    if isinstance(nbytes, int):
        return nbytes
    if isinstance(obj, dict):
        return sys.getsizeof(obj) + sum(_shallow(value) for value in obj.values())
    if isinstance(obj, list | tuple | set | frozenset):
        return sys.getsizeof(obj) + sum(_shallow(value) for value in obj)
    return sys.getsizeof(obj)


def _shallow(obj: Any) -> int:
    nbytes = getattr(obj, "nbytes", None)
    return nbytes if isinstance(nbytes, int) else sys.getsizeof(obj)
