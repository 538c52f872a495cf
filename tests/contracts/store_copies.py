"""What every store does when it copies an object, and with URLs past this process."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import product

import pytest

from compox_core.errors import ConflictError, InvalidInputError, NotFoundError
from compox_core.identity import utc_now
from compox_core.storage import FILES, ObjectStore
from tests.contracts.backdoor import Backdoor
from tests.contracts.store_objects import ILL_FORMED

COPIERS = 8


class CopiesContract:
    """Objects made from other objects."""

    copies_exclusively = True  # whether of several copies to one key exactly one succeeds
    signs = False  # whether there are URLs at which the place itself is reached

    @pytest.mark.parametrize("size", [0, 1, 3_000_000])
    def test_a_copy_has_the_content(self, store: ObjectStore, backdoor: Backdoor, size: int) -> None:
        """It lies in the store byte for byte, in a folder of its own if its key says so, and nothing else does."""
        data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        backdoor.write(FILES, "a/source", data)
        store.copy(FILES, "a/source", "b/c/target")
        assert backdoor.read(FILES, "b/c/target") == data
        assert backdoor.read(FILES, "a/source") == data
        assert store.stat(FILES, "b/c/target").size == size
        assert backdoor.everything(FILES) == {"a/source", "b/c/target"}

    def test_a_copy_of_nothing_is_not_found(self, store: ObjectStore, backdoor: Backdoor) -> None:
        """Of an object that is not there, or that cannot be, also where the target is taken; nothing is made."""
        backdoor.write(FILES, "a/b", b"1")
        backdoor.write(FILES, "k", b"1")
        for source, target in product(("missing", "a", "k/below", "", "..", "a/", "con"), ("new", "k")):
            with pytest.raises(NotFoundError) as caught:
                store.copy(FILES, source, target)
            assert caught.value.code == "object_not_found"
            assert caught.value.details == {"collection": FILES, "key": source}
        assert backdoor.everything(FILES) == {"a/b", "k"}

    def test_a_copy_to_an_ill_formed_key_is_refused(self, store: ObjectStore, backdoor: Backdoor) -> None:
        """It can no more be copied to than written."""
        backdoor.write(FILES, "source", b"1")
        for target in ILL_FORMED:
            with pytest.raises(InvalidInputError) as caught:
                store.copy(FILES, "source", target)
            assert caught.value.code == "invalid_key"
        assert backdoor.everything(FILES) == {"source"}

    def test_a_copy_replaces_nothing(self, store: ObjectStore, backdoor: Backdoor) -> None:
        """A key that is taken is refused: by another object, by an earlier copy of this one, by the object itself."""
        backdoor.write(FILES, "source", b"new")
        backdoor.write(FILES, "other", b"old")
        store.copy(FILES, "source", "copy")
        for target in ("other", "copy", "source"):
            with pytest.raises(ConflictError) as caught:
                store.copy(FILES, "source", target)
            assert caught.value.code == "object_exists"
            assert caught.value.details == {"collection": FILES, "key": target}
        assert backdoor.read(FILES, "other") == b"old"
        assert backdoor.everything(FILES) == {"source", "other", "copy"}

    @pytest.mark.parametrize("gone", ["source", "copy"])
    def test_a_copy_and_its_source_live_apart(self, store: ObjectStore, backdoor: Backdoor, gone: str) -> None:
        """One is deleted and written anew, and the other is what it was."""
        stays = {"source": "copy", "copy": "source"}[gone]
        backdoor.write(FILES, "source", b"content")
        store.copy(FILES, "source", "copy")
        store.put(FILES, gone, b"another")
        assert store.get(FILES, stays) == b"content"
        assert store.delete(FILES, gone)
        assert backdoor.read(FILES, stays) == b"content"
        store.create(FILES, gone, b"other")
        assert store.get(FILES, stays) == b"content"

    def test_a_copy_is_as_old_as_a_new_object(self, store: ObjectStore) -> None:
        """What expires by its age begins anew with a copy."""
        store.put(FILES, "source", b"1")
        self.grow_old(store, "source")
        store.copy(FILES, "source", "copy")
        assert utc_now() - store.stat(FILES, "copy").modified < timedelta(minutes=1)

    def grow_old(self, store: ObjectStore, key: str) -> None:
        """Let the object be an hour old, or as old as can be arranged."""
        time.sleep(0.01)

    def test_copies_that_race_give_one_whole_object(self, store: ObjectStore, backdoor: Backdoor) -> None:
        """Of 8 threads that copy one object or several to a key one succeeds, and what stays is what it copied."""
        for number in range(COPIERS):
            backdoor.write(FILES, f"s/{number}", bytes([number]) * 50_000)
        for round_, sources in enumerate(([0] * COPIERS, range(COPIERS), [0, 1] * (COPIERS // 2))):
            target, barrier = f"t/{round_}", threading.Barrier(COPIERS)

            def copy(number: int, target: str = target, barrier: threading.Barrier = barrier) -> int | None:
                barrier.wait()
                try:
                    store.copy(FILES, f"s/{number}", target)
                except ConflictError as error:
                    assert error.code == "object_exists"
                    return None
                return number

            with ThreadPoolExecutor(COPIERS) as pool:
                won = [number for number in pool.map(copy, sources) if number is not None]
            assert len(won) == 1 if self.copies_exclusively else won
            assert backdoor.read(FILES, target) in [bytes([number]) * 50_000 for number in won]
        assert backdoor.everything(FILES) == {*(f"s/{n}" for n in range(COPIERS)), "t/0", "t/1", "t/2"}

    def test_urls_past_this_process(self, store: ObjectStore) -> None:
        """Only a place that serves its objects itself signs URLs, whether there is such an object or not."""
        for method in ("GET", "PUT"):
            assert (store.presigned(FILES, "k", method, 60) is not None) is self.signs
            assert (store.presigned(FILES, "k", method, 60, "elsewhere.example") is not None) is self.signs
