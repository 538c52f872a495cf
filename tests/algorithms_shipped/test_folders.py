"""Every shipped algorithm is complete: it deploys without a warning, is explained, and has a sample to try it on."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tifffile
from PIL import Image

import compox_core as cx
from tests.algorithms_shipped.shipped import KINDS, ROOT, folder, load, sample

LARGEST_SAMPLE = 60 << 10
DECLARED = {
    "denoising": ("Image2Image", "image-denoising"),
    "segmentation": ("Image2Segmentation", "image-segmentation"),
    "registration": ("Image2Alignment", "image-alignment"),
    "volume": ("Generic", "volume-analysis"),
    "training": ("Image2Image", "image-denoising"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_deploys_without_a_warning(kind: str) -> None:
    """A deploy finds nothing to warn about, and has the declared type and tag."""
    with cx.Engine("memory://") as engine:
        deployed = engine.deploy(folder(kind))
    metadata = deployed.version.metadata
    assert deployed.warnings == []
    assert (deployed.record.name, deployed.version.major) == (f"template_{kind}_algorithm", "1")
    assert (metadata.algorithm_type, metadata.tags[0]) == DECLARED[kind]
    assert metadata.description
    parameters = [*metadata.additional_parameters, *metadata.training_parameters]
    assert all(parameter.description for parameter in parameters)


@pytest.mark.parametrize("kind", KINDS)
def test_sample_is_small_and_runs(kind: str, engine: cx.Engine) -> None:
    """The sample in the folder is at most 60 KiB and the algorithm runs on it with its defaults."""
    assert sample(kind).stat().st_size <= LARGEST_SAMPLE
    assert engine.submit(f"template_{kind}_algorithm", sample(kind)).wait(60).status is cx.TaskStatus.COMPLETED


@pytest.mark.parametrize("kind", KINDS)
def test_readme_runs(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python block of the README runs from the root of a clone."""
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"```python\n(.*?)```", (folder(kind) / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, cx.Engine] = {}
    for block in blocks:
        exec(compile(block, f"{kind}/README.md", "exec"), names)
    names["engine"].close()
    assert len(blocks) == 1


def test_samples_are_what_their_script_makes() -> None:
    """The script that tells how the samples were made makes these very samples."""
    made = load(ROOT / "tools" / "make_samples.py")
    assert np.array_equal(np.asarray(Image.open(sample("denoising"))), made.noisy_cell())
    assert np.array_equal(np.asarray(Image.open(sample("segmentation"))), made.data.coins()[:200, :256])
    if "training" in KINDS:
        assert np.array_equal(np.asarray(Image.open(sample("training"))), made.dim_tissue())
    # Interpolation may differ by one grey value between versions of scipy.
    assert np.abs(tifffile.imread(sample("registration")).astype(int) - made.shifted_tissue()).max() <= 1
    assert np.abs(tifffile.imread(sample("volume")).astype(int) - made.balls()).max() <= 1
