"""Minifying and compiling keep what code does."""

from __future__ import annotations

import importlib.util
import marshal
import sys
import textwrap
from importlib.machinery import SourcelessFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest

from compox_core.algorithms.transform import HERE, check_syntax, compiled, minify, python_of
from compox_core.errors import PackageError

FEATURES = '''
"""A docstring that goes."""
from __future__ import annotations
import dataclasses, enum, functools
from typing import NamedTuple

FACTOR: int = 3
__all__ = ["Thing", "run", "LONG_GLOBAL_NAME"]
LONG_GLOBAL_NAME = "x" * 2


@dataclasses.dataclass
class Thing:
    """Documented."""
    width: float
    height: float = 2.0
    names: list[str] = dataclasses.field(default_factory=list)

    @property
    def area(self) -> float:
        return self.width * self.height

    def scaled(self, image_scale: float = 1.0, *, keyword_only: int = 0) -> "Thing":
        a_long_local_name = image_scale + keyword_only
        return dataclasses.replace(self, width=self.width * a_long_local_name)


class Pair(NamedTuple):
    first: int
    second: int = 5


class Colour(enum.Enum):
    RED = "red"


def decorate(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs) + 1
    return wrapper


@decorate
def run(input_data, args=None):
    """Documented, too."""
    total = 0
    for position, item in enumerate(input_data):
        match item:
            case {"value": value} if value > 1:
                total += value
            case [first, *rest]:
                total += first + len(rest)
            case _:
                total += position
    walrus = [found for each in range(4) if (found := each * 2) > 3]
    text = f"{total:>{FACTOR}}|{walrus!r}"
    assert text
    def inner():
        nonlocal total
        total += 1
    inner()
    return total
'''


def execute(source: bytes | str) -> dict[str, Any]:
    module = ModuleType("sample_of_minified_code")
    sys.modules[module.__name__] = module  # where dataclasses look for the names in annotations
    try:
        exec(compile(source, "sample.py", "exec", dont_inherit=True), module.__dict__)
    finally:
        del sys.modules[module.__name__]
    return module.__dict__


def test_minified_code_does_the_same() -> None:
    """Classes, decorators, matching, keywords and globals work as they did, in less than two thirds of the space."""
    small = minify(FEATURES.encode(), "sample.py")
    assert len(small) < len(FEATURES) * 2 / 3
    was, now = execute(FEATURES), execute(small)
    data = [{"value": 5}, [1, 2, 3], "x"]
    assert now["run"](input_data=data, args=None) == was["run"](input_data=data, args=None) == 12
    assert now["Thing"](width=2.0).scaled(image_scale=2, keyword_only=1).area == 12.0
    assert now["Pair"](1)._asdict() == {"first": 1, "second": 5}
    assert now["Colour"]("red").name == "RED"
    assert now["LONG_GLOBAL_NAME"] == "xx"


def test_names_that_others_use_are_kept() -> None:
    """Globals, parameters and attributes keep their names; docstrings, comments and local names go."""
    text = minify(FEATURES.encode(), "sample.py").decode()
    for name in ("input_data", "args", "image_scale", "keyword_only", "LONG_GLOBAL_NAME", "width", "height: float"):
        assert name.replace(" ", "") in text.replace(" ", "")
    for name in ("a_long_local_name", "Documented", "docstring", "walrus"):
        assert name not in text


def test_other_encodings_are_read_by_their_cookie() -> None:
    """A source in Latin-1 with its cookie comes out as UTF-8 with the same text."""
    source = '# -*- coding: latin-1 -*-\nTEXT = "café"\n'.encode("latin-1")
    check_syntax(source, "a.py")
    assert execute(minify(source, "a.py"))["TEXT"] == "café"
    assert execute(minify("\ufeffTEXT = 'é'".encode(), "a.py"))["TEXT"] == "é"
    assert minify(b"", "a.py") == b""


@pytest.mark.parametrize(
    ("source", "said", "line"),
    [
        ("x = 1\ndef f(:\n    pass", "line 2: invalid syntax in `def f(:`", 2),
        ("def f():\nx = 1", "line 2: expected an indented block", 2),
        ("x = (1,\n", "line 1: '(' was never closed", 1),
        ("print 'x'", "line 1: Missing parentheses", 1),
        ("return 1", "line 1: 'return' outside function", 1),
        ("x = 1\x00", "null bytes", None),
        ("# coding: klingon\nx = 1", "unknown encoding", None),
        (b"x = '\xff'", "utf-8", 1),
        ("(" * 5000, "too many nested parentheses", 1),
        ("x = " + "-" * 100000 + "1", "", None),
    ],
)
def test_what_is_no_python_is_named(source: str | bytes, said: str, line: int | None) -> None:
    """The error has the file, the line and its text."""
    with pytest.raises(PackageError) as caught:
        check_syntax(source if isinstance(source, bytes) else source.encode(), "pkg/a.py")
    error = caught.value
    assert error.code == "algorithm_module_create_failed"
    assert str(error).startswith("'pkg/a.py' cannot be deployed: ") and said in str(error)
    assert error.details["path"] == "pkg/a.py"
    if line is not None:
        assert error.details["line"] == line


def test_what_cannot_be_minified_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the minifier fails, the author can switch it off."""
    import python_minifier

    def fail(*args: object, **options: object) -> str:
        raise RecursionError("too deep")

    monkeypatch.setattr(python_minifier, "minify", fail)
    with pytest.raises(PackageError, match=r"'a\.py'.*set obfuscate = false"):
        minify(b"x = 1", "a.py")


def test_compiled_code_runs_without_its_source(tmp_path: Path) -> None:
    """A compiled module is for this Python, is never checked against a source, and its tracebacks name its path."""
    content = compiled(textwrap.dedent("def f():\n    return 1 / 0\n").encode(), "pkg/a.py")
    assert content[:4] == importlib.util.MAGIC_NUMBER
    assert content[4:8] == (1).to_bytes(4, "little")  # hash-based, unchecked (PEP 552)
    code = marshal.loads(content[16:])
    assert isinstance(code, CodeType) and code.co_filename == "pkg/a.py"
    path = tmp_path / "a.pyc"
    path.write_bytes(content)
    loader = SourcelessFileLoader("a", str(path))
    spec = importlib.util.spec_from_loader("a", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    with pytest.raises(ZeroDivisionError):
        module.f()
    assert python_of(content, "a.pyc") == HERE


@pytest.mark.parametrize(("magic", "version"), [(3439, "3.10"), (3531, "3.12"), (3571, "3.13"), (3627, "3.14")])
def test_code_of_another_python_is_refused_by_name(magic: int, version: str) -> None:
    """The error names the Python that the file is for, and this one."""
    content = magic.to_bytes(2, "little") + b"\r\n" + compiled(b"x = 1", "a.py")[4:]
    if version == HERE:
        pytest.skip("this is that Python")
    with pytest.raises(PackageError) as caught:
        python_of(content, "a.pyc")
    assert caught.value.code == "python_version_mismatch"
    assert f"Python {version}" in str(caught.value) and f"this is Python {HERE}" in str(caught.value)
    assert caught.value.details == {"path": "a.pyc", "compiled_for": version, "running": HERE}


@pytest.mark.parametrize("content", [b"", b"\x00", b"\x01\x02\r\n" + b"x" * 50, b"plain text"])
def test_code_of_no_known_python_is_refused(content: bytes) -> None:
    """So is what is no compiled code at all."""
    with pytest.raises(PackageError, match="unknown Python") as caught:
        python_of(content, "a.pyc")
    assert caught.value.code == "python_version_mismatch" and caught.value.details["compiled_for"] is None


@pytest.mark.parametrize("rest", [b"", b"\x00" * 12, b"\x00" * 12 + b"N"])
def test_a_header_without_code_is_refused(rest: bytes) -> None:
    """A compiled file that was cut after its header, or holds something else."""
    with pytest.raises(PackageError, match="holds no code") as caught:
        python_of(importlib.util.MAGIC_NUMBER + rest, "a.pyc")
    assert caught.value.code == "algorithm_module_create_failed"
