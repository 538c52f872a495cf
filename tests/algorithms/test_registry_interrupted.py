"""Deploys and removals that are killed, or meet an error of the store, at any of their steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from compox_core.algorithms.registry import Registry
from compox_core.errors import CompoxError, NotFoundError, StorageError
from compox_core.storage import ObjectStore
from compox_core.storage.memory import MemoryStore
from tests.algorithms.packages import PackageMaker
from tests.algorithms.steps import Hooked
from tests.algorithms.views import ID, check_whole, contents, found


class Killed(BaseException):
    """The process is dead: nothing of it runs any more."""


class Interrupted(Hooked):
    """A store one step of which goes wrong, before or after it has happened.

    Either its user is killed there, so that nothing more of it reaches the store, or that one step raises an error.
    """

    def __init__(self, store: ObjectStore, at: int, *, killed: bool, after: bool) -> None:
        super().__init__(store, self._interrupt)
        self.happened = False
        self._before = at
        self._killed = killed
        self._after = after

    def _interrupt(self, name: str, action: Callable[[], object]) -> object:
        if self.happened and self._killed:
            raise Killed
        self._before -= 1
        if self._before != -1:
            return action()
        self.happened = True
        if self._after:
            with suppress(CompoxError):
                action()
        raise Killed if self._killed else StorageError("the connection was lost", retryable=True)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("killed", [True, False], ids=["killed", "error"])
class TestInterruptedAtEveryStep:
    def interrupted(
        self,
        prepare: Callable[[ObjectStore], object],
        action: Callable[[ObjectStore], object],
        killed: bool,
        after: bool,
    ) -> Iterator[ObjectStore]:
        """Yield a store for every step at which `action` can be interrupted, when it has been."""
        for at in range(200):
            store = MemoryStore()
            prepare(store)
            interrupted = Interrupted(store, at, killed=killed, after=after)
            with suppress(Killed, StorageError):
                action(interrupted)
            if not interrupted.happened:
                assert at > 10
                return
            check_whole(store)
            yield store

    @pytest.mark.parametrize("existing", [0, 2])
    def test_a_deploy(self, package: PackageMaker, killed: bool, after: bool, existing: int) -> None:
        """What was there stays, the deploy happened or did not, and the same deploy again completes it."""
        given = package(minor=3, code=b"new", assets={"w": b"shared", "x": b"own"})

        def prepare(store: ObjectStore) -> None:
            for n in range(existing):
                Registry(store).deploy(package(code=b"%d" % n, assets={"w": b"shared"}))

        wanted = [0, 1, 2] if existing else [3]
        for store in self.interrupted(prepare, lambda s: Registry(s).deploy(given), killed, after):
            record = found(store)
            assert (record.minors if record else []) in (wanted[:-1], wanted)
            done = Registry(store).deploy(given)
            assert done.record.minors == Registry(store).find(ID).minors == wanted
            check_whole(store)
            Registry(store).remove(ID)
            assert Registry(store).list() == []

    @pytest.mark.parametrize("minor", [1, None])
    def test_a_removal(self, package: PackageMaker, killed: bool, after: bool, minor: int | None) -> None:
        """The minor is there or gone, never half; removing again and deploying again both work."""

        def prepare(store: ObjectStore) -> None:
            for n in range(2):
                Registry(store).deploy(package(code=b"%d" % n, assets={"w": b"shared", "n": b"%d" % n}))

        for store in self.interrupted(prepare, lambda s: Registry(s).remove(ID, minor), killed, after):
            with suppress(NotFoundError):
                Registry(store).remove(ID, minor, force=True)
            record = found(store)
            assert (record.minors if record else []) == ([0] if minor else [])
            given = package(code=b"1", assets={"w": b"shared", "n": b"1"})
            assert Registry(store).deploy(given).version.minor == 2
            assert contents(store)[-1] == given.module_sha256
            check_whole(store)
