"""The trainable template learns on every executor, goes on, and ends when it is told to."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage import data
from skimage.metrics import peak_signal_noise_ratio as psnr

import compox_core as cx
from tests.algorithms_shipped.shipped import TORCH, folder

pytestmark = pytest.mark.skipif(not TORCH, reason="no PyTorch: pip install 'compox-core[torch]'")

NAME = "template_training_algorithm"
TISSUE = data.immunohistochemistry()
NEW = TISSUE[300:380, 300:400]
SMALL = {"epochs": 2, "steps_per_epoch": 3, "batch_size": 2, "crop_size": 32, "num_threads": 1}
WEIGHTS = "files/weights.pt"


def noisy(clean: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return a picture with Gaussian noise."""
    noise = np.random.default_rng(seed).normal(0, 25, clean.shape)
    return np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)


def sample_of(engine: cx.Engine, clean: np.ndarray = TISSUE[:96, :112]) -> str:
    """Store a sample of one pair and return its id."""
    return engine.samples.create({"input": noisy(clean), "target": clean}).sample_id


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Several threads wait for each other longer than they compute where the tests share a machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def inline() -> Iterator[cx.Engine]:
    """An engine that trains while it is called."""
    with cx.Engine("memory://", executor="inline") as engine:
        engine.deploy(folder("training"))
        yield engine


@pytest.fixture
def threads() -> Iterator[cx.Engine]:
    """An engine that trains in a thread."""
    with cx.Engine("memory://", executor="threads") as engine:
        engine.deploy(folder("training"))
        yield engine


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[cx.Engine]:
    """An engine that trains in worker processes."""
    with cx.Engine(tmp_path_factory.mktemp("store"), executor="processes") as engine:
        engine.deploy(folder("training"))
        yield engine


def train(engine: cx.Engine, samples: str | list[str], **parameters: Any) -> cx.TrainingHandle:
    """Train to the end."""
    handle = engine.train(NAME, samples, device="cpu", parameters={**SMALL, **parameters})
    assert handle.wait(120).status is cx.TaskStatus.COMPLETED, handle.log
    return handle


def stopped_at(engine: cx.Engine, sample: str, progress: float, **parameters: Any) -> cx.TrainingHandle:
    """Train until so much is done, stop, and wait for the end."""
    handle = engine.train(NAME, sample, device="cpu", parameters={**SMALL, **parameters})
    asked: list[float] = []

    def watch(done: float) -> None:
        if done >= progress and not asked:
            asked.append(done)
            handle.stop()

    assert handle.wait(120, watch).status is cx.TaskStatus.STOPPED, handle.log
    return handle


def test_what_it_learns_runs(inline: cx.Engine) -> None:
    """The deployed algorithm returns what it gets; with a checkpoint decibels of noise are gone from a new picture."""
    handle = train(inline, sample_of(inline), epochs=6, steps_per_epoch=20, batch_size=4)
    picture = noisy(NEW, seed=5)
    before = inline.run(NAME, picture, progress=False, device="cpu")
    after = inline.run(NAME, picture, progress=False, device="cpu", checkpoint=handle.checkpoints[-1])
    assert np.array_equal(before, picture)
    assert after.shape == picture.shape and after.dtype == picture.dtype
    assert psnr(NEW, after) > psnr(NEW, picture) + 3


def test_history_and_checkpoints_tell_of_each_epoch(inline: cx.Engine) -> None:
    """There is a point before the first epoch and after each; the best and the last checkpoint are kept."""
    handle = train(inline, sample_of(inline), epochs=5)
    history = handle.metrics()
    assert history.names == ["val_loss", "val_psnr", "loss"]
    assert history.steps("val_psnr") == [0, 1, 2, 3, 4, 5] and history.steps("loss") == [1, 2, 3, 4, 5]
    *_, last = checkpoints = handle.checkpoints
    assert last.properties["epoch"] == 5 and len(checkpoints) <= 2
    (best,) = {1 + int(np.argmax(history.values("val_psnr")[1:]))}
    assert [each.properties["epoch"] for each in checkpoints if each.properties["best"]] == [best]
    assert last.properties["val_psnr"] == history.values("val_psnr")[-1]


def test_a_seed_decides_everything(inline: cx.Engine) -> None:
    """The same seed gives the same metrics and weights, another one others."""
    sample = sample_of(inline)
    first, second, other = (train(inline, sample, seed=seed) for seed in (3, 3, 4))
    metrics = [[point.values for point in handle.metrics()] for handle in (first, second, other)]
    weights = [handle.checkpoints[-1].assets[WEIGHTS].sha256 for handle in (first, second, other)]
    assert metrics[0] == metrics[1] != metrics[2]
    assert weights[0] == weights[1] != weights[2]


def test_a_stop_in_an_epoch_keeps_what_was_learned_before(threads: cx.Engine) -> None:
    """A stopped training has the checkpoints of its whole epochs, and one that goes on from them ends as one that
    nobody stopped."""
    sample = sample_of(threads)
    long = {"epochs": 3, "steps_per_epoch": 40}
    handle = stopped_at(threads, sample, 0.5, **long)
    *_, last = handle.checkpoints
    assert 1 <= last.properties["epoch"] < 3
    rest = threads.train(NAME, sample, checkpoint=last, device="cpu", parameters={**SMALL, **long}).result(120)[-1]
    whole = train(threads, sample, **long).checkpoints[-1]
    assert rest.parent_checkpoint_id == last.checkpoint_id
    assert rest.properties["epoch"] == whole.properties["epoch"] == 3
    assert {path: each.sha256 for path, each in rest.assets.items()} == {
        path: each.sha256 for path, each in whole.assets.items()
    }


def test_a_stop_before_the_first_epoch_ends_leaves_nothing(threads: cx.Engine) -> None:
    """A training of epochs that would take hours ends at once, also while worker processes read for it."""
    handle = stopped_at(threads, sample_of(threads), 1e-9, steps_per_epoch=100_000, num_workers=2, worker_start="fork")
    assert handle.checkpoints == []
    assert handle.metrics().steps("val_psnr") == [0]
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_worker_processes_of_worker_processes_read_the_crops(processes: cx.Engine) -> None:
    """With the processes of a DataLoader, however they are started, the very same is learned as without."""
    sample = sample_of(processes)
    alone = train(processes, sample)
    for start in ("fork", "spawn"):
        handle = train(processes, sample, num_workers=2, worker_start=start)
        assert [point.values for point in handle.metrics()] == [point.values for point in alone.metrics()]
        assert handle.checkpoints[-1].assets == alone.checkpoints[-1].assets


def test_it_ships(inline: cx.Engine, tmp_path: Path) -> None:
    """What was learned, exported and deployed elsewhere, gives the same pixels, and can learn on there."""
    checkpoint = train(inline, sample_of(inline), epochs=1).checkpoints[-1]
    bundle = inline.algorithms.export(NAME, checkpoint_id=checkpoint.checkpoint_id, target=tmp_path / "learned.zip")
    picture = noisy(NEW)
    with cx.Engine("memory://", executor="inline") as elsewhere:
        elsewhere.deploy(bundle)
        there = elsewhere.run(NAME, picture, progress=False, device="cpu")
        steps = train(elsewhere, sample_of(elsewhere)).metrics().steps("loss")
    assert np.array_equal(there, inline.run(NAME, picture, progress=False, device="cpu", checkpoint=checkpoint))
    assert steps == [2, 3]


def test_grey_and_colour_pictures_of_many_sizes_are_learned_from(inline: cx.Engine) -> None:
    """Samples may hold several groups and several files, of any size and dtype from 16 pixels on."""
    grey = data.cell()[200:217, 300:420].astype(np.uint16) * 200
    colour = TISSUE[:40, :50]
    groups = [
        {"input": [noisy(colour), grey], "target": [colour, grey]},
        {"input": [(grey / 7).astype(np.float32)], "target": [(grey / 7).astype(np.float32)]},
    ]
    samples = [inline.samples.create(groups).sample_id, sample_of(inline)]
    assert "Learning from 8 channels on cpu" in train(inline, samples).log


@pytest.mark.parametrize(
    "group, said",
    [
        ({"input": NEW, "mask": NEW}, "keys 'input' and 'target'"),
        ({"input": NEW, "target": NEW[:50]}, "the noisy picture has the shape (3, 80, 100) and the clean one"),
        ({"input": [NEW, NEW], "target": NEW}, "2 noisy and 1 clean"),
        ({"input": NEW[:9], "target": NEW[:9]}, "at least 16 pixels"),
        ({"input": NEW * 0, "target": NEW}, "all images of the samples are of one colour"),
        ({"input": NEW * np.float32("nan"), "target": NEW}, "the noisy picture holds NaN"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_what_cannot_be_learned_from_is_said(inline: cx.Engine, group: dict[str, Any], said: str) -> None:
    """A sample that does not fit fails the training, and the message says which and why."""
    sample = inline.samples.create(group).sample_id
    handle = inline.train(NAME, sample, device="cpu", parameters=SMALL)
    record = handle.wait(60)
    assert record.status is cx.TaskStatus.FAILED and record.error is not None
    assert said in record.error.message


def test_parameters_are_checked(inline: cx.Engine) -> None:
    """Numbers out of range and unknown ways to start a process are refused before anything is queued."""
    sample = sample_of(inline)
    for wrong in ({"epochs": 0}, {"learning_rate": 2.0}, {"worker_start": "magic"}, {"validation_share": 0.9}):
        with pytest.raises(cx.ParameterError, match=next(iter(wrong))):
            inline.train(NAME, sample, parameters=wrong)
