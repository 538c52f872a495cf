"""Which algorithms are to go into a bundle, as people write it: `name`, `name:major`, `name@minor` or both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from compox_core.algorithms.naming import check_name
from compox_core.algorithms.shelves import is_major, parse_minor
from compox_core.errors import InvalidInputError, PackageError


@dataclass(frozen=True)
class Choice:
    """An algorithm by name, in one major version (None: the highest), with one minor version (None: all)."""

    name: str
    major: str | None = None
    minor: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a choice. Raises InvalidInputError (`invalid_algorithm_selection`), which shows the text."""
        rest, at, minor = text.strip().partition("@")
        name, colon, major = rest.partition(":")
        try:
            name = check_name(name)
        except PackageError as error:
            raise _invalid(text, error.message) from None
        if colon and not is_major(major):
            raise _invalid(text, f"{major!r} is no major version.")
        number = parse_minor(minor)
        if at and number is None:
            raise _invalid(text, f"{minor!r} is no minor version: it is a whole number, as 3.")
        return cls(name, major if colon else None, number if at else None)


def _invalid(text: str, why: str) -> InvalidInputError:
    return InvalidInputError(
        f"{text!r} does not choose an algorithm: {why} Write NAME, NAME:MAJOR, NAME@MINOR or NAME:MAJOR@MINOR.",
        code="invalid_algorithm_selection",
        details={"selection": text},
    )
