"""train, checkpoints, export: from samples to a zip, from a shell."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile

import compox_core as cx
from tests.cli.conftest import Shell, answer
from tests.cli.terminal import in_terminal
from tests.cli.test_process import COMMAND, LISTENING, TIMEOUT
from tests.cli.training import learning_store


@pytest.fixture
def learning(home: Path) -> Path:
    return learning_store(home)


@pytest.fixture
def sample(shell: Shell, learning: Path) -> str:
    """The id of a sample of one image with its mask, tagged `cells`."""
    made = shell("samples", "create", "input=image.tif", "target:mask=mask.tif", "-t", "cells", "--store", learning)
    return made.stdout.strip()


def test_a_training_prints_its_checkpoints(shell: Shell, learning: Path, sample: str, home: Path) -> None:
    """Their ids are the whole answer; what was measured is a file and a picture; what it prints goes to stderr."""
    store = ("--store", learning)
    files = ("--metrics", "m.csv", "--plot", "m.png")
    done = shell("train", "learner", "--sample", sample, "-p", "epochs=3", "-t", "Mine", *files, *store)
    assert done.exit_code == 0, done.stderr
    listed = answer(shell("checkpoints", "list", "--json", *store))["checkpoints"]
    assert done.stdout.split() == [each["checkpoint_id"] for each in listed] and len(listed) == 3
    assert {tuple(each["tags"]) for each in listed} == {("Mine",)}
    assert "3 checkpoints" in done.stderr and "loss 0.3333" in done.stderr and "step 2" in done.stderr
    assert [line.split(",")[0] for line in (home / "m.csv").read_text("utf-8").splitlines()] == ["step", "0", "1", "2"]
    assert (home / "m.png").read_bytes().startswith(b"\x89PNG")


def test_a_training_goes_on_from_a_checkpoint(shell: Shell, learning: Path, sample: str) -> None:
    """With --checkpoint, on the samples that have a tag; the record and the checkpoint say where from."""
    store = ("--store", learning)
    first = shell("train", "learner", "--sample", sample, *store).stdout.split()[-1]
    told = answer(shell("train", "learner", "--tagged", "CELLS", "--checkpoint", first, "--json", *store))
    assert told["training"]["checkpoint_id"] == first and told["training"]["training_data"] == [sample]
    assert {each["parent_checkpoint_id"] for each in told["checkpoints"]} == {first}
    shown = shell("checkpoints", "show", told["checkpoints"][0]["checkpoint_id"], *store).stdout
    assert first in shown and "learner 1.0" in shown and "files/level.json" in shown and "epoch=0" in shown


def test_a_checkpoint_runs_and_ships(shell: Shell, learning: Path, sample: str, home: Path) -> None:
    """It stands in for what was deployed: in a run, and in a zip that another store deploys."""
    store = ("--store", learning)
    chosen = shell("train", "learner", "--sample", sample, "-p", "epochs=1", *store).stdout.strip()
    expected = tifffile.imread(home / "image.tif") > 127.5
    for word, out in ((("--checkpoint", chosen), "with.tif"), ((), "without.tif")):
        assert shell("run", "learner", "image.tif", *word, "-o", out, *store).exit_code == 0
    np.testing.assert_array_equal(tifffile.imread(home / "with.tif") > 0, expected)
    assert not tifffile.imread(home / "without.tif").any()
    assert shell("export", "learner", "--checkpoint", chosen, *store).stdout == "learner_1.zip\n"
    shell("deploy", "learner_1.zip", "--store", "elsewhere")
    shell("run", "learner", "image.tif", "-o", "there.tif", "--store", "elsewhere")
    np.testing.assert_array_equal(tifffile.imread(home / "there.tif") > 0, expected)


def test_an_export_replaces_nothing_unasked(shell: Shell, learning: Path, home: Path) -> None:
    """A file that exists stays, also when an export that may replace it fails."""
    store = ("--store", learning)
    (home / "mine.zip").write_bytes(b"mine")
    assert "exists already" in shell("export", "learner", "-o", "mine.zip", *store).stderr
    failed = shell("export", "learner", "--minor", "7", "-o", "mine.zip", "--overwrite", *store)
    assert failed.exit_code == 1 and (home / "mine.zip").read_bytes() == b"mine"
    assert {path.name for path in home.glob("*.zip")} == {"mine.zip"}
    assert answer(shell("export", "learner", "-o", "mine.zip", "--overwrite", "--json", *store))["written"] == [
        "mine.zip"
    ]
    with zipfile.ZipFile(home / "mine.zip") as archive:
        assert "Runner.py" in archive.namelist()


def test_checkpoints_are_chosen_and_removed(
    shell: Shell, learning: Path, sample: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By algorithm, training and tag in any case; a removed one is gone, one that is not there is told."""
    monkeypatch.setenv("COLUMNS", "80")
    store = ("--store", learning)
    told = answer(shell("train", "learner", "--sample", sample, "-t", "A", "--json", *store))
    training, (first, second) = told["training"]["training_id"], (x["checkpoint_id"] for x in told["checkpoints"])
    for chosen in (["--algorithm", "Learner"], ["--training", training], ["--tag", "a"]):
        listed = answer(shell("checkpoints", "list", *chosen, "--json", *store))["checkpoints"]
        assert [each["checkpoint_id"] for each in listed] == [first, second]
    assert "leave out a filter" in shell("checkpoints", "list", "--tag", "b", *store).stderr
    assert "Did you mean 'learner'?" in shell("checkpoints", "list", "--algorithm", "lerner", *store).stderr
    assert shell("checkpoints", "remove", first, *store).exit_code == 2
    done = shell("checkpoints", "remove", first, "nothing", "-y", *store)
    assert (done.exit_code, done.stdout) == (1, "Removed 1 checkpoint.\n") and "no checkpoint 'nothing'" in done.stderr
    assert first not in (listed := shell("checkpoints", "list", *store).stdout) and second in listed


def test_a_training_that_fails_keeps_what_it_saved(shell: Shell, learning: Path, sample: str, home: Path) -> None:
    """The exit code is 1, the cause is told, and so are the checkpoints and how to go on; metrics are written."""
    done = shell(
        "train", "learner", "--sample", sample, "-p", "then=fail", "--metrics", "m.csv", "--store", learning
    )  # fmt: skip
    assert (done.exit_code, done.stdout) == (1, "")
    assert "ValueError: no more" in done.stderr and "2 checkpoints kept" in done.stderr
    with cx.Engine(learning) as engine:
        last = engine.checkpoints.list()[-1].checkpoint_id
    assert f"--checkpoint {last}" in done.stderr
    assert len((home / "m.csv").read_text("utf-8").splitlines()) == 3


def test_a_training_without_a_checkpoint_says_so(shell: Shell, learning: Path, sample: str) -> None:
    """It has failed, and nothing is kept."""
    done = shell("train", "learner", "--sample", sample, "-p", "epochs=0", "--store", learning)
    assert done.exit_code == 1
    assert "without a checkpoint" in done.stderr and "No checkpoint was saved" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("learner", 2, "--sample ID, or --tagged TAG"),
        ("learner --sample nothing", 1, "These samples do not exist"),
        ("learner --tagged none", 1, "No sample has the tags none"),
        ("lerner --tagged cells", 1, "Did you mean 'learner'?"),
        ("learner --tagged cells --checkpoint nothing", 1, "no checkpoint 'nothing'"),
        ("learner --tagged cells -p epochs=-1", 1, "epochs"),
        ("learner --tagged cells --minor 9", 1, "minor"),
        ("learner --tagged cells --plot x.gif", 2, "--plot draws"),
        ("learner --tagged cells --metrics no/m.csv", 1, "make it first"),
        ("learner --tagged cells --metrics image.tif", 1, "exists already"),
        ("learner --tagged cells --metrics learner", 1, "name a file"),
    ],
)
@pytest.mark.usefixtures("sample")
def test_bad_orders_train_nothing(shell: Shell, learning: Path, words: str, code: int, says: str) -> None:
    """No record, no checkpoint, nothing on stdout; the message says what to do."""
    done = shell("train", *words.split(), "--store", learning)
    assert (done.exit_code, done.stdout) == (code, ""), done.stderr
    assert says in done.stderr and "Traceback" not in done.stderr
    with cx.Engine(learning) as engine:
        assert list(engine.trainings.list()) == [] and engine.checkpoints.is_empty()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_ctrl_c_keeps_the_checkpoints(home: Path, learning: Path, sample: str) -> None:
    """The exit code is 130, the record STOPPED, and what was saved is named with how to go on."""
    order = ("train", "learner", "--sample", sample, "-p", "then=wait", "--store", learning)
    process = subprocess.Popen(
        [sys.executable, "-c", LISTENING, COMMAND, *order], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + TIMEOUT
    while not (home / "started").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    printed, said = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, printed) == (130, "")
    with cx.Engine(learning) as engine:
        (record,) = engine.trainings.list()
        assert record.status == "STOPPED"
        first, last = record.output_checkpoint_ids
    assert f"2 checkpoints kept, oldest first:\n{first}\n{last}\n" in said and f"--checkpoint {last}" in said
    assert "Traceback" not in said


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_a_terminal_shows_the_metrics(learning: Path, sample: str) -> None:
    """Beside the bar stands where the training is."""
    code, shown = in_terminal(COMMAND, "train", "learner", "--sample", sample, "--store", learning)
    assert code == 0
    assert "━" in shown and "loss 0.5" in shown


def test_a_folder_trains_without_being_deployed(shell: Shell, learning: Path, home: Path) -> None:
    """`debug train` writes the last checkpoint and the metrics, and no store."""
    words = ("input=image.tif", "target:mask=mask.tif", "-p", "epochs=3")
    done = shell("debug", "train", "--algo", home / "learner", *words)
    assert done.exit_code == 0, done.stderr
    written = [Path("debug_output") / "checkpoint" / "files" / "level.json", Path("debug_output") / "metrics.csv"]
    assert done.stdout.splitlines() == [str(path) for path in written]
    assert written[0].read_text("utf-8") == '{"level": 129.5}'
    assert "3 checkpoints" in done.stderr and not (home / "data").exists()
    told = answer(shell("debug", "train", "--algo", home / "learner", *words, "--json"))
    assert [each["properties"] for each in told["checkpoints"]] == [{"epoch": 0}, {"epoch": 1}, {"epoch": 2}]


def test_a_folder_that_fails_to_train_shows_where(shell: Shell, learning: Path, home: Path) -> None:
    """The traceback is in the author's own file."""
    done = shell(
        "debug", "train", "--algo", home / "learner", "input=image.tif", "target:mask=mask.tif", "-p", "then=fail"
    )
    assert done.exit_code == 1
    assert f'File "{home / "learner" / "Runner.py"}"' in done.stderr and "ValueError: no more" in done.stderr
    assert not (home / "debug_output").exists()
