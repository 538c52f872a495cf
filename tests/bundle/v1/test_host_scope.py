"""What is put beside our code for the ancestor: each way to import one's own modules, and ours, works there."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from compox_core.algorithms.packing import open_package
from compox_core.bundle.v1.layout import build_module
from compox_core.settings import Limits
from tests.engine.authors import write_algorithm

RUNNER = '''
"""Every form of import, at the top and within."""

from __future__ import annotations

import importlib
import json as helpers_of_the_world
from importlib import import_module

import helpers
import parts
import parts.deep.leaf
import parts.sums as sums
from helpers import one
from parts import sums as again
from parts.deep import leaf
from parts.sums import *
from compox_core import runners
from compox_core.runners import Image2ImageRunner
import compox_core.data
import statistics


class Runner(Image2ImageRunner):
    def inference(self, data, args):
        import helpers as inner
        import_name = "parts.deep.leaf"
        assert import_module(import_name) is leaf is importlib.import_module(import_name) is parts.deep.leaf
        assert inner is helpers is __import__("helpers") and sums is again is parts.sums
        assert statistics.MINE == "mine" and helpers_of_the_world.dumps([]) == "[]"
        assert compox_core.data.ImageSchema and runners.Image2ImageRunner is Image2ImageRunner
        assert importlib.util is not None and helpers.runner_by_name() is Runner
        return [one(), total(1, 2), leaf.NAME, type(self).__mro__[1].__module__, ROOT]


from . import ROOT
'''
FILES = {
    "__init__.py": "from __future__ import annotations\nimport helpers\nROOT = helpers.one()\n",
    "helpers.py": "def one():\n    return 1\n\ndef runner_by_name():\n    import Runner\n    return Runner.Runner\n",
    "statistics.py": "MINE = 'mine'\n",
    "parts/sums.py": "from helpers import one\n\ndef total(*numbers):\n    return sum(numbers) + one()\n",
    "parts/deep/leaf.py": "from parts import sums\nfrom .. import sums as near\nassert sums is near\nNAME = 'leaf'\n",
}
HOST = """
import importlib, json, sys
sys.path[:0] = json.loads(sys.argv[1])
found = []
for name in json.loads(sys.argv[2]):
    module = importlib.import_module(name + ".Runner")
    found.append(module.Runner().inference([], {}))
import statistics
assert not hasattr(statistics, "MINE") and "helpers" not in sys.modules and "parts" not in sys.modules
try:
    importlib.import_module("helpers")
except ModuleNotFoundError:
    print(json.dumps(found))
"""


def fake_compox(folder: Path) -> Path:
    """Write what stands for the ancestor's package."""
    utils = folder / "compox" / "algorithm_utils"
    utils.mkdir(parents=True)
    (utils / "Image2ImageRunner.py").write_text("class Image2ImageRunner: pass\n")
    (utils / "io_schemas.py").write_text("class ImageSchema: pass\n")
    return folder


def theirs(folder: Path, target: Path) -> tuple[str, Path]:
    """Return the id and the zip of an algorithm's module as a bundle of version 1 has it."""
    target.mkdir()
    with open_package(folder) as package:
        return build_module(package.module_archive, package.module_id, target, Limits())


def hosted(folder: Path, modules: dict[str, Path]) -> subprocess.CompletedProcess[str]:
    """Import and run modules as their importer does, in a process that has no compox_core."""
    paths = [str(fake_compox(folder / "host"))]
    for name, path in modules.items():
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder / name)
        paths.append(str(folder / name))
    command = [sys.executable, "-I", "-S", "-c", HOST, json.dumps(paths), json.dumps([*modules])]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder)


@pytest.mark.parametrize("pyc_only", [False, True])
def test_every_form_of_import_works_there(pyc_only: bool, tmp_path: Path) -> None:
    """From source and compiled, two algorithms with the same names beside each other, and nobody else sees these."""
    modules = {}
    for number in (1, 2):
        options = f"pyc_only = {str(pyc_only).lower()}"
        files = FILES | {"helpers.py": FILES["helpers.py"].replace("return 1", f"return {number}")}
        folder = write_algorithm(tmp_path / f"a{number}", RUNNER, extra=options, files=dict(files))
        name, path = theirs(folder, tmp_path / f"t{number}")
        modules[name] = path
    done = hosted(tmp_path, modules)
    assert not done.stderr
    base = "compox.algorithm_utils.Image2ImageRunner"
    assert json.loads(done.stdout) == [[1, 4, "leaf", base, 1], [2, 5, "leaf", base, 2]]


def test_what_only_we_have_is_refused_by_name(tmp_path: Path) -> None:
    """An algorithm that needs more of compox_core than there is says what is missing when it is imported."""
    runner = "from compox_core.runners import Runner3000\nfrom compox_core.runners import Image2ImageRunner\n"
    folder = write_algorithm(tmp_path / "a", f"{runner}\n\nclass Runner(Image2ImageRunner):\n    pass\n")
    name, path = theirs(folder, tmp_path / "t")
    done = hosted(tmp_path, {name: path})
    assert "cannot import name 'Runner3000' from 'compox_core.runners'" in done.stderr
