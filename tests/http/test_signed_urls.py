"""Files at signed URLs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

import httpx2
import pytest

from compox_core.engine import Engine
from compox_core.engine.links import SECONDS
from compox_core.identity import new_id
from tests.http.serving import API, Wire

V1 = "/api/v1/files"


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"sample-{new_id()}.h5"


def url_for(wire: Wire, name: str, what: str) -> str:
    """Return a signed URL."""
    answer = wire.http.get(f"{V1}/{name}/{what}-url")
    assert answer.status_code == 200 and list(answer.json()) == ["url"], answer.text
    return str(answer.json()["url"])


def plain() -> httpx2.Client:
    """Return a client that knows nothing of the server."""
    return httpx2.Client(trust_env=False, timeout=60)


@pytest.mark.parametrize("named", [True, False])
def test_a_file_goes_up_and_down_and_runs(wire: Wire, content: bytes, name: str, named: bool) -> None:
    """Under a name of the client's own, be it a UUID, which is then the file's id everywhere."""
    name = name if named else new_id()
    with plain() as http:
        assert http.put(url_for(wire, name, "upload"), content=content).status_code == 200
        answer = http.get(url_for(wire, name, "download"))
        assert answer.status_code == 200 and answer.content == content
    assert wire.http.get(f"{API}/files/{name}").content == content
    record = wire.finish(wire.execute("double", [name]))
    assert record["status"] == "COMPLETED", record["log"]


def test_what_nobody_looked_at_is_looked_at_when_it_is_used(wire: Wire, name: str) -> None:
    """Any bytes may be put and got; an execution refuses what is no HDF5."""
    with plain() as http:
        assert http.put(url_for(wire, name, "upload"), content=b"8 bytes!").status_code == 200
    assert wire.http.get(f"{API}/files/{name}").content == b"8 bytes!"
    body = {"algorithm_id": wire.algorithm_id("double"), "input_dataset_ids": [name]}
    answer = wire.http.post(f"{API}/execute-algorithm", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_hdf5_file")
    assert answer.json()["details"]["file_id"] == name


def test_a_file_of_the_other_interface_has_a_url_too(wire: Wire, content: bytes) -> None:
    """To download; nobody can write over it."""
    file_id = wire.upload(content)
    with plain() as http:
        assert http.get(url_for(wire, file_id, "download")).content == content
    answer = wire.http.get(f"{V1}/{file_id}/upload-url")
    assert (answer.status_code, answer.json()["code"]) == (409, "file_exists")


def test_a_name_that_is_taken_is_refused(wire: Wire, content: bytes, name: str) -> None:
    """Files never change; a deleted name is free again."""
    with plain() as http:
        http.put(url_for(wire, name, "upload"), content=content)
        assert wire.http.get(f"{V1}/{name}/upload-url").status_code == 409
        assert wire.http.delete(f"{V1}/{name}").json() == {"detail": "File deleted successfully"}
        http.put(url_for(wire, name, "upload"), content=content)
    assert wire.http.get(f"{API}/files/{name}").content == content


@pytest.mark.parametrize(("method", "path"), [("GET", "/download-url"), ("DELETE", "")])
def test_a_file_that_is_not_there_is_404(wire: Wire, name: str, method: str, path: str) -> None:
    """With the name under the key that clients know."""
    answer = wire.http.request(method, f"{V1}/{name}{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "file_not_found")
    assert answer.json()["details"] == {"object_name": name}


@pytest.mark.parametrize("bad", ["~", "a b", "ü", ".hidden", "a.", "x" * 201, "%00", "con", "-x"])
def test_a_name_that_cannot_be_stored_is_refused(wire: Wire, bad: str) -> None:
    """422, and no URL."""
    answer = wire.http.get(f"{V1}/{bad}/upload-url")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_file_name")
    for path in ("/download-url", "/content?expires=1&signature=x"):
        assert wire.http.get(f"{V1}/{bad}{path}").status_code in (403, 404)


def test_no_plain_download_by_name(wire: Wire, name: str) -> None:
    """As clients know it."""
    answer = wire.http.get(f"{V1}/{name}")
    assert (answer.status_code, answer.json()["code"]) == (405, "http_405")


def test_a_url_holds_for_an_hour(wire: Wire, name: str) -> None:
    """It says so itself, on every store."""
    query = {key.lower(): each[0] for key, each in parse_qs(urlsplit(url_for(wire, name, "upload")).query).items()}
    if "x-amz-expires" in query:
        assert query["x-amz-expires"] == str(SECONDS)
    else:
        assert abs(int(query["expires"]) - time.time() - SECONDS) < 60


def changed(url: str, **fields: str) -> str:
    """Return a URL with other values in its query."""
    parts = urlsplit(url)
    query = {key: each[0] for key, each in parse_qs(parts.query).items()} | fields
    return urlunsplit(parts._replace(query="&".join(f"{key}={value}" for key, value in query.items())))


@pytest.fixture(scope="module")
def ours(engine: Engine) -> None:
    """Only where our server serves the URLs."""
    if engine.store.url.startswith("s3"):
        pytest.skip("S3 serves its own URLs")


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize(
    "fields",
    [
        {"expires": "9999999999"},
        {"expires": "1"},
        {"expires": "x"},
        {"expires": "-1"},
        {"expires": "9" * 4000},
        {"signature": "0" * 64},
        {"signature": "x"},
        {"signature": "%C3%BC"},
    ],
)
def test_a_url_that_was_changed_is_no_permission(wire: Wire, content: bytes, name: str, fields: dict[str, str]) -> None:
    """403, and nothing is stored."""
    answer = wire.http.put(changed(url_for(wire, name, "upload"), **fields), content=content)
    assert (answer.status_code, answer.json()["code"]) == (403, "url_not_valid")
    assert wire.http.get(f"{API}/files/{name}").status_code == 404


@pytest.mark.usefixtures("ours")
def test_a_url_is_for_one_thing_and_one_file(wire: Wire, content: bytes, name: str) -> None:
    """Not for the other method, nor for another name; and it stores once."""
    upload = url_for(wire, name, "upload")
    assert wire.http.get(upload).status_code == 403
    assert wire.http.put(upload.replace(name, f"x{name}"), content=content).status_code == 403
    assert wire.http.put(upload, content=content).status_code == 200
    again = wire.http.put(upload, content=content)
    assert (again.status_code, again.json()["code"]) == (409, "file_exists")
    download = url_for(wire, name, "download")
    assert wire.http.put(download, content=content).status_code == 403
    part = wire.http.get(download, headers={"range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, content[1:4])
    assert wire.http.head(download).headers["content-length"] == str(len(content))


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize("query", [{}, {"expires": "1"}, {"signature": "x"}])
def test_a_url_without_its_parts_is_422(wire: Wire, name: str, query: dict[str, Any]) -> None:
    """Each part is needed."""
    for method in ("GET", "PUT"):
        answer = wire.http.request(method, f"{V1}/{name}/content", params=query)
        assert (answer.status_code, answer.json()["code"]) == (422, "request_validation_error")


@pytest.mark.usefixtures("ours")
def test_a_broken_off_upload_leaves_nothing(wire: Wire, engine: Engine, name: str, tmp_path: Path) -> None:
    """A wrong hash, for one."""
    url = url_for(wire, name, "upload")
    before = len(list(engine.store.scratch().parent.iterdir()))
    answer = wire.http.put(url, content=b"abc", headers={"x-content-sha256": "0" * 64})
    assert (answer.status_code, answer.json()["code"]) == (422, "digest_mismatch")
    assert wire.http.get(f"{API}/files/{name}").status_code == 404
    assert len(list(engine.store.scratch().parent.iterdir())) == before
