"""Signed permissions: what was signed is accepted, and nothing else."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from compox_core.errors import StorageError
from compox_core.storage import SYSTEM, ObjectStore, open_store
from compox_core.storage.memory import MemoryStore
from compox_core.storage.signing import KEY, KEY_BYTES, Signing

METHODS = st.sampled_from(["GET", "PUT"])
SECONDS = st.integers(1, 10**6)
TEXTS = st.text(st.characters(), max_size=40)


class Clock:
    """A clock that a test sets."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """A store of each local kind."""
    return open_store("memory://" if request.param == "memory" else tmp_path / "store")


@given(METHODS, TEXTS, SECONDS, st.floats(0, 1e9))
def test_what_was_signed_is_accepted_until_it_expires(method: str, name: str, seconds: int, now: float) -> None:
    """From the moment of its signing for so many seconds, whatever the name, and not a second longer."""
    clock = Clock(now)
    signing = Signing(MemoryStore(), clock)
    expires, signature = signing.sign(method, name, seconds)
    assert seconds - 1 < expires - now <= seconds
    for moment in (now, float(expires)):
        clock.now = moment
        assert signing.check(method, name, str(expires), signature) is None
    clock.now = expires + 0.001
    assert signing.check(method, name, str(expires), signature) == "it has expired"


@given(METHODS, TEXTS, SECONDS, TEXTS, st.data())
def test_any_change_is_refused(method: str, name: str, seconds: int, other: str, data: st.DataObject) -> None:
    """Of the method, the name, the time, also where it reads as the same number, and of the signature."""
    signing = Signing(MemoryStore(), Clock())
    expires, signature = signing.sign(method, name, seconds)
    time, position = str(expires), data.draw(st.integers(0, len(signature) - 1))
    swapped = signature[:position] + ("0" if signature[position] != "0" else "1") + signature[position + 1 :]
    assume(other not in (name, time, signature, method))
    for changed in (
        ({"GET": "PUT", "PUT": "GET"}[method], name, time, signature),
        (method.lower(), name, time, signature),
        (method, other, time, signature),
        (method, name, str(expires + 1), signature),
        (method, name, f"0{time}", signature),
        (method, name, f" {time}", signature),
        (method, name, f"+{time}", signature),
        (method, name, other, signature),
        (method, name, time, swapped),
        (method, name, time, signature.upper() if signature.upper() != signature else ""),
        (method, name, time, signature[:-1]),
        (method, name, time, other),
        (other, name, time, signature),
    ):
        assert signing.check(*changed) == "its signature does not fit", changed


def test_parts_cannot_be_moved_from_one_to_the_next() -> None:
    """What stands between the parts of what is signed cannot be part of them."""
    signing = Signing(MemoryStore(), Clock())
    expires, signature = signing.sign("GET", 'a", "b', 60)
    assert signing.check("GET", "a", f'b", {expires}', signature) is not None
    assert signing.check('GET", "a', "b", str(expires), signature) is not None


@pytest.mark.parametrize("text", ["", "-1", "1e3", "٣", "9" * 5000, "\ud800", "nan", "x"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    """As what was never signed; nothing is raised."""
    signing = Signing(MemoryStore(), Clock())
    _, signature = signing.sign("GET", "k", 60)
    assert signing.check("GET", "k", text, signature) == "its signature does not fit"
    assert signing.check("GET", "k", "1", text) == "its signature does not fit"


def test_every_server_of_a_store_accepts_what_any_of_them_signed(store: ObjectStore) -> None:
    """Also where 8 of them begin at once: one key is made, and it stays."""
    clock, barrier = Clock(), threading.Barrier(8)

    def sign(signing: Signing) -> tuple[int, str]:
        barrier.wait()
        return signing.sign("PUT", "mine", 60)

    servers = [Signing(store, clock) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        signed = list(pool.map(sign, servers))
    assert len(set(signed)) == 1
    for signing in (*servers, Signing(store, clock)):
        assert signing.check("PUT", "mine", str(signed[0][0]), signed[0][1]) is None
    assert [info.key for info in store.list(SYSTEM)] == [KEY]
    assert len(store.get(SYSTEM, KEY)) == KEY_BYTES


def test_another_store_has_another_key() -> None:
    """What one store signed is worth nothing at another one."""
    one, other = (Signing(MemoryStore(), Clock()) for _ in range(2))
    expires, signature = one.sign("GET", "k", 60)
    assert other.check("GET", "k", str(expires), signature) == "its signature does not fit"


@pytest.mark.parametrize("key", [b"", b"short", b"x" * (KEY_BYTES + 1)])
def test_a_broken_key_is_told_and_signs_nothing(store: ObjectStore, key: bytes) -> None:
    """With what to do; done, the next call makes a new one."""
    store.put(SYSTEM, KEY, key)
    signing = Signing(store, Clock())
    for use in (lambda: signing.sign("GET", "k", 60), lambda: signing.check("GET", "k", "1", "x")):
        with pytest.raises(StorageError) as caught:
            use()
        assert (caught.value.code, caught.value.details) == ("invalid_record", {"collection": SYSTEM, "key": KEY})
        assert "delete it" in caught.value.message
    store.delete(SYSTEM, KEY)
    expires, signature = signing.sign("GET", "k", 60)
    assert signing.check("GET", "k", str(expires), signature) is None
