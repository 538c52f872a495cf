"""The schema that a call was given, under its name or the older one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compox_core.errors import InvalidInputError

if TYPE_CHECKING:
    from compox_core.data import DataSchema


def given_schema(schema: type[DataSchema] | None, older: type[DataSchema] | None, caller: str) -> type[DataSchema]:
    """Return the one that was given. Raises InvalidInputError (`schema_missing`) where none was."""
    chosen = schema if schema is not None else older
    if chosen is None:
        raise InvalidInputError(
            f"{caller} needs a schema, for example `{caller}(…, ImageSchema)`.", code="schema_missing"
        )
    return chosen
