"""What we write as version 1: read back it is what it was, and an independent reader of the specification opens it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import tracemalloc
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from compox_core.bundle.snapshot import BundledAlgorithm, Content, Snapshot
from compox_core.bundle.v1.modules import their_id_of
from compox_core.bundle.v1.reader import open_v1
from compox_core.bundle.v1.writer import MOST_OBJECT, create_v1, write_v1
from compox_core.errors import ConflictError, InvalidInputError, StorageError
from compox_core.records import (
    AlgorithmFlags,
    AlgorithmMetadata,
    AlgorithmVersion,
    AssetEntry,
    CheckpointRecord,
    ModuleEntry,
    Parameter,
    ParameterConfig,
)
from compox_core.records.parameter import PARAMETER_TYPES
from compox_core.storage import ASSETS
from tests.bundle.v1.making import ID, KEY, TRAINING, zipped
from tests.disks import MIB, SmallDisk

FIRST = "92c1e95e-e53f-11f1-b09e-02fc00000001"
SECOND = "92f09dee-e53f-11f1-b09e-02fc00000001"
NOW = datetime(2026, 11, 21, 12, 30, 15, tzinfo=UTC)
CODE = zipped({"Runner.py": b"class Runner: pass\n"})
LEARNED = b"learned"
CONFIG = b"[project]\n"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def entry(data: bytes) -> AssetEntry:
    return AssetEntry(sha256=sha256(data), key=sha256(data), size=len(data))


def version(minor: int = 0, code: bytes = CODE, assets: dict[str, bytes] | None = None, **metadata: Any) -> Any:
    """Return a minor version of the algorithm `cut` 1."""
    module = ModuleEntry(module_id="own", key=sha256(code), sha256=sha256(code), size=len(code))
    return AlgorithmVersion(
        algorithm_id=ID, name="cut", major="1", minor=minor, created=NOW, metadata=AlgorithmMetadata(**metadata),
        module=module, assets={path: entry(data) for path, data in (assets or {}).items()},
    )  # fmt: skip


def checkpoint(identifier: str, parent: str | None = None, **fields: Any) -> CheckpointRecord:
    return CheckpointRecord(
        checkpoint_id=identifier, parent_algorithm_id=ID, training_id=TRAINING, parent_checkpoint_id=parent,
        created_at=NOW, assets={"files/w.bin": entry(LEARNED)}, **fields,
    )  # fmt: skip


def snapshot(*versions: AlgorithmVersion, checkpoints: list[CheckpointRecord] | None = None, **fields: Any) -> Snapshot:
    algorithm = BundledAlgorithm(
        algorithm_id=ID, name="cut", major="1", created=NOW, versions=list(versions), checkpoints=checkpoints or [],
        **fields,
    )  # fmt: skip
    return Snapshot(created=NOW, made_by="a test", algorithms=[algorithm])


def opener(*contents: bytes) -> Callable[[Content], BinaryIO]:
    known = {sha256(data): data for data in (*contents, CODE, LEARNED, CONFIG)}
    return lambda content: io.BytesIO(known[content.sha256])


def independent(data: bytes) -> tuple[dict[str, Any], dict[tuple[str, str], bytes]]:
    """Return manifest and objects as somebody reads them who knows nothing but the specification."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        text = archive.read("manifest.json")
        assert archive.read("manifest.hmac").decode() == hmac.new(KEY.raw, text, hashlib.sha256).hexdigest()
        manifest = json.loads(text)
        assert text == json.dumps(manifest, separators=(",", ":"), sort_keys=True).encode()
        objects = {}
        for each in manifest["objects"]:
            sealed = archive.read(each["blob"])
            plain = AESGCM(KEY.raw).decrypt(base64.b64decode(each["nonce_b64"]), sealed, None)
            assert (sha256(plain), len(plain)) == (each["sha256"], each["size"])
            objects[each["collection"], each["key"]] = plain
    return manifest, objects


def written(bundle: Snapshot, *contents: bytes) -> bytes:
    sink = io.BytesIO()
    write_v1(sink, bundle, opener(*contents), KEY)
    return sink.getvalue()


def test_an_independent_reader_finds_what_the_specification_says() -> None:
    """Manifest, keys, ids and records are those of the ancestor."""
    shared = {"pyproject.toml": CONFIG, "files/w.bin": LEARNED}
    bundle = snapshot(
        version(3, assets=shared), version(4, assets=shared | {"files/w.bin": CONFIG}, description="latest"),
        checkpoints=[checkpoint(FIRST), checkpoint(SECOND, FIRST, tags=["ä"], algorithm_minor_version="4")],
        flags=AlgorithmFlags(removable=True, exportable=False),
    )  # fmt: skip
    manifest, objects = independent(written(bundle))
    assert manifest["collections"] == ["algorithm-checkpoint-store", "algorithm-store", "asset-store", "module-store"]
    said = manifest["metadata"]
    fingerprint = said.pop("content_sha256")
    assert fingerprint == sha256(json.dumps(manifest, separators=(",", ":"), sort_keys=True).encode())
    assert said.pop("created_at") == "2026-11-21T12:30:15+00:00"
    assert said == {"bundle_kind": "builtin_algorithm_snapshot", "compox_version": "a test"}
    text = objects["algorithm-store", f"{ID}~cut~1"]
    record = json.loads(text)
    assert text == json.dumps(record, indent=4).encode()
    assert record["latest_algorithm_minor_version"] == "4" and record["algorithm_description"] == "latest"
    assert (record["removable"], record["exportable"]) == (True, False)
    assert record["checkpoints"] == [FIRST, SECOND]
    third, fourth = record["algorithm_minor_version"].values()
    assert third["timestamp"] == "2026-11-21T12:30:15+00:00"
    assert third["assets"] == {path: hashlib.md5(data).hexdigest() for path, data in shared.items()}
    assert third["module_id"] == fourth["module_id"]
    for each in (third, fourth):
        assert all(("asset-store", key) in objects for key in each["assets"].values())
    learned = json.loads(objects["algorithm-checkpoint-store", SECOND])
    assert learned["parent_algorithm_key"] == f"{ID}~cut~1" and learned["parent_checkpoint_id"] == FIRST
    assert "ä".encode() in objects["algorithm-checkpoint-store", SECOND]
    metrics = record["storage_metrics"]
    assert metrics["asset_count"] == 4 and metrics["asset_bytes"] == 2 * len(LEARNED) + len(CONFIG) + len(LEARNED)


def test_the_assets_of_a_checkpoint_are_its_own() -> None:
    """There, a checkpoint's assets are deleted with it: no key of them is another checkpoint's, or a version's."""
    bundle = snapshot(
        version(assets={"files/w.bin": LEARNED}), checkpoints=[checkpoint(FIRST), checkpoint(SECOND, FIRST)]
    )
    manifest, objects = independent(written(bundle))
    keys = [key for collection, key in objects if collection == ASSETS]
    assert len(keys) == 3
    assert {objects[ASSETS, key] for key in keys} == {LEARNED}
    blobs = {each["blob"] for each in manifest["objects"] if each["collection"] == ASSETS}
    assert len(blobs) == 1  # and yet the content is in the file once
    assert independent(written(bundle))[1].keys() == objects.keys()


def test_a_module_is_a_package_with_everything_that_their_importer_asks_for() -> None:
    """One folder named by the MD5 of what is in it, an `__init__` in each, the root one importing the Runner."""
    code = zipped({"Runner.py": b"import a.b\n", "a/b.py": b"", "__init__.py": b"kept = 1\n"})
    _, objects = independent(written(snapshot(version(code=code)), code))
    [(their_id, module)] = [(key, data) for (collection, key), data in objects.items() if collection == "module-store"]
    with zipfile.ZipFile(io.BytesIO(module)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert files.pop("__init__.py").startswith(b"#")
    inside = {name.removeprefix(f"{their_id}/"): content for name, content in files.items()}
    assert all(name.startswith(f"{their_id}/") for name in files)
    assert their_id_of(inside.items()) == their_id
    assert inside["Runner.py"] == b"import a.b\n" and inside["a/__init__.py"] == b""
    assert inside["__init__.py"].splitlines()[-1] == b"from .Runner import Runner"
    assert inside["_compox_init.py"] == b"kept = 1\n"


def test_plain_code_needs_nothing_beside_it() -> None:
    """An algorithm of one file that knows the ancestor's names is as the ancestor would have packed it."""
    code = zipped({"Runner.py": b"import compox\n"})
    _, objects = independent(written(snapshot(version(code=code)), code))
    [module] = [data for (collection, _), data in objects.items() if collection == "module-store"]
    with zipfile.ZipFile(io.BytesIO(module)) as archive:
        assert sorted(name.rpartition("/")[2] for name in archive.namelist()) == [
            "Runner.py",
            "__init__.py",
            "__init__.py",
        ]


def test_options_of_lists_are_lists() -> None:
    """As a flat one would have their listing fail for every algorithm."""
    config = ParameterConfig(type="int_list", options=[1, [2, 3]])
    given_parameters = [Parameter(name="sizes", config=config)]
    _, objects = independent(written(snapshot(version(additional_parameters=given_parameters))))
    [parameter] = json.loads(objects["algorithm-store", f"{ID}~cut~1"])["additional_parameters"]
    assert parameter["config"]["options"] == [[1], [2, 3]]


def test_what_their_readers_cannot_open_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    """An asset of more than 2 GiB is named; no file appears, and nothing is read."""
    large = AssetEntry(sha256="0" * 64, key="0" * 64, size=MOST_OBJECT + 1)
    bundle = snapshot(version().model_copy(update={"assets": {"files/huge.bin": large}}))

    def unread(content: Content) -> BinaryIO:
        raise AssertionError(f"{content} was opened")

    with pytest.raises(InvalidInputError, match=r"'files/huge\.bin' of cut 1\.0 \(2147483632 bytes\)") as caught:
        create_v1(tmp_path / "bundle.zip", bundle, unread, KEY)
    assert caught.value.code == "bundle_object_too_large"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("stored", [b"short", b"other  ", b"learned and more"])
def test_a_content_that_is_not_what_is_recorded_ends_the_build(stored: bytes, tmp_path: Path) -> None:
    """Shorter, other and longer contents are told, and no file appears."""
    bundle = snapshot(version(assets={"files/w.bin": LEARNED}))

    def changed(content: Content) -> BinaryIO:
        return io.BytesIO(stored if content.collection == ASSETS else CODE)

    with pytest.raises(InvalidInputError) as caught:
        create_v1(tmp_path / "bundle.zip", bundle, changed, KEY)
    assert caught.value.code == "bundle_checksum_mismatch"
    assert not list(tmp_path.iterdir())


def test_a_file_of_that_name_stays(tmp_path: Path) -> None:
    """Unless it is to be replaced; the size is told, and progress goes from the first byte of contents to the last."""
    path, bundle, steps = tmp_path / "bundle.zip", snapshot(version(assets={"a": LEARNED})), list[tuple[int, int]]()
    path.write_bytes(b"mine")
    with pytest.raises(ConflictError) as caught:
        create_v1(path, bundle, opener(), KEY)
    assert caught.value.code == "bundle_exists" and path.read_bytes() == b"mine"
    size = create_v1(path, bundle, opener(), KEY, replace=True, progress=lambda *step: steps.append(step))
    total = len(CODE) + len(LEARNED)
    assert size == path.stat().st_size and steps == [(len(CODE), total), (total, total)]
    assert [each.name for each in tmp_path.iterdir()] == ["bundle.zip"]


@pytest.mark.parametrize("late", [False, True])
def test_a_full_disk_is_told(late: bool, small_disk: SmallDisk) -> None:
    """Before a byte is written, or when the disk fills meanwhile; no half of a file stays."""
    data = bytes(range(256)) * (1 << 13)
    bundle, opened = snapshot(version(assets={"files/w.bin": data})), opener(data)
    if not late:
        small_disk.fill(leave=MIB)

    def filling(content: Content) -> BinaryIO:
        if content.collection == ASSETS:
            assert late
            small_disk.fill(leave=MIB)
        return opened(content)

    with pytest.raises(StorageError) as caught:
        create_v1(small_disk.path / "bundle.zip", bundle, filling, KEY)
    assert caught.value.code == "disk_full" and caught.value.retryable
    assert list(small_disk.path.iterdir()) == [small_disk.filler]


class Endless(io.RawIOBase):
    """So many bytes, made as they are read."""

    def __init__(self, size: int) -> None:
        self._left = size

    def read(self, size: int = -1, /) -> bytes:
        taken = self._left if size < 0 else min(size, self._left)
        self._left -= taken
        return bytes(taken)


@pytest.mark.slow
def test_memory_does_not_grow_with_an_asset(tmp_path: Path) -> None:
    """Built, opened and read with a few mebibytes, whatever an asset has."""
    size, digest = 64 * MIB, hashlib.sha256(bytes(64 * MIB)).hexdigest()
    large = AssetEntry(sha256=digest, key=digest, size=size)
    bundle = snapshot(version().model_copy(update={"assets": {"files/large.bin": large}}))
    tracemalloc.start()
    try:
        create_v1(
            tmp_path / "bundle.zip", bundle,
            lambda content: cast(BinaryIO, Endless(size)) if content.collection == ASSETS else io.BytesIO(CODE), KEY,
        )  # fmt: skip
        with open_v1(tmp_path / "bundle.zip", KEY) as opened:
            opened.verify()
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    finally:
        tracemalloc.stop()


names = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=8)
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
properties = st.dictionaries(
    names, st.none() | st.booleans() | numbers | names | st.lists(numbers, max_size=3), max_size=3
)
configs = st.builds(
    ParameterConfig,
    type=st.sampled_from([each for each in PARAMETER_TYPES if not each.endswith("_list")]),
    default=st.none() | numbers | names,
    adjustable=st.booleans(),
    options=st.lists(numbers | names, max_size=2),
    min=st.none() | numbers,
)
parameters = st.lists(
    st.builds(Parameter, name=names, displayed_name=names, description=names, config=configs), max_size=2
)
metadata = st.fixed_dictionaries(
    {
        "algorithm_type": st.sampled_from(["Image2Image", "Generic"]),
        "tags": st.lists(names, max_size=2),
        "description": names,
        "supported_devices": st.sampled_from([["cpu"], ["gpu", "cpu"]]),
        "additional_parameters": parameters,
        "training_parameters": parameters,
        "benchmark_outputs": parameters,
    }
)
paths = st.sampled_from(["pyproject.toml", "files/w.bin", "files/ä b.bin"])
assets = st.dictionaries(paths, st.binary(max_size=40), max_size=3)


@given(metadata, st.lists(assets, min_size=1, max_size=3), properties, st.lists(names, max_size=2))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    said: dict[str, Any],
    minors: list[dict[str, bytes]],
    learned: dict[str, Any],
    tags: list[str],
) -> None:
    """All that version 1 can say comes back: of modules another archive, of everything else what was given."""
    versions = [version(number * 2, assets=each, **said) for number, each in enumerate(minors)]
    saved = checkpoint(FIRST, properties=learned, tags=tags, algorithm_minor_version="2")
    bundle = snapshot(*versions, checkpoints=[saved, checkpoint(SECOND, FIRST)])
    path = tmp_path_factory.mktemp("v1") / "bundle.zip"
    create_v1(path, bundle, opener(*(data for each in minors for data in each.values())), KEY)
    with open_v1(path, KEY) as opened:
        found = opened.snapshot
        opened.verify()
    modules = [each.module for each in found.algorithms[0].versions]
    assert len(set(modules)) == 1
    expected = [each.model_copy(update={"module": modules[0]}) for each in versions]
    algorithm = bundle.algorithms[0].model_copy(update={"versions": expected})
    assert found == bundle.model_copy(update={"algorithms": [algorithm]})
