"""What a registry holds after deploys and removals."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from compox_core.algorithms.registry import Registry
from compox_core.algorithms.shelves import HIGHEST_MINOR, minor_key
from compox_core.errors import ConflictError, NotFoundError, PackageError
from compox_core.identity import algorithm_id, utc_now
from compox_core.records import AlgorithmMetadata, AlgorithmRecord
from compox_core.storage import ALGORITHMS, ASSETS, MODULES, SYSTEM, ObjectStore
from tests.algorithms.packages import AlgorithmPackage, PackageMaker, digest
from tests.algorithms.steps import Hooked


@pytest.fixture
def registry(store: ObjectStore) -> Registry:
    """A registry on an empty store."""
    return Registry(store)


def keys(store: ObjectStore, collection: str) -> list[str]:
    return [info.key for info in store.list(collection)]


class TestMinorRule:
    @pytest.fixture
    def store(self, any_store: ObjectStore) -> ObjectStore:
        return any_store

    def test_the_first_deploy_takes_the_minor_of_pyproject(self, registry: Registry, package: PackageMaker) -> None:
        """A new algorithm starts with the minor its author gave it."""
        done = registry.deploy(package(minor=7))
        assert (done.created, done.version.minor, done.record.minors) == (True, 7, [7])
        assert done.record.algorithm_id == algorithm_id("denoise", "1")

    def test_identical_content_adds_nothing(self, registry: Registry, package: PackageMaker) -> None:
        """Deploying the latest content again finds it, whatever minor pyproject asks for."""
        first = registry.deploy(package(minor=2, assets={"a": b"1"}))
        again = registry.deploy(package(minor=9, assets={"a": b"1"}))
        assert (again.created, again.version) == (False, first.version)
        assert again.record.minors == [2]

    def test_any_difference_adds_the_next_minor(self, registry: Registry, package: PackageMaker) -> None:
        """Other code, another asset content, another asset path: each is latest + 1."""
        deploys = [
            package(minor=2, assets={"a": b"1"}),
            package(code=b"other", assets={"a": b"1"}),
            package(code=b"other", assets={"a": b"2"}),
            package(code=b"other", assets={"b": b"2"}),
            package(code=b"other"),
        ]
        assert [registry.deploy(each).version.minor for each in deploys] == [2, 3, 4, 5, 6]

    def test_going_back_to_older_content_is_a_new_minor(self, registry: Registry, package: PackageMaker) -> None:
        """Only the latest minor counts for "identical"; blobs are shared all the same."""
        for code in (b"a", b"b", b"a"):
            done = registry.deploy(package(code=code))
        assert done.record.minors == [0, 1, 2]
        assert done.record.storage_metrics.module_count == 2

    def test_a_removed_number_is_never_used_again(self, registry: Registry, package: PackageMaker) -> None:
        """After the latest minor was removed the next one skips its number."""
        for code in (b"a", b"b", b"c"):
            done = registry.deploy(package(code=code))
        registry.remove(done.record.algorithm_id, 2)
        assert registry.deploy(package(code=b"b")).created is False
        assert registry.deploy(package(code=b"d")).record.minors == [0, 1, 3]

    @pytest.mark.parametrize(("wanted", "given"), [(0, 5), (5, 5), (8, 8)])
    def test_after_all_minors_were_removed_numbers_go_on(
        self, registry: Registry, package: PackageMaker, wanted: int, given: int
    ) -> None:
        """The next deploy takes pyproject's minor, or the number after the highest ever where that is higher."""
        registry.deploy(package(minor=3))
        done = registry.deploy(package(minor=4, code=b"b"))
        registry.remove(done.record.algorithm_id)
        again = registry.deploy(package(minor=wanted))
        assert (again.created, again.record.minors) == (True, [given])

    def test_majors_are_algorithms_of_their_own(self, registry: Registry, package: PackageMaker) -> None:
        """Two majors of one name share nothing but blobs."""
        one, two = registry.deploy(package(major="1")), registry.deploy(package(major="2", minor=5))
        assert one.record.algorithm_id != two.record.algorithm_id
        assert (one.record.minors, two.record.minors) == ([0], [5])

    @pytest.mark.parametrize(("major", "minor"), [("1/2", 0), ("..", 0), ("", 0), ("1", -1), ("1", 10**10)])
    def test_a_version_that_cannot_be_stored_is_refused(
        self, registry: Registry, store: ObjectStore, package: PackageMaker, major: str, minor: int
    ) -> None:
        """Hostile majors and absurd minors are an error of the package, before anything is written."""
        with pytest.raises(PackageError) as caught:
            registry.deploy(package(major=major, minor=minor))
        assert caught.value.code == "invalid_pyproject"
        assert keys(store, ALGORITHMS) == keys(store, SYSTEM) == keys(store, MODULES) == []

    def test_numbers_end_with_a_clear_error(
        self, registry: Registry, store: ObjectStore, package: PackageMaker
    ) -> None:
        """Past the highest minor the author is told to raise the major, and nothing stays behind."""
        registry.deploy(package(minor=HIGHEST_MINOR))
        with pytest.raises(PackageError, match="new major version"):
            registry.deploy(package(code=b"other"))
        assert len(keys(store, MODULES)) == 1


class TestMetadataAndFlags:
    def test_metadata_belongs_to_the_minor(self, registry: Registry, package: PackageMaker) -> None:
        """A redeploy refreshes what the algorithm shows, and an older minor keeps what it said."""
        registry.deploy(package(code=b"a", metadata=AlgorithmMetadata(tags=["old"])))
        done = registry.deploy(package(code=b"b", metadata=AlgorithmMetadata(tags=["new"])))
        assert done.record.metadata.tags == ["new"]
        assert registry.version(done.record.algorithm_id, 0).metadata.tags == ["old"]

    def test_flags_come_from_the_request_or_from_the_package(self, registry: Registry, package: PackageMaker) -> None:
        """The last deploy wins, also where it adds no minor."""

        def flags(record: AlgorithmRecord) -> tuple[bool, bool]:
            return record.removable, record.exportable

        given = package(removable=False, exportable=True)
        assert flags(registry.deploy(given).record) == (False, True)
        assert flags(registry.deploy(given, removable=True, exportable=False).record) == (True, False)
        assert flags(registry.get("denoise")) == (True, False)
        assert flags(registry.deploy(given).record) == (False, True)

    def test_a_name_in_another_case_is_the_same_algorithm(self, registry: Registry, package: PackageMaker) -> None:
        """The first spelling stays, and who deploys under another is told."""
        registry.deploy(package(name="Größe"))
        done = registry.deploy(package(name="GRÖSSE", code=b"b"))
        assert (done.record.name, done.version.name, done.record.minors) == ("Größe", "Größe", [0, 1])
        assert "'Größe'" in done.warnings[0]
        assert (
            registry.get("grösse", 1)
            == registry.get("Größe").model_copy(update={"storage_metrics": registry.get("grösse").storage_metrics})
            or registry.get("grösse", 1).algorithm_id == done.record.algorithm_id
        )

    def test_a_version_keeps_what_packing_had_to_say(self, registry: Registry, package: PackageMaker) -> None:
        """Warnings are in the version and in the deployment."""
        given = package()
        given.warnings.append("no tags")
        done = registry.deploy(given)
        assert done.warnings == registry.version(done.record.algorithm_id).warnings == ["no tags"]

    def test_storage_metrics_count_each_content_once(self, registry: Registry, package: PackageMaker) -> None:
        """Two minors that share code and an asset, one of which names a content twice."""
        before = utc_now()
        registry.deploy(package(code=b"12345", assets={"a": b"123", "b": b"123", "c": b"1"}))
        done = registry.deploy(package(code=b"12345", assets={"a": b"123", "d": b"1234567"}))
        metrics = registry.find(done.record.algorithm_id).storage_metrics
        assert (metrics.module_count, metrics.module_bytes) == (1, 5)
        assert (metrics.asset_count, metrics.asset_bytes) == (3, 3 + 1 + 7)
        assert metrics.logical_size_bytes == 16
        assert (metrics.checkpoint_count, metrics.checkpoint_manifest_bytes) == (0, 0)
        assert before <= metrics.last_recomputed_at <= utc_now()
        registry.remove(done.record.algorithm_id, 1)
        assert registry.get("denoise").storage_metrics.asset_bytes == 4


class TestRemove:
    @pytest.fixture
    def store(self, any_store: ObjectStore) -> ObjectStore:
        return any_store

    def test_the_last_minor_takes_the_algorithm_with_it(
        self, registry: Registry, store: ObjectStore, package: PackageMaker
    ) -> None:
        """Nothing of it is found, and no blob, pin or lock stays."""
        known = registry.deploy(package(assets={"a": b"1"})).record.algorithm_id
        registry.remove(known, 0)
        for call in (registry.find, registry.version, registry.remove):
            with pytest.raises(NotFoundError):
                call(known)
        with pytest.raises(NotFoundError):
            registry.get("denoise")
        assert registry.list() == []
        assert keys(store, MODULES) == keys(store, ASSETS) == []
        assert [key for key in keys(store, SYSTEM) if key.startswith("blob")] == []

    def test_shared_blobs_stay(self, registry: Registry, store: ObjectStore, package: PackageMaker) -> None:
        """What a sibling minor or another algorithm names is not touched."""
        registry.deploy(package(code=b"a", assets={"w": b"sibling", "x": b"foreign", "y": b"own"}))
        known = registry.deploy(package(code=b"b", assets={"w": b"sibling"})).record.algorithm_id
        registry.deploy(package(name="other", code=b"c", assets={"z": b"foreign"}))
        registry.remove(known, "0")
        assert keys(store, ASSETS) == sorted([digest(b"sibling"), digest(b"foreign")])
        assert keys(store, MODULES) == sorted([digest(b"b"), digest(b"c")])
        assert registry.find(known).minors == [1]

    def test_only_what_is_removable_goes(self, registry: Registry, package: PackageMaker) -> None:
        """The flag protects minors and the whole, unless the removal is forced."""
        known = registry.deploy(package(removable=False)).record.algorithm_id
        for minor in (None, 0):
            with pytest.raises(ConflictError) as caught:
                registry.remove(known, minor)
            assert caught.value.code == "algorithm_not_removable"
            assert caught.value.details == {"algorithm_id": known}
        registry.remove(known, force=True)
        assert registry.list() == []

    def test_a_removal_finishes_one_that_crashed(
        self, registry: Registry, store: ObjectStore, package: PackageMaker
    ) -> None:
        """A minor object beside its tombstone is gone for readers, and goes with the next removal."""
        for code in (b"a", b"b", b"c"):
            known = registry.deploy(package(code=code)).record.algorithm_id
        store.create(ALGORITHMS, f"{known}/gone-0000000000", b"")
        assert registry.find(known).minors == [1, 2]
        registry.remove(known, 1)
        assert keys(store, MODULES) == [digest(b"c")]
        assert minor_key(known, 0) not in keys(store, ALGORITHMS)


class TestNumbersUsedMeanwhile:
    """A removal frees the key of a minor; its tombstone says which version it was."""

    def deploy_at(self, store: ObjectStore, step: str, act: Callable[[], object], given: AlgorithmPackage) -> int:
        """Deploy while `act` happens before the given step."""
        acts = [act]

        def interfere(name: str, action: Callable[[], object]) -> object:
            if name.startswith(step) and acts:
                acts.pop()()
            return action()

        return Registry(Hooked(store, interfere)).deploy(given).version.minor

    def test_a_number_that_was_used_and_freed_is_not_taken(
        self, registry: Registry, store: ObjectStore, package: PackageMaker
    ) -> None:
        """A deploy that is overtaken by another and by its removal takes the number after it."""
        known = registry.deploy(package(code=b"a")).record.algorithm_id

        def overtake() -> None:
            registry.deploy(package(code=b"b"))
            registry.remove(known, 1)

        minor = self.deploy_at(store, f"create {ALGORITHMS}/{known}/minor", overtake, package(code=b"c"))
        assert minor == 2
        assert registry.find(known).minors == [0, 2]

    def test_a_version_that_is_removed_at_once_is_not_deployed_again(
        self, registry: Registry, store: ObjectStore, package: PackageMaker
    ) -> None:
        """A deploy whose version is removed before it returns has deployed, and leaves it removed."""
        known = registry.deploy(package(code=b"a")).record.algorithm_id
        minor = self.deploy_at(
            store, f"get {ALGORITHMS}/{known}/gone", lambda: registry.remove(known, 1), package(code=b"b")
        )
        assert minor == 1
        assert registry.find(known).minors == [0]


class TestFailedDeploys:
    @pytest.fixture
    def store(self, any_store: ObjectStore) -> ObjectStore:
        return any_store

    def test_a_changed_asset_publishes_nothing(
        self, registry: Registry, store: ObjectStore, package: PackageMaker
    ) -> None:
        """A file that is not what was packed is named, and nothing of the deploy stays in the way."""
        given = package(assets={"a/w.bin": b"one", "b.bin": b"two"})
        given.assets["b.bin"].path.write_bytes(b"changed")
        with pytest.raises(PackageError, match=r"b\.bin") as caught:
            registry.deploy(given)
        assert caught.value.code == "algorithm_assets_store_failed"
        assert registry.list() == []
        assert keys(store, MODULES) == keys(store, ASSETS) == keys(store, SYSTEM) == []

    def test_a_changed_module_archive_publishes_nothing(
        self, registry: Registry, store: ObjectStore, package: PackageMaker
    ) -> None:
        """The module archive is checked like any asset."""
        given = package()
        given.module_archive.write_bytes(b"changed")
        with pytest.raises(PackageError) as caught:
            registry.deploy(given)
        assert caught.value.code == "algorithm_module_store_failed"
        assert keys(store, ALGORITHMS) == keys(store, SYSTEM) == []

    def test_a_head_without_minors_is_no_algorithm(
        self, registry: Registry, store: ObjectStore, package: PackageMaker
    ) -> None:
        """What a deploy left that crashed early is invisible, and the next deploy works as a first one."""
        known = registry.deploy(package(minor=4)).record.algorithm_id
        store.delete(ALGORITHMS, minor_key(known, 4))
        store.delete(SYSTEM, f"minor-numbers/{known}/{0:010d}")
        assert registry.list() == []
        for call in (registry.find, registry.version, registry.remove):
            with pytest.raises(NotFoundError):
                call(known)
        with pytest.raises(NotFoundError):
            registry.get("denoise")
        assert registry.deploy(package(minor=6, code=b"b")).record.minors == [6]
