"""The bundle that comes with a server: imported once, whoever starts when."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from compox_core.algorithms.registry import Registry
from compox_core.bundle import start
from compox_core.bundle.collecting import collected
from compox_core.bundle.importing import import_bundle
from compox_core.bundle.keys import BundleKey, SigningKey
from compox_core.bundle.start import CLAIMS, StartBundle, import_at_start
from compox_core.bundle.state import STATE, MigrationState, import_state
from compox_core.bundle.v2 import write_v2
from compox_core.errors import StorageError
from compox_core.holder import Holder, this_process
from compox_core.storage import SYSTEM, ObjectStore
from compox_core.storage.memory import MemoryStore
from compox_core.tasks.presence import Presence
from compox_core.tasks.watch import Watch
from tests.algorithms.packages import PackageMaker
from tests.algorithms.views import ID
from tests.bundle.shipping import check_all_there, objects

KEY = BundleKey(bytes(range(32)))


@dataclass
class Server:
    """What a server that starts brings along."""

    store: ObjectStore
    presence: Presence
    watch: Watch

    def start(self, bundle: StartBundle, **more: Any) -> MigrationState:
        """Do what a start does about its bundle."""
        return import_at_start(self.store, bundle, self.presence, self.watch, **more)


@pytest.fixture
def server(store: ObjectStore) -> Iterator[Server]:
    """A server on a store."""
    made = server_on(store)
    yield made
    made.presence.close()


def server_on(store: ObjectStore) -> Server:
    return Server(store, Presence(store, 0.05), Watch(store, 0.2, interval_seconds=0.05))


def written(path: Path, package: PackageMaker, code: bytes = b"code", **more: Any) -> StartBundle:
    """Return a bundle of one algorithm with this code, in a file."""
    made = MemoryStore()
    Registry(made).deploy(package(code=code))
    with collected(made, Registry(made)) as found:
        write_v2(path, found, [KEY], **more)
    return StartBundle(path, [KEY])


@pytest.fixture
def bundle(tmp_path: Path, package: PackageMaker) -> StartBundle:
    """A bundle in a file."""
    return written(tmp_path / "a.compox", package)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whoever waits looks often; imports are counted."""
    imports: list[str] = []

    def counted(*given: Any) -> Any:
        imports.append("import")
        return import_bundle(*given)

    monkeypatch.setattr(start, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(start, "import_bundle", counted)
    return imports


class TestStart:
    def test_the_first_and_the_next(self, server: Server, bundle: StartBundle, quick: list[str]) -> None:
        """The first start imports it, the next ones see that it is there; the state says what happened."""
        state = server.start(bundle)
        assert (state.last_import_status, state.imported_algorithms) == ("COMPLETED", ["denoise 1"])
        assert state == import_state(server.store) == server.start(bundle)
        assert state.last_imported_bundle_sha256 == state.target_bundle_sha256
        assert state.last_import_started_at is not None
        assert state.last_import_completed_at is not None
        assert state.last_import_started_at <= state.last_import_completed_at
        assert quick == ["import"]
        check_all_there(server.store)
        assert not list(server.store.list(SYSTEM, CLAIMS))

    def test_what_was_removed_stays_removed(self, server: Server, bundle: StartBundle) -> None:
        """The gate is the file's hash: what somebody did with its algorithms since is not undone."""
        server.start(bundle)
        Registry(server.store).remove(ID)
        server.start(bundle)
        assert Registry(server.store).list() == []

    def test_another_bundle(self, server: Server, bundle: StartBundle, tmp_path: Path, package: PackageMaker) -> None:
        """A file with another hash is imported, and is then the one that is not imported again."""
        first = server.start(bundle)
        second = server.start(written(tmp_path / "b.compox", package, b"newer"))
        assert second.last_imported_bundle_sha256 != first.last_imported_bundle_sha256
        assert Registry(server.store).find(ID).minors == [0, 1]

    @pytest.mark.parametrize("missing", ["path", "file", "key"])
    def test_nothing_to_import(self, server: Server, bundle: StartBundle, missing: str, quick: list[str]) -> None:
        """Without a bundle or a key there is nothing to do, and what was imported before counts on."""
        without = {
            "path": StartBundle(None),
            "file": replace(bundle, path=Path("/nowhere/x.compox")),
            "key": replace(bundle, unlocks=()),
        }[missing]
        state = server.start(without)
        assert state.last_import_status == "SKIPPED"
        assert state.reason
        assert import_state(server.store) == state
        done = server.start(bundle)
        assert server.start(without).last_import_status == "SKIPPED"
        assert import_state(server.store) == done
        server.start(bundle)
        assert quick == ["import"]

    def test_a_broken_one(self, server: Server, bundle: StartBundle) -> None:
        """It is told by its code, changes nothing else, and does not hide that another one was imported."""
        done = server.start(bundle)
        before = objects(server.store)
        assert bundle.path is not None
        data = bundle.path.read_bytes()
        bundle.path.write_bytes(data[:-1])
        state = server.start(bundle)
        assert (state.last_import_status, state.error_code) == ("FAILED", "bundle_damaged")
        assert state.error is not None
        assert "was changed or damaged" in state.error
        assert import_state(server.store) == state
        assert state.last_imported_bundle_sha256 == done.last_imported_bundle_sha256
        after = objects(server.store)
        changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        assert {key for key in changed if "/processes/" not in key} == {f"system-store/{STATE}"}
        bundle.path.write_bytes(data)
        assert server.start(bundle).has(done.last_imported_bundle_sha256 or "")

    def test_another_key(self, server: Server, bundle: StartBundle) -> None:
        """A key that does not fit is a failure; the right one at the next start imports."""
        state = server.start(replace(bundle, unlocks=[BundleKey(bytes(32))]))
        assert (state.last_import_status, state.error_code) == ("FAILED", "invalid_bundle_key")
        assert KEY.text() not in state.model_dump_json()
        assert server.start(bundle).last_import_status == "COMPLETED"

    def test_signers(self, server: Server, tmp_path: Path, package: PackageMaker) -> None:
        """Where signers are trusted, only what one of them signed is imported."""
        key = SigningKey(bytes(range(1, 33)))
        plain = written(tmp_path / "plain.compox", package)
        signed = written(tmp_path / "signed.compox", package, signing_key=key)
        state = server.start(replace(plain, trusted_signers=[key.signer]))
        assert state.error_code == "invalid_bundle_signature"
        assert Registry(server.store).list() == []
        assert server.start(replace(signed, trusted_signers=[key.signer])).last_import_status == "COMPLETED"

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"last_import_status": "DONE"}'])
    def test_a_state_that_cannot_be_read(self, server: Server, bundle: StartBundle, content: bytes) -> None:
        """It counts as none."""
        server.store.put(SYSTEM, STATE, content)
        assert import_state(server.store) == MigrationState()
        assert server.start(bundle).last_import_status == "COMPLETED"

    def test_the_state_of_compox_3_2(self, server: Server) -> None:
        """What it wrote is read, fields that ours does not have too."""
        server.store.put(
            SYSTEM,
            STATE,
            b'{"last_imported_bundle_sha256": "ab", "last_imported_backend_version": "3.2.0", "last_import_status": '
            b'"COMPLETED", "last_import_completed_at": "2026-01-02T03:04:05", "imported_algorithms": ["a"], '
            b'"failed_algorithms": [], "rollback_status": "COMPLETED"}',
        )
        assert import_state(server.store).has("ab")


class TestSeveralServers:
    def test_starts_at_once(self, store: ObjectStore, bundle: StartBundle, quick: list[str]) -> None:
        """Of servers that start together one imports; all of them go on when the algorithms are there."""
        servers = [server_on(store) for _ in range(4)]
        with ThreadPoolExecutor(len(servers)) as pool:
            states = list(pool.map(lambda each: each.start(bundle), servers))
        assert [state.last_import_status for state in states] == ["COMPLETED"] * 4
        assert quick == ["import"]
        assert Registry(store).find(ID).minors == [0]
        assert not list(store.list(SYSTEM, CLAIMS))
        for each in servers:
            each.presence.close()

    def claimed(self, server: Server, bundle: StartBundle, holder: Holder) -> str:
        """Let a process have the claim of a bundle; return its key."""
        assert bundle.path is not None
        key = f"{CLAIMS}{start._hash(bundle.path)}/{1:010d}"
        server.store.create(SYSTEM, key, holder.model_dump_json().encode())
        return key

    def test_one_that_died(self, server: Server, bundle: StartBundle) -> None:
        """The claim of a process that has ended is followed by another one."""
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        holder = this_process("dead").model_copy(update={"pid": child.pid, "started": "then"})
        child.communicate()
        self.claimed(server, bundle, holder)
        assert server.start(bundle).last_import_status == "COMPLETED"
        assert not list(server.store.list(SYSTEM, CLAIMS))

    @pytest.mark.parametrize("content", ["", "elsewhere"])
    def test_one_elsewhere_that_shows_no_life(self, server: Server, bundle: StartBundle, content: str) -> None:
        """A claim of another machine, or one that nobody can read, is waited for until its holder is taken for lost."""
        key = self.claimed(server, bundle, Holder(incarnation="x", host="elsewhere", pid=1, started="then"))
        if not content:
            server.store.put(SYSTEM, key, b"")
        assert server.start(bundle).last_import_status == "COMPLETED"

    def test_one_that_fails_while_others_wait(self, server: Server, bundle: StartBundle, quick: list[str]) -> None:
        """Who has waited for an import that failed takes its failure, and does not try the same again."""
        holder = this_process("other")
        self.claimed(server, bundle, holder)
        failed = MigrationState().running("x", holder.incarnation).failed(StorageError("the disk is full"))
        waiting = threading.Event()
        server.watch.observe = lambda: waiting.set()  # type: ignore[method-assign]
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(server.start, bundle)
            assert waiting.wait(10)
            server.store.put(SYSTEM, STATE, failed.model_dump_json().encode())
            assert future.result(10) == failed
        assert not quick

    def test_a_server_that_stops_while_it_waits(self, server: Server, bundle: StartBundle) -> None:
        """It does not wait for the import to end."""
        self.claimed(server, bundle, this_process("other"))
        stopped = threading.Event()
        stopped.set()
        assert server.start(bundle, stopped=stopped).last_import_status is None
