"""A shell without a shell, a store with algorithms, and real images."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import tifffile
from click.testing import CliRunner, Result
from PIL import Image

import compox_core as cx
from compox_cli.ancestor.commands import compox
from compox_cli.commands import compox_cli
from tests.engine.authors import image_runner, write_algorithm

PARAMETERS = """
removable = true

[[tool.compox.additional_parameters]]
name = "factor"
description = "Times."
config = { type = "float_range", default = 2.0, min = 0.0, max = 4.0, step = 0.5 }

[[tool.compox.additional_parameters]]
name = "label"
description = "A word."
config = { type = "string_enum", default = "a", options = ["a", "b"] }
"""

THRESHOLDING = """
from compox_core.runners import Image2SegmentationRunner


class Runner(Image2SegmentationRunner):
    def inference(self, data, args):
        return data > data.mean()
"""

SHIFTING = """
import numpy as np
from compox_core.runners import Image2AlignmentRunner


class Runner(Image2AlignmentRunner):
    def inference(self, data, args):
        return [np.eye(3) * number for number in range(1, len(data))]
"""

Shell = Callable[..., Result]


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, so that no test sees the store of the person who runs it; the test works in it."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "data"))
    monkeypatch.setenv("COMPOX_MODULE_CACHE", str(folder / "modules"))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def shell() -> Shell:
    """Run `compox-cli` with these words in this process."""

    def call(*words: str | Path, **options: Any) -> Result:
        return CliRunner().invoke(
            compox_cli, [str(word) for word in words], prog_name="compox-cli", catch_exceptions=False, **options
        )

    return call


@pytest.fixture
def old_shell() -> Shell:
    """Run `compox` with these words in this process."""

    def call(*words: str | Path, **options: Any) -> Result:
        return CliRunner().invoke(
            compox, [str(word) for word in words], prog_name="compox", catch_exceptions=False, **options
        )

    return call


@pytest.fixture
def scaling(home: Path) -> Path:
    """The folder of an algorithm that multiplies an image."""
    body = "self.log_message('scaling'); self.set_progress(0.5); return (data * args['factor']).astype(data.dtype)"
    return write_algorithm(home / "scaling", image_runner(body), name="scaling", extra=PARAMETERS)


@pytest.fixture
def store(home: Path, scaling: Path) -> Path:
    """A store with `scaling`, `thresholding` and `shifting`."""
    folder = home / "store"
    mask = "from compox_core.runners import Image2SegmentationRunner as Base\n\n\nclass Runner(Base):\n"
    mask += "    def inference(self, data, args):\n        return data > data.mean()\n"
    shift = (
        "import numpy as np\nfrom compox_core.runners import Image2AlignmentRunner as Base\n\n\nclass Runner(Base):\n"
    )
    shift += "    def inference(self, data, args):\n        return [np.eye(3) * n for n in range(1, len(data))]\n"
    with cx.Engine(folder) as engine:
        engine.deploy(scaling)
        for name, code, kind in (
            ("thresholding", THRESHOLDING, "Image2Segmentation"),
            ("shifting", SHIFTING, "Image2Alignment"),
        ):
            engine.deploy(write_algorithm(home / name, code, name=name, kind=kind))
    return folder


@pytest.fixture
def coins(home: Path) -> Path:
    """A PNG of Greek coins, (303, 384) uint8."""
    path = home / "coins.png"
    Image.fromarray(skimage.data.coins()).save(path)
    return path


@pytest.fixture
def stack(home: Path) -> Path:
    """A TIFF with four pages (64, 80), uint16."""
    path = home / "stack.tif"
    image = skimage.data.coins()[:64, :80].astype(np.uint16)
    tifffile.imwrite(path, np.stack([image + step for step in range(4)]), photometric="minisblack")
    return path


def answer(result: Result) -> Any:
    """Return what `--json` printed, which must be all there is on stdout."""
    return json.loads(result.stdout)
