"""Bad input: an exit code that tells the truth, and one or two lines that say what, why and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Shell, answer
from tests.engine.authors import image_runner, write_algorithm

# words (with {coins} and {store} filled in) → exit code, what stderr says
TABLE: dict[str, tuple[str | list[str], int, str]] = {
    "missing file": ("run scaling nothing.png --store {store}", 2, "'nothing.png' does not exist"),
    "no input": ("run scaling --store {store}", 2, "Missing argument 'INPUT...'"),
    "no algorithm of that name": ("run scalling {coins} --store {store}", 1, "Did you mean 'scaling'?"),
    "no name like it": ("show qqqqqq --store {store}", 1, "`compox-cli list` shows"),
    "no such major": ("show scaling --major 9 --store {store}", 1, "9"),
    "no such minor": ("run scaling {coins} --minor 9 --store {store}", 1, "minor"),
    "parameter without a value": ("run scaling {coins} -p factor --store {store}", 2, "write key=value"),
    "parameter without a key": ("run scaling {coins} -p =1 --store {store}", 2, "write key=value"),
    "parameter twice": ("run scaling {coins} -p factor=1 -p factor=2 --store {store}", 2, "given twice"),
    "parameter of the wrong type": ("run scaling {coins} -p factor=much --store {store}", 1, "factor"),
    "parameter out of range": ("run scaling {coins} -p factor=9 --store {store}", 1, "factor"),
    "unknown option of an enum": ("run scaling {coins} -p label=z --store {store}", 1, "label"),
    "unknown suffix": ("run scaling {coins} -o out.bmp --store {store}", 1, "use one of .tif"),
    "no image for an alignment": ("run shifting {coins} -o out.png --store {store}", 1, "use one of .h5"),
    "output folder is not there": (
        "run scaling {coins} -o no/out.tif --store {store}",
        1,
        "'no' does not exist: make it first",
    ),
    "unreadable input": ("run scaling broken.png --store {store}", 1, "broken.png"),
    "truncated HDF5": ("run scaling broken.h5 --store {store}", 1, "HDF5"),
    "no such store": ("list --store nowhere", 1, "There is no store at nowhere"),
    "folder that is no store": ("list --store papers", 1, "was not made by this program"),
    "store of another program": ("list --store {home}/foreign", 1, "not made by this program"),
    "unknown kind of store": ("list --store ftp://x/y", 1, "ftp"),
    "empty store": (["list", "--store", ""], 2, "leave it out"),
    "store that vanishes": ("deploy scaling --store memory://", 2, "gone when this command ends"),
    "store and configuration": ("list --store {store} --config config.yaml", 2, "give one of them"),
    "broken YAML": ("list --config broken.yaml", 1, "broken.yaml"),
    "unknown key of the configuration": ("list --config unknown.yaml", 1, "did you mean 'storage'"),
    "configuration is not there": ("list --config none.yaml", 2, "'none.yaml' does not exist"),
    "folder without Runner": ("deploy empty --store {store}", 1, "empty"),
    "path is not there": ("deploy none --store {store}", 2, "'none' does not exist"),
    "one name for two": ("deploy scaling scaling --name x --store {store}", 2, "deploy one PATH"),
    "unknown command": ("lst", 2, "Did you mean 'list'?"),
    "unknown option": ("list --stor x", 2, "--store"),
    "remove what is not there": ("remove scalin --yes --store {store}", 1, "Did you mean 'scaling'?"),
    "debug without data": ("debug run --algo scaling", 2, "--data"),
    "debug of no algorithm": ("debug run --algo empty --data {coins}", 1, "empty"),
    "debug into a file": ("debug run --algo scaling --data {coins} --out {coins}", 2, "is a file"),
}


@pytest.fixture
def mess(home: Path, coins: Path) -> None:
    """Files that are not what their names say."""
    (home / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (home / "broken.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    (home / "broken.yaml").write_text("storage: [", "utf-8")
    (home / "config.yaml").write_text("{}", "utf-8")
    (home / "unknown.yaml").write_text("storrage: {}", "utf-8")
    (home / "empty").mkdir()
    (home / "foreign" / "algorithm-store").mkdir(parents=True)
    (home / "foreign" / "algorithm-store" / "id~name~1").write_text("{}", "utf-8")
    (home / "papers").mkdir()
    (home / "papers" / "thesis.txt").write_text("mine", "utf-8")


def outside_of(store: Path) -> set[Path]:
    """Return everything there is but what the store and the module cache hold."""
    home = store.parent
    kept = (store, home / "modules", home / "data")
    return {path for path in home.rglob("*") if not any(path.is_relative_to(folder) for folder in kept)}


@pytest.mark.parametrize("case", TABLE)
@pytest.mark.usefixtures("mess")
def test_bad_input_gets_its_exit_code_and_a_message(
    shell: Shell, store: Path, coins: Path, home: Path, case: str
) -> None:
    """No traceback, nothing on stdout, no new file; the message starts with `Error:` and says what to do."""
    line, code, says = TABLE[case]
    words = line if isinstance(line, list) else line.split()
    words = [word.format(coins=coins, store=store, home=home) for word in words]
    before = outside_of(store)
    done = shell(*words)
    assert done.exit_code == code, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert any(line.startswith("Error: ") for line in lines), done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr and "Unexpected" not in done.stderr
    assert outside_of(store) == before


@pytest.mark.usefixtures("mess")
def test_an_error_is_also_there_for_programs(shell: Shell, store: Path, coins: Path) -> None:
    """With --json, stdout has the error's code, message and details; stderr stays for people."""
    done = shell("run", "scalling", coins, "--store", store, "--json")
    error = answer(done)["error"]
    assert (done.exit_code, error["code"], error["details"]["nearest"]) == (1, "algorithm_not_found", "scaling")
    assert error["message"] in done.stderr
    assert answer(shell("list", "--json", "--config", "unknown.yaml"))["error"]["code"] == "configuration_error"
    assert answer(shell("run", "--json", "scaling"))["error"]["code"] == "usage"


def test_the_traceback_is_there_on_request(shell: Shell) -> None:
    """--traceback shows where an error was raised."""
    assert "Traceback" in shell("list", "--store", "nowhere", "--traceback").stderr


def test_a_failed_run_leaves_no_output_and_no_folder(shell: Shell, store: Path, coins: Path, home: Path) -> None:
    """An algorithm that fails leaves nothing where the outputs would have been."""
    write_algorithm(home / "bad", image_runner("raise ValueError('no')"), name="bad")
    shell("deploy", home / "bad", "--store", store)
    assert shell("run", "bad", coins, "-o", "results", "--store", store).exit_code == 1
    assert not (home / "results").exists()


def test_a_defect_of_ours_is_no_flood(shell: Shell, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that nobody foresaw is two lines, with the way to more."""

    def broken(*_: object) -> None:
        raise RuntimeError("oops")

    monkeypatch.setattr("compox_cli.describe.list_row", broken)
    done = shell("list", "--store", store)
    assert done.exit_code == 1
    assert done.stderr.splitlines()[0] == "Error: Unexpected RuntimeError: oops"
    assert "--verbose" in done.stderr.splitlines()[1]
