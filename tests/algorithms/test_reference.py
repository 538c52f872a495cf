"""The reference of pyproject.toml and the code that reads it say the same."""

from __future__ import annotations

import re
from pathlib import Path

from compox_core.algorithms.config import ALGORITHM_TYPES, KNOWN
from compox_core.algorithms.declarations import CONFIG_KEYS, PARAMETER_KEYS
from compox_core.records.parameter import PARAMETER_TYPES

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "pyproject.md").read_text(encoding="utf-8")


def first_cells(heading: str) -> set[str]:
    """Return what stands in code in the first cells of the tables below a heading."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return {name for line in lines for name in re.findall(r"`([^`]+)`", line.split("|")[1])}


def test_every_field_is_in_the_reference() -> None:
    """No field of the section is missing on the page, and none is invented."""
    assert first_cells("`[tool.compox]`") == set(KNOWN)


def test_every_type_and_key_of_parameters_is_in_the_reference() -> None:
    """The 13 types have a row each, and the keys that a parameter may have are all there."""
    keys = {key for key in PARAMETER_KEYS if key != "config"} | {f"config.{key}" for key in CONFIG_KEYS}
    assert first_cells("Parameters") == {*PARAMETER_TYPES, *keys}


def test_every_type_of_algorithm_is_in_the_reference() -> None:
    """An author can look up what may be declared."""
    assert all(f"`{kind}`" in PAGE for kind in ALGORITHM_TYPES)
