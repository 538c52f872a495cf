"""Algorithms on their way out."""

from __future__ import annotations

import io
import time
import zipfile
from pathlib import Path
from urllib.parse import quote

import pytest

from compox_core.engine import Engine
from compox_core.storage import ASSETS
from tests.http.serving import API, DOUBLE, FACTOR, Wire, write_algorithm


def test_an_exported_zip_is_whole_and_deploys_again(wire: Wire, engine: Engine, tmp_path: Path) -> None:
    """Code, pyproject.toml and assets at their places; another store takes it and runs it."""
    folder = write_algorithm(tmp_path / "a", "exported", DOUBLE, extra=FACTOR + "[tool.compox.x]\n")
    (folder / "files").mkdir()
    (folder / "files" / "w.bin").write_bytes(bytes(range(256)) * 40)
    engine.deploy(folder)
    answer = wire.http.get(f"{API}/algorithm/exported/1/export")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == 'attachment; filename="exported_v1"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert sorted(archive.namelist()) == ["Runner.py", "files/w.bin", "pyproject.toml"]
        assert archive.read("files/w.bin") == (folder / "files" / "w.bin").read_bytes()
        assert archive.testzip() is None
    again = wire.http.post("/api/v1/algorithms", content=answer.content, params={"name": "exported_again"})
    assert again.status_code == 201
    image = [[1.0, 2.0], [3.0, 4.0]]
    import numpy as np

    result = engine.run("exported_again", np.asarray(image, dtype=np.float32), progress=False)
    assert result.tolist() == [[2.0, 4.0], [6.0, 8.0]]


def test_a_minor_version_is_exported_as_it_was(wire: Wire, engine: Engine, tmp_path: Path) -> None:
    """The latest unless another is asked for."""
    for content in (b"first", b"second"):
        folder = write_algorithm(tmp_path / "a", "twice", DOUBLE)
        (folder / "w.bin").write_bytes(content)
        engine.deploy(folder)
    for query, expected in (({}, b"second"), ({"algorithm_minor_version": "0"}, b"first")):
        answer = wire.http.get(f"{API}/algorithm/TWICE/1/export", params=query)
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            assert archive.read("w.bin") == expected


@pytest.mark.parametrize(
    ("path", "query", "status", "code", "details"),
    [
        ("nothing/1", {}, 404, "algorithm_not_found", {"algorithm_name": "nothing", "algorithm_major_version": "1"}),
        ("double/9", {}, 404, "algorithm_not_found", {"algorithm_name": "double", "algorithm_major_version": "9"}),
        (
            "double/1",
            {"algorithm_minor_version": "7"},
            404,
            "minor_version_not_found",
            {"algorithm_name": "double", "algorithm_major_version": "1", "algorithm_minor_version": "7"},
        ),
        ("double/1", {"checkpoint_id": "x"}, 404, "checkpoint_not_found", {"checkpoint_id": "x"}),
        ("double/one", {}, 422, "request_validation_error", None),
        ("double/1", {"algorithm_minor_version": "x"}, 422, "request_validation_error", None),
    ],
)
def test_what_cannot_be_exported_says_why(
    wire: Wire, path: str, query: dict[str, str], status: int, code: str, details: dict[str, str] | None
) -> None:
    """Codes and details as clients know them."""
    answer = wire.http.get(f"{API}/algorithm/{path}/export", params=query)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    if details is not None:
        assert {key: answer.json()["details"].get(key) for key in details} == details
    else:
        assert isinstance(answer.json()["detail"], list)


def test_one_that_may_not_be_exported_stays_here(wire: Wire, engine: Engine, tmp_path: Path) -> None:
    """403, in any case of its name."""
    engine.deploy(write_algorithm(tmp_path / "a", "Secret", DOUBLE), exportable=False)
    for name in ("Secret", "secret", "SECRET"):
        answer = wire.http.get(f"{API}/algorithm/{name}/1/export")
        assert (answer.status_code, answer.json()["code"]) == (403, "algorithm_not_exportable")
        assert answer.json()["details"] == {"algorithm_name": "Secret", "algorithm_major_version": "1"}


def test_a_name_in_any_script_comes_in_the_header(wire: Wire, engine: Engine, tmp_path: Path) -> None:
    """A plain name for old programs, the real one beside it."""
    engine.deploy(write_algorithm(tmp_path / "a", "Größe", DOUBLE))
    answer = wire.http.get(f"{API}/algorithm/{quote('Größe')}/1/export")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == (
        "attachment; filename=\"Gr__e_v1\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe_v1"
    )


def test_a_lost_asset_is_a_failure_and_nothing_stays(
    wire: Wire, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """500 with a code; no half zip is left where scratch files lie."""
    folder = write_algorithm(tmp_path / "a", "damaged", DOUBLE)
    (folder / "w.bin").write_bytes(b"weights of the damaged one")
    version = engine.deploy(folder).version
    engine.store.delete(ASSETS, version.assets["w.bin"].key)
    scratch = tmp_path / "scratch"
    monkeypatch.setattr(engine.store, "scratch", lambda: scratch)
    answer = wire.http.get(f"{API}/algorithm/damaged/1/export")
    assert (answer.status_code, answer.json()["code"]) == (500, "algorithm_export_failed")
    assert not scratch.exists()


def test_the_zip_goes_when_it_was_sent(
    wire: Wire, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the client goes away in between."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    made: list[Path] = []

    def fresh() -> Path:
        made.append(scratch / str(len(made)))
        return made[-1]

    monkeypatch.setattr(engine.store, "scratch", fresh)
    assert wire.http.get(f"{API}/algorithm/double/1/export").status_code == 200
    with wire.http.stream("GET", f"{API}/algorithm/double/1/export") as answer:
        assert answer.status_code == 200
    assert len(made) == 2
    for _ in range(200):
        if not any(scratch.iterdir()):
            return
        time.sleep(0.01)
    raise AssertionError("a scratch file is still there")
