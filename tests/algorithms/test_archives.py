"""Zips that nobody trusts."""

from __future__ import annotations

import random
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from compox_core.algorithms import archives
from compox_core.algorithms.archives import extract_zip
from compox_core.errors import PackageError

Members = list[tuple[zipfile.ZipInfo, bytes]]


@dataclass
class Limits:
    max_archive_bytes: int = 100_000
    max_archive_members: int = 50


def member(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("x")
    info.filename = name  # past the constructor, which would repair it
    info.external_attr = mode << 16
    info.create_system = 3
    return info


def write(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as archive:
        warnings.simplefilter("ignore")  # of duplicate names, which are meant
        for entry, content in members:
            info = member(entry) if isinstance(entry, str) else entry
            info.compress_type = method
            archive.writestr(info, content)
    return path


def extract(path: Path, folder: Path, limits: Limits | None = None) -> Path:
    target = folder / "inside" / "target"
    target.mkdir(parents=True)
    extract_zip(path, target, limits or Limits())
    return target


def refused(path: Path, folder: Path, limits: Limits | None = None) -> PackageError:
    """Return the error of an archive that is refused, having looked that nothing lies outside the target."""
    with pytest.raises(PackageError) as caught:
        extract(path, folder, limits)
    assert [entry.name for entry in (folder / "inside").iterdir()] == ["target"]
    assert {entry.name for entry in folder.iterdir()} <= {"inside", path.name}
    assert not any(entry.is_symlink() for entry in folder.rglob("*"))
    assert caught.value.details["path"] == str(path)
    assert path.name in str(caught.value)
    return caught.value


def test_what_is_in_a_zip_comes_out(tmp_path: Path) -> None:
    """Files, empty folders, names of other scripts and every method of compression."""
    for number, method in enumerate([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = write(
            folder / "a.zip", ("a/b.py", b"1"), ("a/", b""), ("empty/", b""), ("[x].txt", b""), ("größe/名", b"2"),
            method=method,
        )  # fmt: skip
        target = extract(path, folder)
        found = {entry.relative_to(target).as_posix() for entry in target.rglob("*")}
        assert found == {"a", "a/b.py", "empty", "[x].txt", "größe", "größe/名"}
        assert (target / "größe/名").read_bytes() == b"2"


HOSTILE: dict[str, tuple[list[str], str]] = {
    "absolute": (["/etc/x"], "would leave its folder"),
    "parent": (["../x"], "would leave its folder"),
    "parent inside": (["a/../../x"], "would leave its folder"),
    "parent at the end": (["a/.."], "would leave its folder"),
    "drive": (["C:/x"], "would leave its folder"),
    "drive, relative": (["c:x"], "would leave its folder"),
    "alternate stream": (["a.py:hidden"], "would leave its folder"),
    "backslash": (["a\\b"], "would leave its folder"),
    "backslash parent": (["..\\x"], "would leave its folder"),
    "network share": (["//host/x"], "would leave its folder"),
    "dot": (["./x"], "has a name that cannot be used"),
    "dot inside": (["a/./x"], "has a name that cannot be used"),
    "doubled slash": (["a//x"], "has a name that cannot be used"),
    "control character": (["a\x1b[2J"], "has a name that cannot be used"),
    "line feed": (["a\nb"], "has a name that cannot be used"),
    "zero": (["Runner.py\x00.txt"], "has a name that cannot be used"),
    "turned text": (["a\u202egnp.py"], "has a name that cannot be used"),
    "long": (["x" * 300], "has a name that is too long"),
    "long in bytes": (["名" * 100], "has a name that is too long"),
    "deep": (["/".join("a" * 100)], "more than 64 folders deep"),
    "very deep": (["a/" * 30000 + "x"], "more than 64 folders deep"),
    "twice": (["a", "a"], "twice"),
    "twice by case": (["Utils.py", "utils.py"], "are the same file"),
    "twice by folder case": (["A/x", "a/x"], "are the same file"),
    "twice by accent": (["\u00e9", "e\u0301"], "are the same file"),
    "twice by sharp s": (["ß", "ss"], "are the same file"),
    "file and folder": (["a", "a/b"], "is both a file and the folder"),
    "folder and file": (["a/b/c", "A/b"], "is both a file and the folder"),
    "file and empty folder": (["a", "a/"], "are the same file"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_names_are_refused_before_anything_is_written(kind: str, tmp_path: Path) -> None:
    """A name that escapes, hides or collides is refused by name; not even the harmless members are extracted."""
    names, said = HOSTILE[kind]
    path = write(tmp_path / "a.zip", ("Runner.py", b"x"), *((name, b"x") for name in names))
    error = refused(path, tmp_path)
    assert error.code == "invalid_deployment_zip"
    assert said in str(error) and len(str(error)) < 400
    assert error.details["member"]
    assert list((tmp_path / "inside" / "target").iterdir()) == []


@pytest.mark.parametrize(
    ("mode", "what"), [(0o120777, "symlink"), (0o010644, "fifo"), (0o020644, "device"), (0o140644, "socket")]
)
def test_links_and_special_files_are_refused(mode: int, what: str, tmp_path: Path) -> None:
    """A member that is no file and no folder is refused, also where it points inside."""
    path = write(tmp_path / "a.zip", ("target.py", b"x"), (member("link", mode), b"target.py"))
    error = refused(path, tmp_path)
    assert "'link' is a link or a special file" in str(error)


def test_encrypted_members_are_refused(tmp_path: Path) -> None:
    """There is nobody to ask for a password."""
    path = write(tmp_path / "a.zip", ("secret.py", b"x"))
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the flag in the local header
    data[data.index(b"PK\x01\x02") + 8] |= 1  # and in the directory
    path.write_bytes(data)
    assert "'secret.py' is encrypted" in str(refused(path, tmp_path))


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "no whole zip"), (b"PK\x03\x04", "no whole zip"), (b"plain text" * 50, "no whole zip")],
)
def test_what_is_no_zip(content: bytes, said: str, tmp_path: Path) -> None:
    """An empty file, a beginning, or something else under the name of a zip."""
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    error = refused(path, tmp_path)
    assert said in str(error) and error.code == "invalid_deployment_zip"


def test_a_zip_cut_anywhere_is_refused(tmp_path: Path) -> None:
    """An upload that broke off is no smaller algorithm."""
    whole = write(tmp_path / "whole.zip", ("a.py", b"x" * 50), ("b.py", random.Random(1).randbytes(200))).read_bytes()
    for end in range(0, len(whole), 13):
        path = tmp_path / "cut.zip"
        path.write_bytes(whole[:end])
        with pytest.raises(PackageError) as caught:
            extract(path, tmp_path / str(end))
        assert caught.value.code == "invalid_deployment_zip"


def test_a_changed_member_is_found_by_its_checksum(tmp_path: Path) -> None:
    """The CRC of each member is held to."""
    path = write(tmp_path / "a.zip", ("a.py", b"print(1)"), method=zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"print(1)", b"print(2)"))
    error = refused(path, tmp_path)
    assert "'a.py' is damaged" in str(error) and error.details["member"] == "a.py"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_changed_anywhere_is_whole_or_refused(method: int, tmp_path: Path) -> None:
    """Whatever byte is changed, the answer is the content or a PackageError, and nothing lies outside."""
    generator = random.Random(method)
    whole = write(tmp_path / "a.zip", ("a/b.py", b"print(1)" * 9), ("c", b"x"), method=method).read_bytes()
    for number in range(150):
        data = bytearray(whole)
        for _ in range(generator.randint(1, 3)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        path = tmp_path / "b.zip"
        path.write_bytes(data)
        folder = tmp_path / str(number)
        try:
            extract(path, folder)
        except PackageError as error:
            assert error.code in ("invalid_deployment_zip", "deployment_zip_failed")
        assert [entry.name for entry in (folder / "inside").iterdir()] == ["target"]


# -- bombs ----------------------------------------------------------------------------------------------------------


def test_too_many_members(tmp_path: Path) -> None:
    """The number of members is limited, and the message names the setting."""
    path = write(tmp_path / "a.zip", *((f"{number}.txt", b"") for number in range(51)))
    assert "51 members; 50 are allowed (limits.max_archive_members)" in str(refused(path, tmp_path))
    (tmp_path / "again").mkdir()
    assert len(list(extract(path, tmp_path / "again", Limits(max_archive_members=51)).iterdir())) == 51


def test_a_bomb_that_says_so_costs_nothing(tmp_path: Path) -> None:
    """Members that together inflate beyond the limit are refused before one is written."""
    zeros = bytes(60_000)
    path = write(tmp_path / "a.zip", ("a", zeros), ("b", zeros))
    assert path.stat().st_size < 1000
    error = refused(path, tmp_path)
    assert "inflates to more than 100000 bytes (limits.max_archive_bytes)" in str(error)
    assert error.details["member"] == "b"
    assert list((tmp_path / "inside" / "target").iterdir()) == []


def test_zeros_in_zips_in_a_zip(tmp_path: Path) -> None:
    """A zip of zips of zeros is taken as what it is: small files, since none is opened within."""
    inner = write(tmp_path / "inner.zip", ("zeros", bytes(10_000_000)))
    content = inner.read_bytes()
    inner.unlink()
    path = write(tmp_path / "a.zip", *((f"{number}.zip", content) for number in range(4)))
    target = extract(path, tmp_path)
    assert sum(entry.stat().st_size for entry in target.iterdir()) == 4 * len(content) < 100_000


def test_a_bomb_that_lies_about_its_size_is_found_while_it_inflates(tmp_path: Path) -> None:
    """A member that holds more than its header says never brings more than that to the disk."""
    path = write(tmp_path / "a.zip", ("a", bytes(5_000_000)))
    data = path.read_bytes()
    lie = struct.pack("<I", 10)
    data = data.replace(struct.pack("<I", 5_000_000), lie)
    path.write_bytes(data)
    error = refused(path, tmp_path)
    assert "'a' is damaged" in str(error)
    assert sum(entry.stat().st_size for entry in (tmp_path / "inside").rglob("a")) <= 10


def overlapping(path: Path) -> Path:
    """Write a zip whose directory names the same compressed zeros many times over."""
    zeros = zlib.compressobj(9, zlib.DEFLATED, -15)
    size = 50_000
    packed = zeros.compress(bytes(size)) + zeros.flush()
    crc = zlib.crc32(bytes(size))
    local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 8, 0, 33, crc, len(packed), size, 1, 0) + b"a" + packed
    central = b"".join(
        struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 8, 0, 33, crc, len(packed), size, 1, 0, 0, 0, 0, 0, 0)
        + name.encode()
        for name in "abcdefghijklmnopqrstuvwxyz"
    )
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 26, 26, len(central), len(local), 0)
    path.write_bytes(local + central + end)
    return path


def test_members_that_share_their_bytes(tmp_path: Path) -> None:
    """Overlapping members count each for itself, or are refused as damaged."""
    path = overlapping(tmp_path / "a.zip")
    error = refused(path, tmp_path)
    assert "limits.max_archive_bytes" in str(error)
    (tmp_path / "again").mkdir()
    assert "damaged" in str(refused_at(path, tmp_path / "again", Limits(max_archive_bytes=10**8)))


def refused_at(path: Path, folder: Path, limits: Limits) -> PackageError:
    with pytest.raises(PackageError) as caught:
        extract(path, folder, limits)
    return caught.value


# -- the machine ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["con", "aux.py", "a/NUL", "com1.txt", "a.", "a ", "a./b"])
def test_names_that_windows_keeps_for_itself(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On Windows a device is no file; elsewhere it is a name like any other."""
    problem: Callable[[str], str | None] = archives._windows_problem
    assert problem(name) is not None
    assert problem("console.py") is None and problem("a/b.py") is None


def test_a_full_disk_is_told_as_what_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """When this machine cannot hold the files, the error says so and blames not the zip."""
    path = write(tmp_path / "a.zip", ("a.py", b"x"))
    original = Path.open

    def full(self: Path, mode: str = "r", *args: object, **others: object) -> object:
        if mode == "xb":
            raise OSError(28, "No space left on device")
        return original(self, mode, *args, **others)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", full)
    error = refused(path, tmp_path)
    assert error.code == "deployment_zip_failed"
    assert "'a.py' could not be extracted (No space left on device)" in str(error)


def test_a_zip_that_is_gone(tmp_path: Path) -> None:
    """A file that cannot be opened is an error with its reason."""
    with pytest.raises(PackageError, match=r"gone\.zip.*cannot be read"):
        extract(tmp_path / "gone.zip", tmp_path)
