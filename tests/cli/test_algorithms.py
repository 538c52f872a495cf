"""deploy, list, show and remove."""

from __future__ import annotations

from pathlib import Path

import pytest

import compox_core as cx
from tests.cli.conftest import Shell, answer


def test_a_deploy_says_what_it_deployed_and_the_same_content_again_adds_nothing(shell: Shell, scaling: Path) -> None:
    """The version is named, and a second deploy says that nothing was added."""
    first = shell("deploy", scaling, "--store", "here")
    assert (first.exit_code, first.stdout) == (0, "Deployed scaling 1.0\n")
    again = shell("deploy", scaling, "--store", "here")
    assert (again.exit_code, again.stdout) == (0, "scaling 1.0 has this content already; nothing was added\n")


def test_an_engine_that_is_open_elsewhere_sees_a_deploy_and_a_removal(shell: Shell, scaling: Path, home: Path) -> None:
    """No restart and no call is needed for another process to see them."""
    with cx.Engine(home / "here") as engine:
        assert engine.algorithms.list() == []
        shell("deploy", scaling, "--store", home / "here")
        assert [record.name for record in engine.algorithms.list()] == ["scaling"]
        shell("remove", "scaling", "--yes", "--store", home / "here")
        assert engine.algorithms.list() == []


def test_without_a_store_the_folder_in_the_data_directory_is_used(shell: Shell, scaling: Path, home: Path) -> None:
    """Commands that name no store agree on one, below the user's data directory."""
    assert shell("deploy", scaling).exit_code == 0
    assert [entry["name"] for entry in answer(shell("list", "--json"))["algorithms"]] == ["scaling"]
    assert any((home / "data").rglob("algorithm-store"))


def test_a_configuration_names_the_store(shell: Shell, scaling: Path, home: Path) -> None:
    """`--config` takes the store from a YAML file."""
    config = home / "config.yaml"
    config.write_text(f"storage:\n  backend_settings:\n    provider: local\n    path: '{home / 'mine'}'\n", "utf-8")
    assert shell("deploy", scaling, "--config", config).exit_code == 0
    assert [record.name for record in cx.Engine(home / "mine").algorithms] == ["scaling"]


def test_deploy_options_replace_what_the_folder_says(shell: Shell, scaling: Path, home: Path) -> None:
    """Name, major version and flags can be given on the command line."""
    words = ("--name", "times", "--major", "7", "--not-removable", "--not-exportable")
    told = answer(shell("deploy", scaling, *words, "--store", "here", "--json"))["deployed"][0]
    assert (told["name"], told["major"], told["created"], told["warnings"]) == ("times", "7", True, [])
    record = cx.Engine(home / "here").algorithms.get("times")
    assert (record.major, record.removable, record.exportable) == ("7", False, False)


def test_one_broken_folder_does_not_keep_the_others_from_being_deployed(
    shell: Shell, scaling: Path, home: Path
) -> None:
    """The exit code tells of the failure, the message names the folder, the rest is deployed."""
    broken = home / "broken"
    broken.mkdir()
    done = shell("deploy", broken, scaling, "--store", "here")
    assert (done.exit_code, done.stdout) == (1, "Deployed scaling 1.0\n")
    assert "broken" in done.stderr and "Traceback" not in done.stderr
    told = answer(shell("deploy", broken, scaling, "--store", "here", "--json"))
    assert [entry["name"] for entry in told["deployed"]] == ["scaling"]
    assert [entry["path"] for entry in told["failed"]] == [str(broken)]


def test_list_shows_every_algorithm_and_filters_choose(shell: Shell, store: Path) -> None:
    """A table with a row for each; `--tag`, `--type` and `--device` leave rows out."""
    shown = shell("list", "--store", store).stdout
    for name in ("scaling", "shifting", "thresholding"):
        assert f"{name} " in shown
    assert "1.0" in shown and "Image2Alignment" in shown

    def names(*words: str) -> list[str]:
        listed = answer(shell("list", "--store", store, "--json", *words))
        return [entry["name"] for entry in listed["algorithms"]]

    assert names("--type", "image2segmentation") == ["thresholding"]
    assert names("--tag", "test", "--device", "cpu") == ["scaling", "shifting", "thresholding"]
    assert names("--device", "mps") == []
    assert "leave out a filter" in shell("list", "--store", store, "--tag", "none").stderr


def test_an_empty_store_says_how_to_fill_it(shell: Shell) -> None:
    """Nothing is an answer, too, and no failure."""
    done = shell("list")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "compox-cli deploy PATH" in done.stderr


def test_show_tells_parameters_versions_size_and_tags(shell: Shell, store: Path) -> None:
    """What somebody needs to run it: type, default and range of each parameter, and the minor versions."""
    shown = shell("show", "scaling", "--store", store).stdout
    words = " ".join(shown.split())
    for part in (
        "scaling 1.0",
        "For tests.",
        "0 (latest)",
        "cpu (default)",
        "test",
        " B (1 asset)",
        "removed and exported",
    ):
        assert part in words
    assert "factor float_range 2.0 0.0..4.0, step 0.5 Times." in words
    assert "label string_enum a a, b A word." in words
    assert "declares no parameters" in shell("show", "shifting", "--store", store).stdout


def test_show_as_json_is_the_record(shell: Shell, store: Path) -> None:
    """Programs get every field."""
    told = answer(shell("show", "SCALING", "--store", store, "--json"))
    record = cx.AlgorithmRecord.model_validate(told)
    assert record.model_copy(update={"storage_metrics": None}) == cx.Engine(store).algorithms.get("scaling").model_copy(
        update={"storage_metrics": None}
    )


def test_remove_asks_first_and_takes_no_for_an_answer(shell: Shell, store: Path) -> None:
    """Where nobody can be asked, nothing is removed without --yes."""
    refused = shell("remove", "scaling", "--store", store)
    assert refused.exit_code == 2
    assert "--yes" in refused.stderr
    assert shell("show", "scaling", "--store", store).exit_code == 0
    done = shell("remove", "scaling", "--yes", "--store", store)
    assert (done.exit_code, done.stdout) == (0, "Removed scaling 1.\n")
    assert shell("show", "scaling", "--store", store).exit_code == 1


def test_force_removes_what_is_not_removable(shell: Shell, store: Path) -> None:
    """--yes is not enough for an algorithm that is not removable; --force is."""
    refused = shell("remove", "thresholding", "--yes", "--store", store)
    assert refused.exit_code == 1
    assert "not removable" in refused.stderr
    told = answer(shell("remove", "thresholding", "--force", "--store", store, "--json"))
    assert told == {"removed": {"name": "thresholding", "major": "1", "minor": None}}


def test_one_minor_version_can_be_removed(shell: Shell, store: Path, scaling: Path) -> None:
    """The others stay."""
    (scaling / "README.md").write_text("new", "utf-8")
    assert shell("deploy", scaling, "--store", store).stdout == "Deployed scaling 1.1\n"
    assert shell("remove", "scaling", "--minor", "0", "--yes", "--store", store).stdout == "Removed scaling 1.0.\n"
    assert answer(shell("show", "scaling", "--store", store, "--json"))["minors"] == [1]


@pytest.mark.parametrize("words", [("deploy",), ("list",), ("show",), ("remove",), ("debug", "run"), ("run",)])
def test_every_command_explains_itself(shell: Shell, words: tuple[str, ...]) -> None:
    """`--help` shows usage and options and is no failure."""
    done = shell(*words, "--help")
    assert done.exit_code == 0
    assert done.stdout.startswith(f"Usage: compox-cli {' '.join(words)} ")


def test_the_older_command_knows_the_algorithms_too(old_shell: Shell, scaling: Path) -> None:
    """`compox deploy` and `compox list` are those of `compox-cli`."""
    assert old_shell("deploy", scaling, "--store", "here").stdout == "Deployed scaling 1.0\n"
    assert "scaling" in old_shell("list", "--store", "here").stdout
