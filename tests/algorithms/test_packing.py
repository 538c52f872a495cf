"""From a folder or a zip to a package."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import tracemalloc
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from compox_core.algorithms import packing, transform
from compox_core.algorithms.packing import AlgorithmPackage, open_package
from compox_core.errors import PackageError
from tests.algorithms.folders import PYPROJECT, RUNNER, write_folder, write_zip

INTEROP = Path(__file__).parents[1] / "artefacts" / "interop"


@dataclass
class Limits:
    max_archive_bytes: int = 1_000_000
    max_archive_members: int = 100


def packed(source: Path, name: str | None = None, major: str | None = None) -> AlgorithmPackage:
    """Return a package; its paths are gone."""
    with open_package(source, name=name, major=major) as package:
        assert package.module_archive.is_file()
        return package


def module_of(source: Path) -> dict[str, bytes]:
    with open_package(source) as package, zipfile.ZipFile(package.module_archive) as archive:
        assert hashlib.sha256(package.module_archive.read_bytes()).hexdigest() == package.module_sha256
        assert package.module_archive.stat().st_size == package.module_size
        return {name: archive.read(name) for name in archive.namelist()}


def refused(source: Path, code: str) -> PackageError:
    """Return the error of a source that is refused, having looked that nothing was left in the temporary folder."""
    with pytest.raises(PackageError) as caught, open_package(source, limits=Limits()):
        pass
    assert caught.value.code == code
    assert not list(Path(os.environ["TMPDIR"]).iterdir())
    return caught.value


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of this test's own, so that it can be seen what is left behind."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    return folder


# -- what goes where ------------------------------------------------------------------------------------------------


def test_code_and_assets_are_told_apart(tmp_path: Path, temporary_folder: Path) -> None:
    """`.py` files are the module at their paths, everything else is an asset named by its content."""
    files = {
        "pkg/a.py": "A = 1",
        "tests/test_a.py": "",
        "files/w[1].bin": b"\x00\x01",
        "README.md": "# x",
        "x.pyc": b"",
    }
    root = write_folder(tmp_path, files, options="obfuscate = false")
    assert module_of(root) == {"Runner.py": RUNNER.encode(), "pkg/a.py": b"A = 1", "tests/test_a.py": b""}
    with open_package(root) as package:
        assert list(package.assets) == ["README.md", "files/w[1].bin", "pyproject.toml"]
        asset = package.assets["files/w[1].bin"]
        assert asset.path.read_bytes() == b"\x00\x01"
        assert (asset.sha256, asset.size) == (hashlib.sha256(b"\x00\x01").hexdigest(), 2)
        assert package.root == root and package.python is None
        assert (package.config.name, package.config.major, package.config.minor) == ("sample", "1", 2)
        assert package.warnings == ["'x.pyc' is left out, because Runner.py is there and x.py is not."]
    assert list(temporary_folder.iterdir()) == []


def test_the_same_content_gives_the_same_archive(tmp_path: Path) -> None:
    """Neither the place, nor the order, nor the dates of files matter."""
    one, other = write_folder(tmp_path / "1", {"b.py": "B = 1", "a/c.py": ""}), tmp_path / "other" / "place"
    shutil.copytree(one, other)
    os.utime(other / "b.py", (1, 1))
    first, second = packed(one), packed(other)
    assert (first.module_id, first.module_sha256) == (second.module_id, second.module_sha256)
    assert {path: asset.sha256 for path, asset in first.assets.items()} == {
        path: asset.sha256 for path, asset in second.assets.items()
    }


def test_the_module_id_is_of_the_source_and_the_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Source, paths and options make the id; assets, warnings and the minifier do not."""

    def module_id(files: Mapping[str, str] | None = None, options: str = "") -> str:
        shutil.rmtree(tmp_path / "a", ignore_errors=True)
        return packed(write_folder(tmp_path / "a", files, options=options)).module_id

    base = module_id({"b.py": "x = 1"})
    assert base == module_id({"b.py": "x = 1", "asset.txt": "x"}) == module_id({"b.py": "x = 1"}, "removable = true")
    others = [
        module_id(),
        module_id({"b.py": "x = 2"}),
        module_id({"b.py": "x = 1  # a comment"}),
        module_id({"c.py": "x = 1"}),
        module_id({"b.py": "x = 1"}, "obfuscate = false"),
        module_id({"b.py": "x = 1"}, "pyc_only = true"),
        module_id({"a.py": "", "b.py": "x = 1"}),
        module_id({"b.py": "", "x.py": "x = 1"}),
    ]
    assert len({base, *others}) == 1 + len(others)
    monkeypatch.setattr(packing, "minify", lambda source, relative: source + b"\n")
    assert module_id({"b.py": "x = 1"}) == base


def test_contents_are_not_confused_by_moving_bytes_between_files(tmp_path: Path) -> None:
    """The length of each file is part of the hash, so that no two folders share an id by their ends."""
    first = packed(write_folder(tmp_path / "2", {"a.py": "x=1#", "b.py": "y=1"}))
    second = packed(write_folder(tmp_path / "3", {"a.py": "x=1", "b.py": "#y=1"}))
    assert first.module_id != second.module_id


def test_source_is_minified_and_compiled_as_declared(tmp_path: Path) -> None:
    """`obfuscate` is on by default, `pyc_only` off; compiled modules record their Python and lie at `name.pyc`."""
    files = {"pkg/long.py": "def f(parameter):\n    '''Says.'''\n    local_name = parameter\n    return local_name\n"}
    small = module_of(write_folder(tmp_path / "1", files))
    assert b"Says" not in small["pkg/long.py"] and b"local_name" not in small["pkg/long.py"]
    assert b"parameter" in small["pkg/long.py"]
    root = write_folder(tmp_path / "2", files, options="pyc_only = true")
    compiled = module_of(root)
    assert sorted(compiled) == ["Runner.pyc", "pkg/long.pyc"]
    assert compiled["Runner.pyc"].startswith(importlib.util.MAGIC_NUMBER)
    assert packed(root).python == transform.HERE


# -- zips -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "sample/", "a b/"])
def test_a_zip_is_its_folder(prefix: str, tmp_path: Path, temporary_folder: Path) -> None:
    """With or without one top-level folder, a zip gives what the folder gives, and nothing stays behind."""
    root = write_folder(tmp_path / "root", {"pkg/a.py": "A = 1", "files/w.bin": b"w"})
    path = write_zip(tmp_path / "sample.ZIP", root, prefix)
    with open_package(path) as package:
        assert package.assets["files/w.bin"].path.read_bytes() == b"w"
        zipped = package
    assert zipped.module_id == packed(root).module_id and list(zipped.assets) == list(packed(root).assets)
    assert list(temporary_folder.iterdir()) == []


def test_what_a_mac_adds_to_a_zip_is_no_matter(tmp_path: Path) -> None:
    """A folder `__MACOSX` beside the algorithm's does not hide its root."""
    path = write_zip(tmp_path / "a.zip", write_folder(tmp_path / "root"), "sample/")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("__MACOSX/sample/._Runner.py", b"x")
    assert list(packed(path).assets) == ["pyproject.toml"]


@pytest.mark.parametrize("name", ["box_mean_1_source", "level_cut_2_latest", "level_cut_2_minor3"])
def test_exports_of_compox_3_are_packages(name: str) -> None:
    """A zip that the ancestor exported is taken, with source or compiled by this Python."""
    source = INTEROP / "exports" / f"{name}.zip"
    if transform.HERE != "3.11" and "level" in name:
        error = refused(source, "python_version_mismatch")
        assert error.details["compiled_for"] == "3.11"
        return
    package = packed(source)
    if "level" in name:
        assert package.python == "3.11"
        assert sorted(module_of(source)) == ["Runner.pyc", "__init__.pyc", "leveling/__init__.pyc", "leveling/fit.pyc"]
    assert package.config.name == name.rsplit("_", 2)[0]


@pytest.mark.parametrize("name", ["box_mean", "level_cut", "two_regions"])
def test_folders_of_compox_3_are_packages(name: str) -> None:
    """Algorithms that were written for the ancestor are taken as they are, without a warning."""
    package = packed(INTEROP / "algorithms" / name)
    assert [warning for warning in package.warnings if "description" not in warning] == []


# -- precompiled ----------------------------------------------------------------------------------------------------


def precompiled(root: Path, files: Mapping[str, str | bytes] | None = None) -> Path:
    code = transform.compiled(RUNNER.encode(), "Runner.py")
    return write_folder(root, {"Runner.pyc": code, **(files or {})}, without="Runner.py")


def test_a_precompiled_package_is_taken_as_it_is(tmp_path: Path) -> None:
    """Where there is only Runner.pyc, all compiled files are the module, byte for byte, for the Python they are of."""
    helper = transform.compiled(b"A = 1", "pkg/a.py")
    root = precompiled(tmp_path, {"pkg/a.pyc": helper, "pkg/a.py": "A = 1", "other.py": "", "w.bin": b"w"})
    assert module_of(root) == {"Runner.pyc": transform.compiled(RUNNER.encode(), "Runner.py"), "pkg/a.pyc": helper}
    package = packed(root)
    assert package.python == transform.HERE
    assert list(package.assets) == ["pyproject.toml", "w.bin"]
    assert package.warnings == ["'other.py' is left out, because Runner.pyc is there and other.pyc is not."]


def test_one_file_of_another_python_is_enough_to_refuse(tmp_path: Path) -> None:
    """The error names the file, its Python and this one."""
    other = (3531).to_bytes(2, "little") + b"\r\n" + bytes(12) + b"\xe3"
    if transform.HERE == "3.12":
        pytest.skip("this is that Python")
    error = refused(precompiled(tmp_path, {"pkg/a.pyc": other}), "python_version_mismatch")
    assert "'pkg/a.pyc' was compiled for Python 3.12" in str(error)


# -- what is refused ------------------------------------------------------------------------------------------------

BROKEN: dict[str, tuple[dict[str, str | bytes], str, str, str]] = {
    "no runner": ({"runner.py": RUNNER}, "Runner.py", "algorithm_runner_not_found", "has no Runner.py at its root"),
    "runner deeper": ({"a/Runner.py": RUNNER}, "Runner.py", "algorithm_runner_not_found", "has no Runner.py"),
    "no class": ({"Runner.py": "x = 1"}, "", "algorithm_runner_not_found", "defines no class `Runner`"),
    "syntax error": (
        {"pkg/bad.py": "def f(:\n"},
        "",
        "algorithm_module_create_failed",
        "'pkg/bad.py' cannot be deployed: line 1: invalid syntax in `def f(:`",
    ),
    "no pyproject": ({}, "pyproject.toml", "invalid_pyproject", "there is no pyproject.toml"),
    "broken pyproject": ({"pyproject.toml": "[project"}, "", "invalid_pyproject", "is not valid TOML"),
    "incomplete pyproject": ({"pyproject.toml": "[project]\n"}, "", "invalid_pyproject", "project.name is missing"),
    "version": ({"pyproject.toml": PYPROJECT.replace("1.2", "1")}, "", "invalid_pyproject", "needs a minor version"),
    "name": ({"pyproject.toml": PYPROJECT.replace("sample", "a/b")}, "", "invalid_algorithm_name", "'a/b'"),
}


@pytest.mark.parametrize("zipped", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("kind", BROKEN)
def test_broken_algorithms_are_refused(kind: str, zipped: bool, tmp_path: Path) -> None:
    """The error says what is wrong and where, names what was deployed and no temporary folder."""
    files, without, code, said = BROKEN[kind]
    if kind == "no runner" and (tmp_path / "PYPROJECT.TOML").exists():
        pytest.skip("case does not count here")
    source = write_folder(tmp_path / "root", files, without=without)
    if zipped:
        source = write_zip(tmp_path / "a.zip", source)
    error = refused(source, code)
    assert said in str(error)
    assert os.environ["TMPDIR"] not in f"{error} {error.details}"


def test_paths_that_are_no_algorithm(tmp_path: Path) -> None:
    """A path that leads nowhere, to another kind of file, or cannot be one."""
    assert refused(tmp_path / "absent", "deploy_path_not_found").details == {"path": str(tmp_path / "absent")}
    refused(Path("zero\0character"), "deploy_path_not_found")
    refused(tmp_path / ("x" * 5000), "deploy_path_not_found")
    (tmp_path / "a.tar").write_bytes(b"x")
    refused(tmp_path / "a.tar", "invalid_deploy_path_type")
    (tmp_path / "a.zip").write_bytes(b"x")
    refused(tmp_path / "a.zip", "invalid_deployment_zip")
    if os.name == "posix":
        os.mkfifo(tmp_path / "pipe.zip")
        refused(tmp_path / "pipe.zip", "invalid_deploy_path_type")


def test_hostile_zips_leave_nothing(tmp_path: Path) -> None:
    """A zip that is refused while it is extracted leaves no file behind."""
    path = write_zip(tmp_path / "a.zip", write_folder(tmp_path / "root", {"big.bin": bytes(2_000_000)}))
    assert "limits.max_archive_bytes" in str(refused(path, "invalid_deployment_zip"))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../escaped.py", "x")
    refused(path, "invalid_deployment_zip")
    assert not (tmp_path / "escaped.py").exists()


@pytest.mark.skipif(os.name != "posix", reason="needs links")
def test_a_link_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    """What lies beside an algorithm never becomes one of its assets."""
    root = write_folder(tmp_path / "root")
    (tmp_path / "secret").write_text("x")
    (root / "secret").symlink_to("../secret")
    refused(root, "unsafe_symlink")


def test_an_asset_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that grows meanwhile is not stored half; the same call may succeed later."""
    root = write_folder(tmp_path / "root", {"log.txt": "x" * 10})
    sha256 = hashlib.sha256

    class Meanwhile:
        """Hashes, and lets somebody write to the file that is being read."""

        def __init__(self, data: bytes = b"") -> None:
            self.digest = sha256(data)
            self.hexdigest = self.digest.hexdigest

        def update(self, data: bytes) -> None:
            self.digest.update(data)
            with (root / "log.txt").open("a") as log:
                log.write("more")

    monkeypatch.setattr(packing.hashlib, "sha256", Meanwhile)
    error = refused(root, "invalid_file")
    assert "'log.txt' changed while it was read" in str(error) and error.retryable


def test_an_asset_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permission that is missing is an error that names the file."""
    root = write_folder(tmp_path / "root", {"files/w.bin": b"w"})
    opened = Path.open

    def refuse(self: Path, *args: object, **options: object) -> object:
        if self.name == "w.bin":
            raise PermissionError(13, "Permission denied")
        return opened(self, *args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    assert "'files/w.bin' cannot be read: Permission denied" in str(refused(root, "invalid_file"))


def test_memory_does_not_grow_with_an_asset(tmp_path: Path) -> None:
    """Weights are hashed piece by piece."""
    root = write_folder(tmp_path / "root")
    with (root / "weights.bin").open("wb") as stream:
        stream.truncate(64 * 1024**2)
    tracemalloc.start()
    try:
        packed(root)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * 1024**2


def test_name_and_major_of_the_request(tmp_path: Path) -> None:
    """A deploy may give another name and major version."""
    package = packed(write_folder(tmp_path), name="other", major="7")
    assert (package.config.name, package.config.major, package.config.minor) == ("other", "7", 2)


def test_all_warnings_come_together(tmp_path: Path) -> None:
    """What the configuration, the folder and the Runner give reason to warn of is in one list."""
    files = {".env": "x", "Runner.py": RUNNER + "\n    def __del__(self): ...\n"}
    warnings = packed(write_folder(tmp_path, files, options="removabel = true")).warnings
    assert [warning.split(" ")[0] for warning in warnings] == ["tool.compox.removabel", "The", "Runner"]
    assert all(warning.endswith((".", "?")) for warning in warnings)
