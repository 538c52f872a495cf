"""What every store does with streams and local files."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from compox_core.errors import ConflictError, NotFoundError, StorageError
from compox_core.identity import utc_now
from compox_core.storage import FILES, ObjectStore
from tests.contracts.backdoor import Backdoor


class StreamsContract:
    """Streams into and out of objects, and files that become objects."""

    part = 1024  # bytes; some multiple of this makes the store write in parts

    def test_a_stream_appears_when_its_block_ends(self, store: ObjectStore, backdoor: Backdoor) -> None:
        """What is streamed is not there before the end of the block, and whole afterwards."""
        chunk = bytes(range(256)) * (self.part // 256)
        with store.write(FILES, "a/stream") as stream:
            for _ in range(20):
                stream.write(chunk)
            assert not store.exists(FILES, "a/stream")
            assert list(store.list(FILES)) == []
        assert backdoor.read(FILES, "a/stream") == chunk * 20
        assert backdoor.everything(FILES) == {"a/stream"}

    @pytest.mark.parametrize("parts", [0, 1, 20])
    @pytest.mark.parametrize("exclusive", [False, True])
    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
    def test_an_aborted_stream_leaves_nothing(
        self, store: ObjectStore, backdoor: Backdoor, error: type[BaseException], exclusive: bool, parts: int
    ) -> None:
        """A block that ends by any exception publishes nothing, leaves nothing behind, and lets the exception out."""

        def stream(key: str) -> None:
            with store.write(FILES, key, exclusive=exclusive) as file:
                for _ in range(parts):
                    file.write(b"x" * self.part)
                raise error("stop")

        with pytest.raises(error):
            stream("new")
        assert backdoor.everything(FILES) == set()
        backdoor.write(FILES, "old", b"stays")
        with pytest.raises(error):
            stream("old")
        assert backdoor.read(FILES, "old") == b"stays"
        assert backdoor.everything(FILES) == {"old"}

    def test_a_generator_closed_while_it_streams_leaves_nothing(self, store: ObjectStore, backdoor: Backdoor) -> None:
        """A generator that is closed inside the block counts as aborted."""

        def pieces() -> Iterator[int]:
            with store.write(FILES, "new") as file:
                yield file.write(b"x" * self.part)

        generator = pieces()
        next(generator)
        generator.close()  # type: ignore[attr-defined]
        assert backdoor.everything(FILES) == set()

    def test_a_stream_may_be_closed_inside_its_block(self, store: ObjectStore, backdoor: Backdoor) -> None:
        """A text layer that closes the stream beneath it does not lose the object."""
        for exclusive in (False, True):
            written = store.write(FILES, f"text-{exclusive}", exclusive=exclusive)
            with written as stream, io.TextIOWrapper(stream, "utf-8") as text:
                text.write("grüße")
            assert backdoor.read(FILES, f"text-{exclusive}") == "grüße".encode()

    def test_an_exclusive_stream_that_comes_second_is_refused(self, store: ObjectStore, backdoor: Backdoor) -> None:
        """Of two exclusive streams the one that ends first has the key; the other leaves nothing."""
        with pytest.raises(ConflictError), store.write(FILES, "k", exclusive=True) as slow:
            slow.write(b"slow" * self.part)
            with store.write(FILES, "k", exclusive=True) as quick:
                quick.write(b"quick" * self.part)
        assert backdoor.read(FILES, "k") == b"quick" * self.part
        assert backdoor.everything(FILES) == {"k"}

    def test_open_seeks(self, store: ObjectStore, backdoor: Backdoor) -> None:
        """An opened object is read from any position, and past its end nothing comes."""
        data = bytes(range(256)) * 64
        backdoor.write(FILES, "k", data)
        with store.open(FILES, "k") as stream:
            assert stream.seekable()
            assert stream.read(10) == data[:10]
            assert stream.seek(-10, io.SEEK_END) == len(data) - 10
            assert stream.read() == data[-10:]
            assert stream.read(1) == b""
            stream.seek(5000)
            assert (stream.tell(), stream.read(3)) == (5000, data[5000:5003])
            stream.seek(len(data) + 10)
            assert stream.read() == b""

    def test_an_open_object_that_is_replaced_is_not_mixed(self, store: ObjectStore) -> None:
        """Who has an object open reads its one version to the end, or is told that it changed."""
        size = 12 * 1024 * 1024
        store.put(FILES, "k", b"a" * size)
        with store.open(FILES, "k") as stream:
            start = stream.read(1)
            store.put(FILES, "k", b"b" * size)
            try:
                rest = stream.read()
            except StorageError as error:
                assert (error.code, error.retryable) == ("object_changed", True)
            else:
                assert start + rest == b"a" * size

    # Files

    @pytest.mark.parametrize("consume", [False, True])
    @pytest.mark.parametrize("exclusive", [False, True])
    def test_put_file_publishes_a_file(
        self, store: ObjectStore, backdoor: Backdoor, tmp_path: Path, consume: bool, exclusive: bool
    ) -> None:
        """A local file becomes an object, from anywhere and from the store's scratch; `consume` takes it away."""
        data = b"content" * self.part * 3
        for number, source in enumerate((tmp_path / "file", store.scratch())):
            source.write_bytes(data)
            store.put_file(FILES, f"a/{number}", source, consume=consume, exclusive=exclusive)
            assert backdoor.read(FILES, f"a/{number}") == data
            assert source.exists() is not consume
            source.unlink(missing_ok=True)
        assert backdoor.everything(FILES) == {"a/0", "a/1"}

    @pytest.mark.parametrize("consume", [False, True])
    def test_put_file_makes_a_new_object_of_an_old_file(
        self, store: ObjectStore, tmp_path: Path, consume: bool
    ) -> None:
        """The time of the object is that of its publication, by which it expires, whatever the file's was."""
        for source in (tmp_path / "file", store.scratch()):
            source.write_bytes(b"old")
            os.utime(source, (0, 0))
            store.put_file(FILES, "k", source, consume=consume)
            assert abs(store.stat(FILES, "k").modified - utc_now()) < timedelta(minutes=1)
            source.unlink(missing_ok=True)

    def test_put_file_refused_leaves_object_and_file(
        self, store: ObjectStore, backdoor: Backdoor, tmp_path: Path
    ) -> None:
        """An exclusive `put_file` on a taken key changes neither the object nor the file."""
        backdoor.write(FILES, "k", b"first")
        for source in (tmp_path / "file", store.scratch()):
            source.write_bytes(b"second")
            with pytest.raises(ConflictError):
                store.put_file(FILES, "k", source, consume=True, exclusive=True)
            assert source.read_bytes() == b"second"
            source.unlink()
        assert backdoor.read(FILES, "k") == b"first"

    def test_put_file_of_nothing_writes_nothing(self, store: ObjectStore, backdoor: Backdoor, tmp_path: Path) -> None:
        """A source that does not exist is the operating system's error, and no object comes of it."""
        for consume in (False, True):
            with pytest.raises(FileNotFoundError):
                store.put_file(FILES, "k", tmp_path / "missing", consume=consume)
        assert backdoor.everything(FILES) == set()

    def test_scratch_is_fresh(self, store: ObjectStore) -> None:
        """Each scratch path is new, does not exist, and can be written to."""
        paths = {store.scratch() for _ in range(3)}
        assert len(paths) == 3
        for path in paths:
            assert not path.exists()
            path.write_bytes(b"")
            path.unlink()

    def test_local_path_is_the_object_or_none(self, store: ObjectStore, backdoor: Backdoor) -> None:
        """Where there is a local file it holds the object, and a missing object has none."""
        backdoor.write(FILES, "k", b"data")
        path = store.local_path(FILES, "k")
        assert path is None or path.read_bytes() == b"data"
        with contextlib.suppress(NotFoundError):
            assert store.local_path(FILES, "missing") is None
