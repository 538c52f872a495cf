"""What an import would change, and what speaks against one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from compox_core.algorithms.registry import Registry
from compox_core.algorithms.shelves import HIGHEST_MINOR
from compox_core.algorithms.transform import HERE
from compox_core.bundle.planning import plan_import
from compox_core.bundle.snapshot import Snapshot
from compox_core.errors import CompoxError, ConflictError, InvalidInputError
from compox_core.identity import algorithm_id
from compox_core.storage import ObjectStore
from tests.algorithms.learned import save
from tests.algorithms.packages import PackageMaker
from tests.algorithms.views import ID
from tests.bundle.shipping import Held, bundle_of, objects, prepared, ship


def changed(source: Held, change: Callable[[dict[str, Any]], object]) -> Snapshot:
    """Return the snapshot of a bundle with its JSON changed."""
    said = source.snapshot.model_dump(mode="json")
    change(said)
    return Snapshot.model_validate(said)


@pytest.fixture
def bundle(package: PackageMaker) -> Held:
    """Three minors of one algorithm, with gaps, and another algorithm."""

    def fill(registry: Registry) -> None:
        for n in range(6):
            registry.deploy(package(minor=3, code=b"%d" % n, assets={"w": b"weights %d" % n}))
        for minor in (4, 6, 7):
            registry.remove(ID, minor)
        registry.deploy(package("Align"))

    return prepared(fill)


class TestPlan:
    def test_into_an_empty_store(self, store: ObjectStore, bundle: Held) -> None:
        """All minors come under their numbers; the plan says so in words and as JSON, and nothing is written."""
        before = objects(store)
        plan = plan_import(bundle.snapshot, store)
        assert plan.changes
        assert [(each.name, each.step, each.minors) for each in plan.algorithms] == [
            ("Align", "new", {0: 0}),
            ("denoise", "new", {3: 3, 5: 5, 8: 8}),
        ]
        assert plan.missing_bytes == sum(map(len, bundle.held.values()))
        assert "denoise 1: new, minor versions 3, 5, 8" in str(plan)
        assert json.loads(plan.model_dump_json())["algorithms"][1]["minors"] == {"3": 3, "5": 5, "8": 8}
        assert objects(store) == before

    def test_what_is_there_already(self, store: ObjectStore, bundle: Held) -> None:
        """After the import the same bundle has nothing to change."""
        ship(bundle, store)
        plan = plan_import(bundle.snapshot, store)
        assert not plan.changes
        assert (plan.missing, plan.held) == (0, 0)
        assert str(plan).splitlines()[:2] == ["Align 1: nothing to do", "denoise 1: nothing to do"]

    def test_the_next_minor(self, store: ObjectStore, bundle: Held, package: PackageMaker) -> None:
        """To an algorithm that is here, the latest of the bundle alone is added, under the next number."""
        Registry(store).deploy(package(minor=11, code=b"5", assets={"w": b"weights 4"}))
        plan = plan_import(bundle.snapshot, store)
        assert (plan.algorithms[1].step, plan.algorithms[1].minors) == ("minor", {8: 12})
        assert (plan.held, plan.missing) == (1, 2)  # the code is there
        assert "added minor version 12 (there 8)" in str(plan)

    def test_numbers_that_are_used_up(self, store: ObjectStore, bundle: Held, package: PackageMaker) -> None:
        """After a removal numbers go on rising, and those of the bundle move up."""
        Registry(store).deploy(package(minor=4))
        Registry(store).remove(ID)
        assert plan_import(bundle.snapshot, store).algorithms[1].minors == {3: 5, 5: 6, 8: 8}

    def test_flags(self, store: ObjectStore, bundle: Held, package: PackageMaker) -> None:
        """Flags that differ are a change by themselves."""
        ship(bundle, store)
        Registry(store).deploy(package("Align"), exportable=False)
        plan = plan_import(bundle.snapshot, store)
        assert "Align 1: removable: yes, exportable: yes" in str(plan)
        assert [each.changes for each in plan.algorithms] == [True, False]


class TestRefusals:
    def refused(self, snapshot: Snapshot, store: ObjectStore, rename: dict[str, str] | None = None) -> CompoxError:
        """Return the error of a plan, which leaves the store as it was."""
        before = objects(store)
        with pytest.raises((InvalidInputError, ConflictError)) as info:
            plan_import(snapshot, store, rename)
        assert objects(store) == before
        return info.value

    def test_a_name_that_is_refused_here(self, store: ObjectStore, bundle: Held) -> None:
        """It is named, and another name for it will do."""

        def change(said: dict[str, Any]) -> None:
            said["algorithms"][0]["name"] = "de noise"

        snapshot = changed(bundle, change)
        error = self.refused(snapshot, store)
        assert error.code == "invalid_algorithm_name"
        assert "'de noise'" in error.message
        plan = plan_import(snapshot, store, {"de noise": "align"})
        assert [each.name for each in plan.algorithms] == ["align", "denoise"]
        assert "was de noise" in str(plan)

    @pytest.mark.parametrize("major", ["1", "2"])
    def test_names_that_differ_by_case_only(self, store: ObjectStore, bundle: Held, major: str) -> None:
        """Two of one bundle are refused, in whichever major versions; one renamed will do."""

        def change(said: dict[str, Any]) -> None:
            said["algorithms"][0] |= {"name": "Denoise", "major": major}

        snapshot = changed(bundle, change)
        error = self.refused(snapshot, store)
        assert error.code == "algorithm_name_conflict"
        assert "'Denoise' and 'denoise'" in error.message
        assert plan_import(snapshot, store, {"Denoise": "other"}).changes

    def test_two_that_become_one(self, store: ObjectStore, bundle: Held) -> None:
        """A new name that another algorithm of the bundle has is refused."""
        error = self.refused(bundle.snapshot, store, {"Align": "denoise"})
        assert error.code == "algorithm_name_conflict"
        assert "Align 1 and denoise 1" in error.message

    def test_a_name_that_is_here_in_another_case(self, store: ObjectStore, bundle: Held, package: PackageMaker) -> None:
        """It is refused; with the spelling that is here, it is added to that."""
        Registry(store).deploy(package("DeNoise"))
        error = self.refused(bundle.snapshot, store)
        assert error.code == "algorithm_name_conflict"
        assert "'DeNoise'" in error.message
        assert plan_import(bundle.snapshot, store, {"denoise": "DeNoise"}).algorithms[1].step == "minor"

    def test_an_unknown_name_to_rename(self, store: ObjectStore, bundle: Held) -> None:
        """What is to be renamed must be in the bundle."""
        error = self.refused(bundle.snapshot, store, {"sharpen": "x"})
        assert error.code == "unknown_algorithm"
        assert "Align, denoise" in error.message

    def test_code_for_another_python(self, store: ObjectStore, bundle: Held) -> None:
        """Both Pythons are named; a minor that would not be added does not matter."""

        def change(said: dict[str, Any]) -> None:
            said["algorithms"][1]["versions"][0]["module"]["python"] = "2.7"

        error = self.refused(changed(bundle, change), store)
        assert error.code == "python_version_mismatch"
        assert "denoise 1.3" in error.message
        assert "Python 2.7" in error.message
        assert f"Python {HERE}" in error.message
        ship(bundle, store)
        assert not plan_import(changed(bundle, change), store).changes

    def test_everything_at_once(self, store: ObjectStore, bundle: Held) -> None:
        """All that speaks against an import is said in one go."""

        def change(said: dict[str, Any]) -> None:
            said["algorithms"][0]["name"] = "a b"
            said["algorithms"][1]["versions"][0]["module"]["python"] = "2.7"

        error = self.refused(changed(bundle, change), store, {"sharpen": "x"})
        assert error.code == "bundle_not_importable"
        assert {issue["code"] for issue in error.details["issues"]} == {
            "invalid_algorithm_name",
            "python_version_mismatch",
            "unknown_algorithm",
        }

    @pytest.mark.parametrize(
        "change",
        [
            lambda each: each["versions"][0]["assets"]["w"].update(sha256="../../etc/passwd"),
            lambda each: each["versions"][0]["assets"].update({"../w": each["versions"][0]["assets"]["w"]}),
            lambda each: each["versions"][0]["assets"].update({"/w": each["versions"][0]["assets"]["w"]}),
            lambda each: each["versions"][0]["module"].update(size=-1),
            lambda each: each["versions"].reverse(),
            lambda each: each["versions"].clear(),
            lambda each: each["versions"][0].update(minor=HIGHEST_MINOR + 1),
            lambda each: each.update(major="../1"),
        ],
    )
    def test_a_manifest_that_says_what_cannot_be(
        self, store: ObjectStore, bundle: Held, change: Callable[[dict[str, Any]], object]
    ) -> None:
        """Whoever has a key can write anything; nothing of it reaches the store."""
        error = self.refused(changed(bundle, lambda said: change(said["algorithms"][1])), store)
        assert error.code == "invalid_bundle_manifest"

    def test_no_number_is_left(self, store: ObjectStore, bundle: Held, package: PackageMaker) -> None:
        """An algorithm that has used its highest number is told before anything is written."""
        Registry(store).deploy(package(minor=HIGHEST_MINOR))
        assert self.refused(bundle.snapshot, store).code == "minor_versions_used_up"


class TestCheckpointsOfAPlan:
    @pytest.fixture
    def learned(self, package: PackageMaker) -> Held:
        """An algorithm with two checkpoints, the second of which goes back to the first."""

        def fill(registry: Registry) -> None:
            version = registry.deploy(package(assets={"w": b"w"})).version
            first = save(registry.checkpoints, version, {"w": b"1"})
            save(registry.checkpoints, version, {"w": b"2"}, parent_checkpoint_id=first.checkpoint_id)

        return prepared(fill)

    def test_new_and_known(self, store: ObjectStore, learned: Held) -> None:
        """What is there already is told from what comes."""
        names = [each.checkpoint_id for each in learned.snapshot.algorithms[0].checkpoints]
        assert plan_import(learned.snapshot, store).algorithms[0].checkpoints == names
        ship(learned, store)
        Registry(store).checkpoints.delete(names[1])
        plan = plan_import(learned.snapshot, store).algorithms[0]
        assert (plan.known, plan.checkpoints, plan.minors) == (names[:1], names[1:], {})

    def test_another_one_of_that_id(self, store: ObjectStore, learned: Held) -> None:
        """A checkpoint of the same id with other content is refused."""
        ship(learned, store)

        def change(said: dict[str, Any]) -> None:
            said["algorithms"][0]["checkpoints"][0]["assets"]["w"]["sha256"] = "0" * 64

        with pytest.raises(ConflictError) as info:
            plan_import(changed(learned, change), store)
        assert info.value.code == "checkpoint_conflict"

    def test_one_that_belongs_to_another_algorithm_here(self, store: ObjectStore, learned: Held) -> None:
        """Ids of checkpoints are those of one checkpoint: a second copy under another name is refused."""
        ship(learned, store)
        with pytest.raises(ConflictError) as info:
            plan_import(learned.snapshot, store, {"denoise": "other"})
        assert info.value.code == "checkpoint_conflict"
        assert ID in info.value.message

    @pytest.mark.parametrize(
        "change",
        [
            lambda found: found[1].update(parent_checkpoint_id="00000000-0000-0000-0000-000000000000"),
            lambda found: found[0].update(parent_checkpoint_id=found[1]["checkpoint_id"]),
            lambda found: found[1].update(parent_checkpoint_id=found[1]["checkpoint_id"]),
            lambda found: found.append(found[0]),
            lambda found: found[0].update(training_id="a/b"),
            lambda found: found[0].update(training_id="../x"),
            lambda found: found[0].update(checkpoint_id="x"),
        ],
    )
    def test_lineages_that_cannot_be(
        self, store: ObjectStore, learned: Held, change: Callable[[list[dict[str, Any]]], object]
    ) -> None:
        """A parent that is missing, circles, one id twice and ids that are none are refused."""
        snapshot = changed(learned, lambda said: change(said["algorithms"][0]["checkpoints"]))
        with pytest.raises(InvalidInputError) as info:
            plan_import(snapshot, store)
        assert info.value.code == "invalid_bundle_manifest"


def test_the_id_here(store: ObjectStore, package: PackageMaker) -> None:
    """An algorithm keeps the id that it has here, or gets the one that its name gives it."""
    source = prepared(lambda registry: registry.deploy(package()))
    assert plan_import(source.snapshot, store, {"denoise": "x"}).algorithms[0].algorithm_id == algorithm_id("x", "1")
    assert bundle_of(_shipped(source, store)).snapshot.algorithms[0].algorithm_id == ID


def _shipped(source: Held, store: ObjectStore) -> ObjectStore:
    ship(source, store)
    return store
