"""What is written into a bundle comes out of it, whole or in part, in a file of a size that is known beforehand."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compox_core.bundle.container import (
    BlobSource,
    bundle_bytes,
    bundle_version,
    create_bundle,
    open_bundle,
    outline,
    write_bundle,
)
from compox_core.bundle.keys import BundleKey, Identity, Lock, Passphrase, SigningKey
from compox_core.errors import InvalidInputError, NotFoundError, StateError

KEY = BundleKey(bytes(32))
IDENTITY = Identity(bytes(range(32)))
SIGNING_KEY = SigningKey(bytes(32))
CHUNK = 256


def noise(size: int, seed: int = 0) -> bytes:
    """Return bytes that no two blobs share."""
    return random.Random(seed).randbytes(size)


def written(
    path: Path,
    blobs: Sequence[bytes],
    manifest: bytes = b"{}",
    locks: Sequence[Lock] = (KEY,),
    signing_key: SigningKey | None = None,
) -> Path:
    """Write a bundle of small chunks."""
    with path.open("wb") as sink:
        write_bundle(
            sink, manifest, [BlobSource.of_bytes(b) for b in blobs], locks, signing_key=signing_key, log2_chunk=8
        )
    return path


@settings(max_examples=60)
@given(
    sizes=st.lists(st.sampled_from([0, 1, 15, 16, 17, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 1000]), max_size=8),
    manifest=st.integers(0, 3 * CHUNK),
    signed=st.booleans(),
    data=st.data(),
)
def test_what_goes_in_comes_out(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], manifest: int, signed: bool, data: st.DataObject
) -> None:
    """Wherever chunks begin and end, all blobs and any choice of them are as they were."""
    blobs = [noise(size, number) for number, size in enumerate(sizes)]
    path = written(
        tmp_path_factory.mktemp("b") / "b", blobs, noise(manifest, 99), signing_key=SIGNING_KEY if signed else None
    )
    with open_bundle(path, [KEY]) as bundle:
        assert bundle.manifest == noise(manifest, 99)
        assert bundle.signer == (SIGNING_KEY.signer if signed else None)
        assert [(blob.number, blob.read()) for blob in bundle.blobs()] == list(enumerate(blobs))
        wanted = data.draw(st.sets(st.integers(0, 9)))
        chosen = [(blob.number, blob.read()) for blob in bundle.blobs(wanted)]
        assert chosen == [each for each in enumerate(blobs) if each[0] in wanted]


@given(total=st.integers(0, 1200), steps=st.lists(st.integers(-1, 700), max_size=12))
@settings(max_examples=60)
def test_a_blob_is_a_stream_like_any_other(
    tmp_path_factory: pytest.TempPathFactory, total: int, steps: list[int]
) -> None:
    """`read` gives as many bytes as were asked for, and fewer only at the end, as that of `io.BytesIO`."""
    content = noise(total)
    path = written(tmp_path_factory.mktemp("b") / "b", [b"before", content, b"behind"])
    with open_bundle(path, [KEY]) as bundle:
        for blob in bundle.blobs({1}):
            plain = io.BytesIO(content)
            for step in steps:
                assert blob.read(step) == plain.read(step)
            assert b"".join(blob.pieces()) == plain.read()
            assert blob.read() == b""


def test_a_blob_that_was_not_read_is_passed_over(tmp_path: Path) -> None:
    """The next one begins where it does, however much of the last one was read; that one is at its end."""
    blobs = [noise(1000, number) for number in range(4)]
    with open_bundle(written(tmp_path / "b", blobs), [KEY]) as bundle:
        streams = bundle.blobs()
        first, second = next(streams), next(streams)
        assert second.read(10) == blobs[1][:10]
        assert first.read() == b""
        next(streams)
        assert next(streams).read() == blobs[3]


def test_readinto_and_read1_work(tmp_path: Path) -> None:
    """What buffers a stream, or copies it, can use it."""
    content = noise(2000)
    with open_bundle(written(tmp_path / "b", [content]), [KEY]) as bundle:
        buffer = bytearray(3000)
        assert bundle.blob(0).readinto(buffer) == 2000
        assert buffer[:2000] == content
        assert b"".join(iter(bundle.blob(0).read1, b"")) == content
        stream = bundle.blob(0)
        assert b"".join(iter(lambda: stream.read1(100), b"")) == content


def test_one_blob_can_be_read_alone(tmp_path: Path) -> None:
    """By its number, again and again, also from the end; a number that there is not is an IndexError."""
    blobs = [noise(1000, number) for number in range(4)]
    with open_bundle(written(tmp_path / "b", blobs), [KEY]) as bundle:
        assert [bundle.blob(number).read() for number in (2, 0, 2, -1)] == [blobs[2], blobs[0], blobs[2], blobs[3]]
        with pytest.raises(IndexError):
            bundle.blob(4)


def test_several_may_read_at_once(tmp_path: Path) -> None:
    """Two iterations over one reader do not disturb each other."""
    blobs = [noise(1000, number) for number in range(5)]
    with open_bundle(written(tmp_path / "b", blobs), [KEY]) as bundle:
        assert [(a.read(), b.read()) for a, b in zip(bundle.blobs(), bundle.blobs(), strict=True)] == [
            (blob, blob) for blob in blobs
        ]


def test_a_reader_that_was_closed_gives_nothing_more(tmp_path: Path) -> None:
    """A stream that outlives its reader says so; it is not at its end."""
    with open_bundle(written(tmp_path / "b", [noise(9000)]), [KEY]) as bundle:
        stream = bundle.blob(0)
    with pytest.raises(StateError, match="closed"):
        stream.read()


@pytest.mark.parametrize("signing_key", [None, SIGNING_KEY], ids=["plain", "signed"])
@pytest.mark.parametrize("sizes", [[], [0], [5, 70_000], [(1 << 20) * 2], [(1 << 18) - 17 - 40 - 2 - 96]])
def test_the_size_of_a_bundle_is_known_before(tmp_path: Path, sizes: list[int], signing_key: SigningKey | None) -> None:
    """Room can be asked for, and progress be told in parts of the whole."""
    blobs = [BlobSource.of_bytes(bytes(size)) for size in sizes]
    locks = [KEY, IDENTITY.recipient, Passphrase("words", cost=4)]
    told: list[tuple[int, int]] = []
    size = create_bundle(
        tmp_path / "b",
        b"{}",
        blobs,
        locks,
        signing_key=signing_key,
        progress=lambda done, whole: told.append((done, whole)),
    )
    assert size == (tmp_path / "b").stat().st_size == bundle_bytes(b"{}", blobs, locks, signed=bool(signing_key))
    assert told[-1] == (size, size)
    assert sorted(told) == told


def test_progress_of_verification_is_told_in_bytes_of_blobs(tmp_path: Path) -> None:
    """It ends at their sum."""
    told: list[tuple[int, int]] = []
    with open_bundle(written(tmp_path / "b", [noise(1000), noise(500, 1)]), [KEY]) as bundle:
        bundle.verify(lambda done, whole: told.append((done, whole)))
    assert told[-1] == (1500, 1500)
    assert sorted(told) == told


def test_each_lock_opens_the_bundle_and_nothing_else_does(tmp_path: Path) -> None:
    """A key, a passphrase and two recipients: four ways in; among wrong ones the right one is found."""
    other = Identity.generate()
    path = written(
        tmp_path / "b", [b"x"], locks=[KEY, Passphrase("words", cost=4), other.recipient, IDENTITY.recipient]
    )
    for unlock in (KEY, Passphrase("words"), other, IDENTITY):
        with open_bundle(path, [BundleKey.generate(), Identity.generate(), unlock]) as bundle:
            assert bundle.manifest == b"{}"
    for wrong in (BundleKey.generate(), Passphrase("word"), Identity.generate()):
        with pytest.raises(InvalidInputError) as caught:
            open_bundle(path, [wrong])
        assert caught.value.code == "invalid_bundle_key"
        assert "a passphrase (1), an identity (2)" in caught.value.message
    with pytest.raises(InvalidInputError, match="nothing to open it was given"):
        open_bundle(path, [])


@pytest.mark.parametrize("locks", [[], [KEY] * 65, [KEY, *[Passphrase("words", cost=4)] * 5]])
def test_locks_that_no_reader_would_try_are_refused(tmp_path: Path, locks: list[Lock]) -> None:
    """Nothing is written that cannot be opened again."""
    with pytest.raises(InvalidInputError, match="A bundle is built for") as caught:
        create_bundle(tmp_path / "b", b"", [], locks)
    assert caught.value.code == "invalid_bundle_key"
    assert list(tmp_path.iterdir()) == []


def test_two_bundles_of_the_same_contents_share_no_bytes_but_the_first_line(tmp_path: Path) -> None:
    """Nobody can tell that they hold the same."""
    one, other = (written(tmp_path / name, [noise(1000)]).read_bytes() for name in "ab")
    assert one[:17] == other[:17] == b"compox-bundle/v2\n"
    assert not {one[at : at + 8] for at in range(17, len(one), 8)} & {
        other[at : at + 8] for at in range(17, len(one), 8)
    }


def test_without_a_key_a_bundle_tells_what_the_page_says(tmp_path: Path) -> None:
    """Version, size, what opens it; the number of blobs makes no difference."""
    locks = [KEY, IDENTITY.recipient]
    few = written(tmp_path / "few", [noise(1040)], b"names" * 10, locks, SIGNING_KEY)
    many = written(tmp_path / "many", [noise(100), noise(900)], b"names" * 10, locks, SIGNING_KEY)
    assert outline(few).slots == ("key", "recipient")
    assert outline(few) == outline(many)
    assert outline(few).size == few.stat().st_size
    assert outline(few).chunk_bytes == CHUNK
    assert b"names" not in few.read_bytes()
    assert SIGNING_KEY.signer.raw not in few.read_bytes()
    assert IDENTITY.recipient.raw not in few.read_bytes()


def test_the_version_is_told_by_the_first_bytes(tmp_path: Path) -> None:
    """A zip is version 1; of what is neither, nothing is said but that."""
    path = tmp_path / "b"
    assert bundle_version(written(path, [])) == 2
    for content, version in ((b"PK\x03\x04rest", 1), (b"compox-bundle/v17\nrest", 17)):
        path.write_bytes(content)
        assert bundle_version(path) == version
        with pytest.raises(InvalidInputError) as caught:
            open_bundle(path, [KEY])
        assert caught.value.code == "unsupported_bundle_format"
    for content in (
        b"",
        b"PK",
        b"compox-bundle/v2",
        b"compox-bundle/v-2\n",
        b"compox-bundle/v\n",
        b"compox-bundle/v2\r\n",
    ):
        path.write_bytes(content)
        with pytest.raises(InvalidInputError) as caught:
            bundle_version(path)
        assert caught.value.code == "invalid_algorithm_bundle"
    with pytest.raises(NotFoundError) as missing:
        bundle_version(tmp_path / "none")
    assert missing.value.code == "bundle_not_found"


def test_entries_are_known_before_a_blob_is_read(tmp_path: Path) -> None:
    """Size and SHA-256 of each are enough to decide what is wanted."""
    blobs = [b"", noise(1000), noise(5, 1)]
    with open_bundle(written(tmp_path / "b", blobs), [KEY]) as bundle:
        assert [entry.size for entry in bundle.entries] == [0, 1000, 5]
        assert bundle.entries[-1] == bundle.entries[2] == bundle.entries[1:][1]
        assert [entry.sha256.hex() for entry in bundle.entries] == [BlobSource.of_bytes(b).sha256 for b in blobs]
        with pytest.raises(IndexError):
            bundle.entries[3]
