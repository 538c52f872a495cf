"""Files over HTTP: up, down, away."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compox_core.engine import Engine
from tests.http.serving import API, Wire, hdf5_bytes


def test_a_download_gives_the_bytes_that_were_uploaded(wire: Wire, content: bytes) -> None:
    """What goes in comes out, with its length told."""
    file_id = wire.upload(content)
    answer = wire.http.get(f"{API}/files/{file_id}")
    assert answer.status_code == 200
    assert answer.content == content
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-length"] == str(len(content))
    assert "content-disposition" not in answer.headers


def test_a_file_of_several_chunks_survives_both_ways(wire: Wire, tmp_path: Path) -> None:
    """A file larger than every buffer on the way is the same afterwards."""
    content = hdf5_bytes(tmp_path, data=np.random.default_rng(1).integers(0, 255, 3_500_001, dtype=np.uint8))
    file_id = wire.upload(content)
    assert wire.http.get(f"{API}/files/{file_id}").content == content


@pytest.mark.parametrize("kind", [None, "application/json", "text/plain", "multipart/form-data", "nonsense"])
def test_any_content_type_will_do(wire: Wire, content: bytes, kind: str | None) -> None:
    """The body is the file, whatever it is called."""
    headers = {} if kind is None else {"content-type": kind}
    assert wire.http.post(f"{API}/files", content=content, headers=headers).status_code == 200


def test_a_body_of_unknown_length_is_taken(wire: Wire, content: bytes) -> None:
    """A chunked request has no Content-Length and needs none."""
    answer = wire.http.post(f"{API}/files", content=iter([content[:1000], content[1000:]]))
    assert answer.status_code == 200
    assert wire.http.get(f"{API}/files/{answer.json()['file_id']}").content == content


@pytest.mark.parametrize("junk", [b"", b"not HDF5", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(5000)])
def test_what_is_no_hdf5_is_refused_and_nothing_stays(wire: Wire, engine: Engine, junk: bytes) -> None:
    """A refused upload leaves neither a file nor a scratch file."""
    before = len(list(engine.files.list()))
    answer = wire.http.post(f"{API}/files", content=junk)
    assert answer.status_code == 422
    body = answer.json()
    assert body["code"] == "invalid_hdf5_file"
    assert isinstance(body["detail"], str) and body["retryable"] is False
    assert len(list(engine.files.list())) == before
    assert scratch_files(engine) == []


def test_a_cut_off_file_is_refused(wire: Wire, content: bytes) -> None:
    """HDF5 that lacks its end does not open."""
    answer = wire.http.post(f"{API}/files", content=content[: len(content) // 2])
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_hdf5_file")


def test_a_deleted_file_is_gone(wire: Wire, content: bytes) -> None:
    """Deleting answers once; then the file is not found."""
    file_id = wire.upload(content)
    answer = wire.http.delete(f"{API}/files/{file_id}")
    assert (answer.status_code, answer.json()) == (200, {"detail": "File deleted successfully"})
    for method in ("GET", "DELETE"):
        answer = wire.http.request(method, f"{API}/files/{file_id}")
        assert answer.status_code == 404
        assert answer.json()["code"] == "file_not_found"
        assert answer.json()["details"] == {"file_id": file_id}


def scratch_files(engine: Engine) -> list[Path]:
    """Return what lies where uploads are collected."""
    return list(engine.store.scratch().parent.iterdir())


def test_a_store_that_refuses_is_500_and_nothing_stays(
    wire: Wire, engine: Engine, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code says that the server could not write, and no more."""
    monkeypatch.setattr(engine.store, "scratch", lambda: tmp_path / "missing" / "scratch")
    answer = wire.http.post(f"{API}/files", content=content)
    assert answer.status_code == 500
    assert answer.json()["code"].startswith("storage_") and str(tmp_path) not in answer.text
