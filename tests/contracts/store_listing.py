"""How every store lists."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timedelta

import pytest

from compox_core.identity import utc_now
from compox_core.storage import ASSETS, FILES, MODULES, ObjectStore
from tests.contracts.backdoor import Backdoor


class ListingContract:
    """Complete, in order, by prefix."""

    def test_list_is_complete_and_in_order(self, store: ObjectStore, backdoor: Backdoor) -> None:
        """More keys than a server gives at a time are all listed, in order, with sizes and times."""
        keys = sorted(f"k{number:04}" for number in range(1005))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda key: backdoor.write(FILES, key, key.encode()), reversed(keys)))
        infos = list(store.list(FILES))
        assert [info.key for info in infos] == keys
        assert {info.size for info in infos} == {5}
        assert all(abs(info.modified - utc_now()) < timedelta(minutes=10) for info in infos)
        assert all(info.modified.tzinfo is UTC for info in infos)
        assert [info.key for info in store.list(FILES, "k100")] == ["k1000", "k1001", "k1002", "k1003", "k1004"]

    def test_list_by_prefix(self, store: ObjectStore, backdoor: Backdoor) -> None:
        """A prefix is text, not a folder; the order is that of the whole keys."""
        keys = ["a", "a-b", "a.b/c", "a0/b", "ab", "b/a", "b/a-a", "b/a.d/e", "b/a0", "b/b-c", "b/b.c", "b/b/c", "ba"]
        for key in keys:
            backdoor.write(FILES, key, b"1")
        backdoor.write(MODULES, "a", b"1")
        for prefix in ("", "a", "a.", "a.b", "a.b/", "a.b/c", "b", "b/", "b/a", "b/a.d/e", "b/b/", "c", "a/", "b//"):
            found = [info.key for info in store.list(FILES, prefix)]
            assert found == sorted(key for key in keys if key.startswith(prefix)), prefix

    @pytest.mark.parametrize("prefix", ["../", "/", "..", "a/../", "./", ".tmp", "a\\", "*", "a\0"])
    def test_list_with_an_impossible_prefix_is_empty(self, store: ObjectStore, backdoor: Backdoor, prefix: str) -> None:
        """A prefix that no key can have lists nothing, and nothing outside the collection."""
        backdoor.write(FILES, "a/b", b"1")
        assert list(store.list(FILES, prefix)) == []

    def test_list_while_objects_go(self, store: ObjectStore, backdoor: Backdoor) -> None:
        """Objects deleted during a listing are left out or listed, and the others are listed once."""
        keys = [f"f{number // 10}/k{number}" for number in range(50)]
        for key in keys:
            backdoor.write(FILES, key, b"1")
        listing = store.list(FILES)
        first = next(listing)
        gone = set(keys[::3]) - {first.key}
        for key in gone:
            store.delete(FILES, key)
        found = [first.key, *(info.key for info in listing)]
        assert len(found) == len(set(found))
        assert set(keys) - gone <= set(found) <= set(keys)

    def test_is_empty(self, store: ObjectStore, backdoor: Backdoor) -> None:
        """A store that was made ready and holds nothing is empty, and one object ends that."""
        assert store.is_empty()
        backdoor.write(ASSETS, "a/b", b"")
        assert not store.is_empty()
