"""Image files to schema data and back: what each format keeps, and where the axes go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from compox_core.data import (
    IMAGE_SUFFIXES,
    DataSchema,
    GenericSchema,
    ImageSchema,
    MeshSchema,
    SegmentationSchema,
    VolumeSchema,
    read_hdf5,
    read_images,
    write_hdf5,
    write_images,
)
from compox_core.errors import DataError, NotFoundError

GREY = np.arange(72, dtype=np.uint8).reshape(8, 9)
RGB = np.stack([GREY, GREY + 1, GREY + 2])
SIDES = st.integers(1, 6)
QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def pictures(dtypes: list[str], *, rgb: bool) -> st.SearchStrategy[np.ndarray]:
    """Images (H, W), and (3, H, W) where asked, of the given dtypes."""
    shapes = st.tuples(SIDES, SIDES)
    # Of a picture (3, 3, 3) and the like the first axis is the channels, so nothing is ambiguous.
    if rgb:
        shapes = shapes | st.tuples(st.just(3), SIDES, SIDES)
    return st.tuples(st.sampled_from(dtypes), shapes).flatmap(lambda kind: hnp.arrays(*kind))


def arrays(path: Path, schema: type[DataSchema] = ImageSchema) -> list[np.ndarray]:
    """The arrays of a file, one an item."""
    return [next(v for v in item.values() if v is not None) for item in read_images(path, schema)]


def assert_same(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    """Equal in number, dtype, shape and bytes."""
    assert [(a.dtype, a.shape) for a in found] == [(a.dtype, a.shape) for a in expected]
    assert [a.tobytes() for a in found] == [a.tobytes() for a in expected]


@QUICK
@given(images=st.lists(pictures(["u1", "u2", "f2", "f4", "f8"], rgb=True), min_size=1, max_size=4))
def test_a_tiff_keeps_images_of_any_kind_one_a_page(tmp_path: Path, images: list[np.ndarray]) -> None:
    """All image dtypes, grey and RGB, of different sizes in one file, come back as they were."""
    assert write_images([{"image": image} for image in images], tmp_path / "x.tif") == [tmp_path / "x.tif"]
    assert_same(arrays(tmp_path / "x.tif"), images)


@QUICK
@given(volume=hnp.arrays(st.sampled_from(["u1", "i2", "f4", "i8"]), st.tuples(SIDES, SIDES, SIDES)))
def test_a_tiff_keeps_a_volume_one_page_a_plane(tmp_path: Path, volume: np.ndarray) -> None:
    """A volume (Z, Y, X) of any real dtype becomes Z pages and a volume again, whatever its sides."""
    write_images([{"volume": volume}], tmp_path / "x.tif")
    assert_same(arrays(tmp_path / "x.tif", VolumeSchema), [volume])


@QUICK
@given(image=pictures(["u1"], rgb=True) | pictures(["u2"], rgb=False))
def test_a_png_keeps_grey_of_8_and_16_bits_and_rgb(tmp_path: Path, image: np.ndarray) -> None:
    """PNG is lossless for the three kinds that it has."""
    write_images([{"image": image}], tmp_path / "x.png")
    assert_same(arrays(tmp_path / "x.png"), [image])


@QUICK
@given(image=pictures(["u1", "u2", "f2", "f4", "f8"], rgb=True))
@pytest.mark.parametrize("suffix", [".npy", ".h5"])
def test_npy_and_hdf5_keep_images(tmp_path: Path, suffix: str, image: np.ndarray) -> None:
    """Both keep every image dtype; of an array without a format's own pages a first axis of 3 is RGB."""
    path = tmp_path / f"x{suffix}"
    write_images([{"image": image}], path)
    assert_same(arrays(path), [image])


@QUICK
@given(labels=hnp.arrays(np.uint16, st.tuples(SIDES, SIDES)), dtype=st.sampled_from(["u2", "i4", "i8", "u8"]))
def test_labels_keep_their_values_in_png(tmp_path: Path, labels: np.ndarray, dtype: str) -> None:
    """Integer labels that fit 8 or 16 bits are written with those, value by value."""
    write_images([{"mask": labels.astype(dtype)}], tmp_path / "x.png")
    [found] = arrays(tmp_path / "x.png", SegmentationSchema)
    assert np.array_equal(found, labels)


def test_a_jpeg_is_near_the_image_and_refuses_masks(tmp_path: Path) -> None:
    """JPEG takes 8-bit images, changes values a little, and so takes no mask."""
    for image in (GREY, RGB):
        write_images([{"image": image}], tmp_path / "x.jpg")
        [found] = arrays(tmp_path / "x.jpg")
        assert found.shape == image.shape
        assert np.abs(found.astype(int) - image).max() <= 8
    with pytest.raises(DataError, match=r"\.png") as caught:
        write_images([{"mask": GREY}], tmp_path / "y.jpg")
    assert caught.value.code == "unsupported_output"


def test_a_bool_mask_becomes_visible(tmp_path: Path) -> None:
    """Bool is written as 0 and 255, in TIFF and PNG; NPY and HDF5 keep it."""
    mask = GREY > 30
    for suffix in (".tif", ".png"):
        write_images([{"mask": mask}], tmp_path / f"x{suffix}")
        assert_same(arrays(tmp_path / f"x{suffix}", SegmentationSchema), [mask.astype(np.uint8) * 255])
    for suffix in (".npy", ".h5"):
        write_images([{"mask": mask}], tmp_path / f"x{suffix}")
        assert_same(arrays(tmp_path / f"x{suffix}", SegmentationSchema), [mask])


def test_other_programs_see_rgb_with_channels_last(tmp_path: Path) -> None:
    """In picture files RGB is (H, W, 3), and each page of a TIFF stands for itself."""
    write_images([{"image": RGB}, {"image": GREY}], tmp_path / "x.tif")
    with tifffile.TiffFile(tmp_path / "x.tif") as file:
        assert [page.shape for page in file.pages] == [(8, 9, 3), (8, 9)]
        assert not file.is_bigtiff
    write_images([{"image": RGB}], tmp_path / "x.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "x.png")), np.moveaxis(RGB, 0, -1))


def test_what_is_too_large_for_a_classic_tiff_becomes_a_bigtiff(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above the limit of 32-bit offsets (lowered here) the file is a BigTIFF, and reads the same."""
    from compox_core.data.images import tiff

    monkeypatch.setattr(tiff, "_CLASSIC_BYTES", 100)
    write_images([{"image": GREY}, {"image": RGB}], tmp_path / "x.tif")
    with tifffile.TiffFile(tmp_path / "x.tif") as file:
        assert file.is_bigtiff
    assert_same(arrays(tmp_path / "x.tif"), [GREY, RGB])


def test_several_pictures_are_numbered_where_a_format_has_one_page(tmp_path: Path) -> None:
    """PNG, NPY and HDF5 get a file an item, with a number; so do several volumes in TIFF."""
    for suffix in (".png", ".npy", ".h5"):
        files = write_images([{"image": GREY}, {"image": GREY + 1}], tmp_path / "new" / f"x{suffix}")
        assert [file.name for file in files] == [f"x_000{suffix}", f"x_001{suffix}"]
        assert_same(arrays(files[1]), [GREY + 1])
    volume = np.stack([GREY, GREY])
    files = write_images([{"volume": volume}, {"volume": volume}], tmp_path / "v.tif")
    assert [file.name for file in files] == ["v_000.tif", "v_001.tif"]


def test_hdf5_keeps_the_whole_item_and_pictures_the_picture(tmp_path: Path) -> None:
    """Points and a mask beside an image go into HDF5 only."""
    item = {"image": GREY, "mask": GREY > 3, "points": [np.zeros((2, 2))]}
    [path] = write_images([item], tmp_path / "x.h5")
    assert list(read_hdf5(path)) == ["image", "mask", "points"]
    [found] = read_images(path, ImageSchema)
    assert np.array_equal(found["mask"], item["mask"])
    write_images([item], tmp_path / "x.tif")
    assert_same(arrays(tmp_path / "x.tif"), [GREY])


@pytest.mark.parametrize(
    ("item", "name", "instead"),
    [
        ({"image": GREY.astype(np.float32)}, "x.png", ".tif"),
        ({"image": RGB.astype(np.uint16)}, "x.png", ".tif"),
        ({"image": GREY.astype(np.uint16)}, "x.jpg", ".tif"),
        ({"mask": np.array([[-1, 2]])}, "x.png", ".tif"),
        ({"mask": np.array([[0, 70000]])}, "x.png", ".tif"),
        ({"volume": np.zeros((2, 3, 4), np.uint8)}, "x.png", ".tif"),
        ({"data": np.zeros((2, 3), complex)}, "x.tif", ".npy"),
        ({"data": np.zeros((2, 3, 4, 5))}, "x.tif", ".npy"),
        ({"data": np.zeros((0, 3))}, "x.tif", ".npy"),
        ({"data": np.zeros(3)}, "x.tif", ".npy"),
        ({"region_names": ["a"], "region_masks": [GREY]}, "x.tif", ".h5"),
        ({}, "x.npy", ".h5"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_with_one_that_can(
    tmp_path: Path, item: dict[str, Any], name: str, instead: str
) -> None:
    """Nothing is scaled or cut: the error names the suffix to use, and no file appears."""
    with pytest.raises(DataError) as caught:
        write_images([{"image": GREY}, item], tmp_path / name)
    assert caught.value.code == "unsupported_output"
    assert caught.value.details["instead"] == instead
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_write_and_unknown_suffixes_are_errors(tmp_path: Path) -> None:
    """An empty list and a suffix without a format are named."""
    with pytest.raises(DataError, match="nothing to write"):
        write_images([], tmp_path / "x.tif")
    for path in (tmp_path / "x.gif", tmp_path / "x"):
        with pytest.raises(DataError, match=r"use one of \.tif"):
            write_images([{"image": GREY}], path)
    (tmp_path / "x.gif").write_bytes(b"GIF89a")
    with pytest.raises(DataError) as caught:
        read_images(tmp_path / "x.gif")
    assert caught.value.details["suffixes"] == list(IMAGE_SUFFIXES)
    with pytest.raises(NotFoundError):
        read_images(tmp_path / "none.tif")


def test_a_failing_writer_leaves_the_older_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the second of two files fails, the first is not replaced and no draft stays."""
    (tmp_path / "x_000.npy").write_bytes(b"older")
    from compox_core.data.images import writing

    def failing(file: Any, array: np.ndarray) -> None:
        file.write(b"half")
        if array is broken:
            raise OSError("No space left on device")

    broken = np.asarray(GREY + 1)
    monkeypatch.setattr(writing, "write_npy", failing)
    monkeypatch.setattr(writing.np, "asarray", lambda array: array)
    with pytest.raises(OSError, match="No space left") as caught:
        write_images([{"image": GREY}, {"image": broken}], tmp_path / "x.npy")
    assert caught.value.code == "image_write_failed"  # type: ignore[attr-defined]
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("x_000.npy", b"older")]


SPLITS: list[tuple[tuple[int, ...], list[tuple[int, ...]]]] = [
    ((8, 9), [(8, 9)]),
    ((3, 8, 9), [(3, 8, 9)]),
    ((8, 9, 3), [(3, 8, 9)]),
    ((4, 8, 9), [(8, 9)] * 4),
    ((2, 3, 8, 9), [(3, 8, 9)] * 2),
    ((2, 8, 9, 3), [(3, 8, 9)] * 2),
]


@pytest.mark.parametrize(("shape", "shapes"), SPLITS)
def test_an_npy_file_is_split_into_images(
    tmp_path: Path, shape: tuple[int, ...], shapes: list[tuple[int, ...]]
) -> None:
    """An array without a format's own pages is one picture, or a stack along its first axis."""
    array = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    np.save(tmp_path / "x.npy", array)
    found = arrays(tmp_path / "x.npy")
    assert [image.shape for image in found] == shapes
    assert sum(image.sum() for image in found) == array.sum()


@pytest.mark.parametrize(("shape", "shapes"), SPLITS[:4])
def test_of_an_hdf5_file_of_others_the_first_picture_is_taken(
    tmp_path: Path, shape: tuple[int, ...], shapes: list[tuple[int, ...]]
) -> None:
    """Without the schema's keys the first array of two or three axes counts, in depth, links not followed."""
    array = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["about"] = "text"
        file["entry/line"] = np.arange(5)
        file["entry/pixels"] = array
        file["a"] = h5py.SoftLink("/entry")
    assert [image.shape for image in arrays(path)] == shapes
    with h5py.File(path, "w") as file:
        file["line"] = np.arange(5)
    with pytest.raises(DataError) as caught:
        read_images(path)
    assert caught.value.code == "no_array_found"


@pytest.mark.parametrize("suffix", [".npy", ".tif"])
def test_one_file_for_each_schema(tmp_path: Path, suffix: str) -> None:
    """A stack is several images, several masks, one volume or one array, as the schema says."""
    stack = np.stack([GREY, GREY + 1, GREY + 2, GREY + 3])
    path = tmp_path / f"x{suffix}"
    if suffix == ".npy":
        np.save(path, stack)
    else:
        write_images([{"image": plane} for plane in stack], path)
    assert_same(arrays(path, ImageSchema), list(stack))
    assert_same(arrays(path, SegmentationSchema), list(stack))
    assert_same(arrays(path, VolumeSchema), [stack])
    assert_same(arrays(path, GenericSchema), [stack])
    with pytest.raises(DataError) as caught:
        read_images(path, MeshSchema)
    assert caught.value.code == "no_picture_schema"


def test_one_page_is_a_volume_of_one_plane(tmp_path: Path) -> None:
    """A single grey picture read as a volume is (1, H, W)."""
    for name in ("x.npy", "x.tif", "x.png"):
        write_images([{"image": GREY}], tmp_path / name)
        assert_same(arrays(tmp_path / name, VolumeSchema), [GREY[None]])


@pytest.mark.parametrize("dtype", ["int16", "int32", "int64", "bool", "complex64"])
def test_dtypes_that_are_no_image_say_how_to_convert_and_fit_masks(tmp_path: Path, dtype: str) -> None:
    """An array of another dtype is no image, the error names file and conversion; as a mask it passes."""
    path = tmp_path / "x.npy"
    np.save(path, GREY.astype(dtype))
    with pytest.raises(DataError, match=r"Convert it with image\.astype") as caught:
        read_images(path)
    assert caught.value.message.startswith("x.npy")
    assert_same(arrays(path, SegmentationSchema), [GREY.astype(dtype)])


def test_a_picture_that_does_not_fit_is_named_by_its_number(tmp_path: Path) -> None:
    """Of several pages the error says which."""
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((2, 8, 9), np.int16), photometric="minisblack")
    with pytest.raises(DataError, match=r"x\.tif, picture 1 of 2: .*int16"):
        read_images(tmp_path / "x.tif")


def test_a_user_schema_is_filled_by_its_key(tmp_path: Path) -> None:
    """An author's schema with a key `image` or `mask` takes image files too."""

    class Cells(DataSchema):
        mask: np.ndarray

    write_images([{"mask": GREY}], tmp_path / "x.tif")
    assert_same(arrays(tmp_path / "x.tif", Cells), [GREY])
    write_hdf5(tmp_path / "x.h5", {"mask": GREY, "note": "kept out"})
    assert_same(arrays(tmp_path / "x.h5", Cells), [GREY])
