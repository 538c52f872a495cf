"""Ids, and what can be told from them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from compox_core.identity import new_id, new_token, since_boot, time_of, utc_now


def test_an_id_tells_when_it_was_made() -> None:
    """To the millisecond, by the clock of the machine that made it."""
    before = utc_now() - timedelta(milliseconds=1)
    made = time_of(new_id())
    assert made is not None
    assert before <= made <= utc_now()


@pytest.mark.parametrize(
    "other",
    [
        pytest.param("", id="nothing"),
        pytest.param("record", id="a-word"),
        pytest.param(new_token(), id="a-token"),
        pytest.param("01890a5d-ac96-774b", id="half-an-id"),
        pytest.param("ffffffff-ffff-7fff-bfff-ffffffffffff", id="a-time-beyond-all-dates"),
    ],
)
def test_what_is_no_id_of_ours_tells_nothing(other: str) -> None:
    """Texts, tokens, and ids of years that there are not."""
    assert time_of(other) is None


def test_ids_sort_by_when_they_were_made() -> None:
    """Each sorts after those before it, also many in a millisecond."""
    ids = [new_id() for _ in range(2000)]
    assert ids == sorted(set(ids))


def test_the_clock_since_boot_never_goes_back() -> None:
    """It rises from call to call, or stands."""
    times = [since_boot() for _ in range(100)]
    assert times == sorted(times)
