"""Which keys a store takes."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from compox_core.storage.keys import is_key, listable_prefix
from tests.contracts.store_objects import ILL_FORMED

SEGMENT = re.compile(r"[A-Za-z0-9._-]{1,255}")
DEVICES = {"con", "prn", "aux", "nul", *(f"{name}{digit}" for name in ("com", "lpt") for digit in range(10))}


def well_formed(key: str) -> bool:
    """The rule, segment by segment."""
    if len(key) > 512:
        return False
    return all(
        SEGMENT.fullmatch(segment)
        and not segment.endswith(".")
        and not segment.startswith(".tmp")
        and segment.split(".")[0].lower() not in DEVICES
        for segment in key.split("/")
    )


@given(st.text("aC.o/nNul1-_tmp \\\0ä\n", max_size=12) | st.text(max_size=6))
@example("a\n")
@example("con/a")
@example("a/NUL.tar.gz/b")
@example("com")
def test_a_key_is_judged_segment_by_segment(key: str) -> None:
    """The rule holds for each segment of a key, whatever stands in the others."""
    assert is_key(key) == well_formed(key)


def test_ill_formed_keys_are_none() -> None:
    """What the contract calls ill-formed is so."""
    assert not any(map(is_key, ILL_FORMED))


@given(st.lists(st.text("ab.-_0", min_size=1, max_size=5), min_size=1, max_size=3).map("/".join), st.integers(0, 20))
def test_every_start_of_a_key_can_be_listed(key: str, length: int) -> None:
    """A listing is never refused for a prefix of something that can be there."""
    if is_key(key):
        assert listable_prefix(key[:length])
