"""What the tests of the shipped algorithms share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import compox_core as cx
from tests.algorithms_shipped.shipped import KINDS, folder


@pytest.fixture(scope="module")
def engine() -> Iterator[cx.Engine]:
    """An engine that has the shipped algorithms."""
    with cx.Engine("memory://", executor="inline") as opened:
        for kind in KINDS:
            opened.deploy(folder(kind))
        yield opened
