"""Deploys of paths on the server's disk, their records, and removals."""

from __future__ import annotations

import re
import sys
import time
import uuid
import zipfile
from pathlib import Path
from typing import Any

import pytest

from compox_core.engine import Engine
from tests.http.serving import API, DOUBLE, FACTOR, Wire, served, settings_for, write_algorithm

LOCAL = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{6})?")
KEYS = [
    "deploy_id", "status", "path", "algorithm_id", "algorithm_name", "algorithm_major_version", "time_started",
    "time_completed", "log", "algorithm_minor_version", "progress", "error",
]  # fmt: skip


@pytest.fixture
def root(engine: Engine) -> Path:
    """A folder below the one that may be deployed from, of this test alone."""
    folder = Path(engine.settings.deploy.allowed_roots[0]) / uuid.uuid4().hex
    folder.mkdir(parents=True)
    return folder


def name_of(root: Path) -> str:
    """Return a name that no other test uses."""
    return f"a{root.name[:8]}"


def finished(wire: Wire, deploy_id: str) -> dict[str, Any]:
    """Poll until a deploy has ended."""
    for _ in range(2000):
        body: dict[str, Any] = wire.http.get(f"{API}/deploy/{deploy_id}").json()
        if body["status"] in ("COMPLETED", "FAILED", "STOPPED"):
            return body
        time.sleep(0.005)
    raise AssertionError(body)


def test_a_folder_is_deployed_and_the_answer_says_what_the_store_holds(wire: Wire, root: Path) -> None:
    """The minor version is the stored one, also where pyproject.toml says another."""
    name = name_of(root)
    folder = write_algorithm(root / "one", name, DOUBLE, version="2.4", extra=FACTOR)
    answer = wire.http.post(f"{API}/deploy/local", params={"path": str(folder)})
    assert answer.status_code == 200
    first = answer.json()
    assert list(first) == [
        "algorithm_id", "algorithm_name", "algorithm_major_version", "algorithm_minor_version",
    ]  # fmt: skip
    assert (first["algorithm_name"], first["algorithm_major_version"]) == (name, "2")
    assert first["algorithm_minor_version"] == "4"
    write_algorithm(root / "one", name, DOUBLE, version="2.9", extra=FACTOR)
    again = wire.http.post(f"{API}/deploy/local", params={"path": str(folder)}).json()
    assert again["algorithm_id"] == first["algorithm_id"]
    shown = wire.http.get(f"{API}/algorithm/{name}/2").json()
    assert again["algorithm_minor_version"] == shown["latest_algorithm_minor_version"] == "5"


@pytest.mark.parametrize(
    ("given", "removable", "exportable"),
    [
        ({}, False, True),
        ({"removable": "true", "exportable": "false"}, True, False),
        ({"removable": "YES", "exportable": "Off"}, True, False),
        ({"removable": "1", "exportable": "0"}, True, False),
        ({"removable": "on"}, True, True),
    ],
)
def test_the_flags_of_the_request_count_before_those_of_the_package(
    wire: Wire, root: Path, given: dict[str, str], removable: bool, exportable: bool
) -> None:
    """Truth values in the forms that people write."""
    name = name_of(root)
    folder = write_algorithm(root / "one", "other", DOUBLE)
    query = {"path": str(folder), "algorithm_name": name, "algorithm_major_version": "7", **given}
    assert wire.http.post(f"{API}/deploy/local", params=query).status_code == 200
    shown = wire.http.get(f"{API}/algorithm/{name}/7").json()
    assert (shown["removable"], shown["exportable"]) == (removable, exportable)


@pytest.mark.parametrize("route", ["local", "local-async"])
@pytest.mark.parametrize(
    ("query", "place"),
    [({}, "path"), ({"path": "x", "removable": "maybe"}, "removable"), ({"path": "x", "exportable": ""}, "exportable")],
)
def test_a_query_that_cannot_be_understood_is_422(wire: Wire, route: str, query: dict[str, str], place: str) -> None:
    """The list names the place."""
    answer = wire.http.post(f"{API}/deploy/{route}", params=query)
    assert (answer.status_code, answer.json()["code"]) == (422, "request_validation_error")
    assert [issue["loc"] for issue in answer.json()["detail"]] == [["query", place]]


@pytest.mark.parametrize("route", ["local", "local-async"])
@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda root: root / "nowhere", "deploy_path_not_found"),
        (lambda root: _file(root / "text.txt", b"text"), "invalid_deploy_path_type"),
        (lambda root: _file(root / "broken.zip", b"PK no zip"), "invalid_deployment_zip"),
        (lambda root: _without_runner(root / "empty"), "algorithm_runner_not_found"),
        (lambda root: _broken(root / "toml", "not = [toml"), "invalid_pyproject"),
        (lambda root: _broken(root / "dot", '[project]\nname = "x"\nversion = "1"\n'), "invalid_pyproject"),
        (lambda root: _broken(root / "name", '[project]\nname = "a~b"\nversion = "1.0"\n'), None),
    ],
)
def test_what_cannot_be_deployed_says_why(wire: Wire, root: Path, route: str, make: Any, code: str | None) -> None:
    """400 with the reason: the fault is the package's, not the server's."""
    answer = wire.http.post(f"{API}/deploy/{route}", params={"path": str(make(root))})
    assert answer.status_code == 400, answer.text
    body = answer.json()
    assert body["code"] == code or code is None
    assert body["detail"] and body["retryable"] is False


@pytest.mark.parametrize("route", ["local", "local-async"])
@pytest.mark.parametrize(
    "path", ["/etc", "/etc/passwd", "relative", "", "\0", "//host/share", "C:\\Windows", "ü" * 5000, "../../etc"]
)
def test_a_path_outside_the_allowed_folders_is_refused_whatever_is_there(wire: Wire, route: str, path: str) -> None:
    """403, the same for what exists and what does not."""
    answer = wire.http.post(f"{API}/deploy/{route}", params={"path": path})
    assert (answer.status_code, answer.json()["code"]) == (403, "deploy_path_not_allowed")
    assert "allowed_roots" in answer.json()["detail"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_does_not_lead_out(wire: Wire, root: Path, tmp_path: Path) -> None:
    """What lies elsewhere is refused, by whatever name."""
    outside = write_algorithm(tmp_path / "outside", "outside", DOUBLE)
    (root / "link").symlink_to(outside, target_is_directory=True)
    for path in (root / "link", root / ".." / ".." / ".." / "outside", outside):
        answer = wire.http.post(f"{API}/deploy/local", params={"path": str(path)})
        assert (answer.status_code, answer.json()["code"]) == (403, "deploy_path_not_allowed")


def test_a_client_elsewhere_may_not_name_paths(wire: Wire, root: Path) -> None:
    """A proxy on this machine says for whom it asks."""
    folder = write_algorithm(root / "one", name_of(root), DOUBLE)
    answer = wire.http.post(
        f"{API}/deploy/local", params={"path": str(folder)}, headers={"x-forwarded-for": "192.0.2.7"}
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "deploy_not_local")


def test_a_deploy_in_the_background_is_followed_to_its_end(wire: Wire, root: Path) -> None:
    """The record has every key that clients know; what came of it is there at the end."""
    name = name_of(root)
    folder = write_algorithm(root / "one", name, DOUBLE)
    answer = wire.http.post(f"{API}/deploy/local-async", params={"path": str(folder), "removable": "true"})
    assert answer.status_code == 200 and list(answer.json()) == ["deploy_id"]
    body = finished(wire, answer.json()["deploy_id"])
    assert list(body) == KEYS
    assert (body["status"], body["path"], body["log"], body["error"]) == ("COMPLETED", str(folder), None, None)
    assert (body["algorithm_name"], body["algorithm_major_version"]) == (name, "1")
    assert LOCAL.fullmatch(body["time_started"]) and LOCAL.fullmatch(body["time_completed"])
    assert wire.http.get(f"{API}/algorithm/{name}/1").json()["removable"] is True


def test_a_zip_is_deployed_too(wire: Wire, root: Path) -> None:
    """With the algorithm at its root, or in its one folder."""
    name = name_of(root)
    folder = write_algorithm(root / "one", name, DOUBLE)
    for number, inside in enumerate(("", "folder/")):
        path = root / f"{number}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in folder.iterdir():
                archive.write(file, inside + file.name)
        answer = wire.http.post(f"{API}/deploy/local", params={"path": str(path)})
        assert answer.json()["algorithm_minor_version"] == "0", answer.text


def test_a_deploy_that_fails_says_so_and_keeps_saying_it(wire: Wire, root: Path) -> None:
    """A module that cannot be imported is found out in the background."""
    folder = write_algorithm(root / "one", name_of(root), "import no_such_module_anywhere\n" + DOUBLE.lstrip())
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "{name_of(root)}"\nversion = "1.0"\n[tool.compox]\ncheck_importable = true\n'
        'algorithm_type = "Image2Image"\n',
        encoding="utf-8",
    )
    answer = wire.http.post(f"{API}/deploy/local-async", params={"path": str(folder)})
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] == "algorithm_module_import_check_failed"


@pytest.mark.parametrize("deploy_id", ["local", "algorithm", "x", "01a1fe74-b029-71b4-8e38-ce044fe6cdda"])
def test_an_unknown_deploy_is_404(wire: Wire, deploy_id: str) -> None:
    """Also where the id is the name of another route."""
    answer = wire.http.get(f"{API}/deploy/{deploy_id}")
    assert (answer.status_code, answer.json()["code"]) == (404, "deploy_record_not_found")
    assert answer.json()["details"] == {"deploy_id": deploy_id}


def test_a_minor_version_is_removed_and_then_the_algorithm(wire: Wire, root: Path) -> None:
    """A version that is not there is 404, and changes nothing; the texts are those that clients know."""
    name = name_of(root)
    for extra in ("", FACTOR):
        folder = write_algorithm(root / "one", name, DOUBLE, extra=extra)
        query = {"path": str(folder), "removable": "true"}
        algorithm_id = wire.http.post(f"{API}/deploy/local", params=query).json()["algorithm_id"]
    place = f"{API}/deploy/algorithm/{algorithm_id}"
    missing = wire.http.delete(place, params={"algorithm_minor_version": "9"})
    assert (missing.status_code, missing.json()["code"]) == (404, "minor_version_not_found")
    assert wire.http.get(f"{API}/algorithm/{name}/1").json()["algorithm_minor_versions"] == ["0", "1"]
    answer = wire.http.delete(place, params={"algorithm_minor_version": "0"})
    assert (answer.status_code, answer.json()) == (200, {"detail": "Algorithm minor version 0 removed"})
    assert wire.http.get(f"{API}/algorithm/{name}/1").json()["algorithm_minor_versions"] == ["1"]
    answer = wire.http.delete(place)
    assert (answer.status_code, answer.json()) == (200, {"detail": "Algorithm removed"})
    assert wire.http.get(f"{API}/algorithm/{name}/1").status_code == 404
    gone = wire.http.delete(place)
    assert (gone.status_code, gone.json()["code"]) == (404, "algorithm_not_found")
    assert gone.json()["details"] == {"algorithm_id": algorithm_id}


def test_one_that_is_not_removable_stays(wire: Wire) -> None:
    """400, as clients know it."""
    algorithm_id = wire.algorithm_id("double")
    answer = wire.http.delete(f"{API}/deploy/algorithm/{algorithm_id}")
    assert (answer.status_code, answer.json()["code"]) == (400, "algorithm_not_removable")
    assert answer.json()["details"] == {"algorithm_id": algorithm_id}
    assert wire.http.get(f"{API}/algorithm/double/1").status_code == 200


def test_without_allowed_roots_the_folder_of_algorithms_counts(tmp_path: Path) -> None:
    """`deploy_algorithms_from` is where an operator keeps them anyway."""
    folder = write_algorithm(tmp_path / "mine" / "one", "one", DOUBLE)
    other = write_algorithm(tmp_path / "other", "other", DOUBLE)
    settings = {**settings_for("memory", tmp_path), "deploy_algorithms_from": str(tmp_path / "mine")}
    with Engine(settings) as engine, served(engine) as url:
        wire = Wire(url)
        assert wire.http.post(f"{API}/deploy/local", params={"path": str(folder)}).status_code == 200
        assert wire.http.post(f"{API}/deploy/local", params={"path": str(other)}).status_code == 403
        wire.close()


def _file(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _broken(folder: Path, toml: str) -> Path:
    write_algorithm(folder, "x", DOUBLE)
    (folder / "pyproject.toml").write_text(toml, encoding="utf-8")
    return folder


def _without_runner(folder: Path) -> Path:
    write_algorithm(folder, "x", DOUBLE)
    (folder / "Runner.py").unlink()
    return folder
