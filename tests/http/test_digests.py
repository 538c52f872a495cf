"""Uploads that carry their SHA-256."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from compox_core.engine import Engine
from tests.http.serving import API, Wire, hdf5_bytes, image


@pytest.fixture
def fresh(tmp_path: Path) -> bytes:
    """An HDF5 file that no other test has."""
    return hdf5_bytes(tmp_path, image=image(int.from_bytes(os.urandom(4), "little")))


def digests(content: bytes) -> list[dict[str, str]]:
    """Return the headers by which a client may tell the hash."""
    digest = hashlib.sha256(content)
    text = base64.b64encode(digest.digest()).decode()
    return [
        {"x-content-sha256": digest.hexdigest()},
        {"x-content-sha256": digest.hexdigest().upper()},
        {"content-digest": f"sha-256=:{text}:"},
        {"content-digest": f"sha-512=:AAAA:, sha-256=:{text}:"},
    ]


def test_known_content_is_a_file_of_its_own_without_a_second_copy(
    wire: Wire, engine: Engine, fresh: bytes, request: pytest.FixtureRequest
) -> None:
    """Each upload has an id of its own: one that is deleted takes no other with it."""
    ids = [wire.http.post(f"{API}/files", content=fresh, headers=each).json()["file_id"] for each in digests(fresh)]
    assert len(set(ids)) == 4
    if (first := engine.store.local_path("data-store", ids[0])) is not None:
        assert first.stat().st_nlink == 4
    assert wire.http.delete(f"{API}/files/{ids[0]}").status_code == 200
    for file_id in ids[1:]:
        answer = wire.http.get(f"{API}/files/{file_id}")
        assert answer.content == fresh
        assert answer.headers["etag"] == f'"{hashlib.sha256(fresh).hexdigest()}"'
    assert wire.finish(wire.execute("double", [ids[1]]))["status"] == "COMPLETED"


@pytest.mark.parametrize("known", [False, True])
def test_a_wrong_hash_is_refused_and_nothing_stays(wire: Wire, engine: Engine, fresh: bytes, known: bool) -> None:
    """Also where the server has content with the hash that was said."""
    if known:
        assert wire.http.post(f"{API}/files", content=fresh, headers=digests(fresh)[0]).status_code == 200
    before = sorted(info.id for info in engine.files.list())
    answer = wire.http.post(f"{API}/files", content=fresh + b"x", headers=digests(fresh)[0])
    assert (answer.status_code, answer.json()["code"]) == (422, "digest_mismatch")
    assert answer.json()["details"] == {
        "announced": hashlib.sha256(fresh).hexdigest(),
        "found": hashlib.sha256(fresh + b"x").hexdigest(),
    }
    assert sorted(info.id for info in engine.files.list()) == before


def test_content_that_was_deleted_is_stored_anew(wire: Wire, fresh: bytes) -> None:
    """What is noted of it does no harm."""
    headers = digests(fresh)[0]
    first = wire.http.post(f"{API}/files", content=fresh, headers=headers).json()["file_id"]
    wire.http.delete(f"{API}/files/{first}")
    second = wire.http.post(f"{API}/files", content=fresh, headers=headers).json()["file_id"]
    assert wire.http.get(f"{API}/files/{second}").content == fresh


@pytest.mark.parametrize(
    "headers",
    [
        {"x-content-sha256": ""},
        {"x-content-sha256": "abc"},
        {"x-content-sha256": "g" * 64},
        {"content-digest": "sha-256=abc"},
        {"content-digest": "sha-256=:abc:"},
        {"content-digest": "sha-256=::"},
    ],
)
def test_what_is_no_hash_is_refused(wire: Wire, fresh: bytes, headers: dict[str, str]) -> None:
    """The message names the header and the form."""
    answer = wire.http.post(f"{API}/files", content=fresh, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_digest")
    assert answer.json()["details"]["header"] == next(iter(headers))


def test_another_kind_of_digest_is_not_ours_to_check(wire: Wire, fresh: bytes) -> None:
    """The upload is taken as one without."""
    answer = wire.http.post(f"{API}/files", content=fresh, headers={"content-digest": "sha-512=:AAAA:"})
    assert answer.status_code == 200


def test_a_client_that_waits_need_not_send_what_is_known(wire: Wire, fresh: bytes) -> None:
    """The answer comes in place of `100 Continue`, and the connection ends."""
    headers = digests(fresh)[0]
    assert wire.http.post(f"{API}/files", content=fresh, headers=headers).status_code == 200
    place = urlsplit(wire.url)
    head = (
        f"POST {API}/files HTTP/1.1\r\nhost: {place.netloc}\r\ncontent-length: {len(fresh)}\r\n"
        f"expect: 100-continue\r\nx-content-sha256: {headers['x-content-sha256']}\r\n\r\n"
    )
    with socket.create_connection((place.hostname, place.port or 80), timeout=30) as connection:
        connection.sendall(head.encode())
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 200 OK")
    file_id = answer.rpartition(b'"file_id":"')[2][:36].decode()
    assert wire.http.get(f"{API}/files/{file_id}").content == fresh
