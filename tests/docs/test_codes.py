"""The reference of errors and the source name the same codes of jobs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.docs.blocks import ROOT

PAGE = ROOT / "docs" / "reference" / "api" / "errors.md"
SOURCE = ROOT / "src" / "compox_core"
ENDING = (
    *("jobs", "runners", "tasks/handler.py", "tasks/sessions.py", "algorithms/loading.py"),
    *("training/handler.py", "training/dataset.py", "training/local_samples.py", "training/temp_store.py"),
    *("training/given.py", "algorithms/checkpoint_contents.py"),
)
"""What is raised here while a job runs, or said of it, stands in its record."""
NO_JOB = {"broker_unavailable", "invalid_server_backend"}
"""Raised there, too, but to who starts a server or a worker."""


def rows() -> dict[str, bool]:
    """Return each code of the page's tables, and whether it is called retryable."""
    found = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            for code in re.findall(r"`([a-z_]+)`", cells[0]):
                assert code not in found, f"{code} stands twice"
                found[code] = {"yes": True, "no": False}[cells[-1]]
    return found


def calls(*names: str) -> Iterator[tuple[str, bool]]:
    """Yield the code of each error that the source makes, and whether it makes it retryable."""
    for name in names:
        path = SOURCE / name
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    yield from _code(node)
                elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "default_code":
                    yield ast.literal_eval(node.value), False


def _code(call: ast.Call) -> Iterator[tuple[str, bool]]:
    given = {word.arg: word.value for word in call.keywords}
    code, retryable = given.get("code"), given.get("retryable")
    if isinstance(code, ast.Constant):
        yield code.value, isinstance(retryable, ast.Constant) and retryable.value is True


def test_every_code_that_a_job_ends_with_is_in_the_reference() -> None:
    """No code of the modules that run jobs is missing on the page."""
    ends = {code for code, _ in calls(*ENDING)}
    assert ends >= NO_JOB
    assert ends - NO_JOB - rows().keys() == set()


def test_the_reference_of_codes_is_true() -> None:
    """No code on the page is invented, and each is retryable there where the source says so."""
    page, made = rows(), dict.fromkeys(("storage_read_failed", "storage_write_failed"), False)  # chosen by a variable
    for code, retryable in calls("."):
        made[code] = made.get(code, False) or retryable
    assert page == {code: made.get(code) for code in page}
