"""From which folders of this machine a client may name a path."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compox_core.engine.roots import allowed_path
from compox_core.errors import ConflictError
from compox_core.settings import Settings


def settings(*roots: object, folder: object = "nowhere") -> Settings:
    """Return settings with these roots, and the folder of the algorithms that come with a server."""
    return Settings.model_validate(
        {"deploy": {"allowed_roots": [str(root) for root in roots]}, "deploy_algorithms_from": str(folder)}
    )


def refused(where: Settings, path: str) -> None:
    """Assert that a path is refused."""
    with pytest.raises(ConflictError) as caught:
        allowed_path(where, path)
    assert caught.value.code == "deploy_path_not_allowed"
    assert "deploy.allowed_roots" in caught.value.message
    caught.value.message.encode("utf-8")
    str(caught.value.details["path"]).encode("utf-8")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders inside and outside of a root, and links between them; the path that they lie in."""
    base = tmp_path_factory.mktemp("tree").resolve()
    for folder in ("root/a/b", "root/..c", "rooted/a", "outside/a"):
        (base / folder).mkdir(parents=True)
    links = {
        "root/out": "outside",
        "root/a/up": "outside/a",
        "root/in": "root/a",
        "link": "root",
        "root/loop": "root/loop",
    }
    try:
        for link, target in links.items():
            (base / link).symlink_to(base / target)
    except OSError:
        pytest.skip("this system makes no symbolic links")
    return base


PARTS = st.sampled_from(
    ["a", "b", "..", ".", "", "out", "up", "in", "loop", "..c", "root", "rooted", "outside", "missing", "~", "A", "con"]
)


@given(parts=st.lists(PARTS | st.text(max_size=4), max_size=7), absolute=st.booleans())
def test_no_path_leads_outside(tree: Path, parts: list[str], absolute: bool) -> None:
    """Whatever a client writes: what is allowed lies in the root, really, and is what the client meant."""
    where, named = settings(tree / "root"), "/".join(parts)
    path = f"{tree}/root/{named}" if absolute else named
    try:
        found = allowed_path(where, path)
    except ConflictError as error:
        assert error.code == "deploy_path_not_allowed"
        return
    assert found == found.resolve()
    assert found.is_relative_to(tree / "root")
    assert found == Path(os.path.abspath(path)).resolve()  # noqa: PTH100 - `..` by its text alone, as the client wrote it


@pytest.mark.parametrize(
    "inside", ["", "a", "a/b", "a/../a", "./a//b/", "..c", "in", "in/b", "missing", "a/../../root/a"]
)
def test_what_lies_in_the_root_is_allowed(tree: Path, inside: str) -> None:
    """Whether there is anything or not, by its real path; the root may be named through a link, too."""
    for root in (tree / "root", tree / "link"):
        for start in {tree / "root", root}:
            path = f"{start}/{inside}"
            assert allowed_path(settings(root), path) == Path(os.path.abspath(path)).resolve()  # noqa: PTH100


@pytest.mark.parametrize(
    "path",
    [
        "/", "..", "{base}", "{base}/rooted", "{base}/rooted/a", "{base}/outside/a", "{base}/root/../outside",
        "{base}/root/out", "{base}/root/out/a", "{base}/root/a/up", "{base}/root/a/../../rooted", "{base}/root/loop",
        "{base}/root/loop/x", "{base}/root/\0", "{base}/root/a\0/../b", "", "root", "~/root", "\\\\server\\share",
        "//server/share", "file://{base}/root/a", "C:\\root", "{base}/root/\ud800", "x" * 5000,
    ],
)  # fmt: skip
def test_what_lies_outside_or_nowhere_is_refused(tree: Path, path: str) -> None:
    """By its text, or through a link, or as what no file can be called; the message can be sent to anybody."""
    refused(settings(tree / "root"), path.replace("{base}", str(tree)))


def test_case_counts_where_the_system_says_so(tree: Path) -> None:
    """On a filesystem that tells cases apart another case is another folder."""
    other = tree / "ROOT" / "a"
    if other.exists():
        assert allowed_path(settings(tree / "root"), str(tree / "root" / "A")).samefile(tree / "root" / "a")
    else:
        refused(settings(tree / "root"), str(other))


def test_without_roots_the_folder_of_the_server_counts(tree: Path) -> None:
    """And only then; of several roots each does."""
    assert allowed_path(settings(folder=tree / "root"), f"{tree}/root/a") == tree / "root" / "a"
    refused(settings(tree / "outside", folder=tree / "root"), f"{tree}/root/a")
    both = settings(tree / "outside", tree / "root")
    for path in ("root/a", "outside/a"):
        assert allowed_path(both, f"{tree}/{path}") == tree / path
    refused(both, f"{tree}/root/out/a")  # it leaves the root in which it was named


def test_nothing_outside_is_looked_at(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path outside is refused by its text, so that an answer does not tell what is there."""
    looked: list[Path] = []
    resolve = Path.resolve

    def noted(self: Path, strict: bool = False) -> Path:
        looked.append(self)
        return resolve(self, strict)

    where = settings(tree / "root")
    monkeypatch.setattr(Path, "resolve", noted)
    for path in ("outside/a", "outside/missing", "root/../outside/a"):
        refused(where, f"{tree}/{path}")
    assert set(looked) == {tree / "root"}


def test_a_relative_root_and_a_home_are_understood(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They mean what they mean on a command line."""
    monkeypatch.chdir(tree)
    monkeypatch.setenv("HOME", str(tree))
    monkeypatch.setenv("USERPROFILE", str(tree))
    for root in ("root", "./root/", "~/root"):
        for path in ("root/a", f"{tree}/root/a"):
            assert allowed_path(settings(root), path) == tree / "root" / "a"
        refused(settings(root), "outside/a")
