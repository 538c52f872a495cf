"""Outputs of a run as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile

from compox_core.engine.saving import Target, left_out
from compox_core.errors import ConflictError, DataError, InvalidInputError, StorageError

IMAGE = np.arange(12, dtype=np.uint8).reshape(3, 4)
REGIONS = {"region_names": ["a", "b"], "region_masks": np.stack([IMAGE > 3, IMAGE > 6])}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save(out: str | None, outputs: list[dict[str, Any]], *stems: str, overwrite: bool = False) -> list[str]:
    target = Target(None if out is None else Path(out), stems or ("cell",), overwrite)
    return [path.as_posix() for path in target.save(outputs)]


@pytest.mark.parametrize(
    ("out", "count", "stems", "files"),
    [
        (None, 1, ("a",), ["a.tif"]),
        (None, 2, ("a", "b"), ["a.tif", "b.tif"]),
        (None, 3, ("a",), ["a.tif"]),
        (None, 3, ("a", "b"), ["a.tif"]),
        ("new", 1, ("a",), ["new/a.tif"]),
        ("new", 2, ("a", "b"), ["new/a.tif", "new/b.tif"]),
        ("new", 3, ("a", "b"), ["new/a_000.tif", "new/a_001.tif", "new/a_002.tif"]),
        ("new", 3, ("a", "b", "a"), ["new/a.tif", "new/b.tif", "new/a_2.tif"]),
        ("x.tif", 3, ("a",), ["x.tif"]),
        ("x.png", 1, ("a",), ["x.png"]),
        ("x.png", 2, ("a",), ["x_000.png", "x_001.png"]),
        ("x.npy", 2, ("a",), ["x.npy"]),
        ("x.json", 2, ("a",), ["x.json"]),
        ("x.h5", 1, ("a",), ["x.h5"]),
        ("x.h5", 2, ("a",), ["x_000.h5", "x_001.h5"]),
        (None, 0, ("a",), []),
    ],
)
def test_files_are_named(out: str | None, count: int, stems: tuple[str, ...], files: list[str]) -> None:
    """A file takes them all where its format can; a folder gets one an output, named after the inputs."""
    assert save(out, [{"image": IMAGE}] * count, *stems) == files
    assert sorted(path.as_posix() for path in Path().rglob("*") if path.is_file()) == sorted(files)


@pytest.mark.parametrize("name", ["x.tif", "x.npy"])
def test_a_volume_with_a_mask_is_saved_as_the_volume(name: str) -> None:
    """Every format takes what the output is about, not what lies beside it."""
    volume = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    save(name, [{"mask": volume > 3, "volume": volume}])
    np.testing.assert_array_equal(tifffile.imread(name) if name == "x.tif" else np.load(name), volume)


@pytest.mark.parametrize(
    ("written", "missing"),
    [(["a.tif", "b.tif"], ["mask", "stats"]), (["a.npy"], ["mask", "stats"]), (["a.h5"], []), (["a.json"], [])],
)
def test_what_files_do_not_hold_is_known(written: list[str], missing: list[str]) -> None:
    """The keys beside the array that an output is about are in HDF5 and JSON only; empty ones are not missed."""
    outputs: list[dict[str, Any]] = [
        {"volume": np.zeros((2, 3, 4)), "stats": "{}", "points": None},
        {"volume": np.zeros((2, 3, 4)), "mask": IMAGE, "points": [], "stats": ""},
    ]
    assert left_out(outputs, [Path(name) for name in written]) == missing
    assert left_out([{"image": IMAGE, "mask": None}], [Path(name) for name in written]) == []


def test_pages_and_stacks_keep_their_order() -> None:
    """TIFF pages and NPY entries come in the order of the outputs."""
    outputs = [{"image": IMAGE + step} for step in range(3)]
    save("x.tif", outputs)
    save("x.npy", outputs)
    expected = np.stack([IMAGE, IMAGE + 1, IMAGE + 2])
    np.testing.assert_array_equal(tifffile.imread("x.tif"), expected)
    np.testing.assert_array_equal(np.load("x.npy"), expected)


def test_pages_of_unequal_shape_get_files_of_their_own() -> None:
    """Without a file to put them in, pictures of different shapes are numbered."""
    assert save(None, [{"image": IMAGE}, {"image": IMAGE.T}]) == ["cell_000.tif", "cell_001.tif"]


def test_what_is_no_picture_becomes_hdf5_with_every_key() -> None:
    """Named regions keep their names."""
    assert save(None, [REGIONS]) == ["cell.h5"]
    with h5py.File("cell.h5") as file:
        assert file["region_names"].asstr()[()].tolist() == ["a", "b"]
        np.testing.assert_array_equal(file["region_masks"][()], REGIONS["region_masks"])


def test_json_holds_everything_in_lists() -> None:
    """Arrays, numpy numbers and texts, without what is None."""
    save("x.json", [{"features": IMAGE, "input_size": (np.int64(3), 4), "mask": None}])
    assert json.loads(Path("x.json").read_text("utf-8")) == [{"features": IMAGE.tolist(), "input_size": [3, 4]}]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ({"features": IMAGE, "input_size": np.array([3, 4])}, IMAGE),
        ({"transform_matrix": np.eye(3), "translation_matrix": np.eye(3) * 2}, np.eye(3)),
        ({"anything": IMAGE}, IMAGE),
        (REGIONS, REGIONS["region_masks"]),
    ],
)
def test_npy_takes_the_array_that_an_output_is_about(output: dict[str, Any], expected: Any) -> None:
    """Features, matrices, masks; a single array whatever its name."""
    save("x.npy", [output])
    np.testing.assert_array_equal(np.load("x.npy"), expected)


def test_what_exists_is_replaced_on_request_only(folder: Path) -> None:
    """A file that only turned up during the run, a numbered one here, stays; the result gets another name."""
    (folder / "x_001.png").write_text("mine", "utf-8")
    with pytest.raises(ConflictError, match=r"--overwrite.*x_2_000\.png") as caught:
        save("x.png", [{"image": IMAGE}] * 2)
    assert caught.value.code == "output_exists"
    assert sorted(path.name for path in folder.iterdir()) == ["x_001.png", "x_2_000.png", "x_2_001.png"]
    assert (folder / "x_001.png").read_text("utf-8") == "mine"
    assert save("x.png", [{"image": IMAGE}] * 2, overwrite=True) == ["x_000.png", "x_001.png"]


def test_a_result_is_not_lost_to_the_wrong_format(folder: Path) -> None:
    """It is written in a format that can hold it, and the error names that file."""
    for name in ("x", "x_2"):
        with pytest.raises(DataError, match=rf"{name}\.tif") as caught:
            save("x.png", [{"image": IMAGE / 2}])
        assert caught.value.code == "unsupported_output"
    assert sorted(path.name for path in folder.iterdir()) == ["x.tif", "x_2.tif"]
    with pytest.raises(DataError, match=r"y_000\.h5"):
        save("y.npy", [{"image": IMAGE}, {"image": IMAGE.T}])


@pytest.mark.parametrize(
    ("out", "kind", "code"),
    [
        ("x.bmp", "Image2Image", "unknown_output_format"),
        ("x.tif", "Image2Alignment", "unknown_output_format"),
        ("no/x.tif", "Image2Image", "output_folder_not_usable"),
        ("file", "Image2Image", "output_folder_not_usable"),
        ("file/deeper/still", "Image2Image", "output_folder_not_usable"),
    ],
)
def test_a_target_is_checked_before_the_run(folder: Path, out: str, kind: str, code: str) -> None:
    """What cannot be written is refused before anything is computed."""
    (folder / "file").write_text("mine", "utf-8")
    with pytest.raises(InvalidInputError) as caught:
        Target(Path(out), ["cell"]).check(kind)
    assert caught.value.code == code


def test_a_disk_that_refuses_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the folder and what to look at."""

    def full(**_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkdtemp", full)
    with pytest.raises(StorageError, match="No space left") as caught:
        save("x.tif", [{"image": IMAGE}])
    assert caught.value.code == "output_write_failed"


@pytest.mark.parametrize("out", [None, Path("new"), Path("cell.tif")])
def test_a_file_in_the_way_is_found_before_the_run(folder: Path, out: Path | None) -> None:
    """Whether it is named or follows from the input."""
    (folder / "new").mkdir()
    for place in (folder, folder / "new"):
        (place / "cell.tif").write_text("mine", "utf-8")
    with pytest.raises(ConflictError):
        Target(out, ["cell"]).check("Image2Image")
    Target(out, ["cell"], overwrite=True).check("Image2Image")
