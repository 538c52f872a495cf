"""Worker processes begin when they are needed, and never outlive those who need them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from compox_core.errors import StateError, StorageError
from compox_core.jobs.lifecycle import Lifecycle
from compox_core.jobs.processes.launch import Launch
from compox_core.jobs.processes.marks import VARIABLE, Mark
from compox_core.jobs.processes.tree import ProcessTree, kill_orphans
from compox_core.jobs.processes.worker import Worker
from compox_core.records import Job, JobKind, TaskStatus
from compox_core.settings import load_settings
from compox_core.tasks.presence import this_process
from tests.jobs.processes.shop import Shop, alive, dead, opened, told, until, workers_of

posix = pytest.mark.skipif(sys.platform == "win32", reason="as POSIX has it")

PARENT = """
import sys, threading, time
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.jobs.processes.shop import opened

with opened(Path({folder!r}), warm_spare=True, worker_number=2) as shop:
    for code in {codes!r}:
        shop.logged(shop.submit(code), "begun")
    print("ready", flush=True)
    {then}
"""
CHILDREN = """
import subprocess, sys
sleep = [sys.executable, "-c", "import time; time.sleep(1000)"]
subprocess.Popen(sleep, start_new_session=True)
subprocess.Popen(sleep)
print("begun")
while True:
    try:
        while True: pass
    except BaseException:
        pass
"""
WAIT = "import time; print('begun'); time.sleep(1000)"


def parent(folder: Path, then: str, *codes: str) -> subprocess.Popen[str]:
    """Start a program whose engine has two busy workers and a spare; return when they are."""
    root = str(Path(__file__).parents[3])
    program = PARENT.format(root=root, folder=str(folder), codes=list(codes), then=then)
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@posix
def test_a_parent_that_is_killed_leaves_nothing(folder: Path) -> None:
    """Neither workers nor what they have started, busy or not; nobody is there to end them but they themselves."""
    process = parent(folder, "time.sleep(1000)", CHILDREN, WAIT)
    workers = workers_of(process.pid)
    assert len(workers) >= 5
    process.kill()
    process.communicate()
    until(partial(dead, *workers), "the end of all workers")


@posix
def test_a_parent_that_exits_without_closing_leaves_nothing(folder: Path) -> None:
    """No exit handler runs in `os._exit`."""
    process = parent(folder, "import os; os._exit(0)", CHILDREN, WAIT)
    process.communicate()
    until(lambda: not workers_of(process.pid), "the end of all workers")


def test_a_program_that_ends_normally_leaves_nothing(folder: Path) -> None:
    """The engine is closed by its exit handler."""
    process = parent(folder, "threading.Thread(target=time.sleep, args=(0,)).start(); sys.exit()", WAIT)
    process.communicate()
    assert workers_of(process.pid) == []


@posix
def test_a_fork_of_the_parent_does_not_keep_workers_alive(folder: Path) -> None:
    """It holds a copy of the pipe, so the pipe does not end with the parent."""
    then = "import os\n    child = os.fork()\n    if child: print(child, flush=True)\n    time.sleep(1000)"
    process = parent(folder, then, WAIT)
    assert process.stdout is not None
    fork = int(process.stdout.readline())
    try:
        workers = workers_of(process.pid)
        assert workers
        process.kill()
        process.wait()
        until(partial(dead, *workers), "the end of all workers")
        assert alive(fork)
    finally:
        os.kill(fork, signal.SIGKILL)
        process.stdout.close()


@posix
def test_orphans_are_found_by_their_mark(folder: Path) -> None:
    """A process that bears the mark of a dead parent is killed, one of a living parent and one without are not."""
    dying = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    here = this_process("i")
    dead_parent = here.model_copy(update={"pid": dying.pid, "started": "0"})
    sleep = [sys.executable, "-c", "import time; time.sleep(1000)"]

    def start(**variables: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(sleep, env={**os.environ, **variables}, start_new_session=True)

    elsewhere = dead_parent.model_copy(update={"host": "elsewhere|1"})
    orphan = start(**{VARIABLE: str(Mark.of(dead_parent, 1))})
    others = [
        start(**{VARIABLE: str(Mark.of(here, 1))}),
        start(**{VARIABLE: str(Mark.of(elsewhere, 1))}),
        start(**{VARIABLE: "nonsense"}),
        start(),
    ]
    try:
        until(lambda: orphan.pid in kill_orphans() or orphan.poll() is not None, "the orphan")
        assert orphan.wait(60) == -signal.SIGKILL
        assert kill_orphans() == []
        assert all(process.poll() is None for process in others)
    finally:
        for process in (dying, orphan, *others):
            process.kill()
            process.wait()


@posix
def test_a_new_executor_ends_orphans(folder: Path) -> None:
    """Those that could not see that their parent died, because native code holds their interpreter."""
    native = (
        "import ctypes\nlock = ctypes.create_string_buffer(1024)\nlibrary = ctypes.PyDLL(None)\n"
        "library.pthread_mutex_init(lock, None)\nlibrary.pthread_mutex_lock(lock)\n"
        "print('begun')\nlibrary.pthread_mutex_lock(lock)"
    )
    process = parent(folder, "time.sleep(1000)", native)
    workers = workers_of(process.pid)
    process.kill()
    process.communicate()
    with opened(folder / "another") as shop:
        assert shop.run("print('tells 1')").status is TaskStatus.COMPLETED
        until(partial(dead, *workers), "the end of the orphans")


def test_marks_are_read_as_they_were_written() -> None:
    """And nothing else is one."""
    mark = Mark.of(this_process("i"), 7)
    assert Mark.read(str(mark)) == mark
    assert not mark.orphaned
    for text in ("", "a/b/c/d/e", "a/1/c/d", "a/1/c/d/-1", "1"):
        assert Mark.read(text) is None


@posix
def test_a_tree_without_its_root_is_still_found(folder: Path) -> None:
    """Children of a process that has ended are nobody's, but bear its mark."""
    mark = Mark.of(this_process("tree"), 1)
    sleeping = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)'])"
    root = subprocess.Popen(
        [sys.executable, "-c", sleeping], env={**os.environ, VARIABLE: str(mark)}, start_new_session=True
    )
    root.wait()
    tree = ProcessTree(root.pid, mark)
    [child] = tree.children()
    assert tree.kill(worker=False)
    assert dead(child.pid)
    assert tree.children() == []


def test_secrets_reach_a_worker_by_the_pipe_alone(folder: Path) -> None:
    """No command line and no environment shows them, to nobody who may look at processes."""
    settings = load_settings(
        {
            "storage": {
                "access_key_id": "the-key",
                "secret_access_key": "the-secret",
                "backend_settings": {"provider": "fsspec", "url": str(folder), "options": {"token": "the-token"}},
            }
        }
    )
    launch = Launch(settings, this_process("x"))
    text = json.dumps(launch.revealed())
    assert all(word in text for word in ("the-key", "the-secret", "the-token"))
    assert type(settings).model_validate(launch.revealed()) == settings
    worker = Worker(launch, 1)
    worker.start()
    try:
        process = psutil.Process(worker.pid)
        shown = " ".join([*process.cmdline(), *map(str, process.environ().items())])
        assert VARIABLE in shown
        assert "the-" not in shown.replace("the-agent", "")
        assert "the-secret" not in repr(launch)
    finally:
        worker.kill()


def test_a_library_in_the_working_directory_is_not_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Running a server in a folder that happens to hold `json.py` must not break its workers."""
    (folder / "json.py").write_text("raise ImportError('not this one')")
    monkeypatch.chdir(folder)
    with opened(folder) as shop:
        assert shop.run("print('tells 1')").status is TaskStatus.COMPLETED


def test_what_is_on_the_path_here_is_on_it_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook that has added a folder of helpers may run algorithms that need them."""
    helpers = folder / "helpers"
    helpers.mkdir()
    (helpers / "my_helpers_for_tests.py").write_text("VALUE = 42")
    monkeypatch.syspath_prepend(str(helpers))
    with opened(folder) as shop:
        assert told(shop.run("import my_helpers_for_tests as m; print('tells', m.VALUE)")) == [42]


def test_workers_are_kept_and_used_again(shop: Shop) -> None:
    """One worker does all jobs of one slot, and has the algorithm loaded for the next."""
    assert len({shop.worker() for _ in range(5)}) == 1
    assert "Loaded" not in shop.run("print('tells 1')").log


def test_a_spare_takes_over(folder: Path) -> None:
    """It is started before it is needed, and replaced."""
    with opened(folder, warm_spare=True) as shop:
        first = shop.worker()
        spare = until(lambda: shop.executor._spare._waiting, "a spare")
        until(lambda: spare.ready, "a spare that is ready")
        psutil.Process(first).kill()
        until(partial(dead, first), "its end")
        assert shop.worker() == spare.pid
        until(lambda: shop.executor._spare._waiting not in (None, spare), "another spare")


def test_a_runner_that_nobody_uses_is_unloaded_there(folder: Path) -> None:
    """After the time of the settings; the next run loads it again."""
    with opened(folder) as shop:
        shop.engine.settings.inference.runner_idle_seconds = 0.2
        assert "Loaded" in shop.run("print('tells 1')").log
        until(lambda: "Loaded" in shop.run("import time\nprint('tells 1')").log or time.sleep(0.5), "a second loading")


def test_a_store_that_refuses_claims_is_tried_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs keep their places meanwhile, and each runs once."""
    refusals = [3]
    begin = Lifecycle.begin

    def refuse(self: Lifecycle, job: Job) -> Any:
        if refusals[0]:
            refusals[0] -= 1
            raise StorageError("Not now.", retryable=True)
        return begin(self, job)

    monkeypatch.setattr("compox_core.jobs.processes.executor.RETRY_SECONDS", 0.05)
    monkeypatch.setattr(Lifecycle, "begin", refuse)
    with opened(folder) as shop:
        marks = folder / "marks"
        code = f"open({str(marks)!r}, 'a').write(args['number'])"
        for task_id in [shop.submit(code, number=str(number)) for number in range(5)]:
            assert shop.ended(task_id).status is TaskStatus.COMPLETED
        assert marks.read_text() == "01234"
    assert refusals == [0]


def test_a_closed_executor_refuses_and_ends_its_threads(folder: Path) -> None:
    """Nothing of it stays behind."""
    before = set(threading.enumerate())
    with opened(folder, warm_spare=True) as shop:
        shop.run("print('tells 1')")
        executor = shop.executor
        shop.engine.close()
        assert executor.close(1) == []
        until(lambda: set(threading.enumerate()) <= before, "the end of its threads")
        with pytest.raises(StateError, match="closed"):
            executor.submit(Job(JobKind.EXECUTION, "x"))


def test_the_child_imports_little() -> None:
    """No torch, no transport, no S3, no celery: they would cost every start."""
    program = "import sys, compox_core.jobs.processes.child; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"torch", "litestar", "click", "celery", "kombu", "s3fs", "fsspec", "matplotlib", "skimage", "PIL"}
    assert heavy & set(modules) == set()
