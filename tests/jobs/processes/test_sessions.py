"""Live objects outlast a run in the worker that holds them; jobs of a session go there."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

from compox_core.records import ExecutionRecord, TaskStatus
from tests.jobs.processes.shop import Shop, opened, told, until

SAVE = "import os; self.save_item_to_session([1], 'x'); print('tells', os.getpid())"
LOAD = "import os; print('tells', self.load_item_from_session('x')[0]); print('tells', os.getpid())"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """An engine with two workers."""
    with opened(tmp_path_factory.mktemp("pair"), worker_number=2) as shop:
        yield shop


def both(shop: Shop) -> None:
    """Have both workers started."""

    def at_a_time() -> bool:
        code = "import os, time; print('tells', os.getpid()); time.sleep(0.2)"
        return len({told(shop.ended(task_id))[0] for task_id in [shop.submit(code), shop.submit(code)]}) == 2

    until(at_a_time, "a second worker")


def completed(record: ExecutionRecord) -> list[int]:
    assert record.status is TaskStatus.COMPLETED, record.log
    return list(told(record))


def test_the_jobs_of_a_session_go_to_the_worker_that_holds_it(pair: Shop) -> None:
    """Whatever other workers are idle; each of many sessions to its own."""
    both(pair)
    homes = {}
    for number in range(4):
        homes[f"s{number}"] = completed(pair.run(SAVE, session=f"s{number}"))[0]
    for _ in range(2):
        for token, home in homes.items():
            assert completed(pair.run(LOAD, session=token)) == [1, home]
    assert len(set(homes.values())) == 2


def test_a_session_that_a_run_has_opened_is_found_by_its_token(pair: Shop) -> None:
    """The token that the record tells."""
    first = pair.run(SAVE)
    assert first.session_token
    assert completed(pair.run(LOAD, session=first.session_token)) == [1, *told(first)]


def test_a_job_waits_for_the_worker_of_its_session(pair: Shop) -> None:
    """While another worker is idle: there it would find nothing."""
    both(pair)
    home = completed(pair.run(SAVE, session="busy"))[0]
    slow = pair.submit("import time; time.sleep(0.5)", session="busy")
    waiting = pair.submit(LOAD, session="busy")
    assert completed(pair.ended(waiting)) == [1, home]
    assert pair.ended(slow).status is TaskStatus.COMPLETED


def test_two_jobs_of_a_new_session_share_it(pair: Shop) -> None:
    """Also where both are submitted before the first has saved anything."""
    both(pair)
    first = pair.submit("import time; time.sleep(0.3)\n" + SAVE, session="new")
    second = pair.submit(LOAD, session="new")
    assert completed(pair.ended(second))[0] == 1
    assert pair.ended(first).status is TaskStatus.COMPLETED


def test_a_session_is_reported_lost_with_its_worker(pair: Shop) -> None:
    """In the log of the next job with that token, once; it begins anew."""
    for token in ("gone", "gone too", "also"):  # before and after the death is noticed, as chance will have it
        home = completed(pair.run(SAVE, session=token))[0]
        psutil.Process(home).kill()
        for number in range(2):
            record = pair.run("print(self.load_item_from_session('x'))", session=token)
            assert record.status is TaskStatus.FAILED
            assert ("The worker process that held this session has ended" in record.log) == (number == 0)
            assert record.session_token == token


def test_a_session_is_lost_with_a_stop_that_costs_the_worker(pair: Shop) -> None:
    """What a raised stop leaves behind is not used again."""
    completed(pair.run(SAVE, session="stopped"))
    task_id = pair.submit("import os; os._exit(1)", session="stopped")
    assert pair.ended(task_id).status is TaskStatus.FAILED
    record = pair.run("print('tells 1')", session="stopped")
    assert "The worker process that held this session has ended" in record.log
