"""Files that are no bundles, or not any more, or were made to do harm: each is refused by name, before it is used."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compox_core.bundle.keys import BundleKey
from compox_core.bundle.snapshot import Snapshot
from compox_core.bundle.v1 import file as v1_file
from compox_core.bundle.v1.reader import open_v1, outline_v1
from compox_core.errors import CompoxError, InvalidInputError, NotFoundError, StorageError
from compox_core.settings import Limits
from tests.bundle.v1.making import (
    ALGORITHMS,
    ASSETS,
    CHECKPOINTS,
    ID,
    KEY,
    MODULE,
    MODULES,
    Made,
    checkpoint,
    made,
    record,
    zipped,
)
from tests.bundle.v1.test_ancestors_bundle import BUNDLE
from tests.bundle.v1.test_ancestors_bundle import KEY as THEIR_KEY

RECORD = (ALGORITHMS, f"{ID}~cut~1")
WEIGHTS = (ASSETS, "weights")
OTHER = "92c1e95e-e53f-11f1-b09e-02fc00000001"
THIRD = "92f09dee-e53f-11f1-b09e-02fc00000001"


def read_all(path: Path, key: BundleKey = KEY) -> Snapshot:
    """Open a bundle, read all that its algorithms name, and return what it says."""
    with open_v1(path, key) as bundle:
        for _, stream in bundle.contents({content.sha256 for content in bundle.snapshot.contents()}):
            stream.read()
        return bundle.snapshot


def manifest(**changes: Any) -> Made:
    return Made(made().objects, manifest=changes)


def entry(place: tuple[str, str] = WEIGHTS, **changes: Any) -> Made:
    return Made(made().objects, entries={place: changes})


def member(name: str, content: bytes | None) -> Made:
    return Made(made().objects, members={name: content})


def module(content: bytes) -> Made:
    return Made(made().objects | {(MODULES, MODULE): content})


def asset(path: str) -> Made:
    return made(algorithm_minor_version={"0": {"module_id": MODULE, "assets": {path: "weights"}}})


def without(place: tuple[str, str], *checkpoints: dict[str, Any]) -> Made:
    bundle = made(*checkpoints)
    del bundle.objects[place]
    return bundle


def twice() -> Made:
    bundle = made()
    bundle.objects[ASSETS, "again"] = b"again"
    bundle.entries[ASSETS, "again"] = {"key": "weights"}
    return bundle


def parameter(**config: Any) -> Made:
    return made(additional_parameters=[{"name": "size", "config": {"type": "int", **config}}])


BAD: dict[str, tuple[Callable[[], Made], str, str]] = {
    "another key": (lambda: Made(made().objects, key=bytes(32)), "invalid_bundle_signature", "not its key"),
    "no signature": (lambda: member("manifest.hmac", None), "invalid_bundle_signature", "no 'manifest.hmac'"),
    "an empty signature": (lambda: member("manifest.hmac", b""), "invalid_bundle_signature", "does not fit"),
    "a huge signature": (lambda: member("manifest.hmac", b"0" * 2000), "invalid_algorithm_bundle", "2000 bytes"),
    "another manifest": (lambda: member("manifest.json", b"{}"), "invalid_bundle_signature", "does not fit"),
    "no manifest": (lambda: member("manifest.json", None), "invalid_algorithm_bundle", "without 'manifest.json'"),
    "a later version": (lambda: manifest(format="compox-migration-bundle-v9"), "unsupported_bundle_format", "v9"),
    "no version": (lambda: manifest(format=None), "unsupported_bundle_format", "format"),
    "another cipher": (lambda: manifest(encryption="rot13"), "unsupported_bundle_encryption", "rot13"),
    "objects that are no list": (lambda: manifest(objects={}), "invalid_bundle_manifest", "objects"),
    "no objects": (lambda: manifest(objects=None), "invalid_bundle_manifest", "objects"),
    "collections that are no list": (lambda: manifest(collections="all"), "invalid_bundle_manifest", "collections"),
    "metadata that are no object": (lambda: manifest(metadata=[1]), "invalid_bundle_manifest", "metadata"),
    "too few collections": (lambda: manifest(collections=[ASSETS]), "bundle_missing_required_collections", "module-"),
    "an object twice": (twice, "invalid_bundle_manifest", "'weights' in 'asset-store' twice"),
    "a short nonce": (lambda: entry(nonce_b64="AAAA"), "invalid_bundle_manifest", "nonce_b64"),
    "a hash that is none": (lambda: entry(sha256="A" * 64), "invalid_bundle_manifest", "sha256"),
    "a negative size": (lambda: entry(size=-1), "invalid_bundle_manifest", "size"),
    "another size": (lambda: entry(size=6), "invalid_algorithm_bundle", "should have 6"),
    "another hash": (lambda: entry(sha256="0" * 64), "bundle_checksum_mismatch", "exchanged"),
    "another nonce": (lambda: entry(nonce_b64="A" * 16), "bundle_object_read_failed", "changed or damaged"),
    "a member that is not there": (lambda: entry(blob="objects/x"), "bundle_object_not_found", "objects/x"),
    "a member that left": (lambda: member("objects/00000002.bin", None), "bundle_object_not_found", "00000002"),
    "a tag alone": (lambda: member("objects/00000002.bin", b"0" * 15), "invalid_algorithm_bundle", "15 bytes"),
    "a member of zeros": (
        lambda: Made(made().objects, {}, {WEIGHTS: {"size": None}}, {"objects/00000002.bin": bytes(1 << 20)}),
        "invalid_algorithm_bundle",
        "inflates from",
    ),
    "a record that is no JSON": (lambda: Made(made().objects | {RECORD: b"{"}), "invalid_algorithm_bundle", "not JSON"),
    "a record that is no text": (lambda: Made(made().objects | {RECORD: b"\xff"}), "invalid_algorithm_bundle", "UTF-8"),
    "a record that is no object": (lambda: Made(made().objects | {RECORD: b"[]"}), "invalid_algorithm_bundle", "[]"),
    "a record nested deeply": (
        lambda: Made(made().objects | {RECORD: b"[" * 100_000}), "invalid_algorithm_bundle", "nested"
    ),
    "half a surrogate": (
        lambda: Made(made().objects | {RECORD: rb'{"a": "\ud800"}'}), "invalid_algorithm_bundle", "surrogate"
    ),
    "a record without a field": (
        lambda: Made(made().objects | {RECORD: json.dumps(record(algorithm_name=None)).encode()}),
        "invalid_algorithm_bundle",
        "algorithm_name",
    ),
    "a key that its record denies": (
        lambda: Made({(ALGORITHMS, f"{ID}~other~1"): made().objects[RECORD]}), "invalid_algorithm_bundle", "~other~1"
    ),
    "an id that leaves": (lambda: made(algorithm_id="../../etc"), "invalid_algorithm_bundle", "algorithm_id"),
    "no minor": (lambda: made(algorithm_minor_version={}), "invalid_algorithm_bundle", "no minor version"),
    "a minor that is no number": (
        lambda: made(algorithm_minor_version={"x": {"module_id": MODULE}}), "invalid_algorithm_bundle", "'x'"
    ),
    "a minor twice": (
        lambda: made(algorithm_minor_version={"1": {"module_id": MODULE}, "01": {"module_id": MODULE}}),
        "invalid_algorithm_bundle",
        "no numbers of their own",
    ),
    "an unknown type": (lambda: parameter(type="colour"), "invalid_algorithm_bundle", "config.type"),
    "an unknown device": (lambda: made(supported_devices=["tpu"]), "invalid_algorithm_bundle", "supported_devices"),
    "an asset above": (lambda: asset("../x"), "invalid_algorithm_bundle", "would leave"),
    "an asset at the root": (lambda: asset("/etc/passwd"), "invalid_algorithm_bundle", "would leave"),
    "an asset on a drive": (lambda: asset("C:x"), "invalid_algorithm_bundle", "would leave"),
    "an asset with a backslash": (lambda: asset("..\\x"), "invalid_algorithm_bundle", "would leave"),
    "an asset without a name": (lambda: asset("a//b"), "invalid_algorithm_bundle", "no path"),
    "a missing module": (lambda: without((MODULES, MODULE)), "bundle_object_not_found", "module 0000"),
    "a missing asset": (lambda: without(WEIGHTS), "bundle_object_not_found", "'files/w.bin'"),
    "a missing checkpoint": (
        lambda: without((CHECKPOINTS, OTHER), checkpoint(OTHER)), "bundle_object_not_found", OTHER
    ),
    "a missing parent": (
        lambda: made(checkpoint(OTHER, THIRD)), "bundle_object_not_found", f"{THIRD} of cut, which {OTHER} goes back to"
    ),
    "a missing learned asset": (
        lambda: without((ASSETS, "learned"), checkpoint(OTHER)), "bundle_object_not_found", f"the checkpoint {OTHER}"
    ),
    "a checkpoint without a training": (
        lambda: made(checkpoint(OTHER, training_id=None)), "invalid_algorithm_bundle", "training_id"
    ),
    "a training that leaves": (
        lambda: made(checkpoint(OTHER, training_id="../x")), "invalid_algorithm_bundle", "training_id"
    ),
    "a learned asset above": (
        lambda: made(checkpoint(OTHER, assets={"../x": "learned"})), "invalid_algorithm_bundle", "would leave"
    ),
    "a module that is no zip": (lambda: module(b"no zip"), "invalid_bundle_manifest", "no whole zip"),
    "a module without a Runner": (lambda: module(zipped({"a/b.py": b""})), "invalid_bundle_manifest", "no Runner.py"),
    "a module that leaves": (
        lambda: module(zipped({"Runner.py": b"", "../x.py": b""})), "invalid_bundle_manifest", "would leave"
    ),
    "a module of two Pythons": (
        lambda: module(zipped({"Runner.pyc": struct.pack("<H", 3495), "a.pyc": struct.pack("<H", 3531)})),
        "invalid_bundle_manifest",
        "several Pythons",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_named(name: str, tmp_path: Path) -> None:
    """Every class of failure has its code and says what it is about."""
    make, code, said = BAD[name]
    with pytest.raises(CompoxError) as caught:
        read_all(make().write(tmp_path / "bundle.zip"))
    assert caught.value.code == code
    assert said in caught.value.message
    assert isinstance(caught.value, NotFoundError if code == "bundle_object_not_found" else InvalidInputError)


def test_a_good_bundle_passes(tmp_path: Path) -> None:
    """What the table above changes is good before it is changed."""
    read_all(made(checkpoint(OTHER), checkpoint(THIRD, OTHER)).write(tmp_path / "bundle.zip"))


def test_a_circle_of_checkpoints_ends(tmp_path: Path) -> None:
    """Two checkpoints that go back to each other are read once each."""
    path = made(checkpoint(OTHER, THIRD), checkpoint(THIRD, OTHER)).write(tmp_path / "bundle.zip")
    with open_v1(path, KEY) as bundle:
        assert {each.checkpoint_id for each in bundle.snapshot.algorithms[0].checkpoints} == {OTHER, THIRD}


def test_swapped_members_are_noticed(tmp_path: Path) -> None:
    """Each member opens alone; that two of one size changed places is told by what the manifest says of them."""
    bundle = made()
    bundle.objects[ASSETS, "other"] = b"stronger"[:7]
    good = bundle.write(tmp_path / "good.zip")
    with zipfile.ZipFile(good) as archive:
        second, third = (archive.read(f"objects/0000000{number}.bin") for number in (2, 3))
    bundle.members = {"objects/00000002.bin": third, "objects/00000003.bin": second}
    with zipfile.ZipFile(good) as archive:
        bundle.members |= {name: archive.read(name) for name in ("manifest.json", "manifest.hmac")}
    with pytest.raises(InvalidInputError) as caught:
        read_all(bundle.write(tmp_path / "swapped.zip"))
    assert caught.value.code == "bundle_object_read_failed"


def test_nothing_is_parsed_without_the_key(tmp_path: Path) -> None:
    """With a wrong key a manifest that is no JSON is not even looked at; with no key the outline refuses it."""
    path = member("manifest.json", b"{").write(tmp_path / "bundle.zip")
    with pytest.raises(InvalidInputError) as caught:
        open_v1(path, KEY)
    assert caught.value.code == "invalid_bundle_signature"
    with pytest.raises(InvalidInputError) as caught:
        outline_v1(path)
    assert caught.value.code == "invalid_bundle_manifest"


def test_bombs_cost_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Members, directories and manifests beyond the bounds are refused by what the zip says of them."""
    many = tmp_path / "many.zip"
    with zipfile.ZipFile(many, "w") as archive:
        for number in range(60):
            archive.writestr(str(number), b"")
    monkeypatch.setattr(v1_file, "MOST_MEMBERS", 50)
    with pytest.raises(InvalidInputError, match="it has 60 members; 50 are allowed"):
        open_v1(many, KEY)
    monkeypatch.setattr(v1_file, "MOST_READ", 2000)
    with pytest.raises(InvalidInputError, match="claims a directory of"):
        open_v1(many, KEY)
    monkeypatch.undo()
    monkeypatch.setattr(v1_file, "MOST_MANIFEST", 1 << 16)
    large = member("manifest.json", bytes(1 << 20)).write(tmp_path / "large.zip")
    with pytest.raises(InvalidInputError, match=r"'manifest\.json' has 1048576 bytes; 65536 are allowed"):
        open_v1(large, KEY)


def test_a_module_inflates_within_bounds(tmp_path: Path) -> None:
    """A module of zeros is refused before it is on the disk; so are modules that are small each and large together."""
    bomb = zipped({"Runner.py": bytes(1 << 22)})
    with pytest.raises(InvalidInputError, match="inflates to more than 1048576 bytes"):
        open_v1(module(bomb).write(tmp_path / "one.zip"), KEY, limits=Limits(max_archive_bytes=1 << 20))
    minors = {str(number): {"module_id": f"m{number}"} for number in range(3)}
    several = made(algorithm_minor_version=minors)
    for number in range(3):
        several.objects[MODULES, f"m{number}"] = zipped({"Runner.py": bytes([number]) * (1 << 19)})
    with pytest.raises(InvalidInputError, match="its modules inflate to more than 1048576 bytes"):
        open_v1(several.write(tmp_path / "several.zip"), KEY, limits=Limits(max_archive_bytes=1 << 20))


def test_packings_without_bounds_are_refused(tmp_path: Path) -> None:
    """Of what a zip may use, only that is read which can be inflated piece by piece."""
    path = made().write(tmp_path / "bundle.zip")
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_LZMA) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    with pytest.raises(InvalidInputError, match="packed in a way"):
        open_v1(packed, KEY)


def test_a_member_twice_is_refused(tmp_path: Path) -> None:
    """Readers of a zip may differ in which of two members of one name they take."""
    path = made().write(tmp_path / "bundle.zip")
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("manifest.json", b"{}")
    with pytest.raises(InvalidInputError, match=r"'manifest\.json' is there 2 times"):
        open_v1(path, KEY)


def test_no_bundle_at_all(tmp_path: Path) -> None:
    """What is not there, what is a folder, what is empty and what is text are told apart."""
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("not a zip")
    for name, kind, code in (
        ("nothing", NotFoundError, "bundle_not_found"),
        ("", StorageError, "storage_read_failed"),
        ("empty", InvalidInputError, "invalid_algorithm_bundle"),
        ("text", InvalidInputError, "invalid_algorithm_bundle"),
    ):
        with pytest.raises(kind) as caught:
            open_v1(tmp_path / name, KEY)
        assert caught.value.code == code, name


def test_nothing_stays_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules that were extracted are gone when a bundle is closed, and when it cannot be opened."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    with open_v1(made().write(tmp_path / "good.zip"), KEY):
        assert list(scratch.iterdir())
    assert not list(scratch.iterdir())
    with pytest.raises(InvalidInputError):
        open_v1(module(b"no zip").write(tmp_path / "bad.zip"), KEY)
    assert not list(scratch.iterdir())


@given(st.data())
def test_a_bundle_that_was_cut_is_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Wherever the ancestor's file ends too soon, it is no bundle."""
    whole = BUNDLE.read_bytes()
    end = data.draw(st.integers(0, len(whole) - 1))
    path = tmp_path_factory.mktemp("cut") / "bundle.zip"
    path.write_bytes(whole[:end])
    with pytest.raises(InvalidInputError) as caught:
        read_all(path, THEIR_KEY)
    assert caught.value.code == "invalid_algorithm_bundle"


@given(st.data())
def test_a_changed_byte_changes_nothing_or_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Of a file with another byte anywhere, what is read is what was written, or a refusal with a code."""
    whole = bytearray(BUNDLE.read_bytes())
    place, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
    whole[place] ^= 1 << bit
    path = tmp_path_factory.mktemp("changed") / "bundle.zip"
    path.write_bytes(whole)
    try:
        found = read_all(path, THEIR_KEY)
    except CompoxError as error:
        assert error.code.startswith(("invalid_", "bundle_", "unsupported_"))
    else:
        assert found == read_all(BUNDLE, THEIR_KEY)
