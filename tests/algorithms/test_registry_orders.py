"""Deploys and removals in every order of their steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from compox_core.algorithms.registry import Deployment, Registry
from compox_core.errors import NotFoundError
from compox_core.storage import ASSETS, ObjectStore
from tests.algorithms.packages import AlgorithmPackage, PackageMaker
from tests.algorithms.steps import Actor, Explorer, repeatable_names
from tests.algorithms.views import ID, check_whole, contents, found


def deployer(package: AlgorithmPackage, note: Callable[[Deployment], object] = bool) -> Actor:
    return lambda store: note(Registry(store).deploy(package))


def remover(minor: int | None) -> Actor:
    def act(store: ObjectStore) -> None:
        try:
            Registry(store).remove(ID, minor, force=True)
        except NotFoundError:
            return

    return act


@pytest.fixture
def repeatable() -> Iterator[None]:
    """Random names that repeat."""
    with repeatable_names():
        yield


@pytest.mark.usefixtures("repeatable")
class TestEveryOrder:
    @pytest.mark.parametrize("minors", [(0, 0), (2, 7)])
    def test_two_first_deploys(self, package: PackageMaker, minors: tuple[int, int]) -> None:
        """Whichever is first gives the number, the other gets the next, and both are there."""
        packages = [package(minor=minor, code=b"%d" % n) for n, minor in enumerate(minors)]

        def both_are_there(store: ObjectStore) -> None:
            record = Registry(store).find(ID)
            assert record.minors in [[minor, minor + 1] for minor in minors]
            assert set(contents(store)) == {each.module_sha256 for each in packages}

        search = Explorer(
            lambda store: None,
            {f"d{n}": deployer(each) for n, each in enumerate(packages)},
            check_whole,
            both_are_there,
        )
        search.explore(1200)
        assert search.ends

    def test_two_deploys_of_one_content(self, package: PackageMaker) -> None:
        """One adds the version, the other finds it."""
        given = package(code=b"new", assets={"w": b"weights"})

        def one_was_added(store: ObjectStore) -> None:
            assert Registry(store).find(ID).minors == [0, 1]
            assert len(list(store.list(ASSETS))) == 1

        search = Explorer(
            lambda store: Registry(store).deploy(package()) and None,
            {"d0": deployer(given), "d1": deployer(given)},
            check_whole,
            one_was_added,
        )
        search.explore(1200)
        assert search.ends

    @pytest.mark.parametrize("removed", [0, 1, None])
    def test_a_deploy_beside_a_removal(self, package: PackageMaker, removed: int | None) -> None:
        """What shares its assets with a minor that goes at this moment keeps them, and is there afterwards."""
        given = package(code=b"b", assets={"v": b"shared"})

        def prepare(store: ObjectStore) -> None:
            Registry(store).deploy(package(code=b"a", assets={"w": b"shared"}))
            Registry(store).deploy(package(code=b"b", assets={"w": b"shared", "x": b"own"}))

        def deployed_is_there(store: ObjectStore) -> None:
            record = found(store)
            if removed is None and record is None:  # the deploy came first, and went with the rest
                return
            assert record is not None
            assert record.minors == ([2] if removed is None else [1 - removed, 2])
            assert Registry(store).version(ID).assets.keys() == {"v"}

        search = Explorer(prepare, {"d": deployer(given), "r": remover(removed)}, check_whole, deployed_is_there)
        search.explore(1200)
        assert search.ends

    def test_two_removals(self, package: PackageMaker) -> None:
        """Two removals of overlapping minors leave the rest, whole."""

        def prepare(store: ObjectStore) -> None:
            for code in (b"a", b"b", b"c"):
                Registry(store).deploy(package(code=code, assets={"w": b"shared"}))

        def the_rest_is_there(store: ObjectStore) -> None:
            assert Registry(store).find(ID).minors == [2]

        search = Explorer(prepare, {"r0": remover(0), "r1": remover(1)}, check_whole, the_rest_is_there)
        search.explore(1200)
        assert search.ends

    def test_a_stale_deploy_beside_one_after_the_last_removal(self, package: PackageMaker) -> None:
        """Of a deploy that saw the last minor and one that saw it gone, both get numbers that follow each other."""

        def numbers_follow(store: ObjectStore) -> None:
            record = Registry(store).find(ID)
            assert record.minors in ([4, 5], [9, 10])
            assert len(set(contents(store))) == 2

        search = Explorer(
            lambda store: Registry(store).deploy(package(minor=3)) and None,
            {
                "r": remover(3),
                "d0": deployer(package(minor=9, code=b"x")),
                "d1": deployer(package(minor=9, code=b"y")),
            },
            check_whole,
            numbers_follow,
        )
        search.explore(1200)
        assert search.ends
