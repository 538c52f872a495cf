"""Saves, deletions, deploys, removals and collections of checkpoints in every order of their steps."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from compox_core.algorithms.blobs import Blob
from compox_core.algorithms.catalogue import Catalogue
from compox_core.algorithms.checkpoints import CheckpointStore
from compox_core.algorithms.manifests import BY_ALGORITHM, BY_TRAINING, RECORDS, Manifests
from compox_core.algorithms.registry import Registry
from compox_core.errors import NotFoundError
from compox_core.identity import utc_now
from compox_core.jobs.retention.algorithms import collect_algorithms
from compox_core.jobs.retention.broom import Broom
from compox_core.storage import ASSETS, CHECKPOINTS, ObjectStore
from compox_core.storage.memory import MemoryStore
from tests.algorithms.learned import save
from tests.algorithms.packages import AlgorithmPackage, PackageMaker, digest
from tests.algorithms.steps import Actor, Explorer, Hooked, repeatable_names
from tests.algorithms.views import ID, check_whole, found

LEARNED = b"learned"


@pytest.fixture(autouse=True)
def repeatable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Random names that repeat."""
    with repeatable_names():
        yield


@pytest.fixture
def package(tmp_path: Path) -> PackageMaker:
    """A maker of packed algorithms."""
    return PackageMaker(tmp_path / "packages")


def saver(training: str = "new") -> Actor:
    """Return who saves a checkpoint of minor 0, unless the algorithm is gone."""

    def act(store: ObjectStore) -> None:
        try:
            CheckpointStore(store).save(
                algorithm_id=ID, minor=0, training_id=training, parent_checkpoint_id=None, allowed_paths={"w"},
                assets={"w": LEARNED},
            )  # fmt: skip
        except NotFoundError as error:
            assert error.code == "algorithm_not_found"

    return act


def deployer(package: AlgorithmPackage) -> Actor:
    return lambda store: Registry(store).deploy(package) and None


def deleter(store: ObjectStore) -> None:
    """Delete the checkpoint of the training 'old'."""
    checkpoints = CheckpointStore(store)
    for checkpoint_id in checkpoints.ids_of_training("old"):
        try:
            checkpoints.delete(checkpoint_id)
        except NotFoundError:
            continue


def remover(store: ObjectStore) -> None:
    try:
        Registry(store).remove(ID, force=True)
    except NotFoundError:
        return


def collector(store: ObjectStore) -> None:
    """Collect, as if it were two hours later: what dead processes left goes, and no mark of a checkpoint."""
    collect_algorithms(Broom(store, utc_now() + timedelta(hours=2)), Catalogue(store, 1 << 20))


def prepared(package: AlgorithmPackage, *, old: bool = True) -> Callable[[ObjectStore], None]:
    """Return what deploys an algorithm and lets a training 'old' save a checkpoint of it."""

    def prepare(store: ObjectStore) -> None:
        version = Registry(store).deploy(package).version
        if old:
            save(CheckpointStore(store), version, {"w": LEARNED}, training_id="old")

    return prepare


def whole(store: ObjectStore) -> None:
    """Check that every checkpoint and every version that a reader sees has all its contents."""
    check_whole(store)
    for checkpoint in CheckpointStore(store).list():
        for asset in checkpoint.assets.values():
            assert store.stat(ASSETS, asset.key).size == asset.size


def nothing_superfluous(store: ObjectStore) -> None:
    """Check that every mark has its record and that a collection leaves the assets that are named."""
    whole(store)
    collector(store)
    whole(store)
    registry = Registry(store)
    record = found(store)
    versions = [registry.version(ID, minor) for minor in record.minors] if record else []
    checkpoints = registry.checkpoints.list()
    named = {asset.key for each in (*versions, *checkpoints) for asset in each.assets.values()}
    assert named == {info.key for info in store.list(ASSETS)}
    assert {info.key for info in store.list(CHECKPOINTS)} == {
        key
        for each in checkpoints
        for key in (
            RECORDS + each.checkpoint_id,
            f"{BY_TRAINING}{each.training_id}/{each.checkpoint_id}",
            f"{BY_ALGORITHM}{ID}/{each.checkpoint_id}",
        )
    }
    assert record is not None or not checkpoints


def trainings(store: ObjectStore) -> set[str]:
    return {each.training_id for each in CheckpointStore(store).list()}


class TestEveryOrder:
    def test_a_save_beside_a_deletion_of_the_same_content(self, package: PackageMaker) -> None:
        """What is saved keeps its content, whoever is first."""

        def the_new_one_is_there(store: ObjectStore) -> None:
            assert trainings(store) == {"new"}
            nothing_superfluous(store)

        actors = {"save": saver(), "delete": deleter}
        search = Explorer(prepared(package(assets={"w": b"w"})), actors, whole, the_new_one_is_there)
        search.explore(1500)
        assert search.ends

    def test_two_saves_beside_a_deletion(self, package: PackageMaker) -> None:
        """Two trainings that learned the same share it."""

        def both_are_there(store: ObjectStore) -> None:
            assert trainings(store) == {"new", "newer"}
            nothing_superfluous(store)

        actors = {"save0": saver(), "save1": saver("newer"), "delete": deleter}
        search = Explorer(prepared(package(assets={"w": b"w"})), actors, whole, both_are_there)
        search.explore(1200)
        assert search.ends

    def test_two_deletions_of_one(self, package: PackageMaker) -> None:
        """Nothing is left of it."""

        def nothing_is_there(store: ObjectStore) -> None:
            assert trainings(store) == set()
            nothing_superfluous(store)

        actors = {"delete0": deleter, "delete1": deleter}
        search = Explorer(prepared(package(assets={"w": b"w"})), actors, whole, nothing_is_there)
        search.explore(1500)
        assert search.ends

    def test_a_save_beside_a_collection(self, package: PackageMaker) -> None:
        """A content that lies about unnamed may be taken before it is reused, not after."""
        given = prepared(package(assets={"w": b"w"}), old=False)

        def prepare(store: ObjectStore) -> None:
            given(store)
            store.put(ASSETS, digest(LEARNED), LEARNED)

        def it_is_there(store: ObjectStore) -> None:
            assert trainings(store) == {"new"}
            nothing_superfluous(store)

        search = Explorer(prepare, {"save": saver(), "collect": collector}, whole, it_is_there)
        search.explore(1500)
        assert search.ends

    def test_a_save_a_deploy_and_a_deletion_of_one_content(self, package: PackageMaker) -> None:
        """A version and a checkpoint that come to name what a deleted checkpoint named both have it."""
        deployed = package(code=b"new", assets={"w": LEARNED})

        def both_are_there(store: ObjectStore) -> None:
            assert trainings(store) == {"new"}
            assert Registry(store).find(ID).minors == [0, 1]
            nothing_superfluous(store)

        actors = {"save": saver(), "deploy": deployer(deployed), "delete": deleter}
        search = Explorer(prepared(package(assets={"w": b"w"})), actors, whole, both_are_there)
        search.explore(1200)
        assert search.ends

    def test_a_save_beside_the_removal_of_its_algorithm(self, package: PackageMaker) -> None:
        """The algorithm goes with every checkpoint, also with one that was being saved."""

        def nothing_is_there(store: ObjectStore) -> None:
            assert found(store) is None
            nothing_superfluous(store)
            assert list(store.list(ASSETS)) == []

        actors = {"save": saver(), "remove": remover}
        search = Explorer(prepared(package(assets={"w": b"w"})), actors, whole, nothing_is_there)
        search.explore(2000)
        assert search.ends

    def test_a_removal_beside_a_deploy_and_a_save(self, package: PackageMaker) -> None:
        """A checkpoint of a minor that is deployed while the algorithm is removed stays with it."""
        deployed = package(code=b"new", assets={"w": b"w"})

        def train(store: ObjectStore) -> None:
            version = Registry(store).deploy(deployed).version
            try:
                save(CheckpointStore(store), version, {"w": LEARNED}, training_id="new")
            except NotFoundError:  # the removal took that minor, too
                return

        def as_one_after_the_other(store: ObjectStore) -> None:
            record = found(store)
            assert trainings(store) <= ({"new", "old"} if record else set())
            if record is not None:
                assert "new" in trainings(store)
                assert record.minors[-1] == 1
            nothing_superfluous(store)

        search = Explorer(
            prepared(package(assets={"w": b"w"})), {"train": train, "remove": remover}, whole, as_one_after_the_other
        )
        search.explore(2500)
        assert search.ends

    def test_the_search_finds_a_collector_that_forgets_checkpoints(
        self, package: PackageMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Asking the versions alone is caught, so the searches above mean something."""

        def none(self: Manifests, blobs: Collection[Blob]) -> set[Blob]:
            return set()

        monkeypatch.setattr(Manifests, "named", none)
        with pytest.raises((AssertionError, NotFoundError)):
            Explorer(
                prepared(package(assets={"w": b"w"})), {"save": saver(), "delete": deleter}, whole, nothing_superfluous
            ).explore()

    def test_the_search_finds_a_save_that_does_not_look_again(
        self, package: PackageMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A save that looks for the algorithm only before is caught."""
        right = Catalogue.shelf

        def once(self: Catalogue, algorithm_id: str) -> object:
            if not hasattr(self, "seen"):
                self.seen = right(self, algorithm_id)  # type: ignore[attr-defined]
            return self.seen

        def hasty(store: ObjectStore) -> None:
            checkpoints = CheckpointStore(store)
            checkpoints._catalogue.shelf = once.__get__(checkpoints._catalogue)  # type: ignore[method-assign]
            checkpoints.save(
                algorithm_id=ID, minor=0, training_id="new", parent_checkpoint_id=None, allowed_paths={"w"},
                assets={"w": LEARNED},
            )  # fmt: skip

        def act(store: ObjectStore) -> None:
            try:
                hasty(store)
            except NotFoundError:
                return

        with pytest.raises(AssertionError):
            Explorer(
                prepared(package(assets={"w": b"w"})), {"save": act, "remove": remover}, whole, nothing_superfluous
            ).explore()

    def test_a_minor_that_comes_after_the_removal_has_looked(self, package: PackageMaker) -> None:
        """Its checkpoint stays, though the removal finds it when it looks for checkpoints; the older one goes."""
        store = MemoryStore()
        prepared(package(assets={"w": b"w"}))(store)
        deployed = package(code=b"new", assets={"w": b"w"})

        def interfere(name: str, action: Callable[[], Any]) -> Any:
            if name == f"list {CHECKPOINTS}/{BY_ALGORITHM}{ID}/":
                version = Registry(store).deploy(deployed).version
                save(CheckpointStore(store), version, {"w": LEARNED}, training_id="new")
            return action()

        Registry(Hooked(store, interfere)).remove(ID)
        assert trainings(store) == {"new"}
        nothing_superfluous(store)
