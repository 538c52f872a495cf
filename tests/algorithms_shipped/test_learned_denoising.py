"""The parts of the trainable template: the network, what it sees, the loop that trains it, tiles."""

from __future__ import annotations

import io
import math
import multiprocessing
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage import data

from tests.algorithms_shipped.shipped import TORCH, folder

if not TORCH:
    pytest.skip("no PyTorch: pip install 'compox-core[torch]'", allow_module_level=True)
import torch

sys.path.insert(0, str(folder("training")))  # as the algorithm's own modules find each other once it is deployed

from learned_denoising.crops import Crops, Places, batches, judged_crops
from learned_denoising.pictures import Picture, keep_pair, split
from learned_denoising.scaling import scale_of
from learned_denoising.state import read_network, read_state, untrained
from learned_denoising.tiling import denoise_images
from learned_denoising.training import Plan, learning_rate, train
from learned_denoising.unet import UNet

sys.path.remove(str(folder("training")))

TISSUE = np.moveaxis(data.immunohistochemistry(), -1, 0)
SHAPES = st.one_of(
    st.tuples(st.integers(1, 2), st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.just(1), st.just(3), st.integers(1, 20), st.integers(1, 20)),
)
DTYPES = st.sampled_from([np.uint8, np.uint16, np.float16, np.float32, np.float64])


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Several threads wait for each other longer than they compute where the tests share a machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def busy_network(seed: int = 1) -> UNet:
    """Return a network that changes what it sees."""
    network = UNet().draw(seed)
    torch.nn.init.normal_(network.last.weight, std=0.05, generator=torch.Generator().manual_seed(seed))
    return network


def plan(**changes: Any) -> Plan:
    """Return a small plan."""
    small = {
        "epochs": 2,
        "steps_per_epoch": 2,
        "batch_size": 2,
        "crop_size": 32,
        "learning_rate": 0.004,
        "validation_share": 0.2,
        "seed": 0,
        "num_workers": 0,
        "worker_start": "default",
        "num_threads": 1,
    }
    return Plan.of({**small, **changes})


def pictures(where: Path, *clean: np.ndarray, seed: int = 0) -> list[Picture]:
    """Return pairs of noisy and clean pictures, laid out on the disk."""
    rng = np.random.default_rng(seed)
    found = []
    for number, picture in enumerate(clean):
        noisy = np.clip(np.rint(picture + rng.normal(0, 25, picture.shape)), 0, 255).astype(np.uint8)
        found += keep_pair(noisy, picture, where / str(number), 0.2, [seed, number], str(number))
    return found


def test_a_fresh_network_returns_what_it_sees() -> None:
    """Before the first step an image comes back as it is, whatever the seed."""
    images = torch.rand(2, 1, 16, 24)
    assert torch.equal(UNet().draw(5)(images), images)
    assert torch.equal(untrained().network(images), images)


def test_the_shipped_assets_are_an_untrained_state() -> None:
    """The files in the folder are what their script makes, and a training from them begins at epoch 0."""
    shipped = read_network(io.BytesIO((folder("training") / "files" / "weights.pt").read_bytes()), "cpu").state_dict()
    made = untrained()
    assert all(torch.equal(shipped[name], weights) for name, weights in made.network.state_dict().items())
    state = read_state(lambda path: (folder("training") / path).open("rb"), "cpu", seed=3)
    assert (state.epoch, state.schedule) == (0, (0, 0))
    assert torch.equal(state.network.down[0][0].weight, UNet().draw(3).down[0][0].weight)


def test_the_same_seed_draws_the_same_weights_and_nobody_else_notices() -> None:
    """Weights follow from the seed alone, and the random numbers of other threads stay as they are."""
    network, other = UNet(), UNet()
    before = torch.get_rng_state()
    first, second = network.draw(7).state_dict(), other.draw(7).state_dict()
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["down.0.0.weight"], UNet().draw(8).state_dict()["down.0.0.weight"])


def test_no_pixel_reaches_further_than_said() -> None:
    """A pixel changes others up to `UNet.reach` away at most, and nearly as far."""
    network = busy_network()
    farthest = 0
    for row in range(64, 64 + UNet.stride):
        images = torch.rand(1, 1, 128, 128, generator=torch.Generator().manual_seed(0), requires_grad=True)
        network(images)[0, 0, row, row].backward()
        rows, columns = torch.nonzero(images.grad[0, 0], as_tuple=True)
        farthest = max(farthest, int((rows - row).abs().max()), int((columns - row).abs().max()))
    assert UNet.reach - 2 * UNet.stride <= farthest <= UNet.reach


@settings(max_examples=40, deadline=None)
@given(st.data(), DTYPES, st.floats(0, 1))
def test_keeps_shape_dtype_and_range(data: st.DataObject, dtype: type, strength: float) -> None:
    """Any image of any size and dtype comes back finite, in its shape, dtype and range; floats as float32."""
    elements = (
        st.integers(0, int(np.iinfo(dtype).max))
        if np.issubdtype(dtype, np.integer)
        else st.floats(-1000, 1000, width=np.dtype(dtype).itemsize * 8, allow_subnormal=False)
    )
    images = data.draw(arrays(dtype, SHAPES, elements=elements))
    result = denoise_images(busy_network(), images, strength, 32)
    assert result.shape == images.shape
    assert result.dtype == (dtype if np.issubdtype(dtype, np.integer) else np.float32)
    assert np.isfinite(result).all()
    for before, after in zip(images.astype(np.float32), result, strict=True):
        assert before.min() <= after.min() and after.max() <= before.max()


@pytest.mark.parametrize("shape", [(1, 150, 97), (2, 3, 61, 70), (1, 33, 200)])
def test_tiles_do_not_show(shape: tuple[int, ...]) -> None:
    """The result is the same, to what float32 can tell, for small tiles and for the image as a whole."""
    images = np.random.default_rng(0).uniform(-5, 9, shape).astype(np.float32)
    whole, tiled = (denoise_images(busy_network(), images, 1.0, tile) for tile in (4096, 32))
    assert np.abs(whole - images).max() > 0.1
    assert np.abs(whole - tiled).max() < 1e-4


@pytest.mark.parametrize("image", [np.full((9, 7), 7, np.uint8), np.full((3, 16, 16), -0.5, np.float32)])
def test_a_constant_image_comes_back(image: np.ndarray) -> None:
    """A constant image has no range to be scaled by, and comes back as it is."""
    assert np.array_equal(denoise_images(busy_network(), image[None])[0], image)


def test_strength_is_how_much_is_taken_away() -> None:
    """Strength 0 changes nothing, and half the strength takes half away."""
    image = TISSUE[None, 1, :64, :64].astype(np.float32)
    none, half, full = (denoise_images(busy_network(), image, strength) for strength in (0.0, 0.5, 1.0))
    inner = (full > image.min()) & (full < image.max())  # where nothing is cut off
    assert np.array_equal(none, image)
    assert np.allclose((half - image)[inner], (full - image)[inner] / 2, atol=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
@pytest.mark.filterwarnings("ignore:overflow")
def test_unusable_values_are_named(value: float) -> None:
    """NaN and infinite values, which would spread over the image, fail with the number of the image."""
    images = np.zeros((3, 3, 8, 8))
    images[1, 2, 4, 4] = value
    with pytest.raises(ValueError, match="Image 2 of 3"):
        denoise_images(busy_network(), images)


def test_reports_each_tile() -> None:
    """The progress rises with each tile of each image and ends at 1."""
    seen: list[float] = []
    denoise_images(busy_network(), TISSUE[None, 1, :64, :64].repeat(2, axis=0), 1.0, 32, seen.append)
    assert seen == [number / 8 for number in range(1, 9)]


def test_a_scale_means_the_same_for_every_dtype() -> None:
    """The same picture in 8 bits, 16 bits and as floats looks alike to the network; a hot pixel changes nothing."""
    image = TISSUE[1, :80, :80]
    eight = scale_of(image).apply(image)
    hot = image.copy()
    hot[3, 3] = 255
    assert np.abs(eight - scale_of(image.astype(np.uint16) * 257).apply(image.astype(np.uint16) * 257)).max() < 1e-5
    assert np.abs(eight - scale_of(image / 255 - 10).apply(image / 255 - 10)).max() < 1e-5
    assert abs(scale_of(hot).span - scale_of(image).span) < 2


@given(st.integers(16, 200), st.integers(16, 200), st.floats(0.05, 0.5), st.integers(0, 99))
def test_a_picture_is_split_without_a_rest(height: int, width: int, share: float, seed: int) -> None:
    """Every pixel is learned from or kept aside, none both."""
    count = np.zeros((height, width), int)
    for region in split(height, width, share, np.random.default_rng(seed)):
        assert region.height > 0 and region.width > 0
        count[region.top : region.top + region.height, region.left : region.left + region.width] += 1
    assert (count == 1).all()


def test_what_is_kept_aside_is_never_learned_from(tmp_path: Path) -> None:
    """Crops to learn from and crops to judge by show different pixels, at every seed."""
    clean = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    for seed in range(8):
        found = keep_pair(clean, clean, tmp_path / str(seed), 0.3, [seed], "x")
        crops = Crops(found, 20, seed)
        learned = np.unique(found[0].scale.undo(np.stack([crops[0, number][1][0] for number in range(60)])).round())
        judged = np.unique(found[0].scale.undo(judged_crops(found, 20, seed)[1].numpy()).round())
        assert len(learned) > 500 and len(judged) > 200
        assert not np.intersect1d(learned, judged).size


def test_noisy_and_clean_crops_show_the_same_place(tmp_path: Path) -> None:
    """Both are turned and mirrored alike."""
    clean = np.random.default_rng(0).integers(0, 60000, (3, 40, 48)).astype(np.uint16)
    crops = Crops(keep_pair(clean + np.uint16(5), clean, tmp_path / "x", 0.2, [0], "x"), 24, 0)
    pairs = [crops[3, number] for number in range(30)]
    assert all(torch.allclose(noisy - clean, (noisy - clean)[0, 0, 0], atol=1e-4) for noisy, clean in pairs)
    assert len({float(noisy[0, 0, 0]) for noisy, _ in pairs}) > 20


def test_worker_processes_read_what_one_process_reads(tmp_path: Path) -> None:
    """Crops depend on their place alone, not on who reads them; ending early ends the processes."""
    crops = Crops(pictures(tmp_path, TISSUE[:, :64, :64]), 16, 4)
    alone = list(batches(crops, Places(range(1, 3), 3, 2), 0, None))
    shared = batches(crops, Places(range(1, 3), 3, 2), 2, "fork")
    assert all(torch.equal(next(shared)[0], noisy) for noisy, _ in alone[:4])
    assert len(multiprocessing.active_children()) == 2
    shared.close()
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    "noisy, clean, said",
    [
        (np.zeros((20, 20)), np.zeros((20, 21)), "the clean one"),
        (np.zeros((20, 15)), np.zeros((20, 15)), "16 pixels a side"),
        (np.zeros((20, 20)), np.full((20, 20), np.nan), "the clean picture holds NaN"),
    ],
)
def test_pairs_that_cannot_be_learned_from_are_named(
    tmp_path: Path, noisy: np.ndarray, clean: np.ndarray, said: str
) -> None:
    """The message has the pair and what is wrong with it."""
    with pytest.raises(ValueError, match=f"The pair.*{said}"):
        keep_pair(noisy, clean, tmp_path / "x", 0.2, [0], "The pair")


def test_learns_and_the_same_again(tmp_path: Path) -> None:
    """A few steps take decibels of noise away from what was kept aside, and twice the same numbers come out."""
    found = pictures(tmp_path, TISSUE[:, :128, :128], data.cell()[200:328, 200:328])
    runs = []
    for _ in range(2):
        state = read_state(lambda path: io.BytesIO(untrained().assets()[path]), "cpu", 0)
        runs.append(
            [report.metrics for report in train(state, found, plan(epochs=4, steps_per_epoch=12, batch_size=4))]
        )
    assert runs[0] == runs[1]
    assert runs[0][-1]["val_psnr"] > runs[0][0]["val_psnr"] + 3
    assert "loss" not in runs[0][0] and len(runs[0]) == 5


def test_going_on_is_as_if_nothing_had_happened(tmp_path: Path) -> None:
    """A training that goes on from the state after an epoch ends with the very weights of one that never ended."""
    found = pictures(tmp_path, TISSUE[:, :64, :64])
    long = plan(epochs=4)
    assets: dict[str, bytes] = untrained().assets()

    def go_on(until: int) -> dict[str, bytes]:
        state = read_state(lambda path: io.BytesIO(assets[path]), "cpu", long.seed)
        for report in train(state, found, long):
            if report.epoch == until:
                break
        return state.assets()

    whole = go_on(4)
    assets = go_on(2)
    assert read_state(lambda path: io.BytesIO(assets[path]), "cpu", 0).epoch == 2
    rest = go_on(4)
    weights, other = (read_network(io.BytesIO(each["files/weights.pt"]), "cpu").state_dict() for each in (whole, rest))
    assert all(torch.equal(weights[name], other[name]) for name in weights)


def test_a_finished_schedule_is_followed_by_another(tmp_path: Path) -> None:
    """A training from a checkpoint that had its epochs does as many again, and counts on."""
    found = pictures(tmp_path, TISSUE[:, :64, :64])
    state = read_state(lambda path: io.BytesIO(untrained().assets()[path]), "cpu", 0)
    epochs = [[report.epoch for report in train(state, found, plan(epochs=count))] for count in (2, 2, 3)]
    assert epochs == [[0, 1, 2], [2, 3, 4], [4, 5, 6, 7]]


def test_an_error_that_is_not_finite_ends_the_training(tmp_path: Path) -> None:
    """The message has the step and the learning rate."""
    state = read_state(lambda path: io.BytesIO(untrained().assets()[path]), "cpu", 0)
    with torch.no_grad():
        state.network.last.bias.fill_(math.nan)
    reports = train(state, pictures(tmp_path, TISSUE[:, :64, :64]), plan())
    with pytest.raises(ValueError, match=r"The error is nan at step 1 of epoch 1: .* below 0\.004"):
        list(reports)


def test_what_the_report_raises_ends_the_training(tmp_path: Path) -> None:
    """A stop that is noticed in a step leaves at once, and the epoch is not counted."""
    state = read_state(lambda path: io.BytesIO(untrained().assets()[path]), "cpu", 0)

    def stop(fraction: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(train(state, pictures(tmp_path, TISSUE[:, :64, :64]), plan(num_workers=1, worker_start="fork"), stop))
    assert state.epoch == 0


def test_the_learning_rate_rises_and_falls() -> None:
    """It begins and ends low, and has its highest value after a tenth."""
    rates = [learning_rate(0.01, part / 100) for part in range(100)]
    assert max(rates) == rates[10] == pytest.approx(0.01)
    assert rates == sorted(rates[:11]) + sorted(rates[11:], reverse=True)
    assert rates[0] == pytest.approx(0.0001) and rates[-1] < 0.0002
