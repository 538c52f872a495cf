"""Stores against a dictionary that does what they should do."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from compox_core.errors import ConflictError, InvalidInputError, NotFoundError
from compox_core.storage import FILES, ObjectStore, open_store

SEGMENTS = st.sampled_from(["a", "b", "a-", "a.b", "A0", ".c"])
KEYS = st.lists(SEGMENTS, min_size=1, max_size=3).map("/".join)
DATA = st.binary(max_size=20)


def overlaps(key: str, other: str) -> bool:
    """Return whether one key is a folder of the other."""
    return key.startswith(other + "/") or other.startswith(key + "/")


class StoreMachine(RuleBasedStateMachine):
    """A store and a dictionary that get the same calls and must give the same answers."""

    store: ObjectStore

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, bytes] = {}

    def allowed(self, key: str) -> bool:
        return key in self.objects or not any(overlaps(key, other) for other in self.objects)

    @rule(key=KEYS, data=DATA)
    def put(self, key: str, data: bytes) -> None:
        if self.allowed(key):
            self.store.put(FILES, key, data)
            self.objects[key] = data
        else:
            with pytest.raises(InvalidInputError):
                self.store.put(FILES, key, data)

    @rule(key=KEYS, data=DATA)
    def create(self, key: str, data: bytes) -> None:
        if key in self.objects:
            with pytest.raises(ConflictError):
                self.store.create(FILES, key, data)
        elif self.allowed(key):
            self.store.create(FILES, key, data)
            self.objects[key] = data
        else:
            with pytest.raises(InvalidInputError):
                self.store.create(FILES, key, data)

    @rule(key=KEYS, data=DATA, consume=st.booleans(), exclusive=st.booleans())
    def put_file(self, key: str, data: bytes, consume: bool, exclusive: bool) -> None:
        path = self.store.scratch()
        path.write_bytes(data)
        try:
            self.store.put_file(FILES, key, path, consume=consume, exclusive=exclusive)
        except ConflictError:
            assert exclusive
            assert key in self.objects
        except InvalidInputError:
            assert not self.allowed(key)
        else:
            assert self.allowed(key)
            assert not (exclusive and key in self.objects)
            assert path.exists() is not consume
            self.objects[key] = data
        path.unlink(missing_ok=True)

    @rule(key=KEYS, data=DATA)
    def abort(self, key: str, data: bytes) -> None:
        with pytest.raises(ZeroDivisionError), self.store.write(FILES, key) as stream:
            stream.write(data)
            raise ZeroDivisionError

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        assert self.store.delete(FILES, key) == (key in self.objects)
        self.objects.pop(key, None)

    @rule(key=KEYS)
    def read(self, key: str) -> None:
        assert self.store.exists(FILES, key) == (key in self.objects)
        if key in self.objects:
            assert self.store.get(FILES, key) == self.objects[key]
            assert self.store.stat(FILES, key).size == len(self.objects[key])
        else:
            with pytest.raises(NotFoundError):
                self.store.get(FILES, key)

    @rule(prefix=st.text("ab./-A0", max_size=4))
    def list_prefix(self, prefix: str) -> None:
        found = [(info.key, info.size) for info in self.store.list(FILES, prefix)]
        assert found == [(key, len(data)) for key, data in sorted(self.objects.items()) if key.startswith(prefix)]

    @invariant()
    def holds_the_same(self) -> None:
        if hasattr(self, "store"):
            assert {info.key: self.store.get(FILES, info.key) for info in self.store.list(FILES)} == self.objects


class MemoryMachine(StoreMachine):
    """The memory store."""

    def __init__(self) -> None:
        super().__init__()
        self.store = open_store("memory://")


class FolderMachine(StoreMachine):
    """The store in a folder."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = open_store(Path(self.folder.name) / "store")
        self.store.ensure_collections()

    def teardown(self) -> None:
        self.folder.cleanup()


QUICK = settings(max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))

TestMemoryModel = MemoryMachine.TestCase
TestMemoryModel.settings = QUICK
TestFolderModel = FolderMachine.TestCase
TestFolderModel.settings = QUICK
