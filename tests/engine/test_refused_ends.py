"""The end of a job on a full disk: nobody is told anything else, and the store has it in the end."""

from __future__ import annotations

from pathlib import Path

import pytest

import compox_core as cx
from compox_core.records import TaskStatus
from tests.engine.refusing import (
    CASES,
    IMAGE,
    TIMEOUT,
    Case,
    FullDisk,
    Gate,
    algorithm,
    full_disk,
    gate,
    imported,
    refused,
    until,
)

__all__ = ["algorithm", "full_disk", "gate", "imported"]  # fixtures


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_end_on_a_full_disk(full_disk: FullDisk, case: Case, algorithm: Path, imported: Path, gate: Gate) -> None:
    """The client reads the true state while the store cannot take it, and the store has it as soon as it can.

    The emergency records lie on the disk that is full, so that only the reserve can take them.
    """
    refused(full_disk, case, algorithm, imported, gate)


def test_emergency_records_on_another_disk(
    full_disk: FullDisk, algorithm: Path, imported: Path, gate: Gate, tmp_path: Path
) -> None:
    """Where there is room the reserve is not needed."""
    full_disk.keep_in(tmp_path / "emergency")
    refused(full_disk, CASES[0], algorithm, imported, gate)


def test_a_run_that_waits_begins_when_there_is_room(full_disk: FullDisk, algorithm: Path, gate: Gate) -> None:
    """On a full disk nothing new begins and nothing that waits fails: it goes on waiting."""
    with cx.Engine(full_disk.settings, executor="threads") as engine:
        engine.deploy(algorithm)
        before = engine.submit("sample", IMAGE)
        until(gate.reached, "the first run was in its middle")
        after = engine.submit("sample", IMAGE)  # waits for the one thread there is
        full_disk.refuse()
        gate.open()
        assert before.wait(TIMEOUT).status is TaskStatus.COMPLETED
        assert not after.wait(0.5).status.final  # no room even to begin it
        full_disk.accept()
        assert after.wait(TIMEOUT).status is TaskStatus.COMPLETED
        full_disk.expect(before.record)


def test_an_engine_that_ends_first_leaves_it_to_the_next(full_disk: FullDisk, algorithm: Path, gate: Gate) -> None:
    """A program that ends while the disk is full has lost nothing: a later one on the same store delivers."""
    with cx.Engine(full_disk.settings, executor="threads") as engine:
        engine.deploy(algorithm)
        handle = engine.submit("sample", IMAGE)
        until(gate.reached, "the run was in its middle")
        full_disk.refuse()
        gate.open()
        told = handle.wait(TIMEOUT)
    assert len(full_disk.kept()) == 1
    with cx.Engine(full_disk.settings, executor="inline") as reader:
        assert reader.executions.get(handle.id).status is TaskStatus.COMPLETED
    full_disk.accept()
    full_disk.settings["inference"]["queue"] |= {"heartbeat_seconds": 0.1, "lost_after_seconds": 0.5}
    with cx.Engine(full_disk.settings, executor="threads", resume=True):
        until(lambda: not full_disk.kept(), "the next engine had delivered")
    full_disk.expect(told)
