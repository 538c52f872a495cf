"""Pictures as other programs write them: each variant of TIFF and PNG gives what it shows, or an error."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from compox_core.data import ImageSchema, SegmentationSchema, VolumeSchema, read_images
from compox_core.errors import DataError

GREY = np.arange(72, dtype=np.uint8).reshape(8, 9)
STACK = np.stack([GREY + n for n in range(6)])
HWC = np.stack([GREY, GREY + 1, GREY + 2], axis=-1)


def images(path: Path, key: str = "image") -> list[np.ndarray]:
    """The images, masks or volumes of a file."""
    schema = {"image": ImageSchema, "mask": SegmentationSchema, "volume": VolumeSchema}[key]
    return [item[key] for item in read_images(path, schema)]


@pytest.mark.parametrize(
    "options",
    [
        {"photometric": "minisblack"},
        {"photometric": "minisblack", "bigtiff": True},
        {"photometric": "minisblack", "byteorder": ">"},
        {"photometric": "minisblack", "compression": "zlib", "predictor": True},
        {"photometric": "minisblack", "tile": (16, 16), "compression": "zlib"},
        {"photometric": "minisblack", "rowsperstrip": 3},
        {"photometric": "minisblack", "metadata": None},
        {"photometric": "minisblack", "ome": True},
        {"imagej": True},
        {"imagej": True, "metadata": {"axes": "ZYX"}},
        {"photometric": "minisblack", "volumetric": True, "tile": (16, 16, 16)},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_stacks_of_every_layout(tmp_path: Path, dtype: str, options: dict[str, Any]) -> None:
    """Classic and BigTIFF, both byte orders, strips and tiles, ImageJ, OME: the same planes in the same order."""
    if "predictor" in options and dtype == "float32":
        options = {**options, "predictor": False}  # tifffile alone cannot write the predictor of floats
    path = tmp_path / "x.tif"
    stack = STACK.astype(dtype)
    tifffile.imwrite(path, stack, **options)
    found = images(path)
    assert [image.dtype for image in found] == [np.dtype(dtype)] * 6
    assert np.array_equal(np.stack(found), stack)
    assert np.array_equal(images(path, "volume")[0], stack)


def test_hyperstacks_are_unrolled_in_the_order_of_their_axes(tmp_path: Path) -> None:
    """Times and channels of an ImageJ hyperstack follow each other, whether they have directories or not."""
    stack = np.arange(2 * 3 * 8 * 9, dtype=np.uint16).reshape(2, 3, 8, 9)
    tifffile.imwrite(tmp_path / "x.tif", stack, imagej=True, metadata={"axes": "TCYX"})
    assert np.array_equal(np.stack(images(tmp_path / "x.tif")), stack.reshape(6, 8, 9))


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate", "raw"])
@pytest.mark.parametrize("pixels", [GREY, GREY.astype(np.uint16) * 300, HWC], ids=["8 bits", "16 bits", "RGB"])
def test_compressions_that_other_programs_use(tmp_path: Path, compression: str, pixels: np.ndarray) -> None:
    """Lossless compression is undone, also where it needs pillow's help."""
    path = tmp_path / "x.tif"
    Image.fromarray(pixels).save(path, compression=compression)
    [found] = images(path)
    assert np.array_equal(found if found.ndim == 2 else np.moveaxis(found, 0, -1), pixels)


def test_a_compression_that_nobody_here_reads_names_the_library(tmp_path: Path) -> None:
    """A compression without a decoder is an error that says what to install."""
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, GREY, compression="zlib", metadata=None)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        place = file.pages[0].tags["Compression"].valueoffset
    content[place : place + 2] = struct.pack("<H", 34926)  # ZSTD
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_images(path)
    assert caught.value.code in ("unsupported_image", "invalid_image")


def test_rgb_of_both_planar_layouts(tmp_path: Path) -> None:
    """RGB is channel-first in memory, whether a file interleaves its channels or not."""
    tifffile.imwrite(tmp_path / "a.tif", HWC, photometric="rgb")
    tifffile.imwrite(tmp_path / "b.tif", np.moveaxis(HWC, -1, 0), photometric="rgb", planarconfig="separate")
    for name in ("a.tif", "b.tif"):
        [found] = images(tmp_path / name)
        assert np.array_equal(found, np.moveaxis(HWC, -1, 0))
        assert found.flags.c_contiguous


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "group4"])
def test_values_are_as_stored_where_white_is_zero(tmp_path: Path, compression: str | None) -> None:
    """How a value is shown does not change it, whichever library decodes it."""
    path = tmp_path / "x.tif"
    if compression is None:
        tifffile.imwrite(path, GREY, photometric="miniswhite")
        assert np.array_equal(images(path)[0], GREY)
        return
    shown = GREY > 30 if compression == "group4" else GREY
    Image.fromarray(shown).save(path, compression=compression, tiffinfo={262: 0})
    assert np.array_equal(images(path, "mask")[0], ~shown)


def test_one_bit_is_0_and_255_in_images_and_bool_in_masks(tmp_path: Path) -> None:
    """Black and white pictures become visible images and true masks."""
    bits = GREY > 30
    Image.fromarray(bits).save(tmp_path / "x.png")
    tifffile.imwrite(tmp_path / "x.tif", bits)
    for name in ("x.png", "x.tif"):
        assert np.array_equal(images(tmp_path / name)[0], bits * np.uint8(255))
        [mask] = images(tmp_path / name, "mask")
        assert mask.dtype == bool and np.array_equal(mask, bits)


def test_thumbnails_are_no_pages(tmp_path: Path) -> None:
    """A reduced copy of a page is left out."""
    with tifffile.TiffWriter(tmp_path / "x.tif") as writer:
        writer.write(STACK[0], metadata=None)
        writer.write(STACK[1, ::2, ::2], subfiletype=1, metadata=None)
        writer.write(STACK[2], metadata=None)
    assert [image.shape for image in images(tmp_path / "x.tif")] == [(8, 9), (8, 9)]


def test_an_ome_tiff_does_not_read_its_neighbours(tmp_path: Path) -> None:
    """OME metadata that names other files leads to none of them."""
    tifffile.imwrite(tmp_path / "other.ome.tif", STACK, ome=True, photometric="minisblack")
    xml = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="9" SizeY="8" SizeZ="6" SizeC="1" SizeT="1">'
        '<TiffData FirstZ="0" IFD="0" PlaneCount="6"><UUID FileName="other.ome.tif">urn:uuid:1</UUID></TiffData>'
        "</Pixels></Image></OME>"
    )
    tifffile.imwrite(tmp_path / "x.ome.tif", GREY, description=xml, metadata=None)
    assert len(images(tmp_path / "x.ome.tif")) == 1


def with_alpha(value: int) -> np.ndarray:
    """RGBA with one pixel's alpha set."""
    pixels = np.dstack([HWC, np.full((8, 9), 255, np.uint8)])
    pixels[2, 3, 3] = value
    return pixels


@pytest.mark.parametrize("name", ["x.png", "x.tif", "x.npy"])
def test_an_opaque_alpha_channel_is_dropped_and_another_refused(tmp_path: Path, name: str) -> None:
    """Transparency is never silently lost."""

    def save(pixels: np.ndarray) -> Path:
        path = tmp_path / name
        if name == "x.npy":
            np.save(path, pixels)
        elif name == "x.tif":
            tifffile.imwrite(path, pixels, photometric="rgb", extrasamples=["unassalpha"])
        else:
            Image.fromarray(pixels).save(path)
        return path

    assert np.array_equal(images(save(with_alpha(255)))[0], np.moveaxis(HWC, -1, 0))
    with pytest.raises(DataError, match="transparent") as caught:
        read_images(save(with_alpha(254)))
    assert caught.value.code == "alpha_channel"


def test_a_transparent_colour_of_a_png_counts_where_it_is_used(tmp_path: Path) -> None:
    """A PNG may call one value transparent; that matters only if a pixel has it."""
    path = tmp_path / "x.png"
    for pixels in (GREY, GREY.astype(np.uint16) * 257):
        Image.fromarray(pixels).save(path, transparency=int(pixels.max()) + 1)
        assert np.array_equal(images(path)[0], pixels)
        Image.fromarray(pixels).save(path, transparency=int(pixels[3, 3]))
        with pytest.raises(DataError, match="transparent"):
            read_images(path)


def test_a_png_palette_is_colour_in_images_and_labels_in_masks(tmp_path: Path) -> None:
    """Indices of a palette are labels; as an image they have their colours."""
    labels = GREY % 3
    picture = Image.fromarray(labels).convert("P")
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255] + [0] * 759)
    for bits in (8, 2):
        picture.save(tmp_path / "x.png", bits=bits)
        [image] = images(tmp_path / "x.png")
        assert np.array_equal(image.argmax(axis=0), labels)
        assert np.array_equal(images(tmp_path / "x.png", "mask")[0], labels)


def test_a_tiff_palette_is_a_look_up_table(tmp_path: Path) -> None:
    """A TIFF with a colour map gives the values, as microscopes mean it."""
    tifffile.imwrite(tmp_path / "x.tif", GREY, photometric="palette", colormap=np.zeros((3, 256), np.uint16))
    assert np.array_equal(images(tmp_path / "x.tif")[0], GREY)


def test_a_mask_saved_as_grey_rgb_is_one_channel_and_colour_is_refused(tmp_path: Path) -> None:
    """Three equal channels are grey; real colour has no labels."""
    Image.fromarray(np.dstack([GREY] * 3)).save(tmp_path / "x.png")
    assert np.array_equal(images(tmp_path / "x.png", "mask")[0], GREY)
    Image.fromarray(HWC).save(tmp_path / "x.png")
    with pytest.raises(DataError) as caught:
        images(tmp_path / "x.png", "mask")
    assert caught.value.code == "mask_in_colour"


def test_a_volume_needs_grey_pages_of_one_kind(tmp_path: Path) -> None:
    """Pages of different sizes, or RGB, are no planes."""
    with tifffile.TiffWriter(tmp_path / "x.tif") as writer:
        writer.write(GREY, metadata=None)
        writer.write(GREY[:4], metadata=None)
    tifffile.imwrite(tmp_path / "rgb.tif", HWC, photometric="rgb")
    for name in ("x.tif", "rgb.tif"):
        with pytest.raises(DataError) as caught:
            images(tmp_path / name, "volume")
        assert caught.value.code == "unequal_pages"
    assert len(images(tmp_path / "x.tif")) == 2


def test_a_jpeg_is_turned_upright(tmp_path: Path) -> None:
    """The orientation that a camera noted is applied."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(GREY).save(tmp_path / "x.jpg", exif=exif, quality=100)
    assert images(tmp_path / "x.jpg")[0].shape == (9, 8)


def test_kinds_of_colour_that_are_neither_grey_nor_rgb(tmp_path: Path) -> None:
    """CMYK, many channels, 16-bit colour in PNG and animations are errors that say what to do."""
    Image.new("CMYK", (9, 8)).save(tmp_path / "cmyk.jpg")
    tifffile.imwrite(tmp_path / "cmyk.tif", with_alpha(255), photometric="separated")
    tifffile.imwrite(tmp_path / "many.tif", np.dstack([GREY] * 5), photometric="minisblack", planarconfig="contig")
    Image.fromarray(GREY).save(tmp_path / "moving.png", save_all=True, append_images=[Image.fromarray(GREY + 1)])
    Image.fromarray(HWC).save(tmp_path / "deep.png")
    content = bytearray((tmp_path / "deep.png").read_bytes())
    content[24] = 16
    (tmp_path / "deep.png").write_bytes(content)
    for name in ("cmyk.jpg", "cmyk.tif", "many.tif", "moving.png"):
        with pytest.raises(DataError, match=name.split(".")[0]) as caught:
            read_images(tmp_path / name)
        assert caught.value.code == "unsupported_image"
    with pytest.raises(DataError):
        read_images(tmp_path / "deep.png")


def sixteen_bit_rgb() -> bytes:
    """A true PNG with 16 bits for each colour, one white pixel."""
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" + b"\x12\x34" * 3)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_sixteen_bit_colour_is_not_cut_to_eight(tmp_path: Path) -> None:
    """Pillow would silently drop the lower byte of each colour."""
    (tmp_path / "x.png").write_bytes(sixteen_bit_rgb())
    with pytest.raises(DataError, match="16 bits for each colour"):
        read_images(tmp_path / "x.png")
