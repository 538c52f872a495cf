"""The bundle that comes with a server: imported beside its work, once, and told of by `/readyz`."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from compox_core.bundle.keys import BundleKey, SigningKey
from compox_core.bundle.state import MigrationState, import_state
from compox_core.engine import Engine, builtin_bundle
from compox_core.errors import SettingsError, StateError, TaskStoppedException
from compox_core.settings import load_settings
from tests.http.serving import DOUBLE, FACTOR, Wire, hdf5_bytes, image, served, settings_for, write_algorithm
from tests.http.test_serve import end, run, running

KEY = BundleKey.generate().text()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle with the algorithm `double`."""
    path = tmp_path / "site.cbx"
    with Engine("memory://") as engine:
        engine.deploy(write_algorithm(tmp_path / "double", "double", DOUBLE, extra=FACTOR))
        engine.bundles.build(path, key=KEY)
    return path


def settings(folder: Path, bundle: Path | str, **storage: Any) -> dict[str, Any]:
    """Return settings for a local store that comes with a bundle."""
    found = settings_for("local", folder / "store")
    named = {"builtin_storage_bundle_path": str(bundle), "builtin_storage_bundle_key": KEY}
    found["storage"] |= {**named, **storage}
    return found


def names(engine: Engine) -> list[str]:
    return [record.name for record in engine.algorithms.list()]


def until_settled(wire: Wire) -> httpx2.Response:
    """Ask a server whether it is ready until it does not import any more, and return its answer."""
    pause = threading.Event()
    for _ in range(6000):
        answer = wire.http.get("/readyz")
        if answer.json().get("code") != "bundle_importing":
            return answer
        pause.wait(0.005)
    raise AssertionError(answer.text)


# -- what /readyz says ----------------------------------------------------------------------------------------------


def test_a_server_works_while_it_imports(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`/readyz` says that it goes on, and how far it is; `/livez` and requests are answered; then it is ready."""
    go_on, begun, real = threading.Event(), threading.Event(), builtin_bundle.import_at_start

    def held(*args: Any, progress: Any, **more: Any) -> MigrationState:
        progress(10, 40)
        begun.set()
        assert go_on.wait(60)
        return real(*args, progress=progress, **more)

    monkeypatch.setattr(builtin_bundle, "import_at_start", held)
    with Engine(settings(tmp_path, bundle)) as engine, served(engine) as url:
        wire = Wire(url)
        assert begun.wait(30)
        answer = wire.http.get("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "bundle_importing")
        assert answer.json()["details"] == {"done": 10, "total": 40} and answer.json()["retryable"] is True
        assert wire.http.get("/livez").status_code == 200
        assert wire.upload(hdf5_bytes(tmp_path, image=image()))
        go_on.set()
        assert until_settled(wire).status_code == 200
        assert wire.algorithm_id("double")
        wire.close()


@pytest.mark.parametrize("wrong", ["key", "file", "signature"])
def test_a_bundle_that_cannot_be_imported_is_told(bundle: Path, tmp_path: Path, wrong: str) -> None:
    """`/readyz` goes on saying so, with the code of the reason and no path; the server does its work."""
    more: dict[str, Any] = {}
    if wrong == "key":
        more["builtin_storage_bundle_key"] = BundleKey.generate().text()
    elif wrong == "file":
        bundle.write_bytes(bundle.read_bytes()[:-1])
    else:
        more["trusted_signers"] = [SigningKey.generate().signer.text()]
    code = {"key": "invalid_bundle_key", "file": "bundle_damaged", "signature": "invalid_bundle_signature"}[wrong]
    with Engine(settings(tmp_path, bundle, **more)) as engine, served(engine) as url:
        wire = Wire(url)
        for _ in range(2):
            answer = until_settled(wire)
            assert (answer.status_code, answer.json()["code"]) == (503, "bundle_import_failed")
            assert answer.json()["details"] == {"code": code}
            assert str(tmp_path) not in answer.text and KEY not in answer.text
        assert wire.http.get("/livez").status_code == 200
        assert wire.upload(hdf5_bytes(tmp_path, image=image()))
        assert names(engine) == []
        with pytest.raises(StateError, match=f"\\({code}\\)"):
            engine.builtin_bundle.finish()
        wire.close()


def test_a_server_whose_bundle_is_not_there_is_ready(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It says so in its log; a configuration may name a bundle that a site does not have."""
    with Engine(settings(tmp_path, tmp_path / "none.cbx")) as engine, served(engine) as url:
        wire = Wire(url)
        assert until_settled(wire).status_code == 200
        wire.close()
    assert any("there is no bundle" in record.message for record in caplog.records)


def test_what_passes_by_itself_is_tried_again(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that was full has room later, and the server is ready then."""
    real, tried = builtin_bundle.import_at_start, []

    def full_at_first(*args: Any, **more: Any) -> MigrationState:
        tried.append(1)
        if len(tried) > 1:
            return real(*args, **more)
        return MigrationState(last_import_status="FAILED", error="full", error_code="disk_full", retryable=True)

    monkeypatch.setattr(builtin_bundle, "import_at_start", full_at_first)
    monkeypatch.setattr(builtin_bundle, "AGAIN_SECONDS", 0.0)
    with Engine(settings(tmp_path, bundle)) as engine:
        engine.builtin_bundle.begin()
        pause = threading.Event()
        while len(tried) < 2 or import_state(engine.store).last_import_status != "COMPLETED":
            pause.wait(0.005)
    with Engine(settings(tmp_path, bundle)) as engine:
        engine.builtin_bundle.finish()
        assert names(engine) == ["double"]


# -- what an engine does --------------------------------------------------------------------------------------------


def test_only_a_server_imports(bundle: Path, tmp_path: Path) -> None:
    """An engine of a notebook, with the same settings, does not; nor is one without a bundle asked for anything."""
    with Engine(settings(tmp_path, bundle)) as engine:
        engine.builtin_bundle.check()
        assert names(engine) == []
    with Engine("memory://") as engine:
        engine.builtin_bundle.finish()
        engine.builtin_bundle.check()


def test_the_same_bundle_is_imported_once(bundle: Path, tmp_path: Path) -> None:
    """At the next start nothing is done, also when another bundle failed between; a new content is imported."""

    def started(path: Path = bundle, **more: Any) -> MigrationState:
        with Engine(settings(tmp_path, path, **more)) as engine:
            engine.builtin_bundle.finish()
            return import_state(engine.store)

    first = started()
    assert first.last_import_status == "COMPLETED" and started() == first
    broken = tmp_path / "broken.cbx"
    broken.write_bytes(bundle.read_bytes()[:-1])
    with pytest.raises(StateError, match="bundle_damaged"):
        started(broken)
    assert started().last_import_completed_at == first.last_import_completed_at
    with Engine(tmp_path / "store") as engine:
        engine.deploy(write_algorithm(tmp_path / "more", "more", DOUBLE, extra=FACTOR))
        engine.bundles.build(bundle, key=KEY, replace=True)
    assert started().last_imported_bundle_sha256 != first.last_imported_bundle_sha256


def test_passphrases_open_it_too(bundle: Path, tmp_path: Path) -> None:
    """`storage.builtin_storage_bundle_passphrase` in place of a key."""
    with Engine("memory://") as engine:
        engine.deploy(tmp_path / "double")
        engine.bundles.build(bundle, key=builtin_bundle.Passphrase("some words", cost=10), replace=True)
    words = {"builtin_storage_bundle_key": None, "builtin_storage_bundle_passphrase": "some words"}
    with Engine(settings(tmp_path, bundle, **words)) as engine:
        engine.builtin_bundle.finish()
        assert names(engine) == ["double"]


def test_a_server_that_ends_stops_its_import(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not wait for the rest, which the next start does."""
    begun = threading.Event()
    ended: list[BaseException] = []

    def endless(*args: Any, progress: Any, **more: Any) -> MigrationState:
        try:
            while True:
                progress(1, 2)
                begun.set()
        except TaskStoppedException as stop:
            ended.append(stop)
            raise

    with monkeypatch.context() as patched:
        patched.setattr(builtin_bundle, "import_at_start", endless)
        with Engine(settings(tmp_path, bundle)) as engine:
            engine.builtin_bundle.begin()
            assert begun.wait(30)
        assert len(ended) == 1
    with Engine(settings(tmp_path, bundle)) as engine:
        engine.builtin_bundle.finish()
        assert names(engine) == ["double"]


@pytest.mark.parametrize(
    ("key", "value"),
    [("trusted_signers", ["compox-signer-" + "A" * 48]), ("builtin_storage_bundle_key", "hush-hush")],
)
def test_a_setting_that_is_no_key_is_told(bundle: Path, tmp_path: Path, key: str, value: Any) -> None:
    """At the start, by its name, and without its value."""
    with (
        pytest.raises(SettingsError, match=f"storage.{key}: ") as told,
        Engine(settings(tmp_path, bundle, **{key: value})) as engine,
    ):
        engine.builtin_bundle.begin()
    assert "hush" not in str(told.value)


# -- processes ------------------------------------------------------------------------------------------------------


def write_config(folder: Path, name: str, bundle: Path, more: str = "") -> Path:
    """Write the configuration of a server with a log of its own, on the store of all."""
    (folder / "site.key").write_text(KEY, encoding="utf-8")
    path = folder / f"{name}.yaml"
    path.write_text(
        f"port: 0\nlog_path: '{folder / name}.log'\nstorage:\n  backend_settings: {{path: '{folder / 'store'}'}}\n"
        f"  builtin_storage_bundle_path: '{bundle}'\n  builtin_storage_bundle_key: 'FILE:{folder / 'site.key'}'\n"
        f"{more}",
        encoding="utf-8",
    )
    load_settings(path)
    return path


def test_two_servers_that_start_together_import_once(bundle: Path, tmp_path: Path) -> None:
    """Both are ready in the end, one of them did it."""
    configs = [write_config(tmp_path, name, bundle) for name in ("one", "two")]
    with ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        servers = list(pool.map(lambda config: stack.enter_context(running(["--config", str(config)])), configs))
        for process, url in servers:
            wire = Wire(url)
            assert until_settled(wire).status_code == 200
            assert wire.algorithm_id("double")
            wire.close()
            assert end(process) == ""
    logs = [(tmp_path / f"{name}.log").read_text("utf-8") for name in ("one", "two")]
    assert sum(log.count(" was imported") for log in logs) == 1
    with Engine(tmp_path / "store") as engine:
        assert engine.algorithms.get("double").minors == [0]
        assert import_state(engine.store).last_import_status == "COMPLETED"


@pytest.mark.parametrize("wrong", ["cut", "gone"])
def test_a_server_that_must_have_its_bundle_ends_without_it(bundle: Path, tmp_path: Path, wrong: str) -> None:
    """Exit code 1, before it listens, with the reason."""
    if wrong == "cut":
        bundle.write_bytes(bundle.read_bytes()[:-1])
    else:
        bundle.unlink()
    config = write_config(tmp_path, "one", bundle, "  builtin_storage_bundle_required: true\n")
    done = run(["serve", "--config", str(config), "--logging.console_level", "CRITICAL"])
    assert (done.returncode, done.stdout) == (1, "")
    assert {"cut": "bundle_damaged", "gone": "there is no bundle"}[wrong] in done.stderr
    assert "Traceback" not in done.stderr
