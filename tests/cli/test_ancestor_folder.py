"""`compox deploy-algorithms`: the subfolders of a folder, straight to a store."""

from __future__ import annotations

from pathlib import Path

import pytest

import compox_core as cx
from tests.cli.conftest import Shell
from tests.engine.authors import image_runner, write_algorithm

RETURNS = image_runner("return data")


@pytest.fixture
def site(home: Path) -> Path:
    """A configuration whose store is the folder `store`, and whose algorithms are `one` and `two`."""
    for name in ("two", "one", "algorithm_template"):
        write_algorithm(home / "algorithms" / name, RETURNS, name=name, version="1.4")
    (home / "algorithms" / "docs").mkdir()
    (home / "algorithms" / "readme.txt").write_text("text", "utf-8")
    config = home / "site.yaml"
    config.write_text(
        "storage: {secret_access_key: hush-hush, backend_settings: {provider: local, path: store}}\n", "utf-8"
    )
    return config


def versions(home: Path, store: str = "store") -> dict[str, list[int]]:
    """Return the minor versions of each algorithm."""
    with cx.Engine(home / store) as engine:
        return {record.name: record.minors for record in engine.algorithms}


def test_every_subfolder_with_an_algorithm_is_deployed(old_shell: Shell, site: Path, home: Path) -> None:
    """In the order of their names, without algorithm_template and without what is no algorithm; no setting is shown."""
    done = old_shell("deploy-algorithms", "--config", site)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "Deployed one 1.4\nDeployed two 1.4\n", "")
    assert versions(home) == {"one": [4], "two": [4]}
    again = old_shell("deploy-algorithms", "--config", site, "--no-verbose")
    assert (again.exit_code, again.stdout, again.stderr) == (0, "", "")
    assert versions(home) == {"one": [4], "two": [4]}


def test_names_choose_folders(old_shell: Shell, site: Path, home: Path) -> None:
    """Each once; also the template where it is named; one that is missing is an error before anything is deployed."""
    done = old_shell("deploy-algorithms", "--config", site, "-n", "two", "--name", "nothing")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "There is no folder 'nothing' in 'algorithms'" in done.stderr
    assert not (home / "store").exists()
    assert "did you mean 'one'?" in old_shell("deploy-algorithms", "--config", site, "-n", "oen").stderr
    assert old_shell("deploy-algorithms", "--config", site, "-n", "../algorithms/one").exit_code == 1
    done = old_shell("deploy-algorithms", "--config", site, "-n", "two", "-n", "algorithm_template", "-n", "two")
    assert (done.exit_code, done.stdout) == (0, "Deployed two 1.4\nDeployed algorithm_template 1.4\n")


def test_one_that_fails_does_not_keep_the_others(old_shell: Shell, site: Path, home: Path) -> None:
    """Its error is told on stderr, and the exit code is 1."""
    (home / "algorithms" / "one" / "Runner.py").write_text("def broken(:", "utf-8")
    done = old_shell("deploy-algorithms", "--config", site)
    assert (done.exit_code, done.stdout) == (1, "Deployed two 1.4\n")
    assert "one" in done.stderr and "Traceback" not in done.stderr
    assert versions(home) == {"two": [4]}


def test_settings_and_another_folder(old_shell: Shell, site: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--path names the folder; a dotted setting wins over the file, and the file over the environment."""
    write_algorithm(home / "more" / "three", RETURNS, name="three")
    monkeypatch.setenv("COMPOX_STORAGE__BACKEND_SETTINGS__PATH", "elsewhere")
    done = old_shell("deploy-algorithms", "--config", site, "--path", "more")
    assert (done.exit_code, done.stdout) == (0, "Deployed three 1.0\n")
    assert versions(home) == {"three": [0]}
    done = old_shell(
        "deploy-algorithms",
        "--config",
        site,
        "--storage.backend_settings.path=third",
        "--deploy_algorithms_from",
        "more",
    )
    assert (done.exit_code, versions(home, "third")) == (0, {"three": [0]})
    assert old_shell("deploy-algorithms", "--path", "more").exit_code == 0
    assert versions(home, "elsewhere") == {"three": [0]}


def test_a_folder_without_algorithms_is_told(old_shell: Shell, site: Path, home: Path) -> None:
    """Nothing to do is no failure, but it is said."""
    (home / "void").mkdir()
    done = old_shell("deploy-algorithms", "--config", site, "--path", "void")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "no algorithm in the subfolders of 'void'" in done.stderr


def test_what_exists_is_replaced(old_shell: Shell, site: Path, home: Path) -> None:
    """--delete-existing leaves only what was deployed now, though the algorithm is not removable; nothing is lost where
    the new one cannot be deployed."""
    old_shell("deploy-algorithms", "--config", site)
    runner = home / "algorithms" / "one" / "Runner.py"
    runner.write_text(image_runner("return data * 2"), "utf-8")
    old_shell("deploy-algorithms", "--config", site)
    assert versions(home) == {"one": [4, 5], "two": [4]}
    runner.write_text("def broken(:", "utf-8")
    assert old_shell("deploy-algorithms", "--config", site, "--delete-existing").exit_code == 1
    assert versions(home) == {"one": [4, 5], "two": [4]}
    runner.write_text(image_runner("return data * 3"), "utf-8")
    done = old_shell("deploy-algorithms", "--config", site, "--delete-existing")
    assert done.exit_code == 0
    assert done.stdout == ("Deployed one 1.6 (removed 1.4, 1.5)\ntwo 1.4 has this content already; nothing was added\n")
    assert versions(home) == {"one": [6], "two": [4]}


def test_a_store_that_refuses_is_an_error(old_shell: Shell, site: Path, home: Path) -> None:
    """A folder that holds something else is not touched."""
    (home / "store").mkdir()
    (home / "store" / "thesis.txt").write_text("mine", "utf-8")
    done = old_shell("deploy-algorithms", "--config", site)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "was not made by this program" in done.stderr and "hush" not in done.stderr
