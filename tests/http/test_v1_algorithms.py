"""Deploys of what a client sends."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import pytest

from compox_core.engine import Engine
from tests.http.serving import API, DOUBLE, FACTOR, Wire, served, settings_for, write_algorithm

V1 = "/api/v1/algorithms"


def zipped(folder: Path, inside: str = "") -> bytes:
    """Return a zip of a folder."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, inside + path.relative_to(folder).as_posix())
    return content.getvalue()


@pytest.mark.parametrize("inside", ["", "algorithm/"])
def test_a_zip_in_the_body_is_deployed(wire: Wire, tmp_path: Path, inside: str) -> None:
    """201 with what came of it; the same again adds nothing."""
    name = f"sent{len(inside)}"
    body = zipped(write_algorithm(tmp_path / "a", name, DOUBLE, version="3.2", extra=FACTOR), inside)
    answer = wire.http.post(V1, content=body, params={"removable": "true"})
    assert answer.status_code == 201
    told = answer.json()
    assert (told["algorithm_name"], told["algorithm_major_version"], told["algorithm_minor_version"]) == (
        name,
        "3",
        "2",
    )
    assert told["created"] is True and isinstance(told["warnings"], list)
    again = wire.http.post(V1, content=body, params={"removable": "true"})
    assert again.status_code == 201 and again.json()["created"] is False
    assert wire.http.get(f"{API}/algorithm/{name}/3").json()["removable"] is True


def test_name_and_version_of_the_request_count(wire: Wire, tmp_path: Path) -> None:
    """In place of those of the package."""
    body = zipped(write_algorithm(tmp_path / "a", "inner", DOUBLE))
    answer = wire.http.post(V1, content=body, params={"name": "outer", "major": "8", "exportable": "no"})
    assert answer.status_code == 201
    shown = wire.http.get(f"{API}/algorithm/outer/8").json()
    assert (shown["exportable"], shown["removable"]) == (False, False)
    assert wire.http.get(f"{API}/algorithm/inner/1").status_code == 404


@pytest.mark.parametrize(
    ("body", "query", "status", "code"),
    [
        (b"", {}, 400, "invalid_deployment_zip"),
        (b"no zip", {}, 400, "invalid_deployment_zip"),
        (None, {"name": "a~b"}, 400, "invalid_algorithm_name"),
        (None, {"major": "x/y"}, 400, None),
        (None, {"removable": "perhaps"}, 422, "request_validation_error"),
    ],
)
def test_what_cannot_be_deployed_is_refused_and_nothing_stays(
    wire: Wire, engine: Engine, tmp_path: Path, body: bytes | None, query: dict[str, str], status: int, code: str | None
) -> None:
    """With the reason; neither an algorithm nor a scratch file is left."""
    content = zipped(write_algorithm(tmp_path / "a", "refused", DOUBLE)) if body is None else body
    before = [record.name for record in engine.algorithms.list()], len(list(engine.store.scratch().parent.iterdir()))
    answer = wire.http.post(V1, content=content, params=query)
    assert answer.status_code == status, answer.text
    assert answer.json()["code"] == code or code is None
    after = [record.name for record in engine.algorithms.list()], len(list(engine.store.scratch().parent.iterdir()))
    assert after == before
    assert "compox-" not in answer.text, "no scratch name is told"


def test_a_member_that_would_escape_is_refused(wire: Wire) -> None:
    """As in every zip; the message names it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("../evil.py", "x")
    answer = wire.http.post(V1, content=content.getvalue())
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_deployment_zip")
    assert "../evil.py" in answer.json()["detail"]


def test_a_wrong_hash_is_refused(wire: Wire, tmp_path: Path) -> None:
    """Nothing is deployed then."""
    body = zipped(write_algorithm(tmp_path / "a", "hashed", DOUBLE))
    answer = wire.http.post(V1, content=body, headers={"x-content-sha256": "0" * 64})
    assert (answer.status_code, answer.json()["code"]) == (422, "digest_mismatch")
    right = hashlib.sha256(body).hexdigest()
    assert wire.http.post(V1, content=body, headers={"x-content-sha256": right}).status_code == 201


def test_what_is_too_large_is_refused_while_it_comes(tmp_path: Path) -> None:
    """Zips and files, by the limit of the settings; nothing stays."""
    settings = settings_for("local", tmp_path / "store")
    settings["limits"] = {"max_upload_bytes": 100_000}
    with Engine(settings) as engine, served(engine) as url:
        wire = Wire(url)
        for method, path in (("POST", V1), ("POST", f"{API}/files")):
            answer = wire.http.request(method, path, content=b"x" * 3_000_000)
            assert (answer.status_code, answer.json()["code"]) == (413, "upload_too_large")
            assert answer.json()["details"] == {"limit": 100_000}
        signed = wire.http.get("/api/v1/files/big.h5/upload-url").json()["url"]
        assert wire.http.put(signed, content=b"x" * 3_000_000).status_code == 413
        assert list(engine.store.scratch().parent.iterdir()) == []
        wire.close()
