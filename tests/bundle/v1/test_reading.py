"""What bundles of version 1 may leave out, and what becomes of what they say."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compox_core as cx
from compox_core.bundle.v1.modules import module_id_of, their_id_of
from compox_core.bundle.v1.reader import open_v1, outline_v1
from compox_core.bundle.v1.records import parse_algorithm, parse_checkpoint
from compox_core.records import ModuleEntry
from tests.bundle.shipping import ship
from tests.bundle.v1.making import ALGORITHMS, ID, KEY, MODULE, MODULES, checkpoint, made, record, zipped

OTHER = "92c1e95e-e53f-11f1-b09e-02fc00000001"
RUNNER = b"from compox.algorithm_utils.Image2ImageRunner import Image2ImageRunner\n"


def module_of(path: Path) -> tuple[ModuleEntry, dict[str, bytes]]:
    """Return the one module of a bundle, and what is in its archive."""
    with open_v1(path, KEY) as bundle:
        [version] = bundle.snapshot.algorithms[0].versions
        [archive] = [io.BytesIO(stream.read()) for _, stream in bundle.contents({version.module.sha256})]
    with zipfile.ZipFile(archive) as files:
        return version.module, {name: files.read(name) for name in files.namelist()}


def test_the_least_that_a_bundle_says_is_enough(tmp_path: Path) -> None:
    """Without flags, devices, parameters, times, checkpoints, metadata and sizes it is as a first deploy would be."""
    bundle = made()
    bundle.entries = {place: {"size": None} for place in bundle.objects}
    with open_v1(bundle.write(tmp_path / "bundle.zip"), KEY) as opened:
        [algorithm] = opened.snapshot.algorithms
        [version] = algorithm.versions
    assert (algorithm.algorithm_id, algorithm.name, algorithm.major, version.minor) == (ID, "cut", "1", 0)
    assert (algorithm.flags.removable, algorithm.flags.exportable, algorithm.checkpoints) == (False, True, [])
    assert version.metadata.supported_devices == ["cpu"] and version.metadata.default_device == "cpu"
    assert version.assets["files/w.bin"].size == 7
    assert opened.snapshot.made_by == "unknown" and algorithm.created == datetime.fromtimestamp(0, UTC)


def test_null_is_absent_and_numbers_are_texts(tmp_path: Path) -> None:
    """What somebody else's JSON writes as null or as a number is read as what it stands for; NaN has no other word."""
    nulls = dict.fromkeys(("benchmark_outputs", "checkpoints", "storage_metrics", "timestamp", "default_device"))
    said = checkpoint(OTHER, properties={"loss": float("nan"), "level": 1}, tags=None)
    bundle = made(said, algorithm_major_version=1)
    [place] = [place for place in bundle.objects if place[0] == ALGORITHMS]
    bundle.objects[place] = json.dumps(json.loads(bundle.objects[place]) | nulls | {"checkpoints": [OTHER]}).encode()
    with open_v1(bundle.write(tmp_path / "bundle.zip"), KEY) as opened:
        [algorithm] = opened.snapshot.algorithms
    assert algorithm.major == "1"
    assert algorithm.checkpoints[0].properties == {"loss": None, "level": 1}
    assert algorithm.checkpoints[0].tags == []


def test_a_default_device_is_one_of_the_supported(tmp_path: Path) -> None:
    """Where the record names none of them, it is the first."""
    bundle = made(supported_devices=["gpu", "cpu"], default_device="mps")
    with open_v1(bundle.write(tmp_path / "bundle.zip"), KEY) as opened:
        metadata = opened.snapshot.algorithms[0].versions[0].metadata
    assert (metadata.supported_devices, metadata.default_device) == (["gpu", "cpu"], "gpu")


@pytest.mark.parametrize("name", ["cut", "a~b"])
def test_old_keys_have_a_minor_version(name: str, tmp_path: Path) -> None:
    """A fourth part is passed over, also where the name has the sign that parts are told by."""
    bundle = made(algorithm_name=name)
    [place] = [place for place in bundle.objects if place[0] == ALGORITHMS]
    bundle.objects[ALGORITHMS, f"{ID}~{name}~1~0"] = bundle.objects.pop(place)
    with open_v1(bundle.write(tmp_path / "bundle.zip"), KEY) as opened:
        assert opened.snapshot.algorithms[0].name == name


def test_collections_may_be_told_by_the_objects(tmp_path: Path) -> None:
    """Where none are declared, they are those of the objects, with which the four must be there."""
    bundle = made(checkpoint(OTHER))
    bundle.manifest = {"collections": None}
    path = bundle.write(tmp_path / "bundle.zip")
    with open_v1(path, KEY) as opened:
        assert len(opened.manifest.declared()) == 4
    assert outline_v1(path).declared() == opened.manifest.declared()


@pytest.mark.parametrize("prefix", ["", f"{MODULE}/", "outer/inner/"])
def test_the_runners_package_is_the_root(prefix: str, tmp_path: Path) -> None:
    """Wherever their importer finds the Runner, its folder is what we import; the stub beside it goes."""
    files = {f"{prefix}Runner.py": RUNNER, f"{prefix}__init__.py": b"", f"{prefix}part/a.py": b"x = 1\n"}
    stub = {"__init__.py": b"# stub\n"} if prefix else {}
    bundle = made()
    bundle.objects[MODULES, MODULE] = zipped(stub | files)
    module, archive = module_of(bundle.write(tmp_path / "bundle.zip"))
    assert archive == {"Runner.py": RUNNER, "__init__.py": b"", "part/a.py": b"x = 1\n"}
    assert module.python is None and module.module_id == module_id_of(MODULE)


def test_a_source_runner_comes_before_a_compiled_one(tmp_path: Path) -> None:
    """As their importer has it: a source anywhere below before a compiled one, but what lies at the root first."""
    for names, root in (
        (["a/Runner.pyc", "b/Runner.py"], "b"),
        (["Runner.pyc", "b/Runner.py"], ""),
        (["b/Runner.py", "a/c/Runner.py"], "b"),
    ):
        bundle = made()
        bundle.objects[MODULES, MODULE] = zipped({name: name.encode() for name in names})
        path = bundle.write(tmp_path / "bundle.zip")
        _, archive = module_of(path)
        runner = archive.get("Runner.py") or archive["Runner.pyc"]
        assert runner.decode().rpartition("/")[0] == root


def test_the_same_module_is_the_same_archive(tmp_path: Path) -> None:
    """However their zip was packed, ours has one SHA-256, so that two servers that import it agree."""
    files = {f"{MODULE}/__init__.py": b"", f"{MODULE}/Runner.py": RUNNER * 100}
    found = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        bundle = made()
        bundle.objects[MODULES, MODULE] = zipped(files, method)
        found.append(module_of(bundle.write(tmp_path / "bundle.zip"))[0])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("magic", "python"),
    [(3495, "3.11"), (3531, "3.12"), (3571, "3.13"), (3413, "(magic number 3413)")],
)
def test_the_python_of_compiled_code_is_told(magic: int, python: str, tmp_path: Path) -> None:
    """By its magic number, also where nobody knows it."""
    bundle = made()
    bundle.objects[MODULES, MODULE] = zipped({"Runner.pyc": magic.to_bytes(2, "little") + b"\r\n" + bytes(12)})
    module, _ = module_of(bundle.write(tmp_path / "bundle.zip"))
    assert module.python == python


def test_relative_imports_and_old_names_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package as they make it, with a root `__init__` that imports the Runner, is run by us."""
    monkeypatch.setenv("COMPOX_MODULE_CACHE", str(tmp_path / "modules"))
    files = {
        "__init__.py": b"# stub\n",
        f"{MODULE}/__init__.py": b"\nfrom .Runner import Runner\n",
        f"{MODULE}/Runner.py": RUNNER + b"from .parts.sums import more\n\n\n"
        b"class Runner(Image2ImageRunner):\n    def inference(self, data, args):\n        return more(data)\n",
        f"{MODULE}/parts/__init__.py": b"",
        f"{MODULE}/parts/sums.py": b"from . import constants\nfrom .. import __name__ as above\n\n\n"
        b"def more(data):\n    return data + constants.ONE\n",
        f"{MODULE}/parts/constants.py": b"ONE = 1\n",
    }
    bundle = made(algorithm_type="Image2Image")
    bundle.objects[MODULES, MODULE] = zipped(files)
    with cx.Engine("memory://", executor="inline") as engine:
        with open_v1(bundle.write(tmp_path / "bundle.zip"), KEY) as opened:
            ship(opened, engine.store)
        assert engine.run("cut", np.ones((2, 2), np.float32), progress=False).tolist() == [[2.0, 2.0]] * 2


def test_ids_of_modules_are_those_of_the_specification() -> None:
    """Theirs is the MD5 of paths and contents, ours a SHA-256 that no deploy from source has."""
    files = [("b.py", b"2"), ("a/b.py", b"1")]
    assert their_id_of(files) == hashlib.md5(b"a/b.py\x001b.py\x002").hexdigest()
    assert module_id_of("ab") == hashlib.sha256(b"compox-v1-module\x00ab").hexdigest()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(
    [*record(), "checkpoints", "timestamp", "additional_parameters", "supported_devices", "algorithm_tags", "removable"]
)


@given(st.dictionaries(fields, json_values, max_size=3))
def test_any_record_is_read_or_refused(changes: dict[str, object]) -> None:
    """Whatever stands in the place of a field, there is a record without issues, or issues that name the key."""
    found, issues = parse_algorithm("the-key", json.dumps(record() | changes).encode())
    assert found is not None or issues
    assert all("'the-key'" in issue for issue in issues)
    assert found is None or found.metadata.default_device in found.metadata.supported_devices


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_record_or_refused(data: bytes) -> None:
    """What is no record says so."""
    for parse in (parse_algorithm, parse_checkpoint):
        found, issues = parse("the-key", data)
        assert found is None and issues
