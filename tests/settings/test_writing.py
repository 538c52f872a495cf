"""Settings written as a configuration file, and read again."""

from __future__ import annotations

import tempfile
import typing
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from compox_core.settings import Settings, config_text, load_settings
from compox_core.settings.keys import described, known_keys, models_in
from compox_core.settings.models import AwsBackend, CeleryExecutor, FsspecBackend, LocalBackend
from tests.settings.test_loading import GENERATED

BROKER = {"COMPOX_INFERENCE__BACKEND_SETTINGS__BROKER_URL": "amqp://h"}


def again(text: str, **environment: str) -> Settings:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "settings.yaml"
        path.write_text(text, encoding="utf-8")
        return load_settings(path, environment=environment)


def texts() -> st.SearchStrategy[str]:
    odd = [
        "null",
        "1",
        "yes",
        "- a",
        "# x",
        "a: b",
        "[x",
        "~",
        "a #b",
        "'",
        '"',
        "FILE:x",
        "2001-01-01",
        "\n- a",
        "\u2028",
    ]
    return st.text() | st.sampled_from(odd)


def values_of(annotation: Any) -> st.SearchStrategy[Any]:
    """Return values that a field of this type may have."""
    kinds: dict[Any, st.SearchStrategy[Any]] = {
        bool: st.booleans(),
        str: texts(),
        int: st.integers(1, 1000),
        float: st.floats(1, 1e6) | st.integers(1, 1000),
        type(None): st.none(),
    }
    if annotation in kinds:
        return kinds[annotation]
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return values_of(parts[0])
    if origin is typing.Literal:
        return st.sampled_from(parts)
    if origin is list:
        return st.lists(values_of(parts[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(st.sampled_from(["cpu", "mps", "cuda:0", "cuda:12"]), values_of(parts[1]), min_size=1)
    if list(models_in(annotation)):
        return st.one_of([mappings(model) for model in models_in(annotation)])
    return st.one_of([values_of(part) for part in parts])


def mappings(model: type[BaseModel], prefix: str = "") -> st.SearchStrategy[dict[str, Any]]:
    """Return mappings from which a model can be made, without secrets and with whatever keys."""
    must, may = {}, {}
    for name, field in model.model_fields.items():
        if "Secret" in str(field.annotation):
            continue
        tag = typing.get_origin(field.annotation) is typing.Literal and name in ("provider", "executor")
        (must if field.is_required() or tag else may)[name] = values_of(field.annotation)
    if model is CeleryExecutor:
        must["broker_url"] = st.just("amqp://h")
    for name in (
        "heartbeat_seconds",
        "lost_after_seconds",
        "max_log_bytes",
        "trusted_signers",
    ):  # which have rules of their own
        may.pop(name, None)
    return st.fixed_dictionaries(must, optional=may)


@given(values=mappings(Settings))
def test_what_was_written_makes_the_same_settings(values: dict[str, Any]) -> None:
    """Whatever the settings are, their file makes them again, secrets apart."""
    settings = Settings.model_validate(values)
    celery = isinstance(settings.inference.backend_settings, CeleryExecutor)
    assert again(config_text(settings), **(BROKER if celery else {})) == settings


def test_the_file_of_compox_3_is_written_again() -> None:
    """The generated file of the ancestor, loaded and written, means the same but for its keys."""
    settings = load_settings(GENERATED)
    storage = settings.storage.model_copy(update={"access_key_id": None, "secret_access_key": None})
    assert again(config_text(settings)) == settings.model_copy(update={"storage": storage})


def test_every_key_is_written_with_what_it_means() -> None:
    """In the order of their declaration, those without a value as comments."""
    text = config_text(Settings())
    lines = [line.strip() for line in text.splitlines()]
    written = [line.removeprefix("# ").partition(":")[0] for line in lines if ":" in line]
    places = [written.index(name) for name in Settings.model_fields]
    assert places == sorted(places)
    for name, key in known_keys().items():
        if "backend_settings." not in name:
            assert name.rpartition(".")[2] in written, key
    comments = " ".join(line.removeprefix("# ") for line in lines if line.startswith("#"))
    for model in (Settings, LocalBackend):
        assert all(meaning in comments for meaning in described(model).values())
    assert "# timeout_s: null" in lines


def test_prefixes_are_kept() -> None:
    """A path is written as it was given, so that the file works on another machine."""
    assert "log_path: 'LOG_DEFAULT:compox.log'" in config_text(Settings())


SECRETS: list[dict[str, Any]] = [
    {"storage": {"access_key_id": "918273645", "secret_access_key": "918273645"}},
    {"storage": {"builtin_storage_bundle_key": "918273645"}},
    {"storage": {"backend_settings": {"provider": "fsspec", "url": "s3://b", "options": {"a": "918273645"}}}},
    {
        "inference": {
            "backend_settings": {"executor": "celery", "broker_url": "918273645", "result_backend": "918273645"}
        }
    },
]


@pytest.mark.parametrize("values", SECRETS)
def test_no_secret_is_written(values: dict[str, Any]) -> None:
    """In its place stands how to give it: a file, or the variable by its name."""
    text = config_text(load_settings(values))
    assert "918273645" not in text
    assert "FILE:" in text and "environment variable COMPOX_" in text
    assert isinstance(yaml.safe_load(text), dict)


def test_a_value_that_was_taken_away_is_written() -> None:
    """Null is written where it is not the default."""
    settings = load_settings({"inference": {"runner_idle_seconds": None}})
    assert "  runner_idle_seconds: null\n" in config_text(settings)


@pytest.mark.parametrize("backend", [AwsBackend(provider="aws"), FsspecBackend(provider="fsspec", url="s3://b")])
def test_the_kind_of_a_section_is_written_with_its_keys(backend: BaseModel) -> None:
    """A section has the keys of its kind, and says which others there are."""
    settings = load_settings({"storage": {"backend_settings": backend.model_dump()}})
    text = config_text(settings)
    assert "# One of local, memory, fsspec, minio, aws." in text
    assert again(text).storage.backend_settings == backend


def test_without_the_source_there_are_no_descriptions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the program is shipped without its source, the file is complete but for them."""

    def lost(module: object) -> str:
        raise OSError("could not get source code")

    described.cache_clear()
    monkeypatch.setattr("inspect.getsource", lost)
    try:
        text = config_text(Settings())
    finally:
        described.cache_clear()
    assert "The address to listen on" not in text
    assert again(text) == Settings()
