"""A folder runs without being deployed, as it would deployed."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import skimage.data
import tifffile
from PIL import Image

import compox_core as cx
from compox_core.engine.debug import debug_folder
from tests.engine.authors import image_runner, write_algorithm

COINS = skimage.data.coins()
PARAMETERS = """
additional_parameters = [
  { name = "factor", config = { type = "int", default = 2 } },
  { name = "device", config = { type = "string", default = "none" } },
]
"""


@pytest.fixture(autouse=True)
def module_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("modules")
    monkeypatch.setenv("COMPOX_MODULE_CACHE", str(folder))
    return folder


def author(folder: Path, body: str, **options: Any) -> Path:
    return write_algorithm(folder, image_runner(body), **options)


def seen(folder: Path, data: Any = COINS, **options: Any) -> Any:
    return debug_folder(folder, data, progress=False, **options).result


def test_a_folder_runs_and_gives_what_a_deployed_one_gives(tmp_path: Path) -> None:
    """The result and its record are those of `engine.run`."""
    folder = author(tmp_path / "a", "return data * args['factor']", extra=PARAMETERS)
    result = cx.debug(folder, COINS, factor=3)
    engine = cx.Engine("memory://")
    engine.deploy(folder)
    deployed = engine.run("sample", COINS, progress=False, factor=3)
    np.testing.assert_array_equal(result, deployed)
    assert isinstance(result, cx.ResultArray) and result.record is not None and deployed.record is not None  # type: ignore[union-attr]
    assert result.record.status == "COMPLETED"
    assert result.record.additional_parameters == deployed.record.additional_parameters  # type: ignore[union-attr]


def test_defaults_and_rules_of_parameters_count(tmp_path: Path) -> None:
    """A declared default is filled in, and a value that breaks a rule is refused."""
    folder = author(tmp_path / "a", "return data * args['factor']", extra=PARAMETERS)
    np.testing.assert_array_equal(seen(folder), COINS * 2)
    with pytest.raises(cx.ParameterError, match="factor"):
        seen(folder, parameters={"factor": "much"})


def test_parameters_may_come_as_a_dict(tmp_path: Path) -> None:
    """`parameters=` sets one whose name is an argument of `debug` itself, as in `engine.run`, also on an engine."""
    folder = author(tmp_path / "a", "return data * args['factor']", extra=PARAMETERS)
    with cx.Engine("memory://") as engine:
        for debug in (cx.debug, engine.debug):
            result = debug(folder, COINS, parameters={"device": "mine"}, factor=3)
            assert result.record.additional_parameters == {"device": "mine", "factor": 3}  # type: ignore[union-attr]


def test_an_edit_counts_at_the_next_call(tmp_path: Path) -> None:
    """Runner.py and the modules it imports are read anew, also when an edit keeps size and second."""
    folder = write_algorithm(
        tmp_path / "a", image_runner("return data + step()", "from helpers.steps import step"),
        files={"helpers/steps.py": "def step():\n    return 1\n"},
    )  # fmt: skip
    np.testing.assert_array_equal(seen(folder), COINS + 1)
    (folder / "helpers" / "steps.py").write_text("def step():\n    return 2\n", "utf-8")
    np.testing.assert_array_equal(seen(folder), COINS + 2)
    author(folder, "return data")
    np.testing.assert_array_equal(seen(folder), COINS)


def test_two_algorithms_with_the_same_module_names_do_not_mix(tmp_path: Path) -> None:
    """Each runs its own code, in one process, one after the other and again."""
    folders = [
        write_algorithm(
            tmp_path / str(number), image_runner("import late\nreturn data + late.STEP"),
            name=f"algorithm{number}", files={"late.py": f"STEP = {number}\n"},
        )
        for number in (1, 2)
    ]  # fmt: skip
    for number, folder in ((1, folders[0]), (2, folders[1]), (1, folders[0])):
        np.testing.assert_array_equal(seen(folder), COINS + number)


def test_every_form_of_import_works(tmp_path: Path) -> None:
    """Absolute, relative, late and old ones."""
    code = """
        import tools
        from .tools import double
        from compox.algorithm_utils.Image2ImageRunner import Image2ImageRunner
        from compox.algorithm_debug import debug, app


        class Runner(Image2ImageRunner):
            def inference(self, data, args=None):
                from tools import double as late
                import importlib
                assert late is double is tools.double is importlib.import_module("tools").double
                return double(data)


        if __name__ == "__main__":
            app()
    """
    folder = write_algorithm(
        tmp_path / "a", "", files={"tools.py": "def double(a):\n    return a * 2\n", "Runner.py": code}
    )
    np.testing.assert_array_equal(seen(folder), COINS * 2)


def test_the_process_is_left_as_it_was(tmp_path: Path, module_cache: Path) -> None:
    """`sys.path`, `sys.modules`, threads, the author's folder and the module cache hold nothing new."""
    folder = author(tmp_path / "a", "import wave; return data")
    seen(folder)  # what the engine itself imports late is there after the first run
    files, modules, path = sorted(folder.rglob("*")), set(sys.modules), list(sys.path)
    threads = threading.active_count()
    seen(folder)
    assert (sorted(folder.rglob("*")), set(sys.modules), sys.path) == (files, modules, path)
    assert threading.active_count() == threads
    assert not list(module_cache.iterdir())


def test_it_runs_in_the_thread_that_calls(tmp_path: Path) -> None:
    """So that a breakpoint stops where the author looks, and windows can be opened."""
    folder = author(tmp_path / "a", "import threading\nreturn data * 0 + threading.get_ident() % 251")
    assert int(seen(folder)[0, 0]) == threading.get_ident() % 251


def test_a_failure_shows_the_authors_file_and_line(tmp_path: Path) -> None:
    """The error's note is a traceback with the path of the file that the author edits."""
    folder = author(tmp_path / "a", "raise ValueError('too dark')")
    with pytest.raises(cx.TaskFailedError, match="ValueError: too dark") as caught:
        seen(folder)
    (note,) = caught.value.__notes__
    assert f'File "{folder / "Runner.py"}", line' in note
    assert note.endswith("ValueError: too dark")


def test_the_checks_are_those_of_a_deploy(tmp_path: Path) -> None:
    """A folder that could not be deployed does not run."""
    broken = author(tmp_path / "syntax", "return (")
    with pytest.raises(cx.PackageError, match=r"Runner\.py"):
        seen(broken)
    with pytest.raises(cx.PackageError):
        seen(author(tmp_path / "version", "return data", version="1"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(cx.PackageError):
        seen(tmp_path / "empty")
    with pytest.raises(cx.PackageError, match="is no folder"):
        seen(tmp_path / "nothing")


def test_assets_are_those_that_a_deploy_packs(tmp_path: Path) -> None:
    """They come from the folder; what lies outside it, or is not packed, is not there."""
    (tmp_path / "secret.txt").write_text("outside", "utf-8")
    body = """
        assert self.fetch_asset("files/level.txt").read() == b"7"
        with self.open_asset("files/level.txt") as stream:
            assert stream.read() == b"7"
        for path in ("../secret.txt", "files/../files/level.txt", "Runner.py", str({outside!r})):
            try:
                self.fetch_asset(path)
            except LookupError as error:
                assert error.code == "asset_path_not_found"
            else:
                raise AssertionError(path)
        return data
    """
    folder = author(tmp_path / "a", body.format(outside=str(tmp_path / "secret.txt")), files={"files/level.txt": "7"})
    np.testing.assert_array_equal(seen(folder), COINS)


def test_devices_are_resolved_as_deployed(tmp_path: Path) -> None:
    """What the algorithm does not support falls back, with a word in the log."""
    folder = author(tmp_path / "a", "assert self.device == 'cpu'; return data")
    result = seen(folder, device="gpu")
    assert result.record.resolved_execution_device == "cpu"
    assert "gpu" in result.record.log


def test_progress_is_told_while_it_runs(tmp_path: Path) -> None:
    """A callable gets numbers that rise to 1."""
    told: list[float] = []
    folder = author(tmp_path / "a", "self.set_progress(0.25); time.sleep(0.4); self.set_progress(0.5); return data")
    debug_folder(folder, COINS, progress=told.append)
    assert told == sorted(told)
    assert {0.25, 1.0} <= set(told)


def test_outputs_and_a_picture_are_written(tmp_path: Path) -> None:
    """The picture has the input on the left and the output on the right; a second run replaces both."""
    path = tmp_path / "coins.png"
    Image.fromarray(COINS).save(path)
    folder = author(tmp_path / "a", "return 255 - data")
    for _ in range(2):
        done = debug_folder(folder, path, out=tmp_path / "out", progress=False)
        assert [file.relative_to(tmp_path / "out").as_posix() for file in done.written] == [
            "coins_output.tif",
            "debug.png",
        ]
    np.testing.assert_array_equal(tifffile.imread(done.written[0]), 255 - COINS)
    shown = np.asarray(Image.open(done.written[1]).convert("L"))
    assert shown.shape[1] > 2 * 384
    np.testing.assert_array_equal(shown[:303, :384], COINS)
    np.testing.assert_array_equal(shown[:303, -384:], 255 - COINS)


REGIONS = """
from compox_core.runners import Image2MultiRegionSegmentationRunner


class Runner(Image2MultiRegionSegmentationRunner):
    def inference(self, data, args):
        return [{"dark": image < 50, "bright": image > 150} for image in data]
"""


def test_named_regions_are_shown_as_labels(tmp_path: Path) -> None:
    """The output is HDF5, and the picture has the regions beside the image."""
    folder = write_algorithm(tmp_path / "a", REGIONS, kind="Image2MultiRegionSegmentation")
    done = debug_folder(folder, COINS, out=tmp_path / "out", progress=False)
    assert [file.name for file in done.written] == ["output.h5", "debug.png"]
    assert np.asarray(Image.open(done.written[1])).shape[1] > 2 * 384


def write_source(folder: Path, name: str) -> tuple[Path, int]:
    """Write image data in some form; return it and the number of images in it."""
    path = folder / name
    stack = np.stack([COINS, COINS // 2])
    if name == "folder":
        path.mkdir()
        for number, image in enumerate(stack):
            Image.fromarray(image).save(path / f"{number}.png")
        (path / "notes.txt").write_text("no image", "utf-8")
    elif name.endswith(".tif"):
        tifffile.imwrite(path, stack, photometric="minisblack")
    elif name.endswith(".npy"):
        np.save(path, COINS if "one" in name else stack)
    elif name.endswith((".png", ".jpg")):
        Image.fromarray(COINS).save(path)
    else:
        with h5py.File(path, "w") as file:
            if "own" in name:
                file["image"] = COINS
            elif "table" in name:
                file["table"] = np.arange(3)
            else:
                file["a/numbers"] = np.arange(3)
                file["b/scan"] = stack.astype(np.float32)
    return path, 1 if name.startswith("one") else 2


@pytest.mark.parametrize(
    "name",
    [
        "folder",
        "two.tif",
        "one.png",
        "one.jpg",
        "one.npy",
        "two.npy",
        "one_own.h5",
        "two_foreign.h5",
        "two_foreign.hdf5",
    ],
)
def test_data_comes_from_files_of_every_kind(tmp_path: Path, name: str) -> None:
    """One image a page, a file of a folder, or an index of the first axis; an HDF5 file may be anybody's."""
    path, count = write_source(tmp_path, name)
    done = debug_folder(author(tmp_path / "a", "return data"), path, progress=False)
    assert len(done.result.outputs) == count
    assert all(output["image"].shape == COINS.shape for output in done.result.outputs)


def test_data_that_is_not_there_or_no_image_is_refused(tmp_path: Path) -> None:
    """The message names the file."""
    folder = author(tmp_path / "a", "return data")
    with pytest.raises(cx.NotFoundError, match="nothing"):
        seen(folder, tmp_path / "nothing.png")
    with pytest.raises(cx.DataError, match="no array"):
        seen(folder, write_source(tmp_path, "table.h5")[0])


def test_an_interrupt_goes_through(tmp_path: Path) -> None:
    """Ctrl-C in the author's code ends the call."""
    with pytest.raises(KeyboardInterrupt):
        seen(author(tmp_path / "a", "raise KeyboardInterrupt"))
