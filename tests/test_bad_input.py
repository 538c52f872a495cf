"""Bad input, at each door where a person meets it: the engine (a notebook), the command line, HTTP.

Each case is one way to be wrong. It gets a code, a message that says what to do, no traceback; and the store holds
afterwards what it held before, with nothing left among temporary files.
"""

from __future__ import annotations

import json
import stat
import struct
import tempfile
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

import compox_core as cx
from compox_cli.commands import compox_cli
from compox_core.storage.collections import ALL, EXECUTIONS, SYSTEM
from tests.engine.authors import image_runner, write_algorithm
from tests.http.serving import API, Wire, error_body, served

GOOD = image_runner("return (data * args['factor']).astype(data.dtype)")
FACTOR = """
[[tool.compox.additional_parameters]]
name = "factor"
description = "Times."
config = { type = "float_range", default = 1.0, min = 0.0, max = 4.0, step = 0.5 }

[[tool.compox.additional_parameters]]
name = "method"
description = "A word."
config = { type = "string_enum", default = "a", options = ["a", "b"] }

[[tool.compox.additional_parameters]]
name = "sizes"
description = "Numbers."
config = { type = "int_list", default = [1], options = [] }
"""
PROJECT = '[project]\nname = "{name}"\nversion = "{version}"\n\n[tool.compox]\nalgorithm_type = "Image2Image"\n'
IMAGE = np.ones((4, 5), np.float32)
UNKNOWN = "019a0000-0000-7000-8000-000000000000"


# -- what stays -----------------------------------------------------------------------------------------------------


class Place:
    """A store in a folder with one good algorithm, and a temporary folder where nobody else leaves anything."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "store"
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self.engine = cx.Engine(self.path)

    def objects(self) -> set[tuple[str, str, int]]:
        """Return every object of every collection."""
        store = self.engine.store
        found = {(name, info.key, info.size) for name in ALL for info in store.list(name)}
        return {entry for entry in found if not entry[1].startswith("processes/")}  # the engine's own sign of life

    def leftovers(self) -> list[Path]:
        """Return what is left where files are made; beside the heartbeats, which come and go."""
        hidden = [path for path in self.path.rglob(".tmp*/**/*") if path.is_file() and SYSTEM not in path.parts]
        return [*hidden, *self.engine.store.scratch().parent.iterdir(), *self.temporary.iterdir()]

    def check(self, before: set[tuple[str, str, int]], records: int = 0) -> None:
        """Assert that nothing came into the store but `records` execution records with their ends."""
        after = self.objects()
        assert before <= after
        new = sorted((name, key.split("/")[0]) for name, key, _ in after - before)
        assert new == sorted([(EXECUTIONS, "record"), (EXECUTIONS, "end")] * records)
        assert self.leftovers() == []


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A store for the tests of this module."""
    folder = tmp_path_factory.mktemp("place")
    patch = pytest.MonkeyPatch()
    patch.setenv("COMPOX_MODULE_CACHE", str(folder / "modules"))
    patch.setenv("XDG_DATA_HOME", str(folder / "data"))
    place = Place(folder)
    patch.setattr(tempfile, "tempdir", str(place.temporary))
    with place.engine as engine:
        engine.deploy(write_algorithm(folder / "good", GOOD, name="good", extra=FACTOR))
        for name, body in MISBEHAVIOUR.items():
            engine.deploy(write_algorithm(folder / name, image_runner(body[0]), name=name))
        engine.deploy(write_algorithm(folder / "half", HALF, name="half"))
        yield place
    patch.undo()


@pytest.fixture(scope="module")
def wire(place: Place) -> Iterator[Wire]:
    """A server of that store."""
    with served(place.engine) as url:
        wire = Wire(url)
        yield wire
        wire.close()


def refused_by_shell(place: Place, *words: str | Path, code: str, exit_code: int = 1) -> str:
    """Run `compox-cli` and return what it says; with `--json`, the code is that of the engine."""
    line = [str(word) for word in words]
    done = CliRunner().invoke(compox_cli, [*line, "--store", str(place.path), "--json"])
    assert done.exit_code == exit_code, done.output
    assert "Traceback" not in done.stderr and "Unexpected" not in done.stderr and "Error: " in done.stderr
    answer = json.loads(done.stdout)
    error = answer["error"] if "error" in answer else answer["failed"][0]  # a deploy of several goes on after one
    assert error["code"] == code, done.stdout
    return str(done.stderr)


def helpful(error: cx.CompoxError, code: str, says: str) -> None:
    """Assert that an error has its code, names what is wrong in words, and can be sent."""
    assert error.code == code, error
    assert says in error.message, error.message
    assert len(error.message) > 30 and error.retryable is False
    json.dumps(error.details)


# -- packages -------------------------------------------------------------------------------------------------------


def folder_of(project: str | bytes | None, runner: str | None = GOOD) -> Callable[[Path], Path]:
    """Return what writes a folder with these two files; None leaves one out."""

    def write(folder: Path) -> Path:
        folder.mkdir()
        (folder / "notes.txt").write_text("hello", "utf-8")
        if project is not None:
            content = project if isinstance(project, bytes) else project.encode()
            (folder / "pyproject.toml").write_bytes(content)
        if runner is not None:
            (folder / "Runner.py").write_text(runner, "utf-8")
        return folder

    return write


def project(name: str = "fresh", version: str = "1.0", more: str = "") -> str:
    """Return a pyproject.toml."""
    quoted = json.dumps(name)[1:-1].replace("\x7f", "\\u007f")
    return PROJECT.format(name=quoted, version=version) + more


def zip_of(*members: tuple[str, bytes, int], cut: int = 0, encrypted: bool = False) -> Callable[[Path], Path]:
    """Return what writes a zip of a good algorithm and these members: name, content, mode."""

    def write(folder: Path) -> Path:
        path = folder.with_suffix(".zip")
        with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            warnings.simplefilter("ignore")  # of duplicate names, which are meant
            archive.writestr("Runner.py", GOOD)
            archive.writestr("pyproject.toml", project())
            for name, content, mode in members:
                info = zipfile.ZipInfo("x")
                info.filename = name
                info.create_system, info.external_attr = 3, mode << 16
                archive.writestr(info, content)
        content = bytearray(path.read_bytes())
        if encrypted:  # the flag of the first member, in its own header and in the directory
            content[6] |= 1
            content[content.index(b"PK\x01\x02") + 8] |= 1
        path.write_bytes(content[: len(content) - cut])
        return path

    return write


def bomb(folder: Path) -> Path:
    """Write a real archive, each member whole and with its checksum, that inflates to just over 10 GiB of zeros.

    The members have the same compressed bytes, so that they are compressed once: 10 MB in less than a second.
    """
    path = folder.with_suffix(".zip")
    size, count = 64 << 20, 161
    zeros = bytes(size)
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed, checksum = squeeze.compress(zeros) + squeeze.flush(), zlib.crc32(zeros)
    directory = bytearray()
    with path.open("wb") as file:
        for number in range(count):
            name = f"zeros-{number:03d}.bin".encode()
            about = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, checksum, len(packed), size, len(name), 0)
            directory += b"PK\x01\x02\x14\x03" + about + struct.pack("<HHHII", 0, 0, 0, 0, file.tell()) + name
            file.write(b"PK\x03\x04" + about + name + packed)
        start = file.tell()
        file.write(directory)
        file.write(b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), start, 0))
    return path


def missing(folder: Path) -> Path:
    """Name a folder that is not there."""
    return folder


def no_package(folder: Path) -> Path:
    """Write a file that is neither a folder nor a zip."""
    path = folder.with_suffix(".txt")
    path.write_text("hello", "utf-8")
    return path


REGULAR, LINK = stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777
RUNNER, TOML, NAME, ZIP = (
    "algorithm_runner_not_found",
    "invalid_pyproject",
    "invalid_algorithm_name",
    "invalid_deployment_zip",
)

PACKAGES: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    "no Runner": (folder_of(project(), None), RUNNER, "Runner.py"),
    "Runner without the class": (folder_of(project(), "x = 1\n"), RUNNER, "Runner"),
    "syntax error": (folder_of(project(), "class Runner(:\n"), "algorithm_module_create_failed", "Runner.py"),
    "zero byte in the source": (folder_of(project(), "x = '\x00'\n"), "algorithm_module_create_failed", "Runner.py"),
    "no pyproject.toml": (folder_of(None), TOML, "pyproject.toml"),
    "empty pyproject.toml": (folder_of(""), TOML, "project"),
    "broken pyproject.toml": (folder_of("[project\nname="), TOML, "line 1"),
    "pyproject.toml in no encoding": (folder_of(b'[project]\nname = "\xff\xfe"'), TOML, "UTF-8"),
    "no project.name": (folder_of('[project]\nversion = "1.0"\n[tool.compox]\n'), TOML, "project.name"),
    "no project.version": (folder_of('[project]\nname = "x"\n[tool.compox]\n'), TOML, "project.version"),
    "name is a number": (folder_of('[project]\nname = 7\nversion = "1.0"\n[tool.compox]\n'), TOML, "project.name"),
    "version without a dot": (folder_of(project(version="1")), TOML, "project.version"),
    "version of words": (folder_of(project(version="one.two")), TOML, "project.version"),
    "unknown algorithm_type": (folder_of(project().replace("Image2Image", "Image2Imag")), TOML, "Image2Image"),
    "unknown device": (folder_of(project(more='supported_devices = ["tpu"]\n')), TOML, "supported_devices"),
    "parameter without config": (
        folder_of(project(more='[[tool.compox.additional_parameters]]\nname = "p"\n')),
        TOML,
        "additional_parameters",
    ),
    "path is not there": (missing, "deploy_path_not_found", "cannot be found"),
    "path is no package": (no_package, "invalid_deploy_path_type", ".zip"),
    "absolute member": (zip_of(("/etc/x", b"x", REGULAR)), ZIP, "/etc/x"),
    "member that climbs": (zip_of(("../x", b"x", REGULAR)), ZIP, "../x"),
    "member that is a link": (zip_of(("link", b"/etc/passwd", LINK)), ZIP, "link"),
    "member twice": (zip_of(("a.txt", b"x", REGULAR), ("a.txt", b"y", REGULAR)), ZIP, "a.txt"),
    "encrypted member": (zip_of(encrypted=True), ZIP, "encrypted"),
    "10 GiB of zeros": (bomb, ZIP, "limits.max_archive_bytes"),
    "zip that is cut": (zip_of(cut=10), ZIP, "no whole zip"),
    "zip in name only": (lambda folder: no_package(folder).rename(folder.with_suffix(".zip")), ZIP, "no whole zip"),
    "zip with a syntax error": (zip_of(("more.py", b"def", REGULAR)), "algorithm_module_create_failed", "more.py"),
}
NAMES = ["a/b", "a~b", "a b", "..", ".", "a\x00b", "a\nb", "a\x1b[2J", "a\u202eb", "x" * 500, "", "a\\b", "a:b"]
PACKAGES |= {f"name {name[:9]!a}": (folder_of(project(name)), NAME, "letters, digits") for name in NAMES if name}
PACKAGES["empty name"] = (folder_of(project("")), TOML, "project.name")


@pytest.mark.parametrize("case", PACKAGES)
def test_a_package_that_cannot_be_deployed(case: str, place: Place, tmp_path: Path) -> None:
    """A folder or zip is refused with its place named, in a notebook and at the shell; nothing of it is stored."""
    make, code, says = PACKAGES[case]
    path = make(tmp_path / "package")
    before = place.objects()
    with pytest.raises(cx.CompoxError) as caught:
        place.engine.deploy(path)
    helpful(caught.value, code, says)
    place.check(before)
    if path.exists():
        assert says in refused_by_shell(place, "deploy", path, code=code)
    else:
        refused_by_shell(place, "deploy", path, code="usage", exit_code=2)
    place.check(before)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_cannot_be_deployed(name: str, place: Place) -> None:
    """A name given instead of that in pyproject.toml has the same rules; the message shows no control characters."""
    before = place.objects()
    with pytest.raises(cx.PackageError) as caught:
        place.engine.deploy(place.folder / "good", name=name)
    helpful(caught.value, NAME, "letters, digits")
    assert caught.value.message.isprintable() and len(caught.value.message) < 500
    if "\x00" not in name:  # no shell can pass that
        refused_by_shell(place, "deploy", place.folder / "good", "--name", name, code=NAME)
    place.check(before)


# -- files ----------------------------------------------------------------------------------------------------------


def hdf5(**values: Any) -> Callable[[Path], None]:
    """Return what writes an HDF5 file with these datasets; a dict becomes a group."""

    def write(path: Path) -> None:
        with h5py.File(path, "w") as file:
            for key, value in values.items():
                if isinstance(value, dict):
                    file.create_group(key)
                else:
                    file[key] = value

    return write


def cut(path: Path) -> None:
    """Write an HDF5 file without its end."""
    hdf5(image=IMAGE)(path)
    path.write_bytes(path.read_bytes()[:-200])


UNREADABLE: dict[str, Callable[[Path], Any]] = {
    "truncated": cut,
    "empty": lambda path: path.write_bytes(b""),
    "not HDF5": lambda path: path.write_bytes(b"hello" * 100),
    "signature only": lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n"),
}
UNFIT: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "group": (hdf5(image={}), "hdf5_group", "image"),
    "dtype": (hdf5(image=IMAGE.astype(np.complex64)), "invalid_data", "complex64"),
    "shape": (hdf5(image=np.zeros((2, 2, 2, 2), np.float32)), "invalid_data", "(2, 2, 2, 2)"),
    "text": (hdf5(image="hello"), "invalid_data", "image"),
    "key": (hdf5(picture=IMAGE), "invalid_data", "`image`: is required"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_file_that_is_no_hdf5(case: str, place: Place, wire: Wire, tmp_path: Path) -> None:
    """It is refused where it comes in, at each of the doors."""
    path = tmp_path / "input.h5"
    UNREADABLE[case](path)
    before = place.objects()
    for call in (lambda: place.engine.run("good", path, progress=False), lambda: place.engine.files.upload(path)):
        with pytest.raises(cx.DataError) as caught:
            call()
        helpful(caught.value, "invalid_hdf5_file", "HDF5")
    answer = wire.http.post(f"{API}/files", content=path.read_bytes())
    body = answer.json()
    assert (answer.status_code, body["code"], body["retryable"]) == (422, "invalid_hdf5_file", False)
    assert list(body) == ["detail", "code", "retryable", "details", "request_id"] and "h5py" in body["detail"]
    assert str(place.folder) not in answer.text
    refused_by_shell(place, "run", "good", path, code="invalid_hdf5_file")
    place.check(before)


@pytest.mark.parametrize("case", UNFIT)
def test_a_file_that_does_not_fit(case: str, place: Place, wire: Wire, tmp_path: Path) -> None:
    """It is HDF5, so it is stored; the run that cannot use it fails with a message that names what it holds."""
    make, code, says = UNFIT[case]
    path = tmp_path / "input.h5"
    make(path)
    file_id = wire.upload(path.read_bytes())
    before = place.objects()
    with pytest.raises(cx.CompoxError) as caught:
        place.engine.run("good", file_id, progress=False)
    assert caught.value.code == code and says in str(caught.value)
    record = wire.finish(wire.execute("good", [file_id]))
    assert (record["status"], record["error"]["code"], record["output_dataset_ids"]) == ("FAILED", code, [])
    assert says in record["error"]["message"] and says in record["log"]
    place.check(before, records=2)
    wire.http.delete(f"{API}/files/{file_id}")


# -- parameters and ids ---------------------------------------------------------------------------------------------

PARAMETERS: dict[str, tuple[str, Any, str | None]] = {
    "text for a number": ("factor", "much", "much"),
    "true for a number": ("factor", True, "true"),
    "list for a number": ("factor", [1], "[1]"),
    "table for a number": ("factor", {"a": 1}, '{"a": 1}'),
    "above": ("factor", 4.001, "4.001"),
    "below": ("factor", -1, "-1"),
    "huge": ("factor", 10**400, None),
    "unknown option": ("method", "c", "c"),
    "number for a word": ("method", 1, None),
    "word for a list": ("sizes", "1", None),
    "wrong element": ("sizes", [1, "x"], '[1, "x"]'),
}


@pytest.mark.parametrize("case", PARAMETERS)
def test_a_parameter_that_breaks_its_rule(case: str, place: Place, wire: Wire, tmp_path: Path) -> None:
    """It is refused before anything is queued: the parameter, its rule and the value are named."""
    name, value, words = PARAMETERS[case]
    before = place.objects()
    with pytest.raises(cx.ParameterError) as caught:
        place.engine.run("good", IMAGE, progress=False, parameters={name: value})
    helpful(caught.value, "invalid_parameter", name)
    assert set(caught.value.details) == {"parameter", "rule", "value"}
    body = {"algorithm_id": wire.algorithm_id("good"), "input_dataset_ids": [], "additional_parameters": {name: value}}
    answer = wire.http.post(f"{API}/execute-algorithm", json=body)
    assert answer.status_code == 422
    assert error_body(answer) == {
        "detail": caught.value.message,
        "code": "invalid_parameter",
        "retryable": False,
        "details": caught.value.details,
    }
    if words is not None:
        np.save(tmp_path / "image.npy", IMAGE)
        said = refused_by_shell(
            place, "run", "good", tmp_path / "image.npy", "-p", f"{name}={words}", code="invalid_parameter"
        )
        assert name in said
    place.check(before)


ENGINE_IDS: dict[str, tuple[Callable[[cx.Engine, str], object], str]] = {
    "file": (lambda engine, text: engine.files.read(text), "file_not_found"),
    "file to delete": (lambda engine, text: engine.files.delete(text), "file_not_found"),
    "execution": (lambda engine, text: engine.executions.get(text), "execution_record_not_found"),
    "execution to stop": (lambda engine, text: engine.executions.stop(text), "execution_record_not_found"),
    "algorithm id": (lambda engine, text: engine.algorithms.find(text), "algorithm_not_found"),
    "algorithm": (lambda engine, text: engine.run(text, IMAGE, progress=False), "algorithm_not_found"),
    "major": (lambda engine, text: engine.run("good", IMAGE, major=text, progress=False), "algorithm_not_found"),
    "minor": (lambda engine, text: engine.run("good", IMAGE, minor=text, progress=False), "minor_version_not_found"),
}
WIRE_IDS: dict[str, tuple[str, str, str]] = {
    "file": ("GET", "files/{}", "file_not_found"),
    "file to delete": ("DELETE", "files/{}", "file_not_found"),
    "execution": ("GET", "executions/{}", "execution_record_not_found"),
    "execution to stop": ("POST", "executions/{}/stop", "execution_record_not_found"),
    "algorithm": ("GET", "algorithm/{}/1", "algorithm_not_found"),
    "major": ("GET", "algorithm/good/{}", "algorithm_not_found"),
}


@pytest.mark.parametrize("text", [UNKNOWN, "nonsense", "..", "x" * 5000, "ü😀", "\x00", "-1"], ids=ascii)
def test_ids_that_name_nothing(text: str, place: Place, wire: Wire) -> None:
    """Whatever an id looks like, it is simply not found."""
    before = place.objects()
    for call, code in ENGINE_IDS.values():
        with pytest.raises(cx.NotFoundError) as caught:
            call(place.engine, text)
        helpful(caught.value, code, "")
    quoted = "".join(f"%{byte:02x}" for byte in text.encode())
    for method, path, code in WIRE_IDS.values():
        answer = wire.http.request(method, f"{API}/{path.format(quoted)}")
        assert (answer.status_code, answer.json()["code"], answer.json()["retryable"]) == (404, code, False)
        assert list(answer.json()) == ["detail", "code", "retryable", "details", "request_id"]
    algorithm_id = wire.algorithm_id("good")
    for fields, code in (
        ({"algorithm_id": text, "input_dataset_ids": []}, "algorithm_not_found"),
        ({"algorithm_id": algorithm_id, "input_dataset_ids": [text]}, "input_datasets_not_found"),
        (
            {"algorithm_id": algorithm_id, "input_dataset_ids": [], "algorithm_minor_version": text},
            "minor_version_not_found",
        ),
        ({"algorithm_id": algorithm_id, "input_dataset_ids": [], "checkpoint_id": text}, "checkpoint_not_found"),
    ):
        answer = wire.http.post(f"{API}/execute-algorithm", json=fields)
        assert (answer.status_code, answer.json()["code"]) == (404, code)
    if text.isprintable() and not text.startswith("-"):
        refused_by_shell(place, "show", text, code="algorithm_not_found")
        refused_by_shell(place, "remove", text, "--yes", code="algorithm_not_found")
    place.check(before)


# -- runs -----------------------------------------------------------------------------------------------------------

MISBEHAVIOUR: dict[str, tuple[str, str, str]] = {
    "raises": ("raise ValueError('too dark')", "ValueError", "too dark"),
    "raises-base": ("raise BaseException('odd')", "BaseException", "odd"),
    "exits": ("import sys; sys.exit(3)", "algorithm_exited", "sys.exit(3)"),
    "quits": ("raise SystemExit", "algorithm_exited", "sys.exit"),
    "out-of-memory": ("raise MemoryError", "MemoryError", "MemoryError"),
    "endless-calls": ("return self.inference(data, args)", "RecursionError", "recursion"),
    "returns-none": ("return None", "invalid_result", "None"),
    "returns-less": ("return data[:0]", "invalid_result", "inference"),
    "returns-words": ("return 'done'", "invalid_result", "str"),
    "returns-masks": ("return data > 3", "invalid_data", "bool"),
}
HALF = """
import numpy as np
from compox_core.runners import Image2ImageRunner


class Runner(Image2ImageRunner):
    def inference(self, data, args):
        return data

    def postprocess(self, data, args):
        super().postprocess(data, args)
        raise ValueError("after half of the outputs")
"""
SWALLOWS = """
self.set_progress(0.1)
for _ in range(5000):
    try:
        self.set_progress(0.1)
    except BaseException:
        break
    time.sleep(0.002)
return data
"""


@pytest.mark.parametrize("case", [*MISBEHAVIOUR, "half"])
def test_an_algorithm_that_misbehaves(case: str, place: Place, wire: Wire, tmp_path: Path) -> None:
    """Its run FAILS with the cause named, at each door; its outputs do not stay, and the next run works."""
    _, code, says = MISBEHAVIOUR.get(case, ("", "ValueError", "after half"))
    file_id = place.engine.files.save({"image": IMAGE})
    before = place.objects()
    with pytest.raises(cx.TaskFailedError) as caught:
        place.engine.run(case, file_id, progress=False)
    helpful(caught.value, code, says)
    record = wire.finish(wire.execute(case, [file_id]))
    assert (record["status"], record["progress"], record["output_dataset_ids"]) == ("FAILED", 1.0, [])
    assert list(record["error"])[:5] == ["type", "message", "code", "details", "retryable"]
    assert record["error"]["code"] == code and says in record["error"]["message"] and says in record["log"]
    assert str(place.folder) not in record["log"] and record["time_completed"]
    place.check(before, records=2)
    np.save(tmp_path / "image.npy", IMAGE)
    assert says in refused_by_shell(place, "run", case, tmp_path / "image.npy", "-o", tmp_path / "out.npy", code=code)
    assert not (tmp_path / "out.npy").exists() and place.leftovers() == []
    np.testing.assert_array_equal(place.engine.run("good", IMAGE, progress=False), IMAGE)


def test_inputs_of_unequal_shape(place: Place, wire: Wire, tmp_path: Path) -> None:
    """The run FAILS, and both shapes are named."""
    ids = [place.engine.files.save({"image": np.zeros((3, width), np.float32)}) for width in (4, 5)]
    before = place.objects()
    with pytest.raises(cx.TaskFailedError) as caught:
        place.engine.run("good", ids, progress=False)
    helpful(caught.value, "unequal_shapes", "3×4 and 3×5")
    record = wire.finish(wire.execute("good", ids))
    assert (record["status"], record["error"]["code"]) == ("FAILED", "unequal_shapes")
    place.check(before, records=2)
    paths = [tmp_path / f"{width}.npy" for width in (4, 5)]
    for path, width in zip(paths, (4, 5), strict=True):
        np.save(path, np.zeros((3, width), np.float32))
    assert "3×4 and 3×5" in refused_by_shell(place, "run", "good", *paths, code="unequal_shapes")


def test_an_algorithm_that_swallows_the_stop(place: Place, wire: Wire) -> None:
    """Its run is STOPPED, and the result that it returned all the same is dropped."""
    place.engine.deploy(write_algorithm(place.folder / "swallows", image_runner(SWALLOWS), name="swallows"))
    file_id = place.engine.files.save({"image": IMAGE})
    before = place.objects()
    execution_id = wire.execute("swallows", [file_id])
    for _ in range(5000):
        if wire.record(execution_id)["progress"] > 0:
            break
        time.sleep(0.002)
    assert wire.http.post(f"{API}/executions/{execution_id}/stop").status_code == 200
    record = wire.finish(execution_id)
    assert (record["status"], record["output_dataset_ids"], record["error"]) == ("STOPPED", [], None)
    place.check(before, records=1)
