"""URLs at which a client puts or gets one file."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from compox_core.engine.links import SECONDS, Link, Links
from compox_core.errors import ConflictError, InvalidInputError, NotFoundError
from compox_core.settings import Settings
from compox_core.storage import FILES, FileStore, ObjectStore, initialise, open_store
from compox_core.storage.s3 import S3Store
from compox_core.storage.signing import Signing
from tests.servers import S3Server


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """A store that serves nothing itself."""
    store = open_store("memory://" if request.param == "memory" else tmp_path / "store")
    initialise(store)
    return store


@pytest.fixture
def links(store: ObjectStore) -> Links:
    """The links of the store."""
    return Links(FileStore(store), store, Settings())


def parts(link: Link) -> tuple[str, str]:
    """Return time and signature of a link that our server is to be shown."""
    assert link.url is None and link.signature
    return str(link.expires), link.signature


def put(links: Links, store: ObjectStore, name: str) -> None:
    """Send a file to a URL of ours."""
    path = store.scratch()
    path.write_bytes(b"content")
    links.put(name, path)


def test_a_file_is_put_and_got(links: Links, store: ObjectStore) -> None:
    """Each way has a link of its own, which holds for that way and that file only."""
    links.check("PUT", "mine.h5", *parts(links.upload("mine.h5")))
    put(links, store, "mine.h5")
    expires, signature = parts(links.download("mine.h5"))
    method, name = "GET", "mine.h5"
    links.check(method, name, expires, signature)
    for wrong in (("PUT", name, expires, signature), (method, "other", expires, signature), (method, name, "1", "x")):
        with pytest.raises(ConflictError) as caught:
            links.check(*wrong)
        assert (caught.value.code, caught.value.details) == ("url_not_valid", {"object_name": wrong[1]})
        assert "Ask the server for a new one" in caught.value.message


def test_a_link_holds_for_an_hour(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told by the clock of whoever checks it."""
    moment = [1_000_000.0]
    monkeypatch.setattr("compox_core.engine.links.Signing", lambda store: Signing(store, lambda: moment[0]))
    links = Links(FileStore(store), store, Settings())
    signed = ("PUT", "mine", *parts(links.upload("mine")))
    moment[0] += SECONDS
    links.check(*signed)
    moment[0] += 1
    with pytest.raises(ConflictError) as caught:
        links.check(*signed)
    assert "expired" in caught.value.message


def test_what_cannot_be_is_refused_before_anything_is_sent(links: Links, store: ObjectStore) -> None:
    """A bad name, a name that is taken, a file that is not there; a link that came second when it is used."""
    for name in ("", "..", "a/b", "x" * 300):
        with pytest.raises(InvalidInputError) as bad:
            links.upload(name)
        assert bad.value.code == "invalid_file_name"
        with pytest.raises(NotFoundError) as missing:
            links.download(name)
        assert missing.value.code == "file_not_found"
    links.upload("mine")
    links.upload("mine")
    put(links, store, "mine")
    for use in (lambda: links.upload("mine"), lambda: put(links, store, "mine")):
        with pytest.raises(ConflictError) as taken:
            use()
        assert taken.value.code == "file_exists"
    assert store.get(FILES, "v1/mine") == b"content"


@pytest.mark.s3
def test_s3_serves_its_own_links(s3_server: S3Server) -> None:
    """Whole URLs, for the domain that the settings name, of which our server knows nothing."""
    store = open_store(s3_server.url(), options=s3_server.options)
    assert isinstance(store, S3Store)
    initialise(store)
    backend = {"provider": "minio", "start_instance": False, "s3_domain_name": "files.example"}
    links = Links(FileStore(store), store, Settings.model_validate({"storage": {"backend_settings": backend}}))
    up = links.upload("mine")
    assert up.url is not None and urlsplit(up.url).hostname == "files.example"
    with pytest.raises(NotFoundError):
        links.download("mine")
    put(links, store, "mine")
    down = Links(FileStore(store), store, Settings()).download("mine")
    assert down.url is not None and down.url.startswith(s3_server.endpoint)
    with pytest.raises(ConflictError):
        links.upload("mine")
