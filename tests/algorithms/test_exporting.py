"""A minor version as a zip that can be deployed again, and stored things that nobody should extract."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compox_core.algorithms.exporting import WORTH_DEFLATING, export_zip
from compox_core.errors import StorageError
from compox_core.identity import utc_now
from compox_core.records import AlgorithmMetadata, AlgorithmVersion
from compox_core.records.algorithm import AssetEntry, ModuleEntry
from compox_core.storage import ASSETS, MODULES, ObjectStore, open_store

HOSTILE = [
    "..", "../x", "a/../../x", "a/..", "/etc/passwd", "//server/share", "C:\\x", "C:x", "c:/x", "a\\b", "..\\x",
    "\\\\server\\share\\x", "a:stream",
]  # fmt: skip


def zipped(members: dict[str, bytes]) -> bytes:
    """Return a zip with these members, whatever they are called."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return target.getvalue()


def stored(store: ObjectStore, code: bytes, assets: dict[str, bytes] | None = None) -> AlgorithmVersion:
    """Store a version past all checks, as somebody who may write to the store could."""
    store.put(MODULES, "m", code)
    entries = {}
    for number, (name, data) in enumerate((assets or {}).items()):
        store.put(ASSETS, f"a{number}", data)
        entries[name] = AssetEntry(sha256=hashlib.sha256(data).hexdigest(), key=f"a{number}", size=len(data))
    module = ModuleEntry(module_id="0" * 64, key="m", sha256=hashlib.sha256(code).hexdigest(), size=len(code))
    return AlgorithmVersion(
        algorithm_id="i", name="sample", major="1", minor=3, created=utc_now(), metadata=AlgorithmMetadata(),
        module=module, assets=entries,
    )  # fmt: skip


def refused(store: ObjectStore, version: AlgorithmVersion, target: Path) -> StorageError:
    """Assert that a version is not exported; return why."""
    with pytest.raises(StorageError) as caught:
        export_zip(store, version, target)
    assert caught.value.details["algorithm_id"] == "i"
    assert "sample 1.3 cannot be exported" in caught.value.message
    assert "Deploy it again" in caught.value.message
    return caught.value


def test_the_zip_holds_code_and_assets(store: ObjectStore, tmp_path: Path) -> None:
    """Each at its path, byte for byte, weights not deflated; the same bytes every time."""
    weights = bytes(WORTH_DEFLATING)
    code, assets = {"Runner.py": b"code", "utils/x.pyc": b"\0"}, {"files/w.bin": weights, "pyproject.toml": b"[]"}
    version = stored(store, zipped(code), assets)
    for name in ("one.zip", "other.zip"):
        export_zip(store, version, tmp_path / name)
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {**code, **assets}
        kinds = {info.filename: info.compress_type for info in archive.infolist()}
        assert kinds["files/w.bin"] == zipfile.ZIP_STORED != kinds["pyproject.toml"]
        assert {info.external_attr >> 16 for info in archive.infolist()} == {0o100644}
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "other.zip").read_bytes()


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("where", ["code", "asset"])
def test_a_name_that_would_leave_the_folder_is_refused(
    store: ObjectStore, tmp_path: Path, name: str, where: str
) -> None:
    """With the name; what nobody should extract is not written."""
    if where == "code":
        version = stored(store, zipped({"Runner.py": b"", name: b"evil"}))
    else:
        version = stored(store, zipped({"Runner.py": b""}), {"a.bin": b"", name: b"evil"})
    error = refused(store, version, tmp_path / "x.zip")
    assert (error.code, error.details["path"]) == ("algorithm_export_security_error", name)
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert b"evil" not in [archive.read(each) for each in archive.namelist()]


@given(st.text("./\\:ab\0", min_size=0, max_size=12))
def test_no_exported_name_leads_outside(name: str) -> None:
    """Whatever an asset is called: the export is refused, or what is in it lies below the folder."""
    with open_store("memory://") as store:
        version = stored(store, zipped({"Runner.py": b""}), {name: b"1"})
        target = io.BytesIO()
        try:
            export_zip(store, version, target)  # type: ignore[arg-type] - zipfile writes into a stream as well
        except StorageError as error:
            assert error.code == "algorithm_export_security_error"
            return
        with zipfile.ZipFile(target) as archive:
            for each in archive.namelist():
                inside = PurePosixPath("/root", each)
                assert ".." not in inside.parts and inside.is_relative_to("/root")
                assert "\\" not in each and ":" not in each


@pytest.mark.parametrize("what", ["module", "asset"])
@pytest.mark.parametrize("how", ["changed", "cut", "gone"])
def test_content_that_is_not_what_was_deployed_is_refused(
    store: ObjectStore, tmp_path: Path, what: str, how: str
) -> None:
    """Its hash tells, for code before a byte of it is read as a zip; a missing part is named."""
    version = stored(store, zipped({"Runner.py": b"code"}), {"files/w.bin": b"weights" * 1000})
    collection, key = (MODULES, "m") if what == "module" else (ASSETS, "a0")
    data = store.get(collection, key)
    store.delete(collection, key)
    if how != "gone":
        store.put(collection, key, data[:-1] + (b"?" if how == "changed" else b""))
    error = refused(store, version, tmp_path / "x.zip")
    assert error.code == "algorithm_export_failed"
    assert error.details["algorithm_minor_version"] == "3"
    assert ("code" if what == "module" else "files/w.bin") in error.message


@pytest.mark.parametrize("code", [b"", b"no zip", zipped({"Runner.py": b"x" * 1000})[:-30]])
def test_code_that_is_no_zip_is_refused(store: ObjectStore, tmp_path: Path, code: bytes) -> None:
    """Also where it has the hash that it should."""
    assert refused(store, stored(store, code), tmp_path / "x.zip").code == "algorithm_export_failed"


def test_code_that_is_damaged_inside_is_refused(store: ObjectStore, tmp_path: Path) -> None:
    """A member whose bytes do not fit, or that is packed by a method that nobody knows."""
    whole = zipped({"Runner.py": b"x" * 1000})
    damaged = whole.replace(b"x" * 10, b"y" * 10, 1)
    unknown = whole.replace(b"\x14\x00\x00\x00\x00\x00", b"\x14\x00\x00\x00\x63\x00")
    assert len({whole, damaged, unknown}) == 3
    for code in (damaged, unknown):
        assert refused(store, stored(store, code), tmp_path / "x.zip").code == "algorithm_export_failed"


def test_two_things_of_one_name_are_refused(store: ObjectStore, tmp_path: Path) -> None:
    """Nobody could say which one is meant; no zip with both could be deployed again."""
    with pytest.warns(UserWarning, match="Duplicate name"):
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as archive:
            archive.writestr("Runner.py", b"one")
            archive.writestr("Runner.py", b"two")
    twice = {"Runner.py": b"two"}
    for code, assets in ((target.getvalue(), {}), (zipped({"Runner.py": b"one"}), twice)):
        error = refused(store, stored(store, code, assets), tmp_path / "x.zip")
        assert error.code == "algorithm_export_failed"
        assert "Runner.py" in error.message
