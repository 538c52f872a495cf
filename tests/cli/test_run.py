"""run: image files in, files out."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import skimage.data
import tifffile
from PIL import Image

import compox_core as cx
from tests.cli.conftest import Shell, answer
from tests.engine.authors import image_runner, write_algorithm


def test_an_image_comes_out_beside_the_work_at_hand(shell: Shell, store: Path, coins: Path, home: Path) -> None:
    """Without -o the result is <input>_<algorithm>.tif in the current folder, whose name is the whole answer."""
    done = shell("run", "scaling", coins, "-p", "factor=0.5", "--store", store)
    assert (done.exit_code, done.stdout) == (0, "coins_scaling.tif\n")
    assert "1 input, 1 output" in done.stderr and "on cpu" in done.stderr
    result = tifffile.imread(home / "coins_scaling.tif")
    np.testing.assert_array_equal(result, (skimage.data.coins() * 0.5).astype(np.uint8))


COUNTING = """
import json
from compox_core.data import VolumeSchema
from compox_core.runners import BaseRunner


class Runner(BaseRunner):
    def preprocess(self, input_data, args):
        return self.fetch_data(input_data["input_dataset_ids"], VolumeSchema, "volume")

    def inference(self, data, args):
        return [{"volume": item["volume"], "stats": json.dumps({"sum": int(item["volume"].sum())})} for item in data]

    def postprocess(self, data, args):
        return self.post_data(data, VolumeSchema)
"""


def test_what_a_picture_file_cannot_hold_is_named(shell: Shell, home: Path, stack: Path) -> None:
    """The command says which keys of the outputs the written files lack, and an HDF5 file lacks none."""
    folder = write_algorithm(home / "counting", COUNTING, name="counting", kind="Generic")
    shell("deploy", folder, "--store", "here")
    done = shell("run", "counting", stack, "-o", "out.tif", "--store", "here")
    assert done.exit_code == 0
    assert "Left out: stats." in done.stderr
    assert "Left out" not in shell("run", "counting", stack, "-o", "out.h5", "--store", "here").stderr
    assert answer(shell("run", "counting", stack, "-o", "b.tif", "--store", "here", "--json"))["left_out"] == ["stats"]
    assert "Left out: stats." in shell("debug", "run", "--algo", folder, "--data", stack).stderr


def test_a_stack_gives_a_stack(shell: Shell, store: Path, stack: Path, home: Path) -> None:
    """The pages of one TIFF come out as the pages of one TIFF."""
    assert shell("run", "scaling", stack, "--store", store).stdout == "stack_scaling.tif\n"
    np.testing.assert_array_equal(tifffile.imread(home / "stack_scaling.tif"), tifffile.imread(stack) * 2)


def test_the_suffix_of_out_decides_the_format(shell: Shell, store: Path, coins: Path, home: Path) -> None:
    """PNG, NPY, HDF5 and JSON hold the same picture."""
    expected = skimage.data.coins()
    for name in ("out.png", "out.npy", "out.h5", "out.json"):
        assert shell("run", "scaling", coins, "-p", "factor=1", "-o", name, "--store", store).stdout == f"{name}\n"
    np.testing.assert_array_equal(np.asarray(Image.open(home / "out.png")), expected)
    np.testing.assert_array_equal(np.load(home / "out.npy"), expected)
    with h5py.File(home / "out.h5") as file:
        np.testing.assert_array_equal(file["image"][()], expected)
    np.testing.assert_array_equal(json.loads((home / "out.json").read_text("utf-8"))[0]["image"], expected)


def test_a_folder_gets_one_file_an_input(shell: Shell, store: Path, coins: Path, home: Path) -> None:
    """Outputs are named after the inputs and the algorithm, also where two inputs share a name."""
    (home / "other").mkdir()
    twin = home / "other" / "coins.png"
    twin.write_bytes(coins.read_bytes())
    done = shell("run", "thresholding", coins, twin, "-o", "masks", "--store", store)
    assert [Path(line) for line in done.stdout.splitlines()] == [
        Path("masks/coins_thresholding.tif"),
        Path("masks/coins_thresholding_2.tif"),
    ]
    mask = tifffile.imread(home / "masks" / "coins_thresholding.tif")
    np.testing.assert_array_equal(mask > 0, skimage.data.coins() > skimage.data.coins().mean())


def test_pages_in_a_folder_are_numbered(shell: Shell, store: Path, stack: Path) -> None:
    """Where there are more outputs than inputs, each file carries a number."""
    done = shell("run", "scaling", stack, "-o", "pages", "--store", store)
    assert [Path(line).name for line in done.stdout.splitlines()] == [f"stack_scaling_{n:03d}.tif" for n in range(4)]


def test_a_folder_of_images_is_one_set_of_inputs(shell: Shell, store: Path, coins: Path, home: Path) -> None:
    """Its image files are read in order of their names."""
    (home / "set").mkdir()
    for name in ("b.png", "a.png"):
        (home / "set" / name).write_bytes(coins.read_bytes())
    told = answer(shell("run", "scaling", "set", "-o", "out.npy", "--store", store, "--json"))
    assert len(told["execution"]["input_dataset_ids"]) == 2
    assert np.load(home / "out.npy").shape == (2, 303, 384)


def test_what_is_no_image_becomes_hdf5(shell: Shell, store: Path, stack: Path, home: Path) -> None:
    """An alignment of four pages gives three files with every key; as one JSON or NPY where that is asked for."""
    done = shell("run", "shifting", stack, "--store", store)
    assert done.stdout.splitlines() == [f"stack_shifting_{n:03d}.h5" for n in range(3)]
    with h5py.File(home / "stack_shifting_002.h5") as file:
        assert {"transform_matrix", "translation_matrix", "points1"} <= set(file)
        np.testing.assert_array_equal(file["transform_matrix"][()], np.eye(3) * 3)
    shell("run", "shifting", stack, "-o", "out.npy", "--store", store)
    assert np.load(home / "out.npy").shape == (3, 3, 3)
    shell("run", "shifting", stack, "-o", "out.json", "--store", store)
    assert json.loads((home / "out.json").read_text("utf-8"))[0]["transform_matrix"] == np.eye(3).tolist()


def test_nothing_is_replaced_unless_that_is_asked_for(shell: Shell, store: Path, coins: Path, home: Path) -> None:
    """An output that exists is left alone, before anything runs; --overwrite replaces it."""
    target = home / "out.png"
    target.write_text("mine", "utf-8")
    refused = shell("run", "scaling", coins, "-o", target, "--store", store)
    assert refused.exit_code == 1
    assert "exists already" in refused.stderr and "--overwrite" in refused.stderr
    assert target.read_text("utf-8") == "mine"
    with cx.Engine(store) as engine:
        assert list(engine.executions.list()) == []
    assert shell("run", "scaling", coins, "-o", target, "--overwrite", "--store", store).exit_code == 0
    assert Image.open(target).size == (384, 303)


def test_a_result_that_the_format_cannot_hold_is_kept_all_the_same(
    shell: Shell, store: Path, home: Path, coins: Path
) -> None:
    """A PNG holds no floats: the result is written as TIFF, and the command says so and fails."""
    floats = write_algorithm(home / "halving", image_runner("return data / 2"), name="halving")
    shell("deploy", floats, "--store", store)
    done = shell("run", "halving", coins, "-o", "out.png", "--store", store)
    assert done.exit_code == 1
    assert "out.tif" in done.stderr
    np.testing.assert_array_equal(tifffile.imread(home / "out.tif"), skimage.data.coins() / 2)
    assert not (home / "out.png").exists()


def test_a_version_and_a_device_can_be_chosen(shell: Shell, store: Path, scaling: Path, coins: Path) -> None:
    """--major, --minor and --device reach the execution; the record says which device it really was."""
    (scaling / "README.md").write_text("new", "utf-8")
    shell("deploy", scaling, "--store", store)
    words = ("--major", "1", "--minor", "0", "--device", "gpu", "-o", "out.tif", "--store", store, "--json")
    record = answer(shell("run", "scaling", coins, *words))["execution"]
    assert (record["algorithm_minor_version"], record["execution_device_override"]) == ("0", "gpu")
    assert record["resolved_execution_device"] == "cpu"


def test_json_is_all_there_is_on_stdout(shell: Shell, store: Path, coins: Path, home: Path) -> None:
    """What an algorithm prints goes to stderr; the answer has the written files and the record."""
    loud = write_algorithm(home / "loud", image_runner("print('hello'); return data"), name="loud")
    shell("deploy", loud, "--store", store)
    done = shell("run", "loud", coins, "--store", store, "--json")
    told = answer(done)
    assert told["written"] == ["coins_loud.tif"]
    assert told["execution"]["status"] == "COMPLETED"
    assert " INFO hello\n" in told["execution"]["log"]
    assert "hello" in done.stderr


def test_verbose_shows_what_the_task_logs(shell: Shell, store: Path, coins: Path) -> None:
    """Messages of the algorithm appear on stderr, and are in the log once."""
    done = shell("run", "scaling", coins, "-v", "--store", store, "--json")
    assert "scaling 1.0: scaling\n" in done.stderr
    assert answer(done)["execution"]["log"].count("INFO scaling\n") == 1


@pytest.mark.parametrize("verbose", [False, True])
def test_a_failing_algorithm_is_told_in_short_and_on_request_in_full(
    shell: Shell, store: Path, coins: Path, home: Path, verbose: bool
) -> None:
    """One line with the cause; --verbose shows the log with the traceback of the author's files."""
    bad = write_algorithm(home / "bad", image_runner("raise ValueError('too dark')"), name="bad")
    shell("deploy", bad, "--store", store)
    done = shell("run", "bad", coins, "--store", store, *(["--verbose"] if verbose else []))
    assert (done.exit_code, done.stdout) == (1, "")
    assert "failed: ValueError: too dark" in done.stderr
    assert ("Runner.py" in done.stderr) is verbose
    assert ("--verbose" in done.stderr) is not verbose
    assert not list(home.glob("coins_bad*"))
