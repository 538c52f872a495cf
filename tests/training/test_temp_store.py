"""The files of a training on the local disk: in their folder alone, whole or not at all, and gone in time."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import threading
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compox_core.data import write_hdf5
from compox_core.errors import DataError, InvalidInputError, NotFoundError, StorageError
from compox_core.training.temp_folder import LOCK, OWNER
from compox_core.training.temp_store import TempStore
from tests.disks import SmallDisk
from tests.training.school import PairSchema

posix = pytest.mark.skipif(sys.platform == "win32", reason="as POSIX has it")
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


@pytest.mark.parametrize("parallel", [False, True])
def test_what_is_saved_is_loaded_in_order(temp: TempStore, parallel: bool) -> None:
    """As whole files under the folder that was named; None is passed over."""
    paths = temp.save("a/b", [values(0), None, *map(values, range(1, 20))], PairSchema, parallel)
    assert [path.parent for path in paths] == [temp.root / "a/b"] * 20
    assert all(type(path) is type(Path()) and path.is_file() for path in paths)
    loaded = temp.load(paths, parallel)
    assert [float(each["image"][0, 0]) for each in loaded] == list(range(20))
    assert temp.load([str(paths[3]), paths[3].relative_to(temp.root)], parallel, "image", "no")[1]["no"] is None
    assert len(everything(temp.root)) == 22


def test_nothing_is_made_before_it_is_needed(base: Path) -> None:
    """A training without files has no folder."""
    with TempStore(base_dir=base):
        assert not base.exists()


@pytest.mark.parametrize("wanted", ["..", "../x", "a/../../x", "/tmp/x", "link", "link/x", "circle/x", "\0", "a/\0"])
def test_nothing_leads_out_of_the_folder(temp: TempStore, tmp_path: Path, wanted: str) -> None:
    """Neither names nor links do, whether a folder is made, files are saved, or read."""
    outside = tmp_path / "outside"
    outside.mkdir()
    write_hdf5(outside / "x", values())
    if sys.platform != "win32":
        (temp.root / "link").symlink_to(outside)
        (temp.root / "circle").symlink_to(temp.root / "circle")
    elif "link" in wanted or "circle" in wanted:
        pytest.skip("links are for administrators there")
    for act, code in (
        (lambda: temp.mkdir(wanted), "temp_store_save_failed"),
        (lambda: temp.save(wanted, [values()], PairSchema), "temp_store_save_failed"),
        (lambda: temp.load([wanted]), "temp_store_load_failed"),
    ):
        with pytest.raises(InvalidInputError, match="leads out") as caught:
            act()
        assert caught.value.code == code
    assert everything(outside) == ["x"]


def test_a_folder_may_be_named_by_its_path(temp: TempStore) -> None:
    """That which `mkdir` gave is one; so is the whole folder, and a path that comes back."""
    folder = temp.mkdir("a")
    assert temp.mkdir(folder) == temp.mkdir("b/../a") == folder == temp.root / "a"
    [path] = temp.save(".", [values()], PairSchema)
    assert path.parent == temp.root


def test_a_name_that_is_taken_or_too_long_is_a_storage_error(temp: TempStore) -> None:
    """And says which path it was."""
    [path] = temp.save("a", [values()], PairSchema)
    for name in (path, "x" * 5000):
        with pytest.raises(StorageError, match=str(name)[:40]):
            temp.mkdir(name)


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (lambda temp: temp.save("a", values(), PairSchema), "temp_store_save_failed"),
        (lambda temp: temp.load("a"), "temp_store_load_failed"),
        (lambda temp: temp.load(temp.root / "a"), "temp_store_load_failed"),
        (lambda temp: temp.mkdir(7), "temp_store_save_failed"),
        (lambda temp: temp.load([None]), "temp_store_load_failed"),
    ],
)
def test_one_in_place_of_a_list_is_refused(temp: TempStore, act: Callable[[TempStore], object], code: str) -> None:
    """And what is no path at all."""
    with pytest.raises(InvalidInputError) as caught:
        act(temp)
    assert caught.value.code == code


def test_what_is_not_there_or_no_hdf5_is_told(temp: TempStore) -> None:
    """Each with its own error."""
    with pytest.raises(NotFoundError, match="'gone'"):
        temp.load(["gone"])
    (temp.root / "text").write_text("text")
    with pytest.raises(DataError):
        temp.load(["text"])


@pytest.mark.parametrize("wrong", [{}, {"image": "text"}, {"other": IMAGE}, "text"])
def test_a_file_that_does_not_fit_leaves_nothing(temp: TempStore, wrong: Any) -> None:
    """It is looked at before anything is written; what stood before it stays."""
    with pytest.raises(DataError):
        temp.save("a", [values(), wrong], PairSchema)
    assert len(everything(temp.root)) == 2


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize("problem", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt(), MemoryError()])
def test_a_file_is_there_whole_or_not_at_all(
    base: Path, monkeypatch: pytest.MonkeyPatch, problem: BaseException, atomic: bool
) -> None:
    """Whatever ends its writing in the middle."""

    def begin(path: Path, values: Any) -> None:
        path.write_bytes(b"half")
        raise problem

    monkeypatch.setattr("compox_core.training.temp_store.write_hdf5", begin)
    with TempStore(base_dir=base, atomic_writes=atomic) as temp:
        with pytest.raises(StorageError if isinstance(problem, OSError) else type(problem)) as caught:
            temp.save("a", [values()], PairSchema)
        if isinstance(problem, OSError):
            assert isinstance(caught.value, StorageError)
            assert (caught.value.code, caught.value.retryable) == ("disk_full", True)
        assert everything(temp.root) == ["a"]


def test_a_check_that_raises_ends_the_work_between_files(base: Path) -> None:
    """Also where several are written at a time; those that have not begun are left."""
    looks = 0

    def check() -> None:
        nonlocal looks
        looks += 1
        if looks > 5:
            raise ValueError("enough")

    for parallel in (False, True):
        looks = 0
        with TempStore(base_dir=base, check=check) as temp:
            with pytest.raises(ValueError, match="enough"):
                temp.save("a", [values()] * 500, PairSchema, parallel)
            assert len(everything(temp.root)) <= 6
    assert everything(base) == []


def test_several_threads_have_one_folder(base: Path) -> None:
    """Whoever of them needs it first."""
    with TempStore(base_dir=base) as temp:
        gate = threading.Barrier(8)
        roots: list[Path] = []

        def look() -> None:
            gate.wait()
            roots.append(temp.root)

        threads = [threading.Thread(target=look) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(roots)) == 1
        assert len(list(base.iterdir())) == 1
    assert list(base.iterdir()) == []


@pytest.mark.parametrize("problem", [None, ValueError, KeyboardInterrupt, SystemExit])
def test_the_folder_goes_on_every_way_out(base: Path, problem: type[BaseException] | None) -> None:
    """With everything in it, also what the algorithm put there itself."""
    with pytest.raises(problem) if problem else TempStore(base_dir=base) as _, TempStore(base_dir=base) as temp:
        temp.save("a/b", [values()], PairSchema)
        (temp.root / "own").mkdir()
        (temp.root / "own" / "file").write_text("text")
        if problem:
            raise problem
    assert list(base.iterdir()) == []


@posix
def test_a_fork_does_not_take_the_folder_along(base: Path) -> None:
    """Its end, in whatever way, is not that of the training."""
    with TempStore(base_dir=base) as temp:
        paths = temp.save("a", [values()], PairSchema)
        child = os.fork()
        if child == 0:
            try:
                temp.cleanup()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert len(temp.load(paths)) == 1


def test_a_store_that_is_used_after_its_end_begins_anew(base: Path) -> None:
    """And is cleared once more; to clear what is clear does nothing."""
    temp = TempStore(base_dir=base)
    first = temp.root
    temp.cleanup()
    temp.cleanup()
    assert temp.root != first
    temp.cleanup()
    assert list(base.iterdir()) == []


def test_room_is_looked_for_first(temp: TempStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what is free on the disk of the folder; the error says how much, and which setting names another."""
    usage = namedtuple("usage", "total used free")  # as shutil has it
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(200, 100, 100 if path == temp.root else 0))
    temp.make_room(100)
    with pytest.raises(StorageError, match=r"needs 101 bytes.*100 are free.*inference\.temp_path") as caught:
        temp.make_room(101)
    assert (caught.value.code, caught.value.retryable) == ("disk_full", True)
    assert caught.value.details["needed"] == 101


def test_a_full_disk_is_told_and_leaves_no_part(small_disk: SmallDisk) -> None:
    """What was whole before stays readable; with room again it goes on."""
    with TempStore(base_dir=small_disk.path / "temp") as temp:
        before = temp.save("a", [values()], PairSchema)
        there = everything(temp.root)
        small_disk.fill(leave=200_000)
        with pytest.raises(StorageError) as caught:
            temp.save("a", [{"image": np.random.default_rng(0).random((512, 512))}], PairSchema)
        assert caught.value.code == "disk_full"
        assert everything(temp.root) == there
        assert temp.load(before)[0]["image"].shape == IMAGE.shape
        small_disk.free()
        temp.save("a", [{"image": np.zeros((512, 512))}], PairSchema)


def test_no_room_for_the_folder_itself_is_told(small_disk: SmallDisk) -> None:
    """And leaves none behind."""
    small_disk.fill()
    base = small_disk.path
    with TempStore(base_dir=base) as temp, pytest.raises(StorageError) as caught:
        temp.save("a", [values()], PairSchema)
    assert caught.value.code == "disk_full"
    small_disk.free()
    assert list(base.iterdir()) == []
