"""What the demo works on is what it says."""

from __future__ import annotations

import socket

import numpy as np
import pytest
from skimage.measure import label

from demo import subjects


@pytest.mark.parametrize("name", subjects.PICTURES)
def test_pictures_need_no_network(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pictures come with scikit-image."""
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("the network was asked"))
    assert subjects.clean(name).dtype == np.uint8


def test_noise_is_as_stated_and_repeats() -> None:
    """Noise has the stated deviation where nothing is clipped, and is the same each time."""
    grey = np.full((200, 200), 128, np.uint8)
    assert np.isclose(subjects.noisy(grey, 1).std(), subjects.NOISE, rtol=0.02)
    assert np.array_equal(subjects.noisy(grey, 1), subjects.noisy(grey, 1))
    assert not np.array_equal(subjects.noisy(grey, 1), subjects.noisy(grey, 2))


def test_reference_has_every_coin() -> None:
    """The reference holds 24 regions, one for each coin."""
    assert label(subjects.coins_reference()).max() == subjects.COINS


def test_frames_show_the_tissue_at_their_places() -> None:
    """A frame is the first one's view moved to its place."""
    series = subjects.drifting_tissue()
    assert series.frames.shape == (len(series.places), 300, 300, 3)
    picture = subjects.clean("tissue").astype(float)
    for frame, (y, x) in zip(series.frames, series.places, strict=True):
        near = picture[106 + round(y) : 406 + round(y), 106 + round(x) : 406 + round(x)]
        far = picture[106 - round(y) : 406 - round(y), 106 - round(x) : 406 - round(x)]
        error, opposite = (np.abs(frame - view).mean() for view in (near, far))
        assert error < 15 and (error < opposite or (y, x) == (0, 0))


def test_balls_are_apart_and_bright() -> None:
    """Each centre lies in a bright place of its own."""
    balls = subjects.scattered_balls(count=5, shape=(32, 48, 48))
    assert balls.centres.shape == (5, 3)
    for z, y, x in np.rint(balls.centres).astype(int):
        assert balls.volume[z - 1 : z + 2, y - 1 : y + 2, x - 1 : x + 2].mean() > 80
