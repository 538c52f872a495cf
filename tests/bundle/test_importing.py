"""Bundles come into stores."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

import pytest

from compox_core.algorithms.blobs import PINS, TOMBSTONES
from compox_core.algorithms.changes import CHANGES
from compox_core.algorithms.registry import Registry
from compox_core.bundle.importing import import_bundle
from compox_core.bundle.planning import plan_import
from compox_core.bundle.target import BEGUN
from compox_core.errors import (
    CompoxError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    StorageError,
    TaskStoppedException,
)
from compox_core.records import CheckpointRecord
from compox_core.storage import ALGORITHMS, ASSETS, CHECKPOINTS, MODULES, SYSTEM, ObjectStore, open_store
from compox_core.storage.memory import MemoryStore
from tests.algorithms.learned import save
from tests.algorithms.packages import PackageMaker
from tests.algorithms.views import ID
from tests.bundle.shipping import Held, bundle_of, check_all_there, objects, prepared, ship
from tests.disks import MIB, SmallDisk


def check_clean(store: ObjectStore) -> None:
    """Check that no note of an import that goes on is left."""
    for prefix in (PINS, TOMBSTONES, CHANGES, BEGUN):
        assert not list(store.list(SYSTEM, prefix))


def gapped(package: PackageMaker, latest: bytes = b"5") -> Held:
    """Return a bundle of an algorithm with the minors 3, 5 and 8."""

    def fill(registry: Registry) -> None:
        for n, code in enumerate((b"0", b"1", b"2", b"3", b"4", latest)):
            registry.deploy(package(minor=3, code=code, assets={"w": b"weights %d" % n, "s": b"shared"}))
        for minor in (4, 6, 7):
            registry.remove(ID, minor)

    return prepared(fill)


class TestImport:
    @pytest.fixture
    def store(self, any_store: ObjectStore) -> ObjectStore:
        """A store of every kind."""
        return any_store

    def test_into_an_empty_store_and_again(self, store: ObjectStore, package: PackageMaker) -> None:
        """Versions come with their numbers, gaps too; the same again changes not one object, and reads nothing."""
        source = gapped(package)
        report = ship(source, store)
        assert report.algorithms[0].minors == {3: 3, 5: 5, 8: 8}
        assert (report.stored, report.stored_bytes) == (len(source.held), sum(map(len, source.held.values())))
        record = Registry(store).find(ID)
        assert (record.minors, record.removable) == ([3, 5, 8], True)
        assert record.created == source.snapshot.algorithms[0].created
        check_all_there(store)
        check_clean(store)
        before = objects(store)
        source.read.clear()
        assert not ship(source, store).changes
        assert objects(store) == before
        assert not source.read

    def test_what_comes_out_again(self, store: ObjectStore, package: PackageMaker) -> None:
        """A bundle of what was imported says what the first one said."""
        source = gapped(package)
        ship(source, store)
        assert bundle_of(store).snapshot.algorithms == source.snapshot.algorithms

    def test_checkpoints(self, store: ObjectStore, package: PackageMaker) -> None:
        """They come under their ids with their lineage, belong to the algorithm here in every reference, and go with
        it."""
        made: list[CheckpointRecord] = []

        def fill(registry: Registry) -> None:
            version = registry.deploy(package(minor=4, assets={"w": b"w"})).version
            made.append(save(registry.checkpoints, version, {"w": b"1"}, tags=["a"], properties={"loss": 0.5}))
            made.append(save(registry.checkpoints, version, {"w": b"2"}, parent_checkpoint_id=made[0].checkpoint_id))

        source = prepared(fill)
        Registry(store).deploy(package("other", code=b"other", assets={"w": b"theirs"}))
        report = ship(source, store, {"denoise": "other"})
        registry = Registry(store)
        record = registry.get("other")
        assert record.minors == [0, 1]
        found = registry.checkpoints.list(algorithm_id=record.algorithm_id)
        assert [(each.checkpoint_id, each.parent_checkpoint_id) for each in found] == [
            (made[0].checkpoint_id, None),
            (made[1].checkpoint_id, made[0].checkpoint_id),
        ]
        assert {each.parent_algorithm_id for each in found} == {record.algorithm_id}
        assert {each.algorithm_minor_version for each in found} == {"1"}  # the number that it has here
        assert (found[0].tags, found[0].properties) == (["a"], {"loss": 0.5})
        assert registry.checkpoints.ids_of_training("t") == [each.checkpoint_id for each in found]
        assert report.algorithms[0].checkpoints == [each.checkpoint_id for each in made]
        check_all_there(store)
        registry.remove(record.algorithm_id, force=True)
        assert [*store.list(CHECKPOINTS), *store.list(ASSETS), *store.list(MODULES)] == []


class TestTheMinorRule:
    def test_a_newer_bundle(self, store: ObjectStore, package: PackageMaker) -> None:
        """Its latest becomes the next minor; the older ones that are not here do not come."""
        ship(gapped(package), store)
        report = ship(gapped(package, latest=b"newer"), store)
        assert report.algorithms[0].minors == {8: 9}
        assert Registry(store).find(ID).minors == [3, 5, 8, 9]
        check_all_there(store)

    def test_what_was_deployed_here_from_source(self, store: ObjectStore, package: PackageMaker) -> None:
        """A bundle whose latest equals the latest deploy adds nothing."""
        Registry(store).deploy(package(code=b"5", assets={"w": b"weights 5", "s": b"shared"}))
        assert not ship(gapped(package), store).changes
        assert Registry(store).find(ID).minors == [0]

    def test_a_deploy_of_what_was_imported(self, store: ObjectStore, package: PackageMaker) -> None:
        """A deploy that equals the latest import adds nothing, either."""
        ship(gapped(package), store)
        given = package(code=b"5", assets={"w": b"weights 5", "s": b"shared"})
        assert not Registry(store).deploy(given).created
        assert Registry(store).deploy(package(code=b"own")).version.minor == 9

    def test_after_a_removal(self, store: ObjectStore, package: PackageMaker) -> None:
        """Numbers that were used are not used again: all versions come, above them."""
        source = gapped(package)
        ship(source, store)
        Registry(store).remove(ID)
        assert ship(source, store).algorithms[0].minors == {3: 9, 5: 10, 8: 11}
        check_all_there(store)

    def test_a_number_that_a_deploy_that_died_has_taken(self, store: ObjectStore, package: PackageMaker) -> None:
        """Where others have agreed on another number, that one is used, and all versions come in order."""
        store.create(SYSTEM, f"minor-numbers/{ID}/0000000000", b"0")
        ship(gapped(package), store)
        assert Registry(store).find(ID).minors == [0, 5, 8]
        check_all_there(store)

    def test_flags_are_those_of_the_bundle(self, store: ObjectStore, package: PackageMaker) -> None:
        """As with a deploy, the last one wins."""
        Registry(store).deploy(package(code=b"5", assets={"w": b"weights 5", "s": b"shared"}), exportable=False)
        assert ship(gapped(package), store).changes
        assert Registry(store).find(ID).exportable

    def test_one_that_came_between_plan_and_import(self, store: ObjectStore, package: PackageMaker) -> None:
        """A deploy after the plan is added to, as if it had come before."""
        source = gapped(package)
        plan = plan_import(source.snapshot, store)
        Registry(store).deploy(package(minor=4, code=b"meanwhile"))
        assert import_bundle(source, plan, store).algorithms[0].minors == {8: 5}
        assert Registry(store).find(ID).minors == [4, 5]
        check_all_there(store)
        check_clean(store)


class TestWhatGoesWrong:
    """Nothing is visible, and nothing stays."""

    def failing(self, source: Held, store: ObjectStore, *errors: type[BaseException]) -> BaseException:
        before = objects(store)
        with pytest.raises(errors) as info:
            ship(source, store)
        assert objects(store) == before
        return info.value

    @pytest.fixture
    def source(self, package: PackageMaker) -> Held:
        """A bundle with several contents."""
        return gapped(package)

    def test_a_content_that_is_another(self, store: ObjectStore, source: Held) -> None:
        """What does not have its hash is not stored."""
        source.spoiled[list(source.held)[-1].sha256] = lambda data: io.BytesIO(data[:-1] + b"?")
        assert isinstance(self.failing(source, store, InvalidInputError), CompoxError)

    def test_a_content_of_another_size(self, store: ObjectStore, source: Held) -> None:
        """Neither is what is too short or too long."""
        source.spoiled[list(source.held)[-1].sha256] = lambda data: io.BytesIO(data + b"?")
        self.failing(source, store, InvalidInputError)

    def test_a_stream_that_breaks(self, store: ObjectStore, source: Held) -> None:
        """What a file raises that was changed ends the import."""

        class Broken(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                raise InvalidInputError("chunk 3 is not as it was written", code="bundle_damaged")

        source.spoiled[list(source.held)[-1].sha256] = Broken
        error = self.failing(source, store, InvalidInputError)
        assert isinstance(error, CompoxError)
        assert error.code == "bundle_damaged"

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, RuntimeError, TaskStoppedException])
    def test_whoever_ends_it(self, store: ObjectStore, source: Held, kind: type[BaseException]) -> None:
        """An interrupt, or a progress that raises, leaves nothing."""
        plan = plan_import(source.snapshot, store)
        before = objects(store)
        seen: list[tuple[int, int]] = []

        def progress(done: int, total: int) -> None:
            seen.append((done, total))
            if len(seen) == 3:
                raise kind

        with pytest.raises(kind):
            import_bundle(source, plan, store, progress)
        assert objects(store) == before
        assert {total for _, total in seen} == {plan.missing_bytes}

    def test_a_content_that_the_bundle_does_not_have(self, store: ObjectStore, source: Held) -> None:
        """It is named by its hash."""
        content = next(iter(source.held))
        del source.held[content]
        error = self.failing(source, store, NotFoundError)
        assert isinstance(error, CompoxError)
        assert error.code == "bundle_object_not_found"
        assert content.sha256 in error.message

    def test_a_checkpoint_that_came_meanwhile(self, store: ObjectStore, package: PackageMaker) -> None:
        """Another checkpoint of the same id, saved after the plan, is left as it is."""
        made: list[CheckpointRecord] = []

        def fill(registry: Registry) -> None:
            version = registry.deploy(package(assets={"w": b"w"})).version
            made.append(save(registry.checkpoints, version, {"w": b"1"}))

        source = prepared(fill)
        plan = plan_import(source.snapshot, store)
        other = made[0].model_copy(update={"training_id": "another", "assets": {}})
        store.create(CHECKPOINTS, f"record/{other.checkpoint_id}", other.model_dump_json().encode())
        with pytest.raises(ConflictError) as info:
            import_bundle(source, plan, store)
        assert info.value.code == "checkpoint_conflict"
        assert Registry(store).checkpoints.get(other.checkpoint_id) == other

    def test_a_full_disk(self, small_disk: SmallDisk, package: PackageMaker) -> None:
        """A disk that fills in mid-import is told as one, what was stored goes, and with room the same works."""

        def fill(registry: Registry) -> None:
            for n in range(3):
                registry.deploy(package(code=b"%d" % n, assets={"w": bytes([n]) * MIB}))

        source = prepared(fill)
        with open_store(small_disk.path / "store") as store:
            store.ensure_collections()
            plan = plan_import(source.snapshot, store)
            small_disk.fill(leave=2 * MIB)
            with pytest.raises(StorageError) as info:
                import_bundle(source, plan, store)
            assert info.value.code == "disk_full"
            assert not [*store.list(ASSETS), *store.list(MODULES), *store.list(ALGORITHMS)]
            assert not list(store.list(SYSTEM, PINS))
            with pytest.raises(StorageError) as early:  # a plan that knows
                import_bundle(source, plan_import(source.snapshot, store), store)
            assert early.value.code == "disk_full"
            assert str(plan.missing_bytes) in early.value.message
            small_disk.free()
            ship(source, store)
            check_all_there(store)


def test_memory_does_not_grow_with_the_contents(tmp_path: Path, package: PackageMaker) -> None:
    """A content is taken in pieces of a megabyte, however large it is."""
    largest = 0

    class Counting(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            nonlocal largest
            largest = max(largest, size or 0)
            assert size is not None
            assert size > 0
            return super().read(size)

    source = prepared(lambda registry: registry.deploy(package(assets={"w": bytes(5 * MIB)})))

    def counted(data: bytes) -> BinaryIO:
        return Counting(data)

    source.spoiled = {content.sha256: counted for content in source.held}
    with open_store(tmp_path / "store") as store:
        store.ensure_collections()
        ship(source, store)
        check_all_there(store)
    assert 0 < largest <= MIB


def test_a_blob_under_its_tombstone(package: PackageMaker) -> None:
    """A content that a collection is about to delete is stored under a fresh key."""
    source, store = prepared(lambda registry: registry.deploy(package(assets={"w": b"weights"}))), MemoryStore()
    blobs = {content.collection: content.sha256 for content in source.held}
    for collection, key in blobs.items():
        store.create(collection, key, next(data for each, data in source.held.items() if each.sha256 == key))
        store.create(SYSTEM, f"{TOMBSTONES}grave/{collection}/{key}", b"")
    ship(source, store)
    version = Registry(store).version(ID)
    assert version.module.key.startswith(f"{blobs[MODULES]}.")
    assert version.assets["w"].key.startswith(f"{blobs[ASSETS]}.")
    check_all_there(store)
