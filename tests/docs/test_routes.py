"""The reference of HTTP names every route of the server, and no other; so it does with the codes that have a status."""

from __future__ import annotations

import re

from compox_core.engine import Engine
from compox_http.app import create_app
from compox_http.errors import _STATUS_OF_CODE
from tests.docs.blocks import ROOT

PAGE = (ROOT / "docs" / "reference" / "http.md").read_text(encoding="utf-8")
PAGES = ("/openapi.json", "/docs", "/redoc")
"""What the server says of itself: the page names it in its first lines."""
ALIASES = ("/deploy/local", "/deploy/algorithm", "/schema")
"""Paths that are no routes for clients: ids that look like routes, and the framework's own page."""
NAMED = (("DELETE", "/api/v0/sample/all"), ("DELETE", "/api/v0/checkpoint/all"))
"""The same for another method."""


def routes() -> set[tuple[str, str]]:
    """Return method and path of each route, with `{}` for a part that is chosen."""
    found = set()
    for route in create_app(Engine("memory://")).routes:
        path = re.sub(r"\{[^}]*\}", "{}", route.path)
        for method in getattr(route, "methods", set()) - {"OPTIONS"}:
            if (
                path not in PAGES
                and (method, path) not in NAMED
                and not (method == "GET" and any(alias in path for alias in ALIASES))
            ):
                found.add((method, path))
    return found


def described() -> set[tuple[str, str]]:
    """Return the same of the page's tables."""
    found = set()
    for line in PAGE.partition("## Bodies of errors")[0].splitlines():
        for methods, path in re.findall(r"`([A-Z, ]+) ([^`?]*/[^`?]*)[^`]*`", line.split(" | ")[0]):
            whole = re.sub(r"\{[^}]*\}", "{}", path.replace("…", "/api/v1"))
            found |= {(method, whole) for method in methods.split(", ")}
    return found


def test_the_reference_names_every_route() -> None:
    """A route that is added, renamed or removed is so on the page, too."""
    assert described() == routes()


def test_the_reference_has_the_codes_of_the_table() -> None:
    """Each code whose status does not follow from its class stands in the row of that status."""
    rows = dict(re.findall(r"^\| (\d{3}) \| (.*)$", PAGE, re.MULTILINE))
    missing = [code for code, status in _STATUS_OF_CODE.items() if f"`{code}`" not in rows[str(status)]]
    assert missing == []
