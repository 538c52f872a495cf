"""The log file: turning over, keeping, and disks that take nothing."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from compox_core.logs.claim import claim_file
from compox_core.logs.file import DAY, LogFile


def opened(path: Path, limit: int = 1000, keep_days: int = 10) -> tuple[LogFile, list[str]]:
    """Return an open log file, and what it complains of."""
    complaints: list[str] = []
    file = LogFile(path, limit, keep_days, complaints.append)
    file.open()
    return file, complaints


def old_ones(folder: Path) -> list[Path]:
    """Return the files that were put aside, the oldest first."""
    return sorted(folder.glob("compox.2*.log"))


def test_a_full_file_is_put_aside(tmp_path: Path) -> None:
    """Every line is in one of the files, whole and in order, and none is much larger than it may be."""
    file, complaints = opened(tmp_path / "compox.log")
    lines = [f"{number:03} {'x' * 95}" for number in range(35)]
    for start in range(0, 35, 7):
        file.write(lines[start : start + 7])
    file.close()
    files = [*old_ones(tmp_path), tmp_path / "compox.log"]
    assert len(files) == 4 and all(each.stat().st_size <= 1000 for each in files)
    assert "".join(each.read_text() for each in files).splitlines() == lines and complaints == []


def test_a_line_that_is_too_long_for_any_file_is_written_all_the_same(tmp_path: Path) -> None:
    """In a file of its own."""
    file, _ = opened(tmp_path / "compox.log", limit=10)
    file.write(["a", "b" * 50, "c"])
    file.close()
    assert [each.read_text() for each in [*old_ones(tmp_path), tmp_path / "compox.log"]] == [
        "a\n",
        "b" * 50 + "\n",
        "c\n",
    ]


def test_a_file_is_gone_on_with(tmp_path: Path) -> None:
    """What is in it counts."""
    (tmp_path / "compox.log").write_text("x" * 990 + "\n")
    file, _ = opened(tmp_path / "compox.log")
    file.write(["short"])
    file.write(["longer than that"])
    file.close()
    assert (tmp_path / "compox.log").read_text() == "longer than that\n"
    assert old_ones(tmp_path)[0].read_text().endswith("x\nshort\n")


def test_files_that_are_old_are_removed_and_nothing_else(tmp_path: Path) -> None:
    """Neither those of other names, nor younger ones."""
    names = {
        "compox.2026-01-01_10-00-00_000001.log": 11,
        "compox.2026-01-09_10-00-00_000001.log": 9,
        "compox.notes.log": 99,
        "other.2026-01-01_10-00-00_000001.log": 99,
    }
    for name, days in names.items():
        (tmp_path / name).write_text("x")
        then = time.time() - days * DAY
        os.utime(tmp_path / name, (then, then))
    file, _ = opened(tmp_path / "compox.log")
    file.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([*list(names)[1:], "compox.log"])


def test_a_full_disk_drops_lines_and_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And again when there is room; a line that was cut off is ended."""
    file, complaints = opened(tmp_path / "compox.log")
    file.write(["first"])
    real = os.write
    room = [3]

    def write(descriptor: int, data: memoryview) -> int:
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data[: room.pop()])

    monkeypatch.setattr(os, "write", write)
    file.write(["second"])
    file.write(["third", "fourth"])
    monkeypatch.undo()
    file.write(["fifth"])
    file.close()
    assert (tmp_path / "compox.log").read_text() == "first\nsec\nfifth\n"
    assert complaints == [
        f"The log file {tmp_path / 'compox.log'} takes no more lines: No space left on device",
        f"The log file {tmp_path / 'compox.log'} takes lines again; 3 were dropped.",
    ]


def test_a_file_that_cannot_be_put_aside_grows_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows while somebody reads it."""
    file, complaints = opened(tmp_path / "compox.log", limit=800)

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "in use")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refuse)
        for number in range(9):
            file.write([f"{number:03} {'x' * 95}"])
    assert old_ones(tmp_path) == [] and (tmp_path / "compox.log").stat().st_size == 900
    for number in range(9, 12):
        file.write([f"{number:03} {'x' * 95}"])
    file.close()
    assert len(old_ones(tmp_path)) == 1 and complaints == []


def test_any_text_can_be_written(tmp_path: Path) -> None:
    """Lone surrogates, as names of files may have, are escaped."""
    file, _ = opened(tmp_path / "compox.log")
    file.write(["ü \udcff"])
    file.close()
    assert (tmp_path / "compox.log").read_text(encoding="utf-8") == "ü \\udcff\n"


HOLD = """
import sys
from pathlib import Path
from compox_core.logs.claim import claim_file
with claim_file(Path(sys.argv[1])) as claim:
    print(claim.path.name, flush=True)
    sys.stdin.read()
"""


def test_each_process_has_a_file_of_its_own(tmp_path: Path) -> None:
    """Also one that is started while another has the file; it is free again when that one ends, however it does."""
    path = tmp_path / "compox.log"
    with claim_file(path) as mine:
        assert mine.path == path
        holders = []
        for expected in ("compox-2.log", "compox-3.log"):
            holder = subprocess.Popen(
                [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            holders.append(holder)
            assert holder.stdout is not None and holder.stdout.readline().strip() == expected
        for holder in holders:
            holder.kill()
            holder.communicate()
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert holder.communicate("")[0].strip() == "compox-2.log"
