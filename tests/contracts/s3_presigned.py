"""What URLs that a store on S3 signs are good for, and what they are not."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from compox_core.errors import InvalidInputError
from compox_core.storage import ALL, FILES, ObjectStore, open_store
from tests.contracts.backdoor import Backdoor
from tests.servers import S3Server

KEY = "v1/mine.h5"


class PresignedContract:
    """URLs for a plain client, which has no keys. `checks` says whether the server looks at signatures."""

    checks = True

    @pytest.fixture
    def plain(self) -> Iterator[httpx2.Client]:
        """A client that knows nothing of S3."""
        with httpx2.Client(timeout=30) as client:
            yield client

    @staticmethod
    def signed(store: ObjectStore, method: str, seconds: int = 60, domain: str | None = None) -> str:
        """Return a URL for the one object of these tests."""
        url = store.presigned(FILES, KEY, method, seconds, domain)
        assert url is not None
        return url

    def test_who_has_the_url_puts_and_gets(
        self, store: ObjectStore, backdoor: Backdoor, plain: httpx2.Client, server: S3Server
    ) -> None:
        """The object is the one of the store, byte for byte; the URL leads to the endpoint and holds no secret."""
        data = bytes(range(256)) * 1000
        put, get = self.signed(store, "PUT"), self.signed(store, "GET")
        assert plain.put(put, content=data).status_code == 200
        assert backdoor.read(FILES, KEY) == data
        assert plain.get(get).content == data
        assert plain.get(get, headers={"Range": "bytes=10-19"}).content == data[10:20]
        for url in (put, get):
            assert url.startswith(server.endpoint + "/")
            assert server.secret not in url

    def test_what_was_not_signed_is_refused(self, store: ObjectStore, backdoor: Backdoor, plain: httpx2.Client) -> None:
        """Another method, another key, a longer life and a changed signature each."""
        if not self.checks:
            return
        backdoor.write(FILES, KEY, b"content")
        backdoor.write(FILES, "v1/other.h5", b"secret")
        get, put = self.signed(store, "GET"), self.signed(store, "PUT")
        assert plain.get(get).status_code == 200
        changed = [
            plain.put(get, content=b"x"),
            plain.delete(get),
            plain.get(put),
            plain.get(get.replace("mine.h5", "other.h5")),
            plain.put(put.replace("mine.h5", "other.h5"), content=b"x"),
            plain.get(get.replace("X-Amz-Expires=60", "X-Amz-Expires=6000")),
            plain.get(get[:-1] + ("0" if get[-1] != "0" else "1")),
            plain.get(get.partition("?")[0]),
        ]
        assert [answer.status_code for answer in changed] == [403] * len(changed)
        assert backdoor.read(FILES, KEY) == b"content"
        assert backdoor.read(FILES, "v1/other.h5") == b"secret"

    def test_a_url_expires(self, store: ObjectStore, backdoor: Backdoor, plain: httpx2.Client) -> None:
        """After its seconds it is refused; it was good before."""
        if not self.checks:
            return
        backdoor.write(FILES, KEY, b"content")
        url = self.signed(store, "GET", 1)
        deadline = time.monotonic() + 30
        while plain.get(url).status_code != 403:
            assert time.monotonic() < deadline, "it never expires"
            time.sleep(0.3)
        assert plain.get(self.signed(store, "GET", 30)).content == b"content"

    def test_an_object_that_is_not_there_is_not_found(self, store: ObjectStore, plain: httpx2.Client) -> None:
        """The URL says nothing about whether there is one."""
        assert plain.get(self.signed(store, "GET")).status_code == 404

    def test_it_is_signed_for_the_host_that_clients_know(
        self, store: ObjectStore, backdoor: Backdoor, plain: httpx2.Client, server: S3Server
    ) -> None:
        """The server takes it under that name, for which scheme, port and path stay as they are."""
        backdoor.write(FILES, KEY, b"content")
        there = urlsplit(server.endpoint)
        url = self.signed(store, "GET", domain="localhost")
        parts = urlsplit(url)
        assert there.hostname == "127.0.0.1"
        assert (parts.scheme, parts.hostname, parts.port) == (there.scheme, "localhost", there.port)
        assert plain.get(url).content == b"content"
        assert plain.put(self.signed(store, "PUT", domain="localhost"), content=b"new").status_code == 200
        assert backdoor.read(FILES, KEY) == b"new"
        if self.checks:  # the host is covered by the signature: putting it in afterwards would not do
            assert plain.get(url.replace("localhost", "127.0.0.1")).status_code == 403

    def test_a_domain_may_bring_port_and_scheme(self, store: ObjectStore, server: S3Server) -> None:
        """With a scheme its own port or none counts, without one the endpoint's where it names none."""
        port = urlsplit(server.endpoint).port
        for domain, start in {
            "s3.example": f"http://s3.example:{port}/",
            "s3.example:99": "http://s3.example:99/",
            "https://s3.example": "https://s3.example/",
            "https://s3.example:99": "https://s3.example:99/",
            "[::1]:99": "http://[::1]:99/",
        }.items():
            assert self.signed(store, "GET", domain=domain).startswith(start)
        assert self.signed(store, "GET").startswith(server.endpoint)

    def test_an_ill_formed_key_is_not_signed(self, store: ObjectStore) -> None:
        """Nobody gets a URL for what could never be an object of the store."""
        for method in ("GET", "PUT"):
            with pytest.raises(InvalidInputError):
                store.presigned(FILES, "../other/k", method, 60)

    def test_a_bucket_for_each_collection_has_urls_too(self, server: S3Server, plain: httpx2.Client) -> None:
        """The bucket stands in the path, as the endpoint is one host."""
        prefix = f"t{uuid.uuid4().hex[:12]}-"
        options: dict[str, Any] = {"prefix": prefix, "options": server.options, "bucket_per_collection": True}
        store = open_store("s3://", **options)
        client = server.client
        try:
            store.ensure_collections()
            for domain in (None, "localhost"):
                assert plain.put(self.signed(store, "PUT", domain=domain), content=b"1").status_code == 200
                url = self.signed(store, "GET", domain=domain)
                assert urlsplit(url).path == f"/{prefix}{FILES}/{KEY}"
                assert plain.get(url).content == b"1"
            assert store.get(FILES, KEY) == b"1"
        finally:
            for name in ALL:
                for entry in client.list_objects_v2(Bucket=prefix + name).get("Contents", []):
                    client.delete_object(Bucket=prefix + name, Key=entry["Key"])
                client.delete_bucket(Bucket=prefix + name)
