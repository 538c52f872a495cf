"""Whatever is done to a bundle on its way is noticed, before a blob that it touches has been given out whole."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compox_core.bundle.container import open_bundle
from compox_core.bundle.keys import BundleKey, Identity, Unlock
from compox_core.errors import InvalidInputError

VECTORS = Path(__file__).parent / "vectors"
INDEX = {row["file"]: row for row in json.loads((VECTORS / "index.json").read_text(encoding="utf-8"))}
KEY = BundleKey.parse(INDEX["good-key.bundle"]["key"])
IDENTITY = Identity.parse(INDEX["good-recipient.bundle"]["identity"])

PLAIN = (VECTORS / "good-key.bundle").read_bytes()
SIGNED = (VECTORS / "good-signed.bundle").read_bytes()
FOR_RECIPIENT = (VECTORS / "good-recipient.bundle").read_bytes()
FULL = (VECTORS / "good-last-chunk-full.bundle").read_bytes()
HEADER = 17 + 32 + 2 + 49 + 32
SEALED = 256 + 16
WHOLE = {"plain": PLAIN, "signed": SIGNED, "full": FULL, "recipient": FOR_RECIPIENT}
BOUNDARIES = range(HEADER, len(PLAIN), SEALED)

DAMAGE = {"bundle_damaged", "bundle_truncated", "bundle_too_long", "invalid_bundle_key", "invalid_algorithm_bundle"}


def given_out(path: Path, content: bytes, unlock: Unlock = KEY) -> tuple[str, list[bytes]]:
    """Return the code by which a file is refused, and the blobs that were whole before."""
    path.write_bytes(content)
    blobs = []
    with pytest.raises(InvalidInputError) as caught, open_bundle(path, [unlock]) as bundle:
        for blob in bundle.blobs():
            blobs.append(blob.read())
    return caught.value.code, blobs


@pytest.fixture(scope="module")
def blobs_of(tmp_path_factory: pytest.TempPathFactory) -> dict[bytes, list[bytes]]:
    """The blobs of the files before something was done to them."""
    path, found = tmp_path_factory.mktemp("whole") / "b", {}
    for content in WHOLE.values():
        path.write_bytes(content)
        with open_bundle(path, [KEY if content is not FOR_RECIPIENT else IDENTITY]) as bundle:
            found[content] = [blob.read() for blob in bundle.blobs()]
    return found


@pytest.mark.parametrize("content", [PLAIN, FOR_RECIPIENT], ids=["key", "recipient"])
def test_each_bit_of_a_header_counts(tmp_path: Path, content: bytes) -> None:
    """None can be changed without the file being refused, and nothing of it is given out."""
    unlock = KEY if content is PLAIN else IDENTITY
    end = content[50] * (49 if content is PLAIN else 81) + 83
    for bit in range(8 * end):
        code, blobs = given_out(tmp_path / "b", flipped(content, bit), unlock)
        assert blobs == []
        assert code in DAMAGE | {"unsupported_bundle_format"}


@settings(max_examples=150)
@given(content=st.sampled_from([PLAIN, SIGNED, FULL]), data=st.data())
def test_each_bit_of_a_payload_counts(
    tmp_path_factory: pytest.TempPathFactory,
    blobs_of: dict[bytes, list[bytes]],
    content: bytes,
    data: st.DataObject,
) -> None:
    """Whichever is changed: the file is refused, and blobs that came whole before are the right ones."""
    bit = data.draw(st.integers(8 * HEADER, 8 * len(content) - 1))
    code, blobs = given_out(tmp_path_factory.mktemp("b") / "b", flipped(content, bit))
    assert code == "bundle_damaged"
    assert blobs == blobs_of[content][: len(blobs)]
    assert len(blobs) < len(blobs_of[content])


def cuts() -> list[int]:
    """Return the lengths at, before and behind each boundary of the lay-out."""
    places = {0, 17, 49, 51, 52, HEADER, HEADER + 16, HEADER + 33, len(PLAIN), *BOUNDARIES}
    return sorted({place + by for place in places for by in (-1, 0, 1)} & set(range(len(PLAIN))))


@pytest.mark.parametrize("length", cuts())
def test_a_file_that_was_cut_gives_out_nothing(tmp_path: Path, length: int) -> None:
    """Between two chunks or within one: that it was cut is known before the first blob."""
    code, blobs = given_out(tmp_path / "b", PLAIN[:length])
    assert blobs == []
    cut_in_first_chunk = HEADER + 32 < length < HEADER + SEALED
    expected = "invalid_algorithm_bundle" if length < 17 else "bundle_damaged" if cut_in_first_chunk else None
    assert code == (expected or "bundle_truncated")


@pytest.mark.parametrize("content", [PLAIN, SIGNED, FULL], ids=["plain", "signed", "full"])
@pytest.mark.parametrize("more", [b"\0", b"x" * 16, b"x" * 17, bytes(SEALED), PLAIN[-SEALED:], PLAIN])
def test_what_is_appended_is_noticed_before_the_first_blob(tmp_path: Path, content: bytes, more: bytes) -> None:
    """Bytes behind the end make another file of it."""
    assert given_out(tmp_path / "b", content + more) == ("bundle_too_long", [])


def test_chunks_that_changed_places_are_noticed(tmp_path: Path, blobs_of: dict[bytes, list[bytes]]) -> None:
    """Any two of them, neighbours or not."""
    chunks = [PLAIN[at : at + SEALED] for at in BOUNDARIES]
    for one, other in itertools.combinations(range(len(chunks)), 2):
        order = list(chunks)
        order[one], order[other] = order[other], order[one]
        code, blobs = given_out(tmp_path / "b", PLAIN[:HEADER] + b"".join(order))
        assert code == "bundle_damaged"
        assert blobs == blobs_of[PLAIN][: len(blobs)]
        assert len(blobs) < len(blobs_of[PLAIN])


def test_chunks_of_two_files_with_one_key_do_not_mix(tmp_path: Path) -> None:
    """Not even at the same place, nor a header with the payload of another file."""
    other = (VECTORS / "bad-not-signed.bundle").read_bytes()  # the same key and contents
    assert len(other) == len(PLAIN)
    for begin in BOUNDARIES:
        mixed = PLAIN[:begin] + other[begin : begin + SEALED] + PLAIN[begin + SEALED :]
        assert given_out(tmp_path / "b", mixed)[0] == "bundle_damaged"
    assert given_out(tmp_path / "b", other[:HEADER] + PLAIN[HEADER:]) == ("bundle_damaged", [])


def test_the_end_of_a_blob_that_was_written_wrongly_is_not_given_out(tmp_path: Path) -> None:
    """Who reads as many bytes as the blob has is told as well as who reads on to its end."""
    pieces = []
    with open_bundle(VECTORS / "bad-blob-changed.bundle", [KEY]) as bundle:
        blob = bundle.blob(2)
        with pytest.raises(InvalidInputError) as caught:
            pieces.extend(blob.pieces())
        with pytest.raises(InvalidInputError):
            bundle.blob(2).read(blob.size)
    assert sum(len(piece) for piece in pieces) < blob.size
    assert caught.value.code == "bundle_checksum_mismatch"
    assert caught.value.details["blob"] == 2


def test_a_file_that_shrinks_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    """It was whole when it was opened; a blob whose rest has gone is not given out whole."""
    path = tmp_path / "b"
    path.write_bytes(PLAIN)
    with open_bundle(path, [KEY]) as bundle:
        with path.open("r+b") as file:
            file.truncate(HEADER + SEALED)
        with pytest.raises(InvalidInputError) as caught:
            bundle.verify()
    assert caught.value.code == "bundle_truncated"


@settings(max_examples=200)
@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_end_in_anything_but_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, with_line: bool
) -> None:
    """Whatever stands in a file: it is refused as an input, never by an error of the program."""
    path = tmp_path_factory.mktemp("b") / "b"
    path.write_bytes(b"compox-bundle/v2\n" * with_line + content)
    with pytest.raises(InvalidInputError):
        open_bundle(path, [KEY, IDENTITY])


def flipped(content: bytes, bit: int) -> bytes:
    """Return the content with one bit changed."""
    at, mask = bit // 8, 1 << bit % 8
    return content[:at] + bytes([content[at] ^ mask]) + content[at + 1 :]
