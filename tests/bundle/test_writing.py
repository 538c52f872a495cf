"""A bundle is written whole or not at all, whatever happens to its sources, its disk and whoever waits for it."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from compox_core.bundle import primitives
from compox_core.bundle.container import BlobSource, bundle_bytes, create_bundle, open_bundle, write_bundle
from compox_core.bundle.keys import BundleKey, Passphrase
from compox_core.errors import CompoxError, ConflictError, InvalidInputError, StorageError
from tests.disks import MIB, SmallDisk

KEY = BundleKey(bytes(32))
VECTORS = Path(__file__).parent / "vectors"
SHA256 = hashlib.sha256(b"x" * 1000).hexdigest()


class Zeros(io.RawIOBase):
    """So many zeros, at most 100,000 at a time; it counts those that are open."""

    open_ones = 0

    def __init__(self, size: int, fails_at: int | None = None) -> None:
        self.left = size
        self.fails_at = fails_at
        Zeros.open_ones += 1

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self.fails_at is not None and self.left <= self.fails_at:
            raise StorageError("the store went away", code="storage_unavailable")
        count = min(len(buffer), self.left, 100_000)
        buffer[:count] = bytes(count)
        self.left -= count
        return count

    def close(self) -> None:
        if not self.closed:
            Zeros.open_ones -= 1
        super().close()


def zeros(size: int, fails_at: int | None = None) -> BlobSource:
    """Return the source of a blob that never is in memory."""
    digest = hashlib.sha256()
    for _ in range(size // MIB):
        digest.update(bytes(MIB))
    digest.update(bytes(size % MIB))
    return BlobSource(size, digest.hexdigest(), lambda: Zeros(size, fails_at), "zeros")  # type: ignore[arg-type,return-value]


@pytest.fixture(autouse=True)
def nothing_goes_on() -> Iterator[None]:
    """After each test: no thread of a bundle is alive, and no source is open."""
    yield
    assert [thread for thread in threading.enumerate() if thread.name == "bundle-stage"] == []
    assert Zeros.open_ones == 0


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        (b"x" * 999, "has only 999 bytes"),
        (b"x" * 1001, "has more"),
        (b"y" * 1000, "has the SHA-256"),
        (b"", "has only 0 bytes"),
    ],
)
def test_a_source_that_is_not_what_is_recorded_of_it_ends_the_build(tmp_path: Path, content: bytes, seen: str) -> None:
    """The error names it, and no file is left, also where others of the bundle are right."""
    wrong = BlobSource(1000, SHA256, lambda: io.BytesIO(content), "asset 'weights.pt'")
    with pytest.raises(InvalidInputError, match=seen) as caught:
        create_bundle(tmp_path / "b", b"", [zeros(3 * MIB), wrong, zeros(5)], [KEY])
    assert caught.value.code == "bundle_checksum_mismatch"
    assert "asset 'weights.pt'" in caught.value.message
    assert list(tmp_path.iterdir()) == []


def test_an_empty_source_is_compared_too(tmp_path: Path) -> None:
    """Nothing has a SHA-256, and it is not that of something."""
    with pytest.raises(InvalidInputError, match="has the SHA-256 e3b0c442"):
        create_bundle(tmp_path / "b", b"", [BlobSource(0, SHA256, io.BytesIO)], [KEY])


def test_what_a_source_raises_comes_out(tmp_path: Path) -> None:
    """The store's own error says more than any that could be made of it."""
    with pytest.raises(StorageError, match="the store went away"):
        create_bundle(tmp_path / "b", b"", [zeros(5), zeros(20 * MIB, fails_at=9 * MIB)], [KEY])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_whoever_stops_waiting_stops_the_build(tmp_path: Path, error: type[BaseException]) -> None:
    """An exception in the caller's thread, Ctrl+C among them, ends the threads and leaves no file."""

    def stop(done: int, whole: int) -> None:
        if done > whole / 2:
            raise error

    with pytest.raises(error):
        create_bundle(tmp_path / "b", b"", [zeros(40 * MIB)], [KEY], progress=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_whoever_stops_reading_stops_the_threads(tmp_path: Path, error: type[BaseException]) -> None:
    """Also in the middle of a blob, and where the reader's own block is left."""
    create_bundle(tmp_path / "b", b"", [zeros(20 * MIB), zeros(5)], [KEY])
    with pytest.raises(error), open_bundle(tmp_path / "b", [KEY]) as bundle:
        for blob in bundle.blobs():
            blob.read(3 * MIB)
            raise error
    with open_bundle(tmp_path / "b", [KEY]) as bundle:
        for blob in bundle.blobs():
            blob.read(10)
            break
        iteration = bundle.blobs()
        next(iteration).read(10)


def test_a_file_that_is_there_is_kept_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    """It is refused before a byte is written; replacing it is done in one step."""
    path = tmp_path / "b"
    path.write_bytes(b"precious")
    with pytest.raises(ConflictError) as caught:
        create_bundle(path, b"", [zeros(5)], [KEY])
    assert caught.value.code == "bundle_exists"
    with pytest.raises(StorageError, match="went away"):
        create_bundle(path, b"", [zeros(5, fails_at=5)], [KEY], replace=True)
    assert path.read_bytes() == b"precious"
    create_bundle(path, b"new", [], [KEY], replace=True)
    with open_bundle(path, [KEY]) as bundle:
        assert bundle.manifest == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    """Of two builds into one file the second one is refused."""
    path = tmp_path / "b"
    with pytest.raises(ConflictError):
        create_bundle(path, b"", [zeros(5)], [KEY], progress=lambda *_: path.write_bytes(b"precious"))
    assert path.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    """It is an error of storage that names the file."""
    with pytest.raises(StorageError, match="b: No such file"):
        create_bundle(tmp_path / "none" / "b", b"", [], [KEY])


def test_a_disk_without_room_is_told_before_a_byte_is_written(small_disk: SmallDisk) -> None:
    """The size of the bundle is known beforehand."""
    with pytest.raises(StorageError, match="are free") as caught:
        create_bundle(small_disk.path / "b", b"", [zeros(9 * MIB)], [KEY])
    assert caught.value.code == "disk_full"
    assert list(small_disk.path.iterdir()) == []


def test_a_disk_that_fills_while_a_bundle_is_written_leaves_nothing(small_disk: SmallDisk) -> None:
    """Somebody else may take the room meanwhile; when it is free again, the build works."""

    def fill(done: int, _: int) -> None:
        if 2 * MIB < done < 4 * MIB and not small_disk.filler.exists():
            small_disk.fill()

    with pytest.raises(StorageError) as caught:
        create_bundle(small_disk.path / "b", b"", [zeros(6 * MIB)], [KEY], progress=fill)
    assert caught.value.code == "disk_full"
    assert list(small_disk.path.iterdir()) == [small_disk.filler]
    small_disk.free()
    create_bundle(small_disk.path / "b", b"", [zeros(6 * MIB)], [KEY])
    with open_bundle(small_disk.path / "b", [KEY]) as bundle:
        bundle.verify()


def test_a_sink_may_take_less_than_it_is_given(tmp_path: Path) -> None:
    """A pipe or a raw file takes what it can; the rest is written after that."""

    class Slow(io.RawIOBase):
        content = b""

        def write(self, data: memoryview) -> int:  # type: ignore[override]
            self.content += data[:1000]
            return len(data[:1000])

    sink = Slow()
    blobs = [BlobSource.of_bytes(b"x" * 30_000)]
    assert write_bundle(sink, b"", blobs, [KEY]) == len(sink.content) == bundle_bytes(b"", blobs, [KEY])
    (tmp_path / "b").write_bytes(sink.content)
    with open_bundle(tmp_path / "b", [KEY]) as bundle:
        bundle.verify()


def test_what_a_sink_left_behind_is_refused_as_cut(tmp_path: Path) -> None:
    """A build that was ended by a full disk cannot be mistaken for a bundle."""

    class Full(io.BytesIO):
        def write(self, data: memoryview) -> int:  # type: ignore[override]
            if self.tell() > 2 * MIB:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    sink = Full()
    with pytest.raises(OSError, match="No space left"):
        write_bundle(sink, b"", [zeros(9 * MIB)], [KEY])
    (tmp_path / "b").write_bytes(sink.getvalue())
    with pytest.raises(InvalidInputError) as caught:
        open_bundle(tmp_path / "b", [KEY])
    assert caught.value.code == "bundle_truncated"


def test_sources_that_only_read_work_too(tmp_path: Path) -> None:
    """A stream without `readinto`, as that of an HTTP client."""

    class Body:
        def __init__(self) -> None:
            self.inner = io.BytesIO(b"x" * 1000)

        def read(self, size: int) -> bytes:
            return self.inner.read(min(size, 7))

        def __enter__(self) -> Body:
            return self

        def __exit__(self, *_: object) -> None:
            self.inner.close()

    create_bundle(tmp_path / "b", b"", [BlobSource(1000, SHA256, Body)], [KEY])  # type: ignore[arg-type]
    with open_bundle(tmp_path / "b", [KEY]) as bundle:
        assert bundle.blob(0).read() == b"x" * 1000


def peak(action: Callable[[], object]) -> int:
    """Return how much memory Python took at most, in bytes."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_bundle(tmp_path: Path) -> None:
    """To build, verify and read in pieces takes a few chunks, however large the bundle is."""
    peaks = []
    for size in (24 * MIB, 192 * MIB):
        path = tmp_path / f"{size}"
        source = zeros(size)

        def build(path: Path = path, source: BlobSource = source) -> None:
            create_bundle(path, b"{}", [source, zeros(3)], [KEY])

        def read(path: Path = path) -> None:
            with open_bundle(path, [KEY]) as bundle:
                bundle.verify()
                for blob in bundle.blobs():
                    while blob.read(300_000):
                        pass

        peaks += [peak(build), peak(read)]
        path.unlink()
    assert max(peaks) < 8 * MIB  # some twenty chunks of 256 KiB are on their way


def test_a_hostile_cost_is_never_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A header that asks for terabytes of memory is refused before scrypt is called."""

    def never(*_: object) -> bytes:
        raise AssertionError("scrypt was called")

    monkeypatch.setattr(primitives, "scrypt", never)
    for name in ("scrypt-too-large", "scrypt-much-too-large", "scrypt-p-too-large", "five-passphrases"):
        with pytest.raises(CompoxError) as caught:
            open_bundle(VECTORS / f"bad-{name}.bundle", [Passphrase("words")])
        assert caught.value.code == "invalid_algorithm_bundle"


def test_a_bundle_that_claims_much_gets_no_memory_for_it() -> None:
    """A front that speaks of gigabytes of manifest, or a billion blobs, is refused by its first bytes."""
    for row in json.loads((VECTORS / "index.json").read_text(encoding="utf-8")):
        if row.get("code") == "invalid_bundle_manifest":

            def attempt(row: dict[str, str] = row) -> None:
                with pytest.raises(InvalidInputError):
                    open_bundle(VECTORS / row["file"], [BundleKey.parse(row["key"])])

            assert peak(attempt) < MIB
