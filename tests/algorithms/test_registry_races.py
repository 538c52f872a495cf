"""Deploys and removals at once, in threads and in processes."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from compox_core.algorithms.registry import Deployment, Registry
from compox_core.errors import NotFoundError
from compox_core.storage import MODULES, ObjectStore, open_store
from tests.algorithms.packages import PackageMaker
from tests.algorithms.views import ID, check_whole, contents, found


def at_once(actions: list[Callable[[], Deployment]]) -> list[Deployment]:
    """Run the actions in threads that start together and return what they returned; their errors are raised."""
    barrier = threading.Barrier(len(actions))
    results: list[Deployment] = []
    errors: list[BaseException] = []

    def run(action: Callable[[], Deployment]) -> None:
        barrier.wait()
        try:
            results.append(action())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in errors:
        raise error
    return results


class TestThreads:
    @pytest.fixture
    def store(self, any_store: ObjectStore) -> ObjectStore:
        return any_store

    @pytest.mark.parametrize("shared", [True, False], ids=["one-registry", "a-registry-each"])
    def test_different_contents(self, store: ObjectStore, package: PackageMaker, shared: bool) -> None:
        """Eight first deploys of different contents and minors: eight versions, numbered without a gap."""
        registry = Registry(store)
        packages = [package(minor=number, code=b"%d" % number, assets={"common": b"weights"}) for number in range(8)]
        done = at_once(
            [
                lambda each=each: (registry if shared else Registry(store)).deploy(each)  # type: ignore[misc]
                for each in packages
            ]
        )
        record = registry.find(ID)
        first = record.minors[0]
        assert first in range(8)
        assert record.minors == list(range(first, first + 8))
        assert sorted(each.version.minor for each in done) == record.minors
        assert sorted(contents(store)) == sorted(each.module_sha256 for each in packages)
        assert all(each.created for each in done)
        check_whole(store)

    def test_equal_contents(self, store: ObjectStore, package: PackageMaker) -> None:
        """Eight deploys of one content, three times over: one version each time, made by one of them."""
        for number in range(3):
            given = package(code=b"%d" % number, assets={"a": b"%d" % number, "b": b"same"})
            done = at_once([lambda given=given: Registry(store).deploy(given)] * 8)  # type: ignore[misc]
            assert sorted(each.created for each in done) == [False] * 7 + [True]
            assert {each.version.minor for each in done} == {number}
        assert found(store) is not None
        assert len(list(store.list(MODULES))) == 3

    def test_deploys_beside_removals(self, store: ObjectStore, package: PackageMaker) -> None:
        """While others remove what is there, no deploy is lost, no number used twice, no blob missing."""
        Registry(store).deploy(package(code=b"first", assets={"w": b"weights"}))
        stop = threading.Event()
        errors: list[BaseException] = []

        def remove() -> None:
            registry = Registry(store)
            while not stop.is_set():
                try:
                    for minor in registry.find(ID).minors[:-1]:
                        registry.remove(ID, minor)
                except NotFoundError:
                    continue
                except BaseException as error:
                    errors.append(error)

        removers = [threading.Thread(target=remove) for _ in range(2)]
        for thread in removers:
            thread.start()
        done: list[Deployment] = []
        for turn in range(3):
            packages = [package(code=b"%d %d" % (turn, n), assets={"w": b"weights"}) for n in range(4)]
            done += at_once([lambda each=each: Registry(store).deploy(each) for each in packages])  # type: ignore[misc]
        stop.set()
        for thread in removers:
            thread.join()
        assert errors == []
        assert sorted(each.version.minor for each in done) == list(range(1, 13))
        assert Registry(store).find(ID).latest_minor == 12
        check_whole(store)


PROCESS = """
import sys
from pathlib import Path
from compox_core.algorithms.registry import Registry
from compox_core.storage import open_store
from tests.algorithms.packages import PackageMaker
place, folder, number, count = sys.argv[1:]
package = PackageMaker(Path(folder) / number)
registry = Registry(open_store(place))
print("ready", flush=True)
sys.stdin.readline()
for turn in range(int(count)):
    own = package(code=f"{number} {turn}".encode(), assets={"w": b"weights", "own": number.encode()})
    same = package(name="same", code=str(turn).encode(), assets={"w": b"weights"})
    print(registry.deploy(own).version.minor, registry.deploy(same).created)
"""


class TestProcesses:
    def test_deploys_of_several_processes(self, tmp_path: Path) -> None:
        """Three processes that deploy to one folder lose nothing, double nothing and leave no gap."""
        place = tmp_path / "store"
        with open_store(place) as store:
            store.ensure_collections()
            turns = 6
            racers = [
                subprocess.Popen(
                    [sys.executable, "-c", PROCESS, str(place), str(tmp_path), str(number), str(turns)],
                    cwd=Path(__file__).parents[2],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                for number in range(3)
            ]
            for racer in racers:
                assert racer.stdout is not None
                assert racer.stdout.readline() == "ready\n"
            answers = []
            for racer in racers:
                assert racer.stdin is not None
                racer.stdin.write("\n")
                racer.stdin.flush()
            for racer in racers:
                output, _ = racer.communicate(timeout=120)
                assert racer.returncode == 0
                answers += [line.split() for line in output.splitlines()]
            assert sorted(int(minor) for minor, _ in answers) == list(range(3 * turns))
            assert len(set(contents(store))) == 3 * turns
            same = Registry(store).get("same")
            assert same.minors == list(range(len(same.minors)))
            assert [created for _, created in answers].count("True") == len(same.minors) >= turns
            check_whole(store)
