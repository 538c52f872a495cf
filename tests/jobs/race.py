"""A race of several servers for the jobs of one store, in which they are suspended and killed and have wrong clocks."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from compox_core.records import JobKind, TaskStatus
from compox_core.storage import EXECUTIONS, ObjectStore, initialise
from compox_core.tasks import TaskStore, TaskStores
from tests.jobs.racer import summary

ROOT = Path(__file__).parents[2]
DEADLINE = 120.0

needs_signals = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no process can be suspended here")


@dataclass
class Race:
    """Servers that race, and what they noted."""

    store: ObjectStore
    settings: dict[str, Any]
    notes: Path
    seed: int
    jobs: int
    lost_after: float
    seconds: float
    servers: list[subprocess.Popen[str]] = field(default_factory=list)
    ended: list[subprocess.Popen[str]] = field(default_factory=list)
    started: int = 0

    def start(self) -> None:
        """Start one more server."""
        self.started += 1
        said = {
            "settings": self.settings,
            "notes": str(self.notes),
            "seed": self.seed + self.started,
            "jobs": self.jobs,
            "seconds": self.seconds,
            "longest": self.lost_after,
            "alone": self.started % 2 == 0,
        }
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.jobs.racer", json.dumps(said)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.servers.append(server)

    def wait_ready(self) -> None:
        """Wait until the servers that were started are open."""
        for server in self.servers:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"

    def disturb(self, pick: random.Random) -> Counter[str]:
        """Suspend servers for longer than they may be silent, and kill some, for a while."""
        done: Counter[str] = Counter()
        deadline = time.monotonic() + self.seconds
        suspended: dict[subprocess.Popen[str], float] = {}
        while time.monotonic() < deadline:
            time.sleep(pick.uniform(0.05, 0.25))
            for server in [each for each, until in suspended.items() if until < time.monotonic()]:
                server.send_signal(signal.SIGCONT)
                del suspended[server]
            awake = [each for each in self.servers if each not in suspended]
            if len(awake) <= len(self.servers) // 2:
                continue  # some must be left who see what became of the others
            busy = self.busy()
            server = pick.choice([each for each in awake if each.pid in busy] or awake)
            if pick.random() < 0.8:
                server.send_signal(signal.SIGSTOP)
                suspended[server] = time.monotonic() + self.lost_after * pick.uniform(0.8, 4)
                done["suspended"] += 1
            elif done["killed"] < 4:
                self.kill(server)
                self.start()
                done["killed"] += 1
        for server in suspended:
            server.send_signal(signal.SIGCONT)
        return done

    def kill(self, server: subprocess.Popen[str]) -> None:
        """Kill a server and ask for its end, which others can see before."""
        server.kill()
        self.servers.remove(server)
        self.ended.append(server)

    def busy(self) -> set[int]:
        """Return which servers run something."""
        started, ended = Counter[int](), Counter[int]()
        for line in self.lines():
            {"start": started, "told": ended, "refused": ended}.get(line[0], Counter())[int(line[-1])] += 1
        return {pid for pid in started if started[pid] > ended[pid]}

    def close(self) -> None:
        """End the servers in good order."""
        for server in self.servers:
            assert server.stdin is not None
            server.stdin.close()
        for server in self.servers:
            assert server.wait(DEADLINE) == 0

    def lines(self) -> list[list[str]]:
        """Return what was noted."""
        return [line.split() for line in self.notes.read_text().splitlines()]


@contextmanager
def racing(
    place: Path, storage: dict[str, Any], store: ObjectStore, *, jobs: int, lost_after: float, seconds: float
) -> Iterator[Race]:
    """Make a race on a store, with files of its own in the folder `place`; nothing of it is left running.

    Args:
        storage: How servers open the store: the section of their settings.
        jobs: How many each server accepts.
        lost_after: After how many seconds of silence a server is taken for dead.
        seconds: How long servers are disturbed.
    """
    initialise(store)
    seed = int(os.environ.get("COMPOX_RACE_SEED") or random.randrange(10**6))
    print(f"COMPOX_RACE_SEED={seed}")
    settings = {
        "storage": {**storage, "emergency_path": str(place / "emergency")},
        "inference": {
            "backend_settings": {"executor": "threads", "worker_number": 3},
            "queue": {
                "heartbeat_seconds": lost_after / 10,
                "lost_after_seconds": lost_after,
                "reconcile_seconds": lost_after / 5,
            },
        },
    }
    race = Race(store, settings, place / "notes", seed, jobs, lost_after, seconds)
    try:
        yield race
    finally:
        for server in (*race.servers, *race.ended):
            with server:  # closes its pipes and asks for its end
                server.kill()


def run(race: Race, servers: int) -> None:
    """Race, and judge what came of it."""
    pick = random.Random(race.seed)
    for _ in range(servers):
        race.start()
    race.wait_ready()
    done = race.disturb(pick)
    tasks = TaskStores(race.store).of(JobKind.EXECUTION)
    wait_for_the_end(race, tasks)
    race.close()
    judge(race, tasks, done)


def wait_for_the_end(race: Race, tasks: TaskStore) -> None:
    """Wait until no job is open; what is left of a job that nobody was told of goes too."""
    deadline = time.monotonic() + DEADLINE
    while True:
        left = [info.key for info in race.store.list(EXECUTIONS, "queue/")]
        accepted = {line[1] for line in race.lines() if line[0] == "accepted"}
        finished = {line[2] for line in race.lines() if line[0] == "finished"}
        if not left and finished >= {str(server.pid) for server in race.servers}:
            return
        assert time.monotonic() < deadline, f"still open: {left} of {len(accepted)}"
        assert all(server.poll() in (None, 0) for server in race.servers)
        time.sleep(0.1)


def judge(race: Race, tasks: TaskStore, done: Counter[str]) -> None:
    """Compare what every server did and was told with what the store says."""
    lines = race.lines()
    accepted = {line[1] for line in lines if line[0] == "accepted"}
    recorded = set(tasks.ids())
    assert accepted <= recorded
    ends: dict[str, dict[int, str]] = defaultdict(dict)
    for info in race.store.list(EXECUTIONS, "end/"):
        task_id, _, attempt = info.key.removeprefix("end/").rpartition(".")
        note = tasks.end_of(task_id, int(attempt))
        assert note is not None
        if task_id not in recorded:  # killed on the way to its record, and told nobody
            assert (note.decision, task_id in accepted) == ("final", False)
            continue
        ends[task_id][int(attempt)] = summary(note)
        if note.decision == "final":
            assert note.record is not None
            whole = tasks.load(task_id).model_dump(mode="json")
            assert {name: whole[name] for name in note.record} == note.record
            view = tasks.load_view(task_id)  # written over by one that was suspended, and killed before it heard of it
            done["stale views"] += not view.status.final
            assert not view.status.final or view == tasks.load(task_id)

    assert recorded == ends.keys()
    for task_id, attempts in ends.items():
        # One final end, and nothing but retries before it.
        assert list(attempts) == list(range(1, len(attempts) + 1)), (task_id, attempts)
        assert [what == "retry" for what in attempts.values()] == [True] * (len(attempts) - 1) + [False]

    started = Counter((line[1], int(line[2])) for line in lines if line[0] == "start")
    assert [each for each, times in started.items() if times > 1] == []
    for task_id, attempt in started:
        assert attempt in ends[task_id]
    for what, task_id, attempt, said, *_ in (line for line in lines if line[0] in ("told", "decided")):
        # Whoever believes to have said how an attempt ended says what the store says.
        if task_id in recorded:
            assert ends[task_id][int(attempt)] == said, (what, task_id, attempt, said)
    for task_id, attempts in ends.items():
        last = len(attempts)
        if attempts[last] == TaskStatus.COMPLETED:
            assert started[task_id, last] == 1
            record = tasks.load(task_id)
            assert [output.startswith(f"{task_id}-{last}-") for output in record.output_dataset_ids] == [True]

    deciders = [line for line in lines if line[0] == "decided"]
    done["refused"] = sum(line[4] == "0" for line in deciders)
    done["retried"] = sum(what == "retry" for each in ends.values() for what in each.values())
    errors = [error for task_id in ends if (error := tasks.load(task_id).error) is not None]
    done["lost"] = sum(error.code == "worker_lost" for error in errors)
    done["jobs"] = len(ends)
    print(dict(done))
    assert done["suspended"] > 0
