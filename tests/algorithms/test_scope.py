"""Imports inside an algorithm mean what its author means, and leave no trace outside."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import textwrap
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from compox_core.algorithms.loading import load_runner_class, loaded_in_place
from compox_core.errors import AlgorithmError
from compox_core.runners import BaseRunner


@pytest.fixture(autouse=True)
def module_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    cache = tmp_path / "cache"
    monkeypatch.setenv("COMPOX_MODULE_CACHE", str(cache))
    yield cache


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    return folder


RUNNER = "from compox_core.runners import BaseRunner\n{imports}\nclass Runner(BaseRunner):\n    got = {got}\n"

FORMS = {
    "import helpers": "helpers.NAME",
    "import pkg.mod": "pkg.mod.NAME",
    "import pkg.mod as m": "m.NAME",
    "import pkg.deep.low as low": "low.NAME",
    "from pkg.mod import NAME": "NAME",
    "from pkg import mod": "mod.NAME",
    "from pkg import mod as m, other": "m.NAME + other.NAME",
    "from . import helpers": "helpers.NAME",
    "from .pkg import mod": "mod.NAME",
    "from .pkg.mod import NAME": "NAME",
    "from pkg.deep import low": "low.NAME",
    "from bare.inner import NAME": "NAME",
    "import importlib\nm = importlib.import_module('pkg.mod')": "m.NAME",
    "from importlib import import_module\nm = import_module('helpers')": "m.NAME",
    "import importlib.util\nm = importlib.util.find_spec('json')": "m.name",
    "m = __import__('pkg.mod')": "m.mod.NAME",
    "from helpers import *": "NAME",
    "try:\n    from .missing import x\nexcept ImportError:\n    from helpers import NAME as x": "x",
    "try:\n    import nowhere_at_all\nexcept ImportError:\n    import helpers as nowhere_at_all": "nowhere_at_all.NAME",
}


@pytest.mark.parametrize("imports", FORMS)
def test_every_form_of_import_works(imports: str, tmp_path: Path) -> None:
    """Absolute, relative, aliased, star, dynamic and guarded imports find the algorithm's own modules."""
    folder = write(
        tmp_path / "algorithm",
        {
            "Runner.py": RUNNER.format(imports=imports, got=FORMS[imports]),
            "helpers.py": "NAME = 'helpers'",
            "pkg/__init__.py": "",
            "pkg/mod.py": "from .other import NAME as _o\nimport helpers\nNAME = 'mod'",
            "pkg/other.py": "from pkg.deep import low\nNAME = 'other'",
            "pkg/deep/__init__.py": "",
            "pkg/deep/low.py": "from ... import helpers\nNAME = 'low'",
            "bare/inner.py": "NAME = 'inner'",
        },
    )
    before = set(sys.path), {name for name in sys.modules if "compox_core" not in name}
    runner = load_runner_class(folder)
    assert isinstance(runner.got, str)  # type: ignore[attr-defined]
    assert set(sys.path) == before[0]
    new = {name for name in sys.modules if "compox_core" not in name} - before[1]
    assert not new & {"helpers", "pkg", "bare", "Runner", "pkg.mod"}


def test_imports_inside_functions_work_late(tmp_path: Path) -> None:
    """An import that runs long after loading still means the algorithm's own module."""
    folder = write(
        tmp_path / "algorithm",
        {
            "Runner.py": """
                from compox_core.runners import BaseRunner
                class Runner(BaseRunner):
                    def late(self):
                        import helpers
                        from pkg import mod
                        return helpers.NAME + mod.NAME
            """,
            "helpers.py": "NAME = 'h'",
            "pkg/mod.py": "NAME = 'm'",
        },
    )
    with loaded_in_place(folder) as runner:
        assert runner().late() == "hm"  # type: ignore[attr-defined]


def test_algorithms_with_equal_module_names_live_side_by_side(tmp_path: Path) -> None:
    """Two algorithms that both have `utils/` each get their own."""
    runners = []
    for name in ("one", "two"):
        folder = write(
            tmp_path / name,
            {
                "Runner.py": RUNNER.format(imports="from utils.names import NAME", got="NAME"),
                "utils/__init__.py": "",
                "utils/names.py": f"NAME = '{name}'",
            },
        )
        runners.append(load_runner_class(folder))
    assert [runner.got for runner in runners] == ["one", "two"]  # type: ignore[attr-defined]


def test_an_edited_source_is_read_anew(tmp_path: Path) -> None:
    """Loading the same folder again sees an edit of equal length in the same second, and writes no bytecode there."""
    folder = write(
        tmp_path / "algorithm",
        {"Runner.py": RUNNER.format(imports="import helpers", got="helpers.NAME"), "helpers.py": "NAME = 'aaa'"},
    )
    assert load_runner_class(folder).got == "aaa"  # type: ignore[attr-defined]
    (folder / "helpers.py").write_text("NAME = 'bbb'")
    assert load_runner_class(folder).got == "bbb"  # type: ignore[attr-defined]
    assert not list(folder.rglob("__pycache__"))


def test_a_missing_dependency_is_named_as_such(tmp_path: Path) -> None:
    """A package that is not installed is reported by its own name, also when a submodule needs it."""
    folder = write(
        tmp_path / "algorithm",
        {
            "Runner.py": RUNNER.format(imports="from pkg import mod", got="1"),
            "pkg/__init__.py": "",
            "pkg/mod.py": "import surely_not_installed",
        },
    )
    with pytest.raises(AlgorithmError, match="No module named 'surely_not_installed'") as caught:
        load_runner_class(folder)
    assert caught.value.code == "algorithm_module_import_failed"


def test_a_missing_module_of_its_own_is_named_as_the_author_wrote_it(tmp_path: Path) -> None:
    """The error says `pkg.nothing`, not the name of our scope."""
    folder = write(
        tmp_path / "algorithm",
        {"Runner.py": RUNNER.format(imports="import pkg.nothing", got="1"), "pkg/__init__.py": ""},
    )
    with pytest.raises(AlgorithmError, match=r"No module named 'pkg\.nothing' in the algorithm's folder"):
        load_runner_class(folder)


def test_a_folder_of_data_does_not_hide_a_library(tmp_path: Path) -> None:
    """`yaml/` without code, and `fsspec/` with loose code but no `__init__`, leave the installed libraries visible."""
    folder = write(
        tmp_path / "algorithm",
        {
            "Runner.py": RUNNER.format(imports="import yaml, fsspec", got="(yaml.__file__, fsspec.__file__)"),
            "yaml/model.bin": "weights",
            "fsspec/convert.py": "x = 1",
        },
    )
    got = load_runner_class(folder).got  # type: ignore[attr-defined]
    assert all("site-packages" in path for path in got)


def test_an_own_module_hides_an_installed_one(tmp_path: Path) -> None:
    """A package that the author ships under the name of a library is the one that is meant."""
    folder = write(
        tmp_path / "algorithm",
        {"Runner.py": RUNNER.format(imports="import yaml", got="yaml.MINE"), "yaml/__init__.py": "MINE = 'mine'"},
    )
    assert load_runner_class(folder).got == "mine"  # type: ignore[attr-defined]


LEGACY = {
    "from compox.algorithm_utils.BaseRunner import BaseRunner as X": "compox_core.runners.base",
    "from compox.algorithm_utils.Image2ImageRunner import Image2ImageRunner as X": "compox_core.runners.typed",
    "from compox.algorithm_utils.Segmentation2SegmentationRunner import Segmentation2SegmentationRunner as X": "compox",
    "from compox.algorithm_utils.io_schemas import ImageSchema as X": "compox_core.data",
    "import compox.algorithm_utils.io_schemas as io; X = io.VolumeSchema": "compox_core.data",
    "import compox.algorithm_utils.io_schemas; X = compox.algorithm_utils.io_schemas.MeshSchema": "compox_core.data",
    "from compox.tasks.TaskHandler import TaskStoppedException as X": "compox_core.errors",
    "from compox.tasks.TaskHandler import TaskHandler as X": "compox_core.tasks",
    "from compox.session.TaskSession import TaskSession as X": "compox_core.tasks",
    "from compox.session.DataCache import DataCache as X": "compox_core.tasks",
    "from compox.exceptions import CompoxError as X": "compox_core.errors",
    "from compox.exceptions import CompoxTaskError as X": "compox_core.errors",
    "from compox.exceptions import CompoxFileError as X": "compox_core.errors",
    "from compox.tasks.context_handler import current_handler; X = type(current_handler)": "",
    "from compox.algorithm_utils.runner_context import current_runner_context; X = type(current_runner_context)": "",
    "import importlib; X = importlib.import_module('compox.algorithm_utils.BaseRunner').BaseRunner": "compox_core",
}


@pytest.mark.parametrize("imports", LEGACY)
@pytest.mark.parametrize("installed", [False, True])
def test_old_names_are_ours_also_beside_an_installed_original(
    imports: str, installed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`compox.…` inside an algorithm resolves to compox_core, whatever else is installed under that name."""
    if installed:
        write(tmp_path / "site", {"compox/__init__.py": "raise SystemExit('the real one was imported')"})
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
    folder = write(tmp_path / "algorithm", {"Runner.py": RUNNER.format(imports=imports, got="X")})
    got: Any = load_runner_class(folder).got  # type: ignore[attr-defined]
    assert got.__module__.startswith(LEGACY[imports])
    assert "compox" not in sys.modules


def test_an_unknown_old_name_says_that_it_is_not_provided(tmp_path: Path) -> None:
    """A module of the ancestor that we do not have is named in the error."""
    folder = write(tmp_path / "algorithm", {"Runner.py": RUNNER.format(imports="import compox.server_utils", got="1")})
    with pytest.raises(AlgorithmError, match=r"compox\.server_utils.*old name"):
        load_runner_class(folder)


def test_installed_helpers_find_the_old_names_where_no_original_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A helper package outside the algorithm that imports `compox` gets ours."""
    write(
        tmp_path / "site",
        {"lab_helpers_x.py": "from compox.algorithm_utils.BaseRunner import BaseRunner\nBASE = BaseRunner"},
    )
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    folder = write(
        tmp_path / "algorithm",
        {"Runner.py": RUNNER.format(imports="import lab_helpers_x", got="lab_helpers_x.BASE")},
    )
    try:
        assert load_runner_class(folder).got is BaseRunner  # type: ignore[attr-defined]
    finally:
        for name in [name for name in sys.modules if name == "compox" or name.startswith("compox.")]:
            del sys.modules[name]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1", "no class `Runner`"),
        ("Runner = 5", "no class `Runner`"),
        ("class Runner:\n    pass", "does not derive from BaseRunner"),
        ("import sys\nsys.exit(3)", "SystemExit"),
        ("1/0", "ZeroDivisionError"),
        ("def broken(:", "SyntaxError"),
    ],
)
def test_a_module_that_is_no_algorithm_is_a_clear_error(source: str, message: str, tmp_path: Path) -> None:
    """Whatever is wrong with Runner.py is said in one error, with its cause kept."""
    folder = write(tmp_path / "algorithm", {"Runner.py": source})
    with pytest.raises(AlgorithmError, match=message):
        load_runner_class(folder)


def test_tracebacks_name_the_authors_file_and_line(tmp_path: Path) -> None:
    """The traceback of an error shows the file as it lies in the author's folder."""
    folder = write(
        tmp_path / "algorithm",
        {
            "Runner.py": RUNNER.format(imports="from pkg.mod import boom", got="boom"),
            "pkg/mod.py": "def boom():\n    # a comment\n    raise ValueError('here')\n",
        },
    )
    with loaded_in_place(folder) as runner:
        try:
            vars(runner)["got"]()
        except ValueError:
            text = traceback.format_exc()
    assert f'File "{folder.resolve() / "pkg" / "mod.py"}", line 3, in boom' in text
    assert "raise ValueError('here')" in text


def test_classes_pickle_also_into_a_child_process(tmp_path: Path, module_cache: Path) -> None:
    """A child that starts from nothing unpickles an object of an algorithm's own class."""
    folder = write(
        tmp_path / "algorithm",
        {
            "Runner.py": RUNNER.format(imports="from shapes import Box", got="Box"),
            "shapes.py": """
                from dataclasses import dataclass
                @dataclass
                class Box:
                    side: int
                    def area(self) -> int:
                        return self.side ** 2
            """,
        },
    )
    with loaded_in_place(folder) as runner:
        data = pickle.dumps(runner.got(3))  # type: ignore[attr-defined]
        (tmp_path / "data.pkl").write_bytes(data)
        code = "import pickle; print(pickle.load(open('data.pkl', 'rb')).area())"
        child = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={**os.environ, "COMPOX_MODULE_CACHE": str(module_cache)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert (child.stdout.strip(), child.stderr) == ("9", "")


def test_the_ancestors_algorithms_load_unchanged() -> None:
    """The three sources that were deployed to the ancestor import here as they are."""
    folder = Path(__file__).parent.parent / "artefacts" / "interop" / "algorithms"
    kinds = {path.name: load_runner_class(path).algorithm_type for path in sorted(folder.iterdir())}
    assert kinds == {
        "box_mean": "Image2Image",
        "level_cut": "Image2Segmentation",
        "two_regions": "Image2MultiRegionSegmentation",
    }


def test_a_module_is_found_before_a_folder_without_init(tmp_path: Path) -> None:
    """As Python has it: package, module, folder; scripts beside a module do not hide it."""
    folder = write(
        tmp_path / "algorithm",
        {
            "Runner.py": RUNNER.format(imports="import model\nimport net", got="model.WHAT + net.WHAT"),
            "model.py": "WHAT = 'module '",
            "model/convert.py": "",
            "net.py": "WHAT = 'module'",
            "net/__init__.py": "WHAT = 'package'",
        },
    )
    assert vars(load_runner_class(folder))["got"] == "module package"


@pytest.mark.parametrize(
    "imports", ["from .. import finder", "from ..helpers import x", "from ..... import algorithms"]
)
def test_a_relative_import_does_not_leave_the_algorithm(imports: str, tmp_path: Path) -> None:
    """It is refused as Python refuses one beyond the top; what lies around the scope is out of reach."""
    folder = write(
        tmp_path / "algorithm", {"Runner.py": RUNNER.format(imports=imports, got="1"), "helpers.py": "x = 1"}
    )
    with pytest.raises(AlgorithmError, match="relative import beyond"):
        load_runner_class(folder)


def test_a_missing_name_is_told_as_the_author_wrote_it(tmp_path: Path) -> None:
    """The message has the author's module, not where we import it."""
    folder = write(
        tmp_path / "algorithm",
        {"Runner.py": RUNNER.format(imports="from helpers import nope", got="1"), "helpers.py": "x = 1"},
    )
    with pytest.raises(AlgorithmError, match="cannot import name 'nope' from 'helpers'") as caught:
        load_runner_class(folder)
    assert "scope" not in caught.value.message


def test_own_modules_may_be_named_as_the_standard_librarys(tmp_path: Path) -> None:
    """They are the algorithm's for the algorithm alone, and libraries that it imports see their own."""
    names = ["types", "queue", "logging", "random"]
    folder = write(
        tmp_path / "algorithm",
        {
            "Runner.py": RUNNER.format(
                imports=f"import {', '.join(names)}\nimport concurrent.futures.thread",
                got=" + ".join(f"{name}.MINE" for name in names),
            ),
            **{f"{name}.py": f"MINE = '{name} '" for name in names},
        },
    )
    assert vars(load_runner_class(folder))["got"].split() == names


def test_modules_of_an_algorithm_may_import_each_other(tmp_path: Path) -> None:
    """Circles resolve as they do in ordinary packages, and `__init__` may import the Runner."""
    folder = write(
        tmp_path / "algorithm",
        {
            "__init__.py": "from .Runner import Runner",
            "Runner.py": RUNNER.format(imports="import a\nfrom pkg.one import f", got="a.name() + f()"),
            "a.py": "import b\ndef name(): return b.name()",
            "b.py": "import a\ndef name(): return a.__name__.rpartition('.')[2]",
            "pkg/__init__.py": "",
            "pkg/one.py": "import pkg.two as two\ndef f(): return two.g()",
            "pkg/two.py": "import pkg.one as one\ndef g(): return one.__name__.rpartition('.')[2]",
        },
    )
    assert vars(load_runner_class(folder))["got"] == "aone"


def test_threads_that_import_at_a_time_get_one_class(tmp_path: Path) -> None:
    """The late imports of several threads, in circles too, neither hang nor double a module.

    The class is asked for when all are through: of modules that import each other, Python shows one thread the half
    of a module that another is still importing.
    """
    folder = write(
        tmp_path / "algorithm",
        {
            "Runner.py": """
                from compox_core.runners import BaseRunner
                class Runner(BaseRunner):
                    def late(self, number):
                        if number % 2:
                            import a
                            return a
                        import b
                        return b.a
            """,
            "a.py": "import time\ntime.sleep(0.05)\nimport b\nclass Thing: ...",
            "b.py": "import time\ntime.sleep(0.05)\nimport a",
        },
    )
    with loaded_in_place(folder) as runner, ThreadPoolExecutor(8) as pool:
        late = runner().late  # type: ignore[attr-defined]
        modules = list(pool.map(late, range(8)))
    assert len({module.Thing for module in modules}) == 1
