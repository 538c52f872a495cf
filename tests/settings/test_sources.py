"""Settings from several places: which one wins, and what is told of a wrong one."""

from __future__ import annotations

import itertools
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from compox_core.errors import SettingsError
from compox_core.settings import Settings, load_settings, parse_dotted
from compox_core.settings.models import AwsBackend, CeleryExecutor, LocalBackend, MinioBackend, ThreadsExecutor
from tests.settings.test_loading import GENERATED

BACKEND = "storage.backend_settings"
SOURCES = ("environment", "file", "options")  # the last one wins


def load(folder: Path, **given: dict[str, Any]) -> Settings:
    """Load settings from texts by dotted key, each group from its source."""
    file = folder / "settings.yaml"
    values: dict[str, Any] = {}
    for key, value in given.get("file", {}).items():
        *parents, last = key.split(".")
        place = values
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    file.write_text(json.dumps(values), encoding="utf-8")
    environment = {
        f"COMPOX_{key.replace('.', '__').upper()}": text for key, text in given.get("environment", {}).items()
    }
    options = [f"--{key}={text}" for key, text in given.get("options", {}).items()]
    return load_settings(file, overrides=parse_dotted(options), environment=environment)


def issues(**given: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(given.pop("source", None), **given)
    found: list[str] = caught.value.details["issues"]
    assert all(issue in str(caught.value) for issue in found)
    return found


@pytest.mark.parametrize(("lower", "upper"), list(itertools.combinations(SOURCES, 2)))
@pytest.mark.parametrize(
    ("key", "values"),
    [("port", ("1", "2")), ("storage.collection_prefix", ("a", "b")), ("logging.format", ("text", "json"))],
)
def test_the_upper_source_wins(lower: str, upper: str, key: str, values: tuple[str, str], tmp_path: Path) -> None:
    """Options win over the file, and that over the environment, at the top and in sections."""
    settings: Any = load(tmp_path, **{lower: {key: values[0]}, upper: {key: values[1]}})
    for part in key.split("."):
        settings = getattr(settings, part)
    assert str(settings) == values[1]


@pytest.mark.parametrize("order", list(itertools.permutations(SOURCES)))
def test_sources_are_laid_over_each_other_by_nested_key(order: tuple[str, ...], tmp_path: Path) -> None:
    """Keys of one section may come from three places; the others keep their defaults."""
    keys = ("inference.queue.sweep_seconds", "inference.queue.reconcile_seconds", "inference.sessions.max_items")
    inference = load(tmp_path, **{source: {key: "7"} for source, key in zip(order, keys, strict=True)}).inference
    assert (inference.queue.sweep_seconds, inference.queue.reconcile_seconds, inference.sessions.max_items) == (7, 7, 7)
    assert inference.queue.republish_seconds == 30


@pytest.mark.parametrize(("lower", "upper"), list(itertools.combinations(SOURCES, 2)))
def test_a_kind_need_not_be_repeated(lower: str, upper: str, tmp_path: Path) -> None:
    """One field of a store or an executor can be overridden beside its provider elsewhere."""
    settings = load(tmp_path, **{lower: {f"{BACKEND}.provider": "minio"}, upper: {f"{BACKEND}.port": "1"}})
    assert settings.storage.backend_settings == MinioBackend(provider="minio", port=1)
    executor = {"inference.backend_settings.executor": "threads"}
    settings = load(tmp_path, **{lower: executor, upper: {"inference.backend_settings.worker_number": "3"}})
    assert settings.inference.backend_settings == ThreadsExecutor(executor="threads", worker_number=3)


@pytest.mark.parametrize(("lower", "upper"), list(itertools.combinations(SOURCES, 2)))
def test_another_kind_leaves_out_what_only_the_former_has(lower: str, upper: str, tmp_path: Path) -> None:
    """Who tries another provider or executor need not take keys out of a file."""
    minio = {f"{BACKEND}.provider": "minio", f"{BACKEND}.port": "9000", f"{BACKEND}.aws_region": "eu"}
    settings = load(tmp_path, **{lower: minio, upper: {f"{BACKEND}.provider": "local"}})
    assert settings.storage.backend_settings == LocalBackend()
    settings = load(tmp_path, **{lower: minio, upper: {f"{BACKEND}.provider": "aws"}})
    assert settings.storage.backend_settings == AwsBackend(provider="aws", aws_region="eu")
    threads = {"inference.backend_settings.executor": "fastapi_background_tasks", "port": "1"}
    celery = {
        "inference.backend_settings.executor": "celery",
        "inference.backend_settings.broker_url": "amqp://h",
        "inference.backend_settings.worker_number": "2",
    }
    settings = load(tmp_path, **{lower: celery, upper: threads})
    assert settings.inference.backend_settings == ThreadsExecutor(executor="fastapi_background_tasks", worker_number=2)
    assert isinstance(load(tmp_path, **{lower: threads, upper: celery}).inference.backend_settings, CeleryExecutor)


def test_a_misspelt_key_is_not_left_out_with_its_provider() -> None:
    """What belongs to no kind at all is told, whichever kind wins."""
    source = {"storage": {"backend_settings": {"provider": "minio", "prt": 1, "port": 2}}}
    [issue] = issues(source=source, overrides={"storage": {"backend_settings": {"provider": "local"}}})
    assert issue.startswith(f"{BACKEND}.prt: there is no such key")


def test_a_key_of_another_kind_says_whose_it_is() -> None:
    """A key that belongs to a provider which is not chosen names that provider."""
    [issue] = issues(environment={"COMPOX_STORAGE__BACKEND_SETTINGS__PORT": "1"})
    assert issue == (
        f"{BACKEND}.port: belongs to the provider minio, and here it is local "
        "(environment variable COMPOX_STORAGE__BACKEND_SETTINGS__PORT)"
    )
    [issue] = issues(overrides={"inference": {"backend_settings": {"executor": "threads", "warm_spare": True}}})
    assert "belongs to the executor auto or processes or celery, and here it is threads" in issue


def test_the_file_of_compox_3_can_be_overridden() -> None:
    """A generated file with its random keys and its MinIO is the base of another configuration."""
    settings = load_settings(
        GENERATED,
        overrides=parse_dotted(
            ["--storage.backend_settings.provider", "local", "--inference.cuda_visible_devices", "1"]
        ),
        environment={"COMPOX_PORT": "7", "COMPOX_HOST": "::1"},
    )
    assert settings.storage.backend_settings == LocalBackend()
    assert (settings.port, settings.host, settings.inference.cuda_visible_devices) == (5481, "::1", "1")


def test_without_an_environment_none_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that uses the library is not changed by variables that it has not asked for."""
    monkeypatch.setenv("COMPOX_PORT", "1")
    monkeypatch.setenv("COMPOX_STORAGE__NONSENSE", "1")
    assert load_settings() == load_settings({}) == Settings()


def test_variables_have_two_forms_and_any_case() -> None:
    """The usual form wins over the one of an older README, and the usual case over another one."""
    assert load_settings(environment={"COMPOX__PORT": "1"}).port == 1
    assert load_settings(environment={"COMPOX_PORT": "2", "COMPOX__PORT": "1"}).port == 2
    assert load_settings(environment={"compox_Storage__fsync": "on"}).storage.fsync is True
    assert load_settings(environment={"COMPOX_PORT": "2", "compox_port": "1"}).port == 2


def test_a_section_may_be_json_and_its_keys_win_over_it() -> None:
    """A section, or one in it, as JSON; a variable for a deeper key has the last word."""
    settings = load_settings(
        environment={
            "COMPOX_STORAGE__FSYNC": "true",
            "COMPOX_STORAGE": '{"fsync": false, "backend_settings": {"provider": "minio", "port": 1}}',
            "COMPOX_STORAGE__BACKEND_SETTINGS": '{"console_port": 2}',
            "COMPOX_STORAGE__BACKEND_SETTINGS__PORT": "3",
        }
    )
    assert settings.storage.fsync is True
    assert settings.storage.backend_settings == MinioBackend(provider="minio", port=3, console_port=2)


def test_variables_of_others_are_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """Tools and tests use the prefix too; what looks like a slip is warned of."""
    ours = ("DISABLE_CLI", "MODULE_CACHE", "WORKER", "TEST_S3_ENDPOINT", "TEST_S3_KEY", "RACE_SEED", "EVERY_ORDER", "")
    with caplog.at_level(logging.WARNING):
        assert load_settings(environment={f"COMPOX_{name}": "x" for name in ours}) == Settings()
        assert caplog.messages == []
        assert load_settings(environment={"COMPOX_PROT": "1", "OTHER_PORT": "1", "COMPOXPORT": "1"}) == Settings()
    assert caplog.messages == [
        "The environment variable COMPOX_PROT is no setting and has no effect: is COMPOX_PORT meant?"
    ]


WRONG: list[tuple[dict[str, str], str]] = [
    (
        {"COMPOX_STORAGE__FSINK": "1"},
        "environment variable COMPOX_STORAGE__FSINK: there is no such setting; did you mean COMPOX_STORAGE__FSYNC?",
    ),
    ({"COMPOX__PROT": "1"}, "environment variable COMPOX__PROT: there is no such setting; did you mean COMPOX_PORT?"),
    ({"COMPOX_QQ__ZZ": "1"}, "environment variable COMPOX_QQ__ZZ: there is no such setting; sections and keys"),
    ({"COMPOX_STORAGE__": "1"}, "environment variable COMPOX_STORAGE__: there is no such setting"),
    ({"COMPOX__": "1"}, "environment variable COMPOX__: there is no such setting"),
    ({"COMPOX_PORT": "many"}, "port: must be a whole number, not a text (environment variable COMPOX_PORT)"),
    ({"COMPOX_PORT": ""}, "port: must be a whole number, not a text (environment variable COMPOX_PORT)"),
    ({"COMPOX_PORT": "null"}, "port: must be a whole number, not a text (environment variable COMPOX_PORT)"),
    (
        {"COMPOX_INSECURE": "perhaps"},
        "insecure: must be true or false, not a text (environment variable COMPOX_INSECURE)",
    ),
    ({"COMPOX_STORAGE": ""}, "storage: must be a JSON object, such as {…} (environment variable COMPOX_STORAGE)"),
    ({"COMPOX_STORAGE": "[1]"}, "storage: must be a JSON object"),
    (
        {"COMPOX_STORAGE": '{"fsync": 1, "fsync": 2}'},
        "storage: must be a JSON object, such as {…}: a key stands there twice",
    ),
    ({"COMPOX_STORAGE": "[" * 100_000}, "storage: must be a JSON object"),
    ({"COMPOX_STORAGE": '{"fsink": 1}'}, "did you mean 'fsync'? (environment variable COMPOX_STORAGE)"),
    ({"COMPOX_INFO__SERVER_TAGS": "[1"}, "info.server_tags: must be a list: JSON, or texts with commas between them"),
    ({"COMPOX_INFO__SERVER_TAGS": "[1]"}, "info.server_tags.0: must be a text, not a whole number (1) (environment"),
    (
        {"COMPOX_INFERENCE__BACKEND_SETTINGS__EXECUTOR": "celery"},
        "broker_url: must be given",
    ),
    (
        {"COMPOX_INFERENCE__QUEUE__HEARTBEAT_SECONDS": "20", "COMPOX_INFERENCE__QUEUE__LOST_AFTER_SECONDS": "30"},
        "SECONDS, environment variable COMPOX_INFERENCE__QUEUE__LOST_AFTER_SECONDS)",
    ),
]


@pytest.mark.parametrize(("environment", "expected"), WRONG, ids=[" ".join(variables) for variables, _ in WRONG])
def test_a_wrong_variable_is_named(environment: dict[str, str], expected: str) -> None:
    """The variable, the key, the rule and the nearest name are told."""
    [issue] = issues(environment=environment)
    assert expected in issue


def test_every_source_of_a_wrong_value_is_named(tmp_path: Path) -> None:
    """All that is wrong is told at once, each with the place where the value that counts stands."""
    file = tmp_path / "a.yaml"
    file.write_text("port: x\nhost: 5\nlogging: {console_level: loud}\n", encoding="utf-8")
    found = issues(
        source=file,
        overrides=parse_dotted(["--port", "y", "--ssl.use_ssl", "?"]),
        environment={"COMPOX_HOST": "h", "COMPOX_LIMITS__MAX_LOG_BYTES": "1", "COMPOX_A__B": "1"},
    )
    assert {issue.split(":")[0]: issue.rpartition("(")[2].rstrip(")") for issue in found[1:]} == {
        "port": "option --port",
        "host": f"configuration file '{file}'",
        "logging.console_level": f"configuration file '{file}'",
        "limits.max_log_bytes": "environment variable COMPOX_LIMITS__MAX_LOG_BYTES",
        "ssl.use_ssl": "option --ssl.use_ssl",
    }
    assert found[0].startswith("environment variable COMPOX_A__B: there is no such setting")


@pytest.mark.parametrize("text", ["918273645x", '{"918273645', "[918273645"])
@pytest.mark.parametrize(
    "key",
    ["port", "storage", "info.server_tags", "storage.backend_settings.options", "inference.backend_settings.workers"],
)
def test_a_text_is_in_no_error(key: str, text: str) -> None:
    """Neither the message nor its cause has the text of a variable or an option."""
    variable = {f"COMPOX_{key.replace('.', '__').upper()}": text}
    with pytest.raises(SettingsError) as caught:
        load_settings(environment={**variable, "COMPOX_INSECURE": "918273645"})
    assert "918273645" not in f"{caught.value} {caught.value.details}"
    assert caught.value.__cause__ is None and caught.value.__suppress_context__
    with pytest.raises(SettingsError) as caught:
        load_settings(overrides=parse_dotted([f"--{key}", text, "--insecure=918273645"]))
    assert "918273645" not in f"{caught.value} {caught.value.details}"
    assert caught.value.__cause__ is None
