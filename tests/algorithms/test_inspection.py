"""What a Runner.py tells without being run."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import pytest

from compox_core.algorithms.inspection import inspect_runner
from compox_core.errors import PackageError

GENERIC = """
from compox_core.runners import BaseRunner
class Runner(BaseRunner):
    def preprocess(self, a, b): ...
    def inference(self, a, b): ...
    def postprocess(self, a, b): ...
"""
TYPED = """
from compox_core.runners import Image2ImageRunner
class Runner(Image2ImageRunner):
    def inference(self, a, b): ...
"""


def inspect(runner: str, kind: str = "Image2Image", modules: Mapping[str, str] | None = None) -> list[str]:
    sources = {"Runner.py": runner, **(modules or {})}
    return inspect_runner({path: textwrap.dedent(text).encode() for path, text in sources.items()}, kind)


SILENT = {
    "typed": (TYPED, "Image2Image"),
    "generic": (GENERIC, "Generic"),
    "undeclared type": (TYPED, "Undefined"),
    "old name": (
        TYPED.replace("compox_core.runners", "compox.algorithm_utils.Image2ImageRunner"),
        "Image2Image",
    ),
    "by attribute": (
        "import compox_core.runners as r\nclass Runner(r.Image2ImageRunner):\n    def inference(s, a, b): ...",
        "Image2Image",
    ),
    "renamed import": (
        "from compox_core.runners import Image2ImageRunner as R\nclass Runner(R):\n    def inference(s, a, b): ...",
        "Image2Image",
    ),
    "alias": (TYPED.replace("class Runner", "class Mine") + "\nRunner = Mine", "Image2Image"),
    "typed alias": (TYPED.replace("class Runner", "class Mine") + "\nRunner: type = Mine", "Image2Image"),
    "made by a call": ("Runner = make()", "Image2Image"),
    "one of a pair": ("Runner, other = make()", "Image2Image"),
    "hooks by assignment": (
        "from compox_core.runners import Image2ImageRunner\nclass Runner(Image2ImageRunner):\n    inference = f",
        "Image2Image",
    ),
    "in a try": (
        """
        try:
            from compox_core.runners import Image2ImageRunner
        except ImportError:
            Image2ImageRunner = object
        class Runner(Image2ImageRunner):
            def inference(self, a, b): ...
        """,
        "Image2Image",
    ),
    "class in an if": ("if True:\n" + textwrap.indent(TYPED, "    ") + "else:\n    Runner = None", "Image2Image"),
    "class in a with": ("with x:\n" + textwrap.indent(TYPED, "    "), "Image2Image"),
    "star import": ("from runners import *", "Image2Image"),
    "imported from elsewhere": ("from helper_package import Runner", "Image2Image"),
    "base from elsewhere": ("from helper_package import Base\nclass Runner(Base): ...", "Image2Image"),
    "mixin from elsewhere": (
        """
        from helper_package import Hooks
        from compox_core.runners import BaseRunner
        class Runner(Hooks, BaseRunner): ...
        """,
        "Generic",
    ),
    "base is an expression": ("class Runner(make()): ...", "Generic"),
    "base is not to be found": ("class Runner(Unknown): ...", "Generic"),
    "itself": ("Runner = Runner\nRunner = Runner\nclass Runner(Runner): ...", "Generic"),
    "empty base": (TYPED.replace("Runner(Image", "Base(Image") + "class Runner(Base): ...", "Image2Image"),
}


@pytest.mark.parametrize("kind", SILENT)
def test_what_is_right_or_cannot_be_told_gives_no_warning(kind: str) -> None:
    """Every way to write a Runner that works, or that only running would tell, is silent."""
    assert inspect(*SILENT[kind]) == []


def test_the_class_is_followed_through_the_algorithms_own_modules() -> None:
    """Absolute, relative and nested imports of the algorithm's own files are known."""
    base = "from compox_core.runners import Image2ImageRunner\nclass Base(Image2ImageRunner): ..."
    modules = {"pkg/base.py": base, "pkg/__init__.py": "from .base import Base"}
    for statement in ("from pkg.base import Base", "from .pkg.base import Base", "from pkg import Base"):
        found = inspect(f"{statement}\nclass Runner(Base): ...", modules=modules)
        assert found == ["Runner has no inference: executions will fail; trainings and benchmarks may run."]
    impl = {"impl.py": TYPED.replace("class Runner", "class Impl")}
    assert inspect("from impl import Impl as Runner", modules=impl) == []
    assert len(inspect("from impl import Impl as Runner", "Generic", impl)) == 1


@pytest.mark.parametrize(
    ("runner", "said"),
    [
        ("", "defines no class `Runner`"),
        ("x = 1\ndef run(): ...", "defines no class `Runner`"),
        ("class runner: ...", "defines no class `Runner`"),
        ("def make():\n    class Runner: ...", "defines no class `Runner`"),
        ("import Runner.thing as x", "defines no class `Runner`"),
        ("class Runner: ...", "does not derive from BaseRunner"),
        ("class Runner(object): ...", "does not derive from BaseRunner"),
        ("class A: ...\nclass Runner(A): ...", "does not derive from BaseRunner"),
        ("def Runner(): ...", "does not derive from BaseRunner"),
        ("async def Runner(): ...", "does not derive from BaseRunner"),
    ],
)
def test_no_runner_is_an_error(runner: str, said: str) -> None:
    """A file without a class Runner, or with one that cannot run, is refused before anything is stored."""
    with pytest.raises(PackageError, match=said) as caught:
        inspect(runner)
    assert caught.value.code == "algorithm_runner_not_found"
    assert "Runner" in str(caught.value)


def test_a_type_that_does_not_fit_is_warned_of() -> None:
    """The declared type and the class should say the same."""
    [warning] = inspect(TYPED, "Image2Segmentation")
    assert warning == (
        "algorithm_type is Image2Segmentation, and Runner derives from Image2ImageRunner, which is for Image2Image."
    )
    assert len(inspect(GENERIC, "Image2Image")) == 1
    assert len(inspect(TYPED, "Generic")) == 1


def test_missing_hooks_are_warned_of() -> None:
    """What only trains deploys; the warning names what an execution would need."""
    [warning] = inspect(GENERIC.replace("inference", "train"), "Generic")
    assert warning == "Runner has no inference: executions will fail; trainings and benchmarks may run."
    [warning] = inspect("from compox_core.runners import BaseRunner\nclass Runner(BaseRunner): ...", "Generic")
    assert "no preprocess, inference, postprocess" in warning


@pytest.mark.parametrize(
    ("imports", "modules"),
    [
        ("from compox_core.runners import *", {}),
        ("from compox.algorithm_utils.BaseRunner import *", {}),
        ("from base import *", {"base.py": "from compox_core.runners import BaseRunner"}),
    ],
)
def test_a_runner_of_a_star_import_is_known(imports: str, modules: dict[str, str]) -> None:
    """What it lacks is told as for any other; a star import from elsewhere cannot be followed."""
    [warning] = inspect(f"{imports}\nclass Runner(BaseRunner): ...", "Generic", modules)
    assert "no preprocess, inference, postprocess" in warning
    assert inspect("from elsewhere import *\nclass Runner(BaseRunner): ...", "Generic") == []


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("def __del__(self): ...", "__del__"),
        ("__slots__ = ('x',)", "__slots__"),
        ("@lru_cache\n    def f(self): ...", "lru_cache"),
        ("@functools.lru_cache(maxsize=None)\n    def f(self): ...", "lru_cache"),
        ("@functools.cache\n    def f(self): ...", "cache"),
        ("@cached_property\n    def f(self): ...", "cached_property"),
    ],
)
def test_what_does_not_go_with_an_instance_for_each_run(line: str, name: str) -> None:
    """Caches on the instance and its end are warned of, with what to do."""
    [warning] = inspect(f"{TYPED}    {line}\n")
    assert warning.startswith(f"Runner uses {name}: ")


def test_compiled_code_tells_nothing() -> None:
    """Only a source is read."""
    assert inspect_runner({"Runner.pyc": b"..."}, "Generic") == []
