"""Pages of other origins, in the browser of somebody who can reach the server."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from compox_core.engine import Engine
from tests.http.serving import API, Wire, served, settings_for


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> object:
    """A server that lets one page in."""
    settings = settings_for("memory", tmp_path_factory.mktemp("x"))
    settings["middleware"] = {"allow_origins": ["https://viewer.example"]}
    with Engine(settings) as engine, served(engine) as url:
        wire = Wire(url)
        yield wire
        wire.close()


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "",
        "file://",
        "http://127.0.0.1:1",
        "https://viewer.example.evil",
        "http://[",
        "x",
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"{API}/files"),
        ("POST", "/api/v1/algorithms"),
        ("DELETE", f"{API}/files/x"),
        ("PUT", "/api/v1/executions/x"),
    ],
)
def test_a_foreign_page_changes_nothing(guarded: Wire, origin: str, method: str, path: str) -> None:
    """403, whatever it sends; reading is for CORS to judge."""
    answer = guarded.http.request(method, path, content=b"x", headers={"origin": origin})
    assert (answer.status_code, answer.json()["code"]) == (403, "origin_not_allowed")
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert guarded.http.get("/livez", headers={"origin": origin}).status_code == 200


def test_pages_of_ours_and_of_those_that_are_allowed_do(guarded: Wire, content: bytes) -> None:
    """The server's own address in any case, and the settings' origins."""
    host = urlsplit(guarded.url).netloc
    for origin in (f"http://{host}", f"HTTP://{host}".lower(), "https://viewer.example"):
        answer = guarded.http.post(f"{API}/files", content=content, headers={"origin": origin})
        assert answer.status_code == 200, answer.text
    assert guarded.http.post(f"{API}/files", content=content).status_code == 200


def test_a_star_lets_every_page_in(tmp_path: Path, content: bytes) -> None:
    """As whoever wrote it wanted."""
    settings = settings_for("memory", tmp_path)
    settings["middleware"] = {"allow_origins": ["*"]}
    with Engine(settings) as engine, served(engine) as url:
        wire = Wire(url)
        answer = wire.http.post(f"{API}/files", content=content, headers={"origin": "https://any.example"})
        assert answer.status_code == 200
        wire.close()
