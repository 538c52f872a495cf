"""The page that describes the formats shows code that runs and names what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from compox_core import data
from compox_core.data import IMAGE_SUFFIXES, DataSchema

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "data-formats.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """The schema of an author is written and read as shown."""
    [(code, output)] = re.findall(r"```python\n(.*?)```\s+```output\n(.*?)```", TEXT, re.DOTALL)
    exec(compile(code, PAGE.name, "exec", dont_inherit=True), {"__name__": "example"})
    assert capsys.readouterr().out == output


def test_every_schema_field_and_suffix_is_on_the_page() -> None:
    """Nothing is added to the code without a word on the page."""
    schemas = [getattr(data, name) for name in data.__all__ if name.endswith("Schema")]
    fields = {field for schema in schemas if issubclass(schema, DataSchema) for field in schema.model_fields}
    names = {schema.__name__ for schema in schemas}
    assert [name for name in (*names, *fields, *IMAGE_SUFFIXES) if f"`{name}`" not in TEXT] == []
