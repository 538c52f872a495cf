"""Lists of records in pages."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compox_core.engine import pages
from compox_core.engine.pages import MAX_PAGE, Page, passes, read_page
from compox_core.errors import InvalidInputError, StorageError
from compox_core.records import BenchmarkRecord, ExecutionRecord, TaskRecord, TaskStatus

THEN = datetime(2026, 1, 1, tzinfo=UTC)


def record(task_id: str, status: TaskStatus = TaskStatus.PENDING, algorithm_id: str = "a") -> ExecutionRecord:
    """Return the record of an execution."""
    return ExecutionRecord(
        execution_id=task_id, algorithm_id=algorithm_id, input_dataset_ids=[], time_submitted=THEN, status=status
    )


def everything(task: TaskRecord) -> bool:
    """Let every record pass."""
    return True


def name(number: int) -> str:
    """Return an id that sorts as its number does."""
    return f"{number:06d}"


class Shelf:
    """Records that can be listed, read and added to; some of the ids that are listed have none."""

    def __init__(self, numbers: set[int], gone: set[int] | None = None) -> None:
        self.numbers = numbers
        self.gone = gone or set()
        self.reads: list[str] = []

    def read(self, task_id: str) -> ExecutionRecord | None:
        self.reads.append(task_id)
        return None if int(task_id) in self.gone else record(task_id, list(TaskStatus)[int(task_id) % 5])

    def page(self, limit: int, cursor: str | None, passing: object = everything) -> Page[ExecutionRecord]:
        self.reads.clear()
        return read_page(map(name, self.numbers), self.read, passing, limit, cursor)  # type: ignore[arg-type]


@given(
    numbers=st.sets(st.integers(1000, 1400), max_size=150),
    gone=st.sets(st.integers(1000, 1400), max_size=60),
    limits=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    later=st.lists(st.integers(1, 5), max_size=10),
    status=st.none() | st.sampled_from(list(TaskStatus)),
    most=st.integers(1, 60),
)
def test_pages_of_any_size_give_every_record_once(
    numbers: set[int], gone: set[int], limits: list[int], later: list[int], status: TaskStatus | None, most: int
) -> None:
    """The newest first, whatever is submitted meanwhile and however little a filter lets through."""
    shelf = Shelf(set(numbers), gone)
    found: list[int] = []
    cursor, turn = None, 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "MOST_READ", most)
        patch.setattr(pages, "_BATCH", 7)
        while True:
            limit = limits[turn % len(limits)]
            page = shelf.page(limit, cursor, passes(status, None))
            assert len(page.records) <= limit
            assert len(set(shelf.reads)) == len(shelf.reads) <= most
            found += [int(each.task_id) for each in page.records]
            cursor = page.next_cursor
            if cursor is None:
                break
            if turn < len(later):
                shelf.numbers.add(1500 + sum(later[: turn + 1]))
            turn += 1
    wanted = [n for n in numbers - gone if status is None or list(TaskStatus)[n % 5] is status]
    assert found == sorted(wanted, reverse=True)


@pytest.mark.parametrize("limit", [0, -1, MAX_PAGE + 1])
def test_a_limit_that_is_none_is_refused(limit: int) -> None:
    """With the largest that there is."""
    with pytest.raises(InvalidInputError) as caught:
        Shelf({1}).page(limit, None)
    assert (caught.value.code, caught.value.details) == ("invalid_limit", {"limit": limit, "max": MAX_PAGE})


@pytest.mark.parametrize("cursor", ["", "a b", "../x", "ä", "x" * 256, "a\n", "\0"])
def test_a_cursor_that_no_page_gave_is_refused(cursor: str) -> None:
    """What could be no id."""
    with pytest.raises(InvalidInputError) as caught:
        Shelf({1}).page(1, cursor)
    assert caught.value.code == "invalid_cursor"


def test_the_last_page_says_that_it_is_the_last() -> None:
    """Also where it is full to the brim, and where there is nothing at all."""
    shelf = Shelf({1, 2, 3, 4})
    first = shelf.page(2, None)
    assert ([each.task_id for each in first.records], first.next_cursor) == ([name(4), name(3)], name(3))
    second = shelf.page(2, first.next_cursor)
    assert ([each.task_id for each in second.records], second.next_cursor) == ([name(2), name(1)], None)
    assert shelf.page(4, None).next_cursor is None
    assert Shelf(set()).page(4, None) == Page([], None)
    assert shelf.page(4, name(0)) == Page([], None)


def test_a_page_reads_little_more_than_it_gives() -> None:
    """One record more tells whether others follow."""
    shelf = Shelf(set(range(1000)))
    assert len(shelf.page(10, None).records) == 10
    assert len(shelf.reads) == 11


def test_a_filter_that_lets_nothing_through_is_not_paid_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty pages lead on to the end."""
    monkeypatch.setattr(pages, "MOST_READ", 100)
    shelf = Shelf(set(range(250)))
    cursor, empty = None, 0
    while True:
        page = shelf.page(5, cursor, lambda each: False)
        assert page.records == [] and len(shelf.reads) <= 100
        empty += 1
        if page.next_cursor is None:
            break
        cursor = page.next_cursor
    assert empty == 3


def test_what_a_store_raises_comes_out() -> None:
    """Also where it is raised in a thread that reads ahead."""

    def read(task_id: str) -> ExecutionRecord | None:
        if int(task_id) < 50:
            raise StorageError("down")
        return None

    with pytest.raises(StorageError):
        read_page(map(name, range(100)), read, everything, 5, None)


def test_a_filter_looks_at_status_and_algorithm() -> None:
    """Both count; what has no algorithm is none of them."""
    completed = record("1", TaskStatus.COMPLETED, "b")
    assert passes(None, None)(completed)
    assert passes(TaskStatus.COMPLETED, {"a", "b"})(completed)
    assert not passes(TaskStatus.FAILED, {"b"})(completed)
    assert not passes(TaskStatus.COMPLETED, {"a"})(completed)
    assert not passes(None, set())(completed)
    benchmark = BenchmarkRecord(benchmark_id="1", algorithm_id="b", time_submitted=THEN)
    assert passes(None, {"b"})(benchmark)
