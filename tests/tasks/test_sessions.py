"""Sessions keep live objects across tasks, and never lose one that a task holds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compox_core.errors import StateError
from compox_core.tasks import DataCache, SessionStore


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def test_an_object_is_found_again_by_its_token() -> None:
    """What one task saves, the next one with the same token reads: the very object."""
    store = SessionStore()
    thing = object()
    with store.hold(None) as session:
        session.add_item(thing, "model")
        token = session.session_token
    with store.hold(token) as session:
        assert session["model"] is thing
        session.remove_item("model")
        session.remove_item("model")
        with pytest.raises(KeyError, match="model"):
            session["model"]


def test_tokens_are_made_where_none_is_given_and_never_repeat() -> None:
    """A task without a token gets an unguessable one; an empty one counts as none."""
    store = SessionStore()
    tokens = set()
    for given_token in (None, "", None):
        with store.hold(given_token) as session:
            tokens.add(session.session_token)
    assert len(tokens) == 3
    assert "" not in tokens


def test_tasks_that_use_no_session_evict_nobody() -> None:
    """A hundred tasks that save nothing leave the five live sessions alone."""
    store = SessionStore(max_sessions=5)
    for number in range(5):
        with store.hold(f"t{number}") as session:
            session.add_item(number, "n")
    for _ in range(100):
        with store.hold(None):
            pass
    assert all(f"t{number}" in store for number in range(5))


def test_at_the_limit_the_least_recently_used_session_goes() -> None:
    """Use, not age, decides which one gives way."""
    store = SessionStore(max_sessions=2, clock=Clock())
    for token in ("old", "new"):
        with store.hold(token) as session:
            session.add_item(1, "x")
    with store.hold("old"):
        pass
    with store.hold("third") as session:
        session.add_item(1, "x")
    assert "old" in store
    assert "new" not in store


def test_a_session_that_a_task_holds_never_goes() -> None:
    """Even at the limit, and even beyond its expiry, a session in use stays."""
    clock = Clock()
    store = SessionStore(max_sessions=1, expire_hours=1, clock=clock)
    with store.hold("held") as held:
        held.add_item(1, "x")
        with store.hold("other") as other:
            other.add_item(2, "x")
        clock.now += 10 * 3600
        with store.hold(None):
            pass
        assert held["x"] == 1
    with store.hold("held") as again:
        assert again["x"] == 1


def test_two_tasks_of_one_token_share_what_is_saved_while_both_run() -> None:
    """The second task sees what the first saved after both had begun."""
    store = SessionStore()
    with store.hold("t") as first, store.hold("t") as second:
        first.add_item(5, "x")
        assert second["x"] == 5


def test_expiry_counts_from_the_last_use() -> None:
    """A session that is used keeps living; one that is not goes after its hours."""
    clock = Clock()
    store = SessionStore(expire_hours=1, clock=clock)
    with store.hold("t") as session:
        session.add_item(1, "x")
    for _ in range(3):
        clock.now += 0.9 * 3600
        with store.hold("t") as session:
            assert session["x"] == 1
    clock.now += 1.1 * 3600
    with store.hold("t") as session, pytest.raises(KeyError):
        session["x"]


@given(st.lists(st.sampled_from("abcdefgh"), max_size=40), st.integers(1, 4))
def test_a_cache_keeps_the_most_recent_keys(keys: list[str], size: int) -> None:
    """After any sequence of saves the newest distinct keys are there, overwriting counts once."""
    cache = DataCache(size)
    for position, key in enumerate(keys):
        cache.add_item(position, key)
    recent = list(dict.fromkeys(reversed(keys)))[:size]
    assert len(cache) == len(recent)
    for key in recent:
        assert cache[key] == len(keys) - 1 - keys[::-1].index(key)


def test_memory_counts_the_bytes_of_arrays() -> None:
    """The oldest arrays go when the limit is passed; one that alone is too large is refused and evicts nothing."""
    cache = DataCache(10, max_memory_mb=1)
    cache.add_item(np.zeros(600 * 1024, np.uint8), "a")
    cache.add_item([np.zeros(600 * 1024, np.uint8)], "b")
    assert "a" not in cache
    with pytest.raises(StateError, match="max_memory_mb"):
        cache.add_item(np.zeros(2 * 1024 * 1024, np.uint8), "c")
    assert "b" in cache


def test_many_threads_hold_and_save_without_losing_their_own() -> None:
    """Each of many concurrent tasks reads back what it saved."""
    store = SessionStore(max_sessions=3, max_items=400)  # one that others keep waiting must not lose to max_items

    def work(number: int) -> bool:
        with store.hold(f"t{number % 7}") as session:
            session.add_item(number, f"k{number}")
            return bool(session[f"k{number}"] == number)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(400)))
