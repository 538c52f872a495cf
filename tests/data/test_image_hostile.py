"""Image files that are damaged or made to mislead: always a DataError, never half an image."""

from __future__ import annotations

import builtins
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from compox_core.data import read_images, write_images
from compox_core.errors import DataError, MissingExtraError

STACK = np.arange(4 * 72, dtype=np.uint16).reshape(4, 8, 9)
KNOWN_CODES = {
    "invalid_image", "image_too_large", "unsupported_image", "alpha_channel", "invalid_npy_file", "invalid_data",
    "unsupported_value", "invalid_hdf5_file", "no_array_found", "hdf5_too_large", "hdf5_link", "hdf5_group",
}  # fmt: skip


def tiff(path: Path) -> None:
    write_images([{"image": image} for image in STACK], path)


def compressed_tiff(path: Path) -> None:
    tifffile.imwrite(path, STACK, compression="zlib", metadata=None, photometric="minisblack")


def lzw_tiff(path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 9, (40, 40), np.uint8)).save(path, compression="tiff_lzw")


def imagej_tiff(path: Path) -> None:
    tifffile.imwrite(path, STACK, imagej=True)


def png(path: Path) -> None:
    Image.fromarray(STACK[0]).save(path)


def jpeg(path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8)).save(path)


def npy(path: Path) -> None:
    np.save(path, STACK)


FORMATS: list[tuple[Callable[[Path], None], str]] = [
    *((make, ".tif") for make in (tiff, compressed_tiff, lzw_tiff, imagej_tiff)),
    (png, ".png"),
    (jpeg, ".jpg"),
    (npy, ".npy"),
]
EACH_FORMAT = pytest.mark.parametrize(("make", "suffix"), FORMATS, ids=[make.__name__ for make, _ in FORMATS])


@EACH_FORMAT
def test_a_file_that_was_cut_off_anywhere_loses_nothing_silently(
    tmp_path: Path, make: Callable[[Path], None], suffix: str
) -> None:
    """For every length up to the whole, reading gives all pictures or an error, never fewer."""
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    make(whole)
    content = whole.read_bytes()
    expected = [item["image"].tobytes() for item in read_images(whole)]
    outcomes = set()
    for length in range(0, len(content), max(1, len(content) // 300)):
        cut.write_bytes(content[:length])
        try:
            assert [item["image"].tobytes() for item in read_images(cut)] == expected
            outcomes.add("whole")
        except DataError as error:
            outcomes.add(error.code)
    assert outcomes <= {"whole", "invalid_image", "unsupported_image", "invalid_npy_file"}


@EACH_FORMAT
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_give_an_image_or_a_data_error(
    tmp_path: Path, make: Callable[[Path], None], suffix: str, data: st.DataObject
) -> None:
    """Whatever bytes are changed, reading ends with images or with a DataError."""
    path = tmp_path / f"x{suffix}"
    make(path)
    content = bytearray(path.read_bytes())
    places = st.integers(0, min(len(content), 400) - 1)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=5)):
        content[place] = value
    path.write_bytes(content)
    try:
        read_images(path)
    except DataError as error:
        assert error.code in KNOWN_CODES


@pytest.mark.parametrize("name", ["x.tif", "x.png", "x.jpg", "x.npy", "x.h5"])
@pytest.mark.parametrize("content", [b"", b"just text", b"\0" * 1000], ids=["empty", "text", "zeros"])
def test_files_of_another_format_are_named(tmp_path: Path, name: str, content: bytes) -> None:
    """The error says which file and format, without the folder."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name} is not a readable") as caught:
        read_images(tmp_path / name)
    assert str(tmp_path) not in caught.value.message


def test_a_loop_of_tiff_pages_ends(tmp_path: Path) -> None:
    """A directory that leads back to an earlier one is an error, not an endless file."""
    path = tmp_path / "x.tif"
    tiff(path)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        page = file.pages[2]
        place = page.offset + 2 + 12 * len(page.tags)
        content[place : place + 4] = struct.pack("<I", file.pages[1].offset)
    path.write_bytes(content)
    with pytest.raises(DataError, match="earlier page again"):
        read_images(path)


def test_a_tiff_that_claims_terabytes_takes_none(tmp_path: Path) -> None:
    """Sides that no file of this size can fill are refused before memory is taken."""
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, STACK[0], metadata=None, compression="zlib")
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        for name in ("ImageWidth", "ImageLength"):
            tag = file.pages[0].tags[name]
            content[tag.offset + 2 : tag.offset + 12] = struct.pack("<HII", 4, 1, 2**20)
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_images(path)
    assert caught.value.code == "image_too_large"


def test_a_png_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's limit of pixels holds."""
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match=r"Save it as \.tif") as caught:
        read_images(tmp_path / "x.png")
    assert caught.value.code == "image_too_large"


def npy_header(path: Path, descr: Any, shape: tuple[int, ...], body: bytes = b"") -> None:
    """Write an NPY file whose header says what it likes."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
        file.write(body)


def test_npy_files_are_never_unpickled_and_never_claim_more_than_they_have(tmp_path: Path) -> None:
    """Objects, records, missing values and a ZIP of arrays are errors."""
    path = tmp_path / "x.npy"

    class Mark:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "executed",))

    path.write_bytes(pickle.dumps(Mark()))
    with pytest.raises(DataError):
        read_images(path)
    np.save(path, np.array([Mark()], object), allow_pickle=True)
    with pytest.raises(DataError):
        read_images(path)
    for shape in ((2**40,), (10, 10), (-1, 3)):
        npy_header(path, "<f8", shape, b"\0" * 16)
        with pytest.raises(DataError) as caught:
            read_images(path)
        assert caught.value.code == "invalid_npy_file"
    npy_header(path, [("a", "<f4")], (2, 2), b"\0" * 16)
    with pytest.raises(DataError) as caught:
        read_images(path)
    assert caught.value.code == "unsupported_value"
    with path.open("wb") as file:
        np.savez(file, STACK)
    with pytest.raises(DataError):
        read_images(path)
    assert not (tmp_path / "executed").exists()


def test_an_array_of_one_or_five_axes_is_no_picture(tmp_path: Path) -> None:
    """The error lists the shapes that are."""
    for shape in ((), (5,), (1, 2, 3, 4, 5), (2, 2, 4, 5)):
        np.save(tmp_path / "x.npy", np.zeros(shape))
        with pytest.raises(DataError, match=r"\(H, W\)") as caught:
            read_images(tmp_path / "x.npy")
        assert caught.value.code == "unsupported_image"


def test_imaging_libraries_are_imported_when_needed() -> None:
    """Importing the package and showing a preview loads neither tifffile nor pillow."""
    code = (
        "import sys, numpy, compox_core.data as data; data.to_png(numpy.eye(4)); "
        "print([name for name in ('tifffile', 'PIL') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["x.tif", "x.png"])
def test_without_the_extra_the_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Reading and writing without tifffile or pillow says what to install; NPY needs neither."""
    write_images([{"image": STACK[0]}], tmp_path / name)
    real = builtins.__import__

    def without(module: str, *args: Any, **kwargs: Any) -> Any:
        if module.split(".")[0] in ("tifffile", "PIL"):
            raise ImportError(f"No module named {module!r}")
        return real(module, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r'pip install "compox-core\[images\]"'):
        read_images(tmp_path / name)
    with pytest.raises(MissingExtraError, match=r"compox-core\[images\]"):
        write_images([{"image": STACK[0]}], tmp_path / "new" / name)
    [path] = write_images([{"image": STACK[0]}], tmp_path / "x.npy")
    assert np.array_equal(read_images(path)[0]["image"], STACK[0])
