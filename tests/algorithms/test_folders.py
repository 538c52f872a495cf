"""What of a folder belongs to an algorithm."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from compox_core.algorithms.folders import walk
from compox_core.errors import PackageError

posix = pytest.mark.skipif(os.name != "posix", reason="Windows has no such files")
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs a filesystem that keeps any bytes as a name")


def put(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return root


def refused(root: Path, max_entries: int = 1000) -> PackageError:
    with pytest.raises(PackageError) as caught:
        walk(root, max_entries)
    assert str(root) not in str(caught.value)  # of a zip that would be a folder which is gone
    return caught.value


def test_files_are_found_below_any_name(tmp_path: Path) -> None:
    """Every file is found by its path with `/`, sorted; glob characters and other scripts are names like any other."""
    names = ["Runner.py", "a/b/c.bin", "[a]/x[1]*.txt", "weights (1).h5", "größe/名.txt", "~tmp", "a-b", "a/b.py"]
    root = put(tmp_path / "[root] *?" if os.name == "posix" else tmp_path / "[root]", *names[:2])
    names = names if os.name == "posix" else [name for name in names if "*" not in name]
    put(root, *names)
    assert list(walk(root, 100).files) == sorted(names)
    assert walk(root, 100).files["a/b/c.bin"].read_text() == "a/b/c.bin"


def test_the_usual_hidden_things_are_left_out_in_silence(tmp_path: Path) -> None:
    """Caches, environments and version control are no part of an algorithm, at any depth."""
    put(
        tmp_path, "Runner.py", ".git/config", "__pycache__/Runner.cpython-311.pyc", ".venv/lib/x.py", "a/__pycache__/b",
        ".mypy_cache/x", ".gitignore", "a/.DS_Store", ".pytest_cache/x", ".gitattributes", "__MACOSX/._Runner.py",
    )  # fmt: skip
    found = walk(tmp_path, 100)
    assert list(found.files) == ["Runner.py"] and found.warnings == []


def test_other_hidden_things_are_left_out_and_named(tmp_path: Path) -> None:
    """A hidden file or folder that is not usual might have been meant, so a warning names it."""
    put(tmp_path, "Runner.py", ".env", "a/.secret/key")
    found = walk(tmp_path, 100)
    assert list(found.files) == ["Runner.py"]
    assert found.warnings == ["The hidden '.env' is left out.", "The hidden 'a/.secret' is left out."]


@posix
def test_links_inside_the_folder_are_followed(tmp_path: Path) -> None:
    """A link to a file or folder of the algorithm is what it leads to."""
    root = put(tmp_path / "root", "a/b.txt")
    (root / "file").symlink_to("a/b.txt")
    (root / "folder").symlink_to(root / "a")
    assert list(walk(root, 100).files) == ["a/b.txt", "file", "folder/b.txt"]


@posix
def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    """What is deployed is where the link leads."""
    put(tmp_path / "root", "a/b.txt")
    (tmp_path / "link").symlink_to("root")
    assert list(walk(tmp_path / "link", 100).files) == ["a/b.txt"]


@posix
@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("/etc/hostname", "leaves the algorithm's folder"),
        ("/etc", "leaves the algorithm's folder"),
        ("../outside.txt", "leaves the algorithm's folder"),
        ("../root2/x", "leaves the algorithm's folder"),
        ("nowhere", "leads nowhere"),
        ("../nowhere", "leads nowhere"),
        ("inner", "leads in a circle"),
        (".", "leads in a circle"),
        ("..", "leads in a circle"),
        ("/proc/self/root/etc", "leaves the algorithm's folder"),
    ],
)
def test_links_that_lead_out_or_round_are_refused(target: str, said: str, tmp_path: Path) -> None:
    """A link that leaves the folder, leads nowhere or in a circle is named, relative to the root."""
    if target.startswith("/proc") and sys.platform != "linux":
        pytest.skip("there is no /proc")
    root = put(tmp_path / "root", "Runner.py", "a/b.txt")
    put(tmp_path, "outside.txt", "root2/x")
    place = root / "a" if target in ("..", "inner") else root
    (place / "inner").symlink_to(target)
    error = refused(root)
    assert error.code == "unsafe_symlink"
    assert said in str(error)
    assert error.details == {"path": (place / "inner").relative_to(root).as_posix()}


@posix
def test_two_links_that_lead_to_each_other(tmp_path: Path) -> None:
    """A circle over two folders is a circle."""
    root = put(tmp_path, "a/x", "b/x")
    (root / "a" / "to_b").symlink_to(root / "b")
    (root / "b" / "to_a").symlink_to(root / "a")
    assert "leads in a circle" in str(refused(root))


@posix
def test_links_that_multiply_are_counted(tmp_path: Path) -> None:
    """Thirty folders that each link twice to the next stand for a thousand million; the limit ends the walk."""
    for number in range(30):
        (tmp_path / f"f{number}").mkdir()
    for number in range(29):
        for name in ("left", "right"):
            (tmp_path / f"f{number}" / name).symlink_to(tmp_path / f"f{number + 1}")
    error = refused(tmp_path)
    assert error.code == "too_many_files" and "more than 1000 files and folders" in str(error)


def test_too_many_files(tmp_path: Path) -> None:
    """A folder of data, or a whole disk, is not packed by mistake."""
    put(tmp_path, *(f"{number}.txt" for number in range(11)))
    assert refused(tmp_path, max_entries=10).code == "too_many_files"
    assert len(walk(tmp_path, 11).files) == 11


def test_too_deep(tmp_path: Path) -> None:
    """Folders in folders end somewhere."""
    put(tmp_path, "a/" * 70 + "x")
    error = refused(tmp_path)
    assert error.code == "invalid_file" and "more than 64 folders deep" in str(error)


@posix
def test_special_files_are_refused(tmp_path: Path) -> None:
    """A pipe would block whoever reads it, a socket cannot be read."""
    put(tmp_path, "Runner.py")
    os.mkfifo(tmp_path / "pipe")
    error = refused(tmp_path)
    assert error.code == "invalid_file" and "'pipe'" in str(error) and "neither a file nor a folder" in str(error)
    (tmp_path / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as connection:
        here = Path.cwd()
        os.chdir(tmp_path)  # the address of a socket is short
        try:
            connection.bind("socket")
        finally:
            os.chdir(here)
        assert "'socket'" in str(refused(tmp_path))


@linux
def test_names_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """A name in another encoding is shown with its bytes, and can be told of in JSON."""
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt")).write_text("x")
    error = refused(tmp_path)
    assert error.code == "invalid_file" and "its name is not valid text" in str(error)
    str(error).encode()
    str(error.details).encode()


@linux
@pytest.mark.parametrize("name", ["a\nb.txt", "a\\b.txt", "a\x1b[2J.txt"])
def test_names_that_others_refuse(name: str, tmp_path: Path) -> None:
    """A backslash or a control character would not survive a zip, a store or a terminal."""
    put(tmp_path, "Runner.py")
    (tmp_path / name).write_text("x")
    assert "backslash or control character" in str(refused(tmp_path))


@linux
@pytest.mark.parametrize(
    ("one", "other"), [("A.txt", "a.txt"), ("Utils/a.py", "utils/b.py"), ("\u00e9.txt", "e\u0301.txt"), ("ß", "ss")]
)
def test_names_that_are_one_elsewhere(one: str, other: str, tmp_path: Path) -> None:
    """Files or folders that differ by case or by the form of an accent would become one on other systems."""
    put(tmp_path, one, other)
    error = refused(tmp_path)
    assert error.code == "invalid_file" and "are the same on systems that ignore case" in str(error)


def test_what_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder without permission is an error that names it, not an algorithm without those files."""
    put(tmp_path, "Runner.py", "a/b.txt")
    original = os.listdir

    def listdir(path: Path) -> list[str]:
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied")
        return original(path)

    monkeypatch.setattr(os, "listdir", listdir)
    error = refused(tmp_path)
    assert error.code == "invalid_file" and "'a' cannot be deployed: it cannot be read (Permission" in str(error)


def test_what_goes_away_meanwhile_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file that is deleted during the walk is an error that names it."""
    put(tmp_path, "Runner.py")
    monkeypatch.setattr(os, "listdir", lambda path: ["Runner.py", "gone.txt"])
    error = refused(tmp_path)
    assert error.code == "invalid_file" and "'gone.txt' cannot be deployed: it went away" in str(error)
