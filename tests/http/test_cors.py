"""Requests from pages of other origins, as a browser makes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from compox_core.engine import Engine
from tests.http.serving import API, ENDLESS, Wire, served, settings_for, write_algorithm

HERE, THERE = "https://app.example", "https://evil.example"


@contextmanager
def wire_to(**middleware: Any) -> Iterator[Wire]:
    """A connection to a server with these settings of `middleware`."""
    settings = {**settings_for("memory", Path()), "middleware": middleware}
    with Engine(settings) as engine, served(engine) as url:
        wire = Wire(url)
        yield wire
        wire.close()


def cors_of(answer: Any) -> dict[str, str]:
    """Return what an answer says of origins."""
    return {
        name.removeprefix("access-control-"): value
        for name, value in answer.headers.items()
        if name.startswith("access-control-") or name == "vary"
    }


def ask(wire: Wire, origin: str, method: str = "GET", headers: str | None = None) -> Any:
    """Ask as a browser does before a request that is not simple."""
    given = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers is not None:
        given["Access-Control-Request-Headers"] = headers
    return wire.http.request("OPTIONS", f"{API}/execute-algorithm", headers=given)


def test_without_settings_no_origin_is_let_in() -> None:
    """A question is refused in plain text; a simple request is answered, with nothing that lets a page read it."""
    with wire_to() as wire:
        refused = ask(wire, HERE)
        assert (refused.status_code, refused.text) == (400, "Disallowed CORS origin")
        assert refused.headers["content-type"].startswith("text/plain") and cors_of(refused) == {"vary": "Origin"}
        answer = wire.http.get("/", headers={"Origin": HERE})
        assert answer.status_code == 200 and cors_of(answer) == {"vary": "Origin"}
        assert cors_of(wire.http.get("/")) == {}


@pytest.fixture(scope="module")
def strict() -> Iterator[Wire]:
    """A connection to a server that lets two origins in, to some methods, with a header of their own."""
    origins = [HERE, "https://other.example"]
    with wire_to(allow_origins=origins, allow_methods=["GET", "post"], allow_headers=["X-Own"], max_age=7) as wire:
        yield wire


@pytest.mark.parametrize(
    ("origin", "method", "headers", "refused"),
    [
        (HERE, "GET", None, ""),
        (HERE, "POST", "content-type", ""),
        (HERE, "POST", "Content-Type, X-Own", ""),
        (HERE, "DELETE", None, "method"),
        (HERE, "post", None, "method"),
        (HERE, "GET", "x-other", "headers"),
        (HERE, "GET", "x-own,,x-other", "headers"),
        (THERE, "GET", None, "origin"),
        (THERE, "DELETE", "x-other", "origin, method, headers"),
        (HERE + ".evil.example", "GET", None, "origin"),
        (HERE.upper(), "GET", None, "origin"),
        ("null", "GET", None, "origin"),
        ("*", "GET", None, "origin"),
    ],
)
def test_a_question_is_answered_by_the_settings(
    strict: Wire, origin: str, method: str, headers: str | None, refused: str
) -> None:
    """200 with what is allowed and for how long, else 400 with what is not."""
    answer = ask(strict, origin, method, headers)
    expected = {"vary": "Origin"} | ({"allow-origin": HERE} if origin == HERE else {})
    if refused:
        assert (answer.status_code, answer.text) == (400, f"Disallowed CORS {refused}")
    else:
        assert (answer.status_code, answer.text) == (200, "OK")
        expected |= {
            "allow-methods": "GET, POST",
            "allow-headers": "accept, accept-language, content-language, content-type, x-own",
            "max-age": "7",
        }
    assert cors_of(answer) == expected


@pytest.mark.parametrize(
    ("middleware", "origin", "expected"),
    [
        ({"allow_origins": [HERE]}, HERE, {"vary": "Origin", "allow-origin": HERE}),
        ({"allow_origins": [HERE]}, THERE, {"vary": "Origin"}),
        ({"allow_origins": [HERE]}, None, {"vary": "Origin"}),
        ({"allow_origins": ["*"]}, THERE, {"allow-origin": "*"}),
        ({"allow_origins": ["*"]}, None, {}),
        (
            {"allow_origins": ["*"], "allow_credentials": True},
            THERE,
            {"vary": "Origin", "allow-origin": THERE, "allow-credentials": "true"},
        ),
        (
            {"allow_origins": [HERE], "allow_credentials": True, "expose_headers": ["X-Request-ID", "ETag"]},
            HERE,
            {
                "vary": "Origin",
                "allow-origin": HERE,
                "allow-credentials": "true",
                "expose-headers": "X-Request-ID, ETag",
            },
        ),
        ({"allow_origins": [HERE], "allow_credentials": True, "expose_headers": ["ETag"]}, THERE, {"vary": "Origin"}),
    ],
)
def test_an_answer_says_who_may_read_it(
    middleware: dict[str, Any], origin: str | None, expected: dict[str, str]
) -> None:
    """Whatever the answer is: a record, an error, a route that is not there, a request that is not understood."""
    headers = {} if origin is None else {"Origin": origin}
    with wire_to(**middleware) as wire:
        for method, path in (
            ("GET", "/"),
            ("GET", f"{API}/files/none"),
            ("GET", "/nowhere"),
            ("DELETE", "/"),
            ("POST", f"{API}/execute-algorithm"),
        ):
            assert cors_of(wire.http.request(method, path, headers=headers)) == expected


def test_any_method_and_any_header_may_be_allowed() -> None:
    """By a star; what is asked for is named in the answer."""
    with wire_to(allow_origins=["*"], allow_methods=["*"], allow_headers=["*"]) as wire:
        answer = ask(wire, THERE, "DELETE", "X-One, x-two")
        assert answer.status_code == 200
        said = cors_of(answer)
        assert said["allow-origin"] == "*" and "vary" not in said
        assert said["allow-methods"] == "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
        assert {"x-one", "x-two", "content-type"} <= set(said["allow-headers"].split(", "))


def test_options_that_ask_nothing_are_any_other_request() -> None:
    """Without the header of a question."""
    with wire_to(allow_origins=[HERE]) as wire:
        answer = wire.http.request("OPTIONS", "/nowhere", headers={"Origin": HERE})
        assert answer.status_code == 404 and cors_of(answer)["allow-origin"] == HERE


def test_a_stream_of_events_may_be_read_too(tmp_path: Path) -> None:
    """From its first byte."""
    settings = {**settings_for("memory", tmp_path), "middleware": {"allow_origins": [HERE]}}
    with Engine(settings) as engine, served(engine) as url:
        engine.deploy(write_algorithm(tmp_path / "endless", "endless", ENDLESS, kind="Generic"))
        wire = Wire(url)
        events = f"/api/v1/executions/{wire.execute('endless', [])}/events"
        with wire.http.stream("GET", events, headers={"Origin": HERE}) as answer:
            assert answer.status_code == 200 and next(answer.iter_raw())
            assert cors_of(answer) == {"vary": "Origin", "allow-origin": HERE} and answer.headers["x-request-id"]
        wire.close()
