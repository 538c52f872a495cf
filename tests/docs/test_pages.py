"""Every code block of README and of the documentation does what its page says."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, Page, environment

FOLDERS = ("tutorial", "how-to", "reference", "explanation", "decisions")
CANDIDATES = [ROOT / "README.md", *(page for name in FOLDERS for page in sorted((ROOT / "docs" / name).glob("*.md")))]
PAGES = [page for page in CANDIDATES if "```" in page.read_text(encoding="utf-8") and page.name != "index.md"]

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="the pages' commands are for bash")


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that has what a reader's clone has, to work in."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("algorithms", "demo"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    for name, value in environment(tmp_path).items():
        if os.environ.get(name) != value:
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def page(request: pytest.FixtureRequest, clone: Path) -> Iterator[Page]:
    """The page that is tried."""
    opened = Page(request.param, clone)
    yield opened
    opened.close()


# The tutorial on denoising divides by zero to show what comes of it.
@pytest.mark.filterwarnings("ignore:invalid value encountered in divide:RuntimeWarning")
@pytest.mark.parametrize("page", PAGES, indirect=True, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_block_runs(page: Page) -> None:
    """A reader who follows the page from top to bottom meets no error."""
    for example in page.examples():
        example.evaluate()


def test_a_block_that_fails_fails_its_page(tmp_path: Path) -> None:
    """No exception, exit code, wrong output or language that nobody runs is overlooked."""
    blocks = [
        "```python\n1 / 0\n```",
        "```shell\nfalse\n```",
        "```\nanything\n```",
        "```json\n{\n```",
        "```python\nprint(1)\n```\n\n```output\n2\n```",
    ]
    for block in blocks:
        (tmp_path / "page.md").write_text(f"# Page\n\n{block}\n", encoding="utf-8")
        page = Page(tmp_path / "page.md", tmp_path)
        with pytest.raises(Exception, match=r"division|exit code 1|neither run|Expecting|the page shows"):
            for example in page.examples():
                example.evaluate()


def test_blocks_of_a_page_build_on_each_other(tmp_path: Path) -> None:
    """A captioned block becomes a file, Python blocks share their names, and commands see the files."""
    blocks = [
        "```{code-block} python\n:caption: made/by.py\nanswer = 42\n```",
        "```python\nfrom pathlib import Path\nmade = Path('by.py')\n```",
        "```shell\ngrep 42 made/by.py > found.txt\n```",
        "```python\nassert made.name == 'by.py'\n```",
    ]
    (tmp_path / "page.md").write_text("\n\n".join(blocks), encoding="utf-8")
    page = Page(tmp_path / "page.md", tmp_path)
    for example in page.examples():
        example.evaluate()
    assert (tmp_path / "made" / "by.py").read_text(encoding="utf-8") == "answer = 42\n"
    assert "42" in (tmp_path / "found.txt").read_text(encoding="utf-8")
