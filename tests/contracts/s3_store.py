"""What a store on S3 does beside the common contract, when answers are lost and servers are gone."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from compox_core.errors import ConflictError, NotFoundError, StorageError
from compox_core.identity import utc_now
from compox_core.storage import ALL, ASSETS, FILES, SYSTEM, ObjectStore, initialise, open_store
from compox_core.storage.s3 import S3Store
from compox_core.storage.s3_buckets import S3Buckets
from tests.contracts.object_store import ObjectStoreContract
from tests.contracts.s3_presigned import PresignedContract
from tests.servers import S3Server
from tests.storage.proxy import Proxy
from tests.storage.s3_backdoor import S3Backdoor


class S3StoreContract(PresignedContract, ObjectStoreContract):
    """The contract on an S3 server, which a subclass gives as the fixture `server`."""

    part = 1024 * 1024
    processes = 4  # a process takes a second to load what S3 needs
    copies_exclusively = False  # a copy takes no condition there: of those that race several may succeed
    signs = True

    @pytest.fixture
    def opened(self, server: S3Server) -> dict[str, Any]:
        return {"url": server.url(), "options": server.options}

    @pytest.fixture
    def store(self, server: S3Server, opened: dict[str, Any]) -> ObjectStore:
        bucket, _, path = opened["url"].removeprefix("s3://").partition("/")
        filesystem = server.filesystem
        store = S3Store(filesystem, S3Buckets(filesystem, bucket=bucket, path=path))
        store.ensure_collections()
        return store

    @pytest.fixture
    def backdoor(self, server: S3Server, opened: dict[str, Any]) -> S3Backdoor:
        return S3Backdoor(server, opened["url"])

    @pytest.fixture
    def proxy(self, server: S3Server) -> Iterator[Proxy]:
        """A proxy in front of the server that can lose answers."""
        with Proxy(server.endpoint) as proxy:
            yield proxy

    @pytest.fixture
    def through(self, proxy: Proxy, opened: dict[str, Any], store: ObjectStore) -> ObjectStore:
        """The same store, reached through the proxy."""
        return open_store(opened["url"], options={**opened["options"], "endpoint_url": proxy.endpoint})

    # Copies

    def test_a_source_that_goes_while_it_is_copied_is_not_found(
        self, store: ObjectStore, backdoor: S3Backdoor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also when it was there a moment ago."""
        backdoor.write(FILES, "k", b"1")
        seen = store.stat(FILES, "k")
        assert store.delete(FILES, "k")
        monkeypatch.setattr(store, "stat", lambda collection, key: seen)
        monkeypatch.setattr(store, "exists", lambda collection, key: False)
        with pytest.raises(NotFoundError) as caught:
            store.copy(FILES, "k", "copy")
        assert caught.value.details["key"] == "k"
        assert backdoor.everything(FILES) == set()

    def test_what_is_too_large_for_one_request_is_copied_through_here(
        self, store: ObjectStore, backdoor: S3Backdoor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In parts, as what is streamed; a key that is taken is refused all the same."""
        backdoor.write(FILES, "k", b"x" * 3_000)
        monkeypatch.setattr("compox_core.storage.s3._WHOLE_LIMIT", 2_999)
        store.copy(FILES, "k", "copy")
        assert backdoor.read(FILES, "copy") == b"x" * 3_000
        with pytest.raises(ConflictError):
            store.copy(FILES, "k", "copy")
        assert backdoor.everything(FILES) == {"k", "copy"}

    # Lost answers

    def test_a_create_whose_answer_is_lost_is_recognised(
        self, through: ObjectStore, backdoor: S3Backdoor, proxy: Proxy
    ) -> None:
        """A creation that is repeated because its answer was lost succeeds: the object is known to be its own."""
        proxy.lose_answer_to(b"PUT ")
        through.create(FILES, "k", b"mine")
        assert proxy.lost == 1
        assert backdoor.read(FILES, "k") == b"mine"
        with pytest.raises(ConflictError):
            through.create(FILES, "k", b"other")

    def test_a_create_whose_answers_are_all_lost_is_recognised(
        self, through: ObjectStore, backdoor: S3Backdoor, proxy: Proxy
    ) -> None:
        """Also when every repetition is lost, an object that was made counts as made."""
        proxy.lose_answer_to(b"PUT ", times=10)
        with through.write(FILES, "k", exclusive=True) as stream:
            stream.write(b"mine")
        assert proxy.lost > 1
        assert backdoor.read(FILES, "k") == b"mine"

    def test_a_lost_answer_does_not_hide_a_conflict(
        self, through: ObjectStore, backdoor: S3Backdoor, proxy: Proxy
    ) -> None:
        """A creation of a key that somebody else has fails, whatever happens to the answers."""
        backdoor.write(FILES, "k", b"theirs")
        proxy.lose_answer_to(b"PUT ")
        with pytest.raises(ConflictError):
            through.create(FILES, "k", b"mine")
        assert backdoor.read(FILES, "k") == b"theirs"

    @pytest.mark.parametrize("times", [1, 10])
    def test_an_upload_in_parts_whose_end_is_lost_is_recognised(
        self, through: ObjectStore, backdoor: S3Backdoor, proxy: Proxy, times: int
    ) -> None:
        """An upload whose completion is repeated, or whose every answer is lost, is still one object."""
        with through.write(FILES, "k") as stream:
            stream.write(b"x" * 20 * self.part)
            proxy.lose_answer_to(b"POST ", times=times)
        assert proxy.lost >= min(times, 2)
        assert backdoor.read(FILES, "k") == b"x" * 20 * self.part
        assert backdoor.everything(FILES) == {"k"}

    def test_a_read_that_is_cut_is_repeated(self, through: ObjectStore, backdoor: S3Backdoor, proxy: Proxy) -> None:
        """A connection that breaks in the middle of an object does not give half of it."""
        backdoor.write(FILES, "k", b"x" * 3_000_000)
        proxy.cut_answer_to(b"GET ", after=1_000_000)
        assert through.get(FILES, "k") == b"x" * 3_000_000
        assert proxy.lost == 1

    # Servers and buckets that are gone

    def test_an_outage_is_told_and_soon(self, opened: dict[str, Any]) -> None:
        """A server that is not there is `storage_unavailable` for every call, in about ten seconds at most."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        store = open_store(opened["url"], options={**opened["options"], "endpoint_url": f"http://127.0.0.1:{port}"})
        uses = [
            lambda: store.get(FILES, "k"),
            lambda: store.exists(FILES, "k"),
            lambda: store.create(FILES, "k", b""),
            lambda: list(store.list(FILES)),
            lambda: initialise(store),
        ]
        for use in uses:
            start = time.monotonic()
            with pytest.raises(StorageError) as caught:
                use()
            assert (caught.value.code, caught.value.retryable) == ("storage_unavailable", True)
            assert time.monotonic() - start < 15

    def test_a_bucket_that_went_away_is_an_outage(self, server: S3Server) -> None:
        """A bucket deleted under an opened store reads as an outage, never as missing objects."""
        url = f"s3://compox-{uuid.uuid4().hex}/path"
        store = open_store(url, options=server.options)
        store.ensure_collections()
        backdoor = S3Backdoor(server, url)
        backdoor.client.delete_object(Bucket=backdoor.bucket, Key=f"path/{SYSTEM}/.tmp-exclusive")
        backdoor.client.delete_bucket(Bucket=backdoor.bucket)
        for use in (
            lambda: store.get(FILES, "k"),
            lambda: store.exists(FILES, "k"),
            lambda: list(store.list(FILES)),
            lambda: store.put(FILES, "k", b"1"),
        ):
            with pytest.raises(StorageError):
                use()

    # Buckets

    def test_a_bucket_for_each_collection(self, server: S3Server) -> None:
        """With `bucket_per_collection` the collections are buckets named with the prefix."""
        prefix = f"t{uuid.uuid4().hex[:12]}-"
        store = open_store("s3://", prefix=prefix, options=server.options, bucket_per_collection=True)
        assert store.is_empty()
        initialise(store)
        store.create(ASSETS, "a/b", b"1")
        client = server.client
        buckets = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
        assert {prefix + name for name in ALL} <= buckets
        assert client.get_object(Bucket=prefix + ASSETS, Key="a/b")["Body"].read() == b"1"
        assert [info.key for info in store.list(ASSETS)] == ["a/b"]
        for name in ALL:
            for entry in client.list_objects_v2(Bucket=prefix + name).get("Contents", []):
                client.delete_object(Bucket=prefix + name, Key=entry["Key"])
            client.delete_bucket(Bucket=prefix + name)

    def test_a_store_is_opened_again(self, opened: dict[str, Any], store: ObjectStore) -> None:
        """A store that was made ready is found as it was."""
        initialise(store)
        store.put(FILES, "k", b"1")
        again = open_store(**opened)
        initialise(again)
        assert again.get(FILES, "k") == b"1"

    def test_an_unfinished_upload_is_invisible(self, store: ObjectStore, backdoor: S3Backdoor) -> None:
        """Parts that a dead writer left are neither listed nor read, and do not make the store look used."""
        place = {"Bucket": backdoor.bucket, "Key": f"{backdoor.path}/{FILES}/k"}
        upload = backdoor.client.create_multipart_upload(**place)["UploadId"]
        backdoor.client.upload_part(**place, UploadId=upload, PartNumber=1, Body=b"x")
        assert not store.exists(FILES, "k")
        assert list(store.list(FILES)) == []
        assert store.is_empty()
        backdoor.client.abort_multipart_upload(**place, UploadId=upload)

    def test_an_upload_that_was_left_is_dropped_after_a_day(
        self, store: ObjectStore, backdoor: S3Backdoor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is counted with its bytes, and gone afterwards."""
        place = {"Bucket": backdoor.bucket, "Key": f"{backdoor.path}/{FILES}/k"}
        upload = backdoor.client.create_multipart_upload(**place)["UploadId"]
        backdoor.client.upload_part(**place, UploadId=upload, PartNumber=1, Body=b"12345")
        monkeypatch.setattr("compox_core.storage.s3_buckets.utc_now", lambda: utc_now() + timedelta(hours=25))
        assert store.clear_temporary(dry_run=True) == (1, 5)
        assert store.clear_temporary() == (1, 5)
        assert store.clear_temporary() == (0, 0)
        assert backdoor.everything(FILES) == set()
