"""What goes into a bundle."""

from __future__ import annotations

import pytest

from compox_core.algorithms.blobs import PINS
from compox_core.algorithms.registry import Registry
from compox_core.bundle.collecting import collected
from compox_core.bundle.selecting import Choice
from compox_core.errors import ConflictError, InvalidInputError, NotFoundError, StorageError
from compox_core.storage import ASSETS, SYSTEM, ObjectStore
from tests.algorithms.learned import save
from tests.algorithms.packages import PackageMaker, digest
from tests.algorithms.views import ID
from tests.bundle.shipping import bundle_of


class TestSelection:
    @pytest.mark.parametrize(
        ("text", "choice"),
        [
            ("denoise", Choice("denoise")),
            (" denoise:2 ", Choice("denoise", "2")),
            ("denoise@0", Choice("denoise", None, 0)),
            ("de.noise-x:1@12", Choice("de.noise-x", "1", 12)),
        ],
    )
    def test_forms(self, text: str, choice: Choice) -> None:
        """A name may be followed by a major and by a minor version."""
        assert Choice.parse(text) == choice

    @pytest.mark.parametrize("text", ["", "a b", "a@", "a@x", "a@01", "a@-1", "a:", "a:@3", "a:b/c", "a:1:2", "a@1@2"])
    def test_what_is_no_choice(self, text: str) -> None:
        """Anything else is refused by an error that shows it."""
        with pytest.raises(InvalidInputError) as info:
            Choice.parse(text)
        assert info.value.code == "invalid_algorithm_selection"
        assert repr(text) in info.value.message


class TestWhatGoesIn:
    @pytest.fixture
    def registry(self, store: ObjectStore, package: PackageMaker) -> Registry:
        """Two algorithms, one of them in two majors, with several minors."""
        registry = Registry(store)
        for n in range(3):
            registry.deploy(package(code=b"%d" % n, assets={"w": b"weights %d" % n, "shared": b"shared"}))
        registry.deploy(package(major="2", code=b"major", minor=7))
        registry.deploy(package("Align", code=b"align", removable=False))
        return registry

    def test_everything(self, store: ObjectStore, registry: Registry) -> None:
        """All algorithms go in, with all minors, sorted, each content once and under its hash."""
        found = bundle_of(store)
        assert [(each.name, each.major, [v.minor for v in each.versions]) for each in found.snapshot.algorithms] == [
            ("Align", "1", [0]),
            ("denoise", "1", [0, 1, 2]),
            ("denoise", "2", [7]),
        ]
        assert [each.flags.removable for each in found.snapshot.algorithms] == [False, True, True]
        assert {content.sha256: digest(data) for content, data in found.held.items()} == {
            each.sha256: each.sha256 for each in found.snapshot.contents()
        }
        assert len(found.held) == 5 + 4
        version = found.snapshot.algorithms[1].versions[0]
        assert version.module.key == version.module.sha256
        assert all(entry.key == entry.sha256 for entry in version.assets.values())

    @pytest.mark.parametrize(
        ("selection", "minors"),
        [
            (["denoise"], {("denoise", "2"): [7]}),
            (["DENOISE:1@1"], {("denoise", "1"): [1]}),
            (["denoise:1@2", "denoise:1@0", "align"], {("Align", "1"): [0], ("denoise", "1"): [0, 2]}),
            (["denoise:1@2", "denoise:1"], {("denoise", "1"): [0, 1, 2]}),
        ],
    )
    def test_chosen_ones(
        self,
        store: ObjectStore,
        registry: Registry,
        selection: list[str],
        minors: dict[tuple[str, str], list[int]],
    ) -> None:
        """Of what is chosen each algorithm goes in once, with the minors that were named."""
        found = bundle_of(store, *selection).snapshot.algorithms
        assert {(each.name, each.major): [v.minor for v in each.versions] for each in found} == minors

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("nothing", "algorithm_not_found"),
            ("denoise:9", "algorithm_not_found"),
            ("align@4", "minor_version_not_found"),
        ],
    )
    def test_what_is_not_there(self, store: ObjectStore, registry: Registry, text: str, code: str) -> None:
        """A choice of what the store does not have is refused."""
        with pytest.raises(NotFoundError) as info:
            bundle_of(store, text)
        assert info.value.code == code

    def test_an_empty_store(self, store: ObjectStore) -> None:
        """A bundle of nothing is refused."""
        with pytest.raises(InvalidInputError) as info:
            bundle_of(store)
        assert info.value.code == "bundle_empty"

    def test_what_may_not_be_exported(self, store: ObjectStore, registry: Registry, package: PackageMaker) -> None:
        """It is left out with a note, refused where it was named, and goes in where the operator says so."""
        registry.deploy(package("secret", exportable=False))
        with collected(store, registry) as found:
            assert "secret" not in {each.name for each in found.snapshot.algorithms}
            assert found.notes == ["secret 1 was left out: it may not be exported."]
        with pytest.raises(ConflictError) as info:
            bundle_of(store, "secret")
        assert info.value.code == "algorithm_not_exportable"
        kept = bundle_of(store, "secret", unexportable=True).snapshot.algorithms
        assert [(each.name, each.flags.exportable) for each in kept] == [("secret", False)]


class TestCheckpoints:
    def test_those_that_fit_and_what_they_go_back_to(self, store: ObjectStore, package: PackageMaker) -> None:
        """With a minor go the checkpoints whose assets it has, and all that these go back to, whatever assets they
        have."""
        registry = Registry(store)
        old = registry.deploy(package(assets={"w": b"w", "old": b"old"})).version
        new = registry.deploy(package(code=b"new", assets={"w": b"w"})).version
        first = save(registry.checkpoints, old, {"old": b"learned old"})
        second = save(registry.checkpoints, new, {"w": b"learned"}, parent_checkpoint_id=first.checkpoint_id)
        save(registry.checkpoints, old, {"old": b"of no use"})
        with collected(store, registry, ["denoise@1"]) as found:
            bundled = found.snapshot.algorithms[0]
            assert [each.checkpoint_id for each in bundled.checkpoints] == [first.checkpoint_id, second.checkpoint_id]
            assert ["1 checkpoints" in note for note in found.notes] == [True]
            assert {entry.key for each in bundled.checkpoints for entry in each.assets.values()} == {
                digest(b"learned old"),
                digest(b"learned"),
            }

    def test_one_whose_parent_was_deleted(self, store: ObjectStore, package: PackageMaker) -> None:
        """It goes back to none in the bundle, which says so, since a bundle must hold what its records name."""
        registry = Registry(store)
        version = registry.deploy(package(assets={"w": b"w"})).version
        first = save(registry.checkpoints, version, {"w": b"1"})
        second = save(registry.checkpoints, version, {"w": b"2"}, parent_checkpoint_id=first.checkpoint_id)
        registry.checkpoints.delete(first.checkpoint_id)
        with collected(store, registry) as found:
            (kept,) = found.snapshot.algorithms[0].checkpoints
            assert (kept.checkpoint_id, kept.parent_checkpoint_id) == (second.checkpoint_id, None)
            assert any(first.checkpoint_id in note for note in found.notes)


class TestPins:
    def test_contents_stay_while_they_are_bundled(self, store: ObjectStore, package: PackageMaker) -> None:
        """A removal beside it takes the algorithm, and leaves its contents until the bundle is written."""
        registry = Registry(store)
        registry.deploy(package(assets={"w": b"weights"}))
        with collected(store, registry) as found:
            Registry(store).remove(ID)
            assert {each.sha256: digest(found.open(each).read()) for each in found.snapshot.contents()} == {
                each.sha256: each.sha256 for each in found.snapshot.contents()
            }
        assert not list(store.list(SYSTEM, PINS))

    def test_a_content_that_the_store_has_lost(self, store: ObjectStore, package: PackageMaker) -> None:
        """It is named by its algorithm and its path."""
        registry = Registry(store)
        version = registry.deploy(package(assets={"w": b"weights"})).version
        store.delete(ASSETS, version.assets["w"].key)
        with collected(store, registry) as found, pytest.raises(StorageError) as info:
            found.open(next(each for each in found.snapshot.contents() if each.collection == ASSETS))
        assert info.value.code == "bundle_content_missing"
        assert "'w' of denoise 1.0" in info.value.message

    @pytest.mark.parametrize("error", [KeyboardInterrupt, StorageError("lost"), ValueError])
    def test_pins_go_whatever_happens(
        self, store: ObjectStore, package: PackageMaker, error: BaseException | type[BaseException]
    ) -> None:
        """Whoever ends while a bundle is written leaves no pin: nothing new would name the contents."""
        Registry(store).deploy(package())
        with pytest.raises(error if isinstance(error, type) else type(error)), collected(store, Registry(store)):
            raise error
        assert not list(store.list(SYSTEM, PINS))
