"""What a deploy may do to source code: minify it, compile it."""

from __future__ import annotations

import importlib.util
import marshal
import sys

from compox_core.errors import PackageError

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
# Magic number, flags, and 8 bytes of date and size or of a hash; then a code object, with or without a reference
# to it (CPython's Python/marshal.c).
HEADER = 16
CODE_MARKS = (b"\x63", b"\xe3")
# First two bytes of a `.pyc` of each released Python: CPython's Include/internal/pycore_magic_number.h.
MAGIC_RANGES = {
    "3.10": (3430, 3439),
    "3.11": (3450, 3495),
    "3.12": (3500, 3531),
    "3.13": (3550, 3571),
    "3.14": (3600, 3627),
}


def check_syntax(source: bytes, relative: str) -> None:
    """Raise PackageError (`algorithm_module_create_failed`) when a source file is no Python, naming the line."""
    try:
        compile(source, relative, "exec", dont_inherit=True)
    except SyntaxError as error:
        line = (error.text or "").strip()
        place = f"line {error.lineno}: " if error.lineno else ""
        raise _broken(relative, f"{place}{error.msg}" + (f" in `{line}`" if line else ""), error.lineno) from error
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise _broken(relative, str(error) or type(error).__name__, None) from error


def minify(source: bytes, relative: str) -> bytes:
    """Return shorter source that does the same: no comments or docstrings, short local names.

    Names that others use (globals, parameters, attributes) are kept.
    """
    import python_minifier

    try:
        text = importlib.util.decode_source(source)
        small: str = python_minifier.minify(text, filename=relative, remove_literal_statements=True)
        compile(small, relative, "exec", dont_inherit=True)
    except Exception as error:  # the minifier is a stranger: whatever it raises, the author can switch it off
        raise _broken(relative, f"it cannot be minified ({error}); set obfuscate = false", None) from error
    return small.encode("utf-8")


def compiled(source: bytes, relative: str) -> bytes:
    """Return the content of a `.pyc` for this Python; its source is not consulted when it is imported."""
    code = compile(source, relative, "exec", dont_inherit=True)
    flags = 0b01  # hash-based, unchecked (PEP 552)
    return (
        importlib.util.MAGIC_NUMBER
        + flags.to_bytes(4, "little")
        + importlib.util.source_hash(source)
        + marshal.dumps(code)
    )


def python_of(content: bytes, relative: str) -> str:
    """Return the Python version that a `.pyc` is for.

    Raises PackageError (`python_version_mismatch`) when that is not this one, naming both, and
    (`algorithm_module_create_failed`) when the file holds no code.
    """
    magic = content[:4]
    if magic != importlib.util.MAGIC_NUMBER:
        number = int.from_bytes(magic[:2], "little")
        found = next((name for name, (low, high) in MAGIC_RANGES.items() if low <= number <= high), None)
        raise PackageError(
            f"'{relative}' was compiled for {f'Python {found}' if found else f'an unknown Python (magic {number})'}, "
            f"and this is Python {HERE}: deploy the source, or deploy with that Python.",
            code="python_version_mismatch",
            details={"path": relative, "compiled_for": found, "running": HERE},
        )
    # Reading the code itself would be no check but a risk: damaged code can end the process that reads it.
    if content[HEADER : HEADER + 1] not in CODE_MARKS:
        raise _broken(relative, "it holds no code", None)
    return HERE


def _broken(relative: str, why: str, line: int | None) -> PackageError:
    return PackageError(
        f"'{relative}' cannot be deployed: {why}.",
        code="algorithm_module_create_failed",
        details={"path": relative, "line": line},
    )
