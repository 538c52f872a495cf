"""Imports that are killed, or meet an error of the store, at any of their steps, and imports beside everybody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from compox_core.algorithms.blobs import PINS, TOMBSTONES
from compox_core.algorithms.catalogue import Catalogue
from compox_core.algorithms.changes import CHANGES
from compox_core.algorithms.registry import Registry
from compox_core.errors import CompoxError, NotFoundError, StorageError
from compox_core.identity import utc_now
from compox_core.jobs.retention.algorithms import collect_algorithms
from compox_core.jobs.retention.broom import Broom
from compox_core.records import CheckpointRecord
from compox_core.storage import ObjectStore
from compox_core.storage.memory import MemoryStore
from tests.algorithms.learned import save
from tests.algorithms.packages import AlgorithmPackage, PackageMaker
from tests.algorithms.steps import Actor, Explorer, repeatable_names
from tests.algorithms.test_registry_interrupted import Interrupted, Killed
from tests.algorithms.views import ID, check_whole
from tests.bundle.shipping import Held, check_all_there, objects, prepared, ship

LEFT = (f"system-store/{PINS}", f"system-store/{TOMBSTONES}", f"system-store/{CHANGES}")
OLD_ID = "11111111-2222-1333-8444-555555555555"


def source_of(package: PackageMaker) -> Held:
    """Return a bundle of an algorithm with the minors 3 and 5, two checkpoints, and an id of its own."""

    def fill(registry: Registry) -> None:
        for n in range(3):
            version = registry.deploy(package(minor=3, code=b"%d" % n, assets={"w": b"%d" % n, "s": b"s"})).version
        registry.remove(ID, 4)
        first = save(registry.checkpoints, version, {"w": b"learned"})
        save(registry.checkpoints, version, {"w": b"more"}, parent_checkpoint_id=first.checkpoint_id)

    source = prepared(fill)
    bundled = source.snapshot.algorithms[0].model_copy(update={"algorithm_id": OLD_ID})
    source.snapshot = source.snapshot.model_copy(update={"algorithms": [bundled]})
    return source


def lasting(store: ObjectStore) -> dict[str, bytes]:
    """Return the objects of a store without the notes of processes that died."""
    stamped = f"algorithm-store/{ID}/flags"
    return {key: b"" if key == stamped else data for key, data in objects(store).items() if not key.startswith(LEFT)}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("killed", [True, False], ids=["killed", "error"])
class TestInterruptedAtEveryStep:
    def interrupted(
        self, prepare: Callable[[ObjectStore], object], source: Held, killed: bool, after: bool
    ) -> Iterator[ObjectStore]:
        """Yield a store for every step at which an import can be interrupted, when it has been."""
        for at in range(300):
            store = MemoryStore()
            prepare(store)
            interrupted = Interrupted(store, at, killed=killed, after=after)
            with suppress(Killed, StorageError):
                ship(source, interrupted)
            if not interrupted.happened:
                assert at > 30
                return
            yield store

    def test_a_new_algorithm(self, package: PackageMaker, killed: bool, after: bool) -> None:
        """The store works with what has come by then, and a second import brings it where one without a crash would,
        with the same minor numbers."""
        source, whole = source_of(package), MemoryStore()
        ship(source, whole)
        for store in self.interrupted(lambda store: None, source, killed, after):
            check_all_there(store)
            with suppress(NotFoundError):
                assert Registry(store).find(ID).minors in ([3], [3, 5])
            ship(source, store)
            check_all_there(store)
            assert lasting(store) == lasting(whole)
            assert Registry(store).find(OLD_ID).minors == [3, 5]
            assert not ship(source, store).changes

    def test_one_that_is_there(self, package: PackageMaker, killed: bool, after: bool) -> None:
        """The latest version comes once, whenever the first import ended."""
        source = source_of(package)

        def prepare(store: ObjectStore) -> None:
            Registry(store).deploy(package(minor=7, code=b"own", assets={"s": b"s"}))

        for store in self.interrupted(prepare, source, killed, after):
            check_all_there(store)
            assert Registry(store).find(ID).minors in ([7], [7, 8])
            ship(source, store)
            check_all_there(store)
            registry = Registry(store)
            assert registry.find(ID).minors == [7, 8]
            assert len(registry.checkpoints.list(algorithm_id=ID)) == 2
            registry.remove(OLD_ID)
            assert registry.list() == []


def importer(source: Held) -> Actor:
    def act(store: ObjectStore) -> None:
        try:
            ship(source, store)
        except CompoxError as error:  # a removal took away what was just brought
            assert error.code == "algorithm_not_found"

    return act


def deployer(package: AlgorithmPackage) -> Actor:
    return lambda store: Registry(store).deploy(package) and None


def remover(store: ObjectStore) -> None:
    with suppress(NotFoundError):
        Registry(store).remove(ID, force=True)


def collector(store: ObjectStore) -> None:
    """Collect, as if it were two hours later, so that what dead processes left goes."""
    collect_algorithms(Broom(store, utc_now() + timedelta(hours=2)), Catalogue(store, 1 << 20))


class TestEveryOrder:
    @pytest.fixture(autouse=True)
    def repeatable(self) -> Iterator[None]:
        """Random names that repeat."""
        with repeatable_names():
            yield

    @pytest.fixture
    def package(self, tmp_path: Path) -> PackageMaker:
        """A maker of packed algorithms."""
        return PackageMaker(tmp_path / "packages")

    def small(self, package: PackageMaker) -> Held:
        """A bundle of one algorithm with the minors 2 and 5."""

        def fill(registry: Registry) -> None:
            for n in range(4):
                registry.deploy(package(minor=2, code=b"%d" % n, assets={"w": b"shared"}))
            for minor in (3, 4):
                registry.remove(ID, minor)

        return prepared(fill)

    def codes(self, store: ObjectStore) -> list[tuple[int, bytes]]:
        registry = Registry(store)
        return [
            (minor, store.get("module-store", registry.version(ID, minor).module.key))
            for minor in registry.find(ID).minors
        ]

    def test_two_imports_of_one_bundle(self, package: PackageMaker) -> None:
        """Both end, and every version is there once, under its number."""
        source = self.small(package)

        def once(store: ObjectStore) -> None:
            assert self.codes(store) == [(2, b"0"), (5, b"3")]

        search = Explorer(lambda store: None, {"i0": importer(source), "i1": importer(source)}, check_whole, once)
        search.explore(900)
        assert search.ends

    def test_an_import_beside_a_deploy(self, package: PackageMaker) -> None:
        """The deploy is there, and the bundle's latest, in the order in which they came; no number is there twice."""
        source, given = self.small(package), package(minor=2, code=b"own", assets={"w": b"shared"})

        def both(store: ObjectStore) -> None:
            found = self.codes(store)
            assert {b"own", b"3"} <= {code for _, code in found}
            assert [code for _, code in found if code != b"own"] in ([b"3"], [b"0", b"3"])

        search = Explorer(lambda store: None, {"i": importer(source), "d": deployer(given)}, check_whole, both)
        search.explore(900)
        assert search.ends

    def test_an_import_beside_a_collection(self, package: PackageMaker) -> None:
        """Contents that nothing names yet are not collected from under an import that reuses them."""
        source = self.small(package)

        def prepare(store: ObjectStore) -> None:
            for content, data in list(source.held.items())[1:]:
                store.create(content.collection, content.sha256, data)

        def there(store: ObjectStore) -> None:
            check_all_there(store)
            assert len(self.codes(store)) == 2

        search = Explorer(prepare, {"i": importer(source), "c": collector}, check_whole, there)
        search.explore(900)
        assert search.ends

    def test_an_import_beside_a_removal(self, package: PackageMaker) -> None:
        """What stays is whole."""
        source = self.small(package)

        def prepare(store: ObjectStore) -> None:
            Registry(store).deploy(package(minor=1, code=b"3", assets={"w": b"shared"}))

        search = Explorer(prepare, {"i": importer(source), "r": remover}, check_whole, check_all_there)
        search.explore(900)
        assert search.ends


def test_a_crash_and_somebody_elses_deploy(package: PackageMaker) -> None:
    """Who deploys on top of an import that died keeps the number; a second import adds the bundle's latest alone."""
    source = source_of(package)
    made: list[CheckpointRecord] = source.snapshot.algorithms[0].checkpoints
    for at in range(300):
        store = MemoryStore()
        with suppress(Killed):
            ship(source, Interrupted(store, at, killed=True, after=True))
        if [each.minors for each in Registry(store).list()] == [[3]]:
            break
    assert Registry(store).deploy(package(code=b"own")).version.minor in (4, 5)
    ship(source, store)
    registry = Registry(store)
    assert len(registry.find(ID).minors) == 3
    assert registry.version(ID).module.sha256 == source.snapshot.algorithms[0].versions[-1].module.sha256
    numbers = {each.algorithm_minor_version for each in registry.checkpoints.list()}
    assert numbers == {str(registry.find(ID).latest_minor)}
    assert len(made) == len(registry.checkpoints.list())
