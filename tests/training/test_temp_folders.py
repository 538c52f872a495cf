"""The local files of trainings whose process has ended are told apart from all others, and removed."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compox_core.data import read_hdf5
from compox_core.holder import Holder, this_process
from compox_core.training.temp_folder import LOCK, OWNER, TempFolder, abandoned, clear_abandoned
from compox_core.training.temp_store import TempStore
from tests.training.school import PairSchema

posix = pytest.mark.skipif(sys.platform == "win32", reason="as POSIX has it")
DAY = 24 * 3600.0
ELSEWHERE = Holder(incarnation="", host="another machine", pid=1, started="1")
IMAGE = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "base"


@pytest.fixture
def temp(base: Path) -> Iterator[TempStore]:
    with TempStore(base_dir=base) as store:
        yield store


def values(number: float = 0) -> dict[str, Any]:
    return {"image": IMAGE + number}


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.name not in (OWNER, LOCK))


HOLDS = """
import sys
from pathlib import Path
from compox_core.data import write_hdf5
from compox_core.training.temp_store import TempStore

store = TempStore(base_dir=Path(sys.argv[1]))
write_hdf5(store.mkdir("a") / "file", {"image": b"text"})
print(store.root, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(base: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process with a folder, and that folder."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(base)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        yield child, Path(child.stdout.readline().strip())
        child.kill()


def give_to(folder: Path, holder: Holder) -> None:
    (folder / OWNER).write_text(holder.model_dump_json(), encoding="utf-8")


def age(folder: Path, seconds: float) -> None:
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (time.time() - seconds,) * 2, follow_symlinks=False)


@posix
def test_what_a_killed_process_left_goes_and_nothing_else(
    other: tuple[subprocess.Popen[str], Path], temp: TempStore, base: Path
) -> None:
    """As long as it lives its folder stays, however old it is; our own stays, too."""
    child, folder = other
    age(folder, 30 * DAY)
    temp.save("a", [values()], PairSchema)
    assert clear_abandoned(base) == 0
    child.send_signal(signal.SIGKILL)
    child.wait()
    [(found, size)] = list(abandoned(base))
    assert (found, size) == (folder, sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))
    assert folder.exists()
    assert clear_abandoned(base) == 1
    assert [path.parent for path in base.rglob(OWNER)] == [temp.root]


@posix
def test_a_process_that_cannot_be_seen_is_known_by_its_lock(
    other: tuple[subprocess.Popen[str], Path], base: Path
) -> None:
    """From another container, or after a restart, its number says nothing; what it has written lately stays anyway."""
    child, folder = other
    give_to(folder, ELSEWHERE)
    age(folder, 30 * DAY)
    assert clear_abandoned(base) == 0
    child.kill()
    child.wait()
    age(folder, DAY - 60)
    assert clear_abandoned(base) == 0
    age(folder, DAY + 60)
    os.utime(folder / "a" / "file")
    assert clear_abandoned(base) == 0
    age(folder, DAY + 60)
    assert clear_abandoned(base) == 1
    assert not folder.exists()


@pytest.mark.parametrize("note", [None, b"", b'{"pid": 1', b"\xff"])
def test_a_folder_of_nobody_goes_after_a_day(base: Path, note: bytes | None) -> None:
    """Its process was killed while it made it, or makes it at this moment."""
    folder = base / "compox-training-x"
    folder.mkdir(parents=True)
    if note is not None:
        (folder / OWNER).write_bytes(note)
    assert clear_abandoned(base) == 0
    age(folder, DAY + 60)
    assert clear_abandoned(base) == 1


@posix
def test_only_folders_of_trainings_are_cleared(base: Path, tmp_path: Path) -> None:
    """Links to them, files of that name and other folders stay; no base folder is no error."""
    assert clear_abandoned(base) == 0
    dead = this_process("").model_copy(update={"started": "0"})
    target = tmp_path / "target"
    for folder in (target, base / "compox-other"):
        folder.mkdir(parents=True)
        give_to(folder, dead)
    (base / "compox-training-link").symlink_to(target)
    (base / "compox-training-file").write_text("text")
    before = everything(tmp_path)
    assert clear_abandoned(base) == 0
    assert everything(tmp_path) == before


def test_a_folder_can_be_made_where_nothing_can_be_locked(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then its process is known by its number alone."""

    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr("compox_core.training.temp_folder._lock", refuse)
    folder = TempFolder(base)
    give_to(folder.path, ELSEWHERE)
    age(folder.path, 30 * DAY)
    assert clear_abandoned(base) == 0
    folder.remove()
    assert list(base.iterdir()) == []


def test_files_are_plain_hdf5(temp: TempStore) -> None:
    """Any reader of HDF5 can have them, in place."""
    [path] = temp.save("a", [values()], PairSchema)
    np.testing.assert_array_equal(read_hdf5(path)["image"], IMAGE)
