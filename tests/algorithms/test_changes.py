"""Lists that are kept for as long as nothing changes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from compox_core.algorithms.catalogue import Catalogue
from compox_core.algorithms.changes import CHANGES, GENERATION, Changes
from compox_core.algorithms.registry import Registry
from compox_core.errors import NotFoundError, StorageError
from compox_core.identity import utc_now
from compox_core.jobs.retention.algorithms import collect_algorithms
from compox_core.jobs.retention.broom import Broom
from compox_core.storage import SYSTEM, ObjectStore
from compox_core.storage.memory import MemoryStore
from tests.algorithms.packages import PackageMaker
from tests.algorithms.steps import Actor, Explorer, Hooked, repeatable_names


@pytest.fixture
def repeatable() -> Iterator[None]:
    """Random names that repeat."""
    with repeatable_names(announced=True):
        yield


@pytest.mark.usefixtures("repeatable")
@pytest.mark.parametrize("changes", ["deploys", "deploy and removal", "flags"])
def test_no_list_is_older_than_a_change_that_had_ended(package: PackageMaker, changes: str) -> None:
    """In every order of the steps of two writers and of one reader that lists three times."""
    ended: set[str] = set()

    def prepare(store: ObjectStore) -> None:
        ended.clear()
        Registry(store).deploy(package(name="there"), removable=False)

    def deploy(name: str, removable: bool = False) -> Actor:
        def act(store: ObjectStore) -> None:
            Registry(store).deploy(package(name=name), removable=removable)
            ended.add(f"{name} {removable}")

        return act

    def remove(store: ObjectStore) -> None:
        registry = Registry(store)
        registry.remove(registry.get("there").algorithm_id, force=True)
        ended.add("removed")

    def read(store: ObjectStore) -> None:
        registry = Registry(store)
        for _ in range(3):
            before = set(ended)
            seen = {record.name: record.removable for record in registry.list()}
            for change in before:
                name, _, removable = change.partition(" ")
                if name == "removed":
                    assert "there" not in seen
                else:
                    assert str(seen[name]) == removable

    writers: dict[str, dict[str, Actor]] = {
        "deploys": {"a": deploy("a"), "b": deploy("b")},
        "deploy and removal": {"a": deploy("a"), "b": remove},
        "flags": {"a": deploy("there", removable=True)},
    }
    search = Explorer(prepare, {**writers[changes], "reader": read}, lambda store: None)
    search.explore(2500)
    assert search.ends


def test_a_writer_that_dies_leaves_lists_slow_and_right(package: PackageMaker) -> None:
    """Its change is seen by everybody, and a garbage collection makes lists fast again."""
    store = MemoryStore()
    reader = Registry(store)
    Registry(store).deploy(package(name="first"))
    assert [record.name for record in reader.list()] == ["first"]

    class Killed(BaseException):
        pass

    def step(name: str, action):  # type: ignore[no-untyped-def]
        if name == f"put {SYSTEM}/{GENERATION}":
            raise Killed
        return action()

    with pytest.raises(Killed):
        Registry(Hooked(store, step)).deploy(package(name="second"))
    assert len(list(store.list(SYSTEM, CHANGES))) == 1
    for _ in range(2):
        assert [record.name for record in reader.list()] == ["first", "second"]
    soon = Broom(store, utc_now() + timedelta(hours=1))
    collect_algorithms(soon, Catalogue(store, 1 << 20))
    assert len(list(store.list(SYSTEM, CHANGES))) == 1, "it may be at work"
    before = store.get(SYSTEM, GENERATION)
    late = Broom(store, utc_now() + timedelta(days=2))
    collect_algorithms(late, Catalogue(store, 1 << 20))
    assert list(store.list(SYSTEM, CHANGES)) == [] and store.get(SYSTEM, GENERATION) != before
    assert Changes(store).generation() is not None
    assert [record.name for record in reader.list()] == ["first", "second"]


def test_a_store_that_refuses_the_announcement_refuses_the_deploy(package: PackageMaker) -> None:
    """Nothing is published then; what fails afterwards takes nothing back."""
    store = MemoryStore()

    def refuse(what: str):  # type: ignore[no-untyped-def]
        def step(name: str, action):  # type: ignore[no-untyped-def]
            if name.startswith(what):
                raise StorageError("no")
            return action()

        return step

    with pytest.raises(StorageError):
        Registry(Hooked(store, refuse(f"create {SYSTEM}/{CHANGES}"))).deploy(package(name="a"))
    with pytest.raises(NotFoundError):
        Registry(store).get("a")
    for what in (f"put {SYSTEM}/{GENERATION}", f"delete {SYSTEM}/{CHANGES}"):
        Registry(Hooked(store, refuse(what))).deploy(package(name="a", code=what.encode()))
    assert Registry(store).get("a").minors == [0, 1]
    assert [record.minors for record in Registry(store).list()] == [[0, 1]]
