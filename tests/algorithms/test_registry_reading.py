"""How a registry answers: look-ups, lists, and what they cost."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from compox_core.algorithms.changes import CHANGES, GENERATION
from compox_core.algorithms.manifests import BY_ALGORITHM, RECORDS
from compox_core.algorithms.registry import Registry
from compox_core.errors import NotFoundError
from compox_core.identity import algorithm_id
from compox_core.records import AlgorithmMetadata
from compox_core.storage import ALGORITHMS, CHECKPOINTS, SYSTEM, ObjectInfo, ObjectStore
from compox_core.storage.memory import MemoryStore
from tests.algorithms.packages import PackageMaker, digest
from tests.algorithms.steps import Hooked


@pytest.fixture
def registry(store: ObjectStore) -> Registry:
    """A registry on an empty store."""
    return Registry(store)


def keys(store: ObjectStore, collection: str) -> list[str]:
    return [info.key for info in store.list(collection)]


class TestLookUp:
    def test_without_a_major_the_highest_number_is_meant(self, registry: Registry, package: PackageMaker) -> None:
        """10 is higher than 9, and a removed major does not count."""
        for major in ("9", "10", "11"):
            done = registry.deploy(package(major=major))
        assert registry.get("denoise").major == "11"
        registry.remove(done.record.algorithm_id)
        assert registry.get("denoise").major == "10"
        assert registry.get("denoise", 9).major == "9"

    def test_a_name_may_be_given_decomposed(self, registry: Registry, package: PackageMaker) -> None:
        """The two Unicode forms of an accent are one name."""
        registry.deploy(package(name="caf\u00e9"))
        assert registry.get("cafe\u0301").name == "caf\u00e9"

    @pytest.mark.parametrize(
        "name", ["", "other", "a/b", "../denoise", "x" * 500, "a\0b", "\ud800", "denoise\n1", "~", "C:\\x", " "]
    )
    @pytest.mark.parametrize("major", [None, 1, "1", "../1", "\udfff", "1\n"])
    def test_unknown_and_hostile_names(
        self, registry: Registry, package: PackageMaker, name: str, major: str | int | None
    ) -> None:
        """Whatever is asked for, what is not there is not found, and the answer can be sent as JSON."""
        registry.deploy(package())
        with pytest.raises(NotFoundError) as caught:
            registry.get(name, major)
        assert caught.value.code == "algorithm_not_found"
        assert caught.value.details.keys() == {"algorithm_name", "algorithm_major_version"}
        json.dumps(caught.value.details, ensure_ascii=False).encode()
        caught.value.message.encode()

    def test_a_missing_major_names_those_there_are(self, registry: Registry, package: PackageMaker) -> None:
        """Who asks for the wrong major learns the right ones."""
        for major in ("2", "10"):
            registry.deploy(package(major=major))
        with pytest.raises(NotFoundError, match="there are: 2, 10"):
            registry.get("denoise", 3)

    @pytest.mark.parametrize("unknown", ["", "x", "../..", "{id}/", "{id}/head", "a" * 36, "\ud800", "0" * 500])
    def test_unknown_and_hostile_ids(self, registry: Registry, package: PackageMaker, unknown: str) -> None:
        """Only a well-formed id of a living algorithm is found."""
        known = registry.deploy(package()).record.algorithm_id
        given = unknown.replace("{id}", known)
        for call in (registry.find, registry.version, registry.remove):
            with pytest.raises(NotFoundError) as caught:
                call(given)
            assert caught.value.code == "algorithm_not_found"
            json.dumps(caught.value.details, ensure_ascii=False).encode()

    @pytest.mark.parametrize(
        "minor", ["x", "-1", -1, "03", "", "2", 2, "1.0", "1 ", "\u0661", "9" * 400, "../1", True, "\ud800"]
    )
    def test_unknown_and_hostile_minors(self, registry: Registry, package: PackageMaker, minor: str | int) -> None:
        """A minor is written in one way only; the error names those there are."""
        for code in (b"a", b"b"):
            known = registry.deploy(package(code=code)).record.algorithm_id
        for call in (registry.version, registry.remove):
            with pytest.raises(NotFoundError, match="there are: 0, 1") as caught:
                call(known, minor)
            assert caught.value.code == "minor_version_not_found"
            assert caught.value.details["algorithm_minor_versions"] == ["0", "1"]
            json.dumps(caught.value.details, ensure_ascii=False).encode()

    @pytest.mark.parametrize("minor", [0, "0"])
    def test_a_minor_is_a_number_or_its_text(self, registry: Registry, package: PackageMaker, minor: str | int) -> None:
        """Both forms name the same version; none names the latest."""
        for code in (b"a", b"b"):
            known = registry.deploy(package(code=code)).record.algorithm_id
        assert registry.version(known, minor).module.sha256 == digest(b"a")
        assert registry.version(known).module.sha256 == digest(b"b")

    def test_another_registry_is_seen_at_the_next_call(self, store: ObjectStore, package: PackageMaker) -> None:
        """What another process deploys, flags or removes shows at once, cache or not."""
        here, there = Registry(store), Registry(store)
        known = there.deploy(package(), removable=False).record.algorithm_id
        assert here.find(known).removable is False
        there.deploy(package(), removable=True)
        assert here.find(known).removable is True
        there.deploy(package(code=b"b"))
        assert here.find(known).minors == here.list()[0].minors == [0, 1]
        there.remove(known, 1)
        assert here.version(known).minor == 0
        there.remove(known)
        with pytest.raises(NotFoundError):
            here.find(known)
        assert here.list() == []

    def test_flags_that_come_back_are_not_taken_for_others(self, package: PackageMaker) -> None:
        """A reader whose listing was overtaken by two deploys tells the last flags, whatever the store's versions."""

        def overtaken(name: str, action: Callable[[], object]) -> object:
            if name.endswith("/flags") and deploys:
                deploys.pop()()
            return action()

        store = _HashVersions(MemoryStore())
        deployer, given = Registry(store), package()
        known = deployer.deploy(given, removable=True).record.algorithm_id
        deploys = [lambda: deployer.deploy(given, removable=False)]
        reader = Registry(Hooked(store, overtaken))
        reader.find(known)
        deployer.deploy(given, removable=True)
        assert reader.find(known).removable is True

    def test_a_small_cache_changes_no_answer(self, store: ObjectStore, package: PackageMaker) -> None:
        """A registry that can keep almost nothing in memory still reads everything."""
        registry = Registry(store, cache_limit=1)
        for name in "abc":
            registry.deploy(package(name=name))
        assert [record.name for record in registry.list()] == ["a", "b", "c"]
        assert registry.get("a").minors == [0]


class TestList:
    def test_sorted_by_name_and_major(self, registry: Registry, package: PackageMaker) -> None:
        """Case does not matter for the order, and majors sort as numbers."""
        for name, major in (("b", "10"), ("b", "9"), ("A", "1"), ("c", "1")):
            registry.deploy(package(name=name, major=major))
        assert [(r.name, r.major) for r in registry.list()] == [("A", "1"), ("b", "9"), ("b", "10"), ("c", "1")]

    @pytest.mark.parametrize(
        ("filters", "names"),
        [
            ({}, ["embed", "segment"]),
            ({"positive_tags": ["cells"]}, ["embed", "segment"]),
            ({"positive_tags": ["cells", "fast"]}, ["segment"]),
            ({"positive_tags": ["Cells"]}, []),
            ({"negative_tags": ["fast"]}, ["embed"]),
            ({"positive_tags": ["cells"], "negative_tags": ["cells"]}, []),
            ({"algorithm_type": "image2SEGMENTATION"}, ["segment"]),
            ({"algorithm_type": "Image2"}, []),
            ({"supported_devices": ["GPU"]}, ["embed"]),
            ({"supported_devices": ["gpu", "cpu"]}, ["embed", "segment"]),
            ({"supported_devices": ["mps"]}, []),
            ({"positive_tags": ["cells"], "supported_devices": ["gpu"]}, ["embed"]),
        ],
    )
    def test_filters(
        self, registry: Registry, package: PackageMaker, filters: dict[str, list[str]], names: list[str]
    ) -> None:
        """Filters are ANDed; tags are exact, type and devices are not case-sensitive."""
        segment = AlgorithmMetadata(algorithm_type="Image2Segmentation", tags=["cells", "fast"])
        embed = AlgorithmMetadata(algorithm_type="Image2Embedding", tags=["cells"], supported_devices=["cpu", "gpu"])
        segment = segment.model_copy(update={"supported_devices": ["cpu"]})
        registry.deploy(package(name="segment", metadata=segment))
        registry.deploy(package(name="embed", metadata=embed))
        assert [record.name for record in registry.list(**filters)] == names  # type: ignore[arg-type]

    def test_there_is_no_limit(self, package: PackageMaker) -> None:
        """More algorithms than one page of any store are all listed, once each."""
        store = MemoryStore()
        registry = Registry(store)
        for number in range(1100):
            registry.deploy(package(name=f"a{number}"))
        found = [record.name for record in Registry(store).list()]
        assert len(found) == len(set(found)) == 1100

    def test_a_foreign_object_is_ignored(self, registry: Registry, store: ObjectStore, package: PackageMaker) -> None:
        """Objects that are no part of any algorithm do not disturb."""
        known = registry.deploy(package()).record.algorithm_id
        for key in ("notes.txt", "backup/head", f"{known}/notes", f"{known}/minor-3", f"{known}/minor-00000000x1"):
            store.put(ALGORITHMS, key, b"?")
        assert [record.minors for record in registry.list()] == [[0]]
        assert registry.find(known).minors == [0]


class _HashVersions(Hooked):
    """A store whose versions are hashes of the content, as on S3."""

    def __init__(self, store: ObjectStore) -> None:
        super().__init__(store, lambda name, action: action())

    def list(self, collection: str, prefix: str = "") -> Iterator[ObjectInfo]:
        for info in super().list(collection, prefix):
            yield replace(info, version=digest(self.get(collection, info.key)))


class Counted(Hooked):
    """A store that counts its operations and the keys that it listed."""

    def __init__(self, store: ObjectStore) -> None:
        super().__init__(store, self._count)
        self.operations: list[str] = []
        self.listed = 0

    def _count(self, name: str, action: Callable[[], object]) -> object:
        answer = action()
        self.operations.append(name)
        self.listed += len(answer) if isinstance(answer, list) else 0
        return answer


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> dict[int, ObjectStore]:
    """Stores with 10 and with 2,000 algorithms."""
    package = PackageMaker(tmp_path_factory.mktemp("packages"))
    stores: dict[int, ObjectStore] = {}
    for count in (10, 2000):
        stores[count] = MemoryStore()
        for number in range(count):
            Registry(stores[count]).deploy(package(name=f"a{number}"))
    return stores


class TestCost:
    @pytest.mark.parametrize(
        "look_up",
        [
            lambda registry: registry.get("a3"),
            lambda registry: registry.get("a3", 1),
            lambda registry: registry.find(algorithm_id("a3", "1")),
            lambda registry: registry.version(algorithm_id("a3", "1")),
            lambda registry: registry.version(algorithm_id("a3", "1"), 0),
        ],
        ids=["name", "name-and-major", "id", "latest", "minor"],
    )
    def test_a_look_up_costs_the_same_in_a_large_store(
        self, large: dict[int, ObjectStore], look_up: Callable[[Registry], object]
    ) -> None:
        """With 2,000 algorithms it takes the operations and lists the keys that it does with 10."""
        costs = {}
        for count, store in large.items():
            counted = Counted(store)
            registry = Registry(counted)
            look_up(registry)
            cold = (len(counted.operations), counted.listed)
            look_up(registry)
            costs[count] = (cold, len(counted.operations) - cold[0], counted.listed - cold[1])
        assert costs[2000] == costs[10]

    def test_a_warm_look_up_is_two_listings(self, large: dict[int, ObjectStore]) -> None:
        """Head, flags and minor are listed, and its checkpoints, and not read again."""
        counted = Counted(large[10])
        registry = Registry(counted)
        registry.get("a3", 1)
        counted.operations.clear()
        registry.get("a3", 1)
        name = algorithm_id("a3", "1")
        assert counted.operations == [f"list {ALGORITHMS}/{name}/", f"list {CHECKPOINTS}/{BY_ALGORITHM}{name}/"]

    def test_a_second_list_reads_only_what_changed(self, package: PackageMaker) -> None:
        """Nothing but whether there is a change; after one, a listing, and the flags that were set anew."""
        store = MemoryStore()
        writer, counted = Registry(store), Counted(store)
        reader = Registry(counted)
        look = [f"get {SYSTEM}/{GENERATION}", f"list {SYSTEM}/{CHANGES}"]
        for number in range(40):
            writer.deploy(package(name=f"a{number}"))
        first = reader.list()
        assert len(counted.operations) == len(look) + 2 + 3 * 40
        counted.operations.clear()
        assert reader.list() == first
        assert counted.operations == look
        writer.deploy(package(name="a7"))
        counted.operations.clear()
        reader.list()
        flags = f"get {ALGORITHMS}/{algorithm_id('a7', '1')}/flags"
        assert counted.operations == [*look, f"list {ALGORITHMS}/", f"list {CHECKPOINTS}/{RECORDS}", flags]

    def test_a_redeploy_of_the_same_writes_only_the_flags(self, package: PackageMaker) -> None:
        """No blob is touched and nothing is pinned when there is nothing to add."""
        counted = Counted(MemoryStore())
        registry = Registry(counted)
        registry.deploy(package(assets={"a": b"1"}))
        counted.operations.clear()
        registry.deploy(package(assets={"a": b"1"}))
        written = [name for name in counted.operations if not name.startswith(("get", "list"))]
        assert written[1:-1] == [f"put {ALGORITHMS}/{algorithm_id('denoise', '1')}/flags", f"put {SYSTEM}/{GENERATION}"]
        assert written[0].startswith(f"create {SYSTEM}/{CHANGES}") and written[-1] == written[0].replace(
            "create", "delete"
        )
