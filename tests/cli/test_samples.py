"""samples: what trainings learn from, from a shell."""

from __future__ import annotations

from pathlib import Path

import pytest

import compox_core as cx
from tests.cli.conftest import Shell, answer
from tests.cli.training import learning_store


@pytest.fixture
def learning(home: Path) -> Path:
    return learning_store(home)


def test_groups_are_written_one_after_the_other(shell: Shell, learning: Path, home: Path) -> None:
    """A + begins a group, a key that comes again adds a file, and names may hold commas, blanks and equals signs."""
    odd = home / "a = b, c.tif"
    (home / "image.tif").rename(odd)
    words = [f"input={odd}", f"input={odd}", "target=mask.tif", "+", f"input={odd}", "target=mask.tif"]
    made = shell("samples", "create", *words, "-t", " Cells", "--store", learning)
    assert made.exit_code == 0 and "5 files in 2 groups" not in made.stdout
    with cx.Engine(learning) as engine:
        sample = engine.samples.get(made.stdout.strip())
        assert [{key: len(names) for key, names in group.items()} for group in sample.files] == [
            {"input": 2, "target": 1},
            {"input": 1, "target": 1},
        ]
        assert sample.tags == ["cells"]
        assert engine.files.read(sample.files[0]["input"][1])["image"].shape == (16, 16)


def test_a_mask_is_stored_as_a_mask(shell: Shell, learning: Path) -> None:
    """Where its key says so; a key may have both."""
    words = ("a:mask=mask.tif", "a=image.tif", "b=mask.tif")
    made = answer(shell("samples", "create", *words, "--store", learning, "--json"))
    (group,) = made["files"]
    with cx.Engine(learning) as engine:
        read = [engine.files.read(name) for name in (*group["a"], *group["b"])]
    assert [list(values) for values in read] == [["mask"], ["image"], ["image"]]
    assert read[0]["mask"].sum() == 128


def test_stored_files_are_named_by_their_ids(shell: Shell, learning: Path) -> None:
    """What an earlier sample or run has stored is used as it is."""
    first = answer(shell("samples", "create", "input=image.tif", "--store", learning, "--json"))
    stored = first["files"][0]["input"][0]
    second = answer(shell("samples", "create", f"input={stored}", "--store", learning, "--json"))
    assert second["files"] == first["files"] and second["sample_id"] != first["sample_id"]


def test_samples_are_listed_by_tags_and_shown(shell: Shell, learning: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all tags that are asked for and none of the others; shown with each file, and whether it is gone. In a
    narrow terminal, too, the ids are whole."""
    monkeypatch.setenv("COLUMNS", "80")
    store = ("--store", learning)
    a, b = (
        shell("samples", "create", "input=image.tif", "target=mask.tif", "-t", "x", "-t", tag, *store).stdout.strip()
        for tag in ("A", "B")
    )
    assert a in (shown := shell("samples", "list", *store).stdout) and b in shown
    found = answer(shell("samples", "list", "--tag", "X", "--without", "b", "--json", *store))["samples"]
    assert [sample["sample_id"] for sample in found] == [a]
    assert "leave out a filter" in shell("samples", "list", "--tag", "none", *store).stderr
    with cx.Engine(learning) as engine:
        gone = engine.samples.get(a).files[0]["target"][0]
    (path,) = (path for path in learning.rglob(gone) if path.parent.name == "data-store")
    path.unlink()
    assert answer(shell("samples", "show", a, "--json", *store))["missing_file_ids"] == [gone]
    shown = shell("samples", "show", a, *store).stdout
    assert shown.count("missing") == 1 and shown.count("there") == 1 and "1 of them not in the store" in shown


def test_what_can_be_removed_is_removed(shell: Shell, learning: Path) -> None:
    """One that is not there is told, the others go, and the exit code is 1; nobody is asked in a script."""
    store = ("--store", learning)
    made = [shell("samples", "create", "input=image.tif", *store).stdout.strip() for _ in range(2)]
    assert shell("samples", "remove", *made, *store).exit_code == 2
    done = shell("samples", "remove", made[0], "nothing", made[1], "--yes", *store)
    assert (done.exit_code, done.stdout) == (1, "Removed 2 samples.\n")
    assert "no sample 'nothing'" in done.stderr
    assert "No samples yet" in shell("samples", "list", *store).stderr


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("image.tif", 2, "write KEY=PATH"),
        ("=image.tif", 2, "write KEY=PATH"),
        (":mask=image.tif", 2, "write KEY=PATH"),
        ("input:mask=nothing.tif", 1, "nothing.tif"),
        ("input=", 2, "write KEY=PATH"),
        ("input=image.tif +", 2, "an empty one"),
        ("+ input=image.tif", 2, "an empty one"),
        ("", 2, "Missing argument"),
        ("input=image.tif + target=mask.tif", 1, "same keys"),
        ("input=nothing.tif", 1, "nothing.tif"),
        ("input=learner/Runner.py", 1, "Runner.py"),
    ],
)
def test_bad_samples_leave_nothing(shell: Shell, learning: Path, words: str, code: int, says: str) -> None:
    """Wrong words are wrong usage, wrong files a failure; neither a sample nor a file is stored."""
    done = shell("samples", "create", *words.split(), "--store", learning)
    assert (done.exit_code, done.stdout) == (code, "")
    assert says in done.stderr and "Traceback" not in done.stderr
    with cx.Engine(learning) as engine:
        assert engine.samples.is_empty()
        assert list(engine.store.list("data-store")) == []
