"""Settings from mappings and YAML files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compox_core.errors import SettingsError
from compox_core.settings import Settings, load_settings
from compox_core.settings.models import AutoExecutor, CeleryExecutor, LocalBackend, MinioBackend, ThreadsExecutor

GENERATED = Path(__file__).parents[1] / "artefacts" / "interop" / "generated.yaml"


def yaml_file(folder: Path, text: str | bytes) -> Path:
    path = folder / "settings.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def issues(source: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(source)
    assert caught.value.code == "configuration_error"
    found: list[str] = caught.value.details["issues"]
    assert all(issue in str(caught.value) for issue in found)
    return found


def test_nothing_is_the_defaults() -> None:
    """Without a source, with an empty mapping and with an empty file, every key has its default."""
    settings = load_settings()
    assert settings == Settings() == load_settings({})
    assert (settings.host, settings.port, settings.insecure) == ("127.0.0.1", 5481, False)
    assert settings.storage.backend_settings == LocalBackend(path=None)
    assert settings.storage.fsync is False
    assert settings.inference.backend_settings == AutoExecutor(worker_number=1)
    assert settings.inference.sessions.model_dump() == {
        "max_sessions": 5,
        "max_items": 5,
        "max_memory_mb": None,
        "expire_hours": 24,
    }
    assert settings.deploy.allowed_roots is None
    assert settings.limits.max_archive_bytes == 10 * 1024**3
    assert settings.limits.max_archive_members == 100_000
    assert settings.limits.max_log_bytes == 1024**2


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "\ufeff"])
def test_an_empty_file_is_the_defaults(tmp_path: Path, text: str) -> None:
    """A file with nothing in it says nothing."""
    assert load_settings(yaml_file(tmp_path, text)) == Settings()


def test_a_file_of_compox_3_loads_unchanged() -> None:
    """What `compox generate-config` wrote is understood, and path prefixes stay text."""
    settings = load_settings(GENERATED)
    backend = settings.storage.backend_settings
    assert isinstance(backend, MinioBackend)
    assert (backend.s3_endpoint_url, backend.console_port) == ("http://localhost:5483", 5482)
    assert settings.storage.access_key_id is not None
    assert settings.storage.access_key_id.get_secret_value().startswith("cdc1e6e5")
    assert isinstance(settings.inference.backend_settings, ThreadsExecutor)
    assert Settings().log_path == "LOG_DEFAULT:compox.log"
    assert load_settings(str(GENERATED)) == settings


def test_celery_parses() -> None:
    """The executor of a cluster is understood; whether it can be had is the engine's to say."""
    settings = load_settings({"inference": {"backend_settings": {"executor": "celery", "broker_url": "amqp://u:p@h"}}})
    backend = settings.inference.backend_settings
    assert isinstance(backend, CeleryExecutor)
    assert (backend.worker_name, backend.run_flower) == ("compox_worker", False)


def test_the_default_backend_needs_no_name() -> None:
    """`path` alone means a folder, and `worker_number` alone means whatever suits the host."""
    settings = load_settings(
        {"storage": {"backend_settings": {"path": "x"}}, "inference": {"backend_settings": {"worker_number": 3}}}
    )
    assert settings.storage.backend_settings == LocalBackend(path="x")
    assert settings.inference.backend_settings == AutoExecutor(worker_number=3)


def test_the_tag_of_every_server_is_added() -> None:
    """`compox` is among the server tags whatever a file says, and once only."""
    assert load_settings({"info": {"server_tags": ["a"]}}).info.server_tags == ["a", "compox"]
    assert load_settings({"info": {"server_tags": ["compox", "a"]}}).info.server_tags == ["compox", "a"]


WRONG: list[tuple[dict[Any, Any], str]] = [
    ({"prot": 1}, "prot: there is no such key; did you mean 'port'?"),
    ({"quux": 1}, "quux: there is no such key; known are host, port, insecure"),
    ({"storage": {"fsink": True}}, "storage.fsink: there is no such key; did you mean 'fsync'?"),
    ({"inference": {"sessions": {"max_item": 1}}}, "inference.sessions.max_item: there is no such key; did you"),
    ({"storage": {"backend_settings": {"pth": "x"}}}, "storage.backend_settings.pth: there is no such key; did you"),
    (
        {"storage": {"backend_settings": {"provider": "local", "local": 1}}},
        "storage.backend_settings.local: there is no such key; known are provider, path",
    ),
    (
        {"storage": {"backend_settings": {"provider": "minio", "console_prt": 1}}},
        "storage.backend_settings.console_prt: there is no such key; did you mean 'console_port'?",
    ),
    (
        {"storage": {"backend_settings": {"provider": "lokal"}}},
        "storage.backend_settings.provider: there is no such provider; did you mean 'local'?",
    ),
    (
        {"inference": {"backend_settings": {"executor": "fastapi_background"}}},
        "inference.backend_settings.executor: there is no such executor; did you mean",
    ),
    ({"inference": {"backend_settings": {"executor": "celery"}}}, "inference.backend_settings.broker_url: must be"),
    ({"storage": {"backend_settings": "local"}}, "storage.backend_settings: must be a group of keys, not a text"),
    ({"storage": None}, "storage: must be a group of keys, not null"),
    ({"port": "many"}, "port: must be a whole number, not a text"),
    ({"port": True}, "port: must be a number, not a truth value"),
    ({"port": 70000}, "port: must be less than or equal to 65535, not a whole number (70000)"),
    ({"host": 5}, "host: must be a text, not a whole number (5)"),
    ({"insecure": "perhaps"}, "insecure: must be true or false, not a text"),
    ({"info": {"server_tags": "a"}}, "info.server_tags: must be a list, not a text"),
    ({"info": {"server_tags": ["a", 1]}}, "info.server_tags.1: must be a text, not a whole number (1)"),
    ({"inference": {"device": "gpu"}}, "inference.device: must be 'cuda', 'cpu' or 'mps', not a text"),
    ({"logging": {"file_level": "warn"}}, "logging.file_level: must be"),
    ({"logging": {"file_level": "info"}}, "did you mean 'INFO'?"),
    ({"inference": {"algorithm_cache_maxsize": 0}}, "inference.algorithm_cache_maxsize: must be greater than or"),
    ({"inference": {"sessions": {"expire_hours": float("nan")}}}, "inference.sessions.expire_hours: must be a finite"),
    ({"limits": {"max_archive_bytes": 0}}, "limits.max_archive_bytes: must be greater than or equal to 1"),
    ({5: 1}, "5: a key must be a text"),
    (
        {"inference": {"backend_settings": {"executor": "processes", "workers": {"tpu:0": 1}}}},
        "inference.backend_settings.workers.tpu:0: there is no such device; known are cpu, mps, cuda:0",
    ),
    (
        {"inference": {"backend_settings": {"executor": "processes", "workers": {"cpu": 100_000}}}},
        "inference.backend_settings.workers.cpu: must be less than or equal to 1000",
    ),
    (
        {"inference": {"queue": {"heartbeat_seconds": 30}}},
        "inference.queue: lost_after_seconds (20) must be at least three times heartbeat_seconds (30)",
    ),
    ({"storage": {"data_store_expire_days": 999_999}}, "storage.data_store_expire_days: must be less than or equal to"),
    ({"inference": {"stop": {"kill_seconds": 1e300}}}, "inference.stop.kill_seconds: must be less than or equal to"),
]


@pytest.mark.parametrize(("values", "expected"), WRONG, ids=[expected.split(":")[0] for _, expected in WRONG])
def test_a_wrong_key_or_value_is_named(values: dict[Any, Any], expected: str) -> None:
    """An issue has the dotted key as a user writes it, the rule, the kind of value, the nearest known name."""
    [issue] = issues(values)
    assert expected in issue


def test_every_issue_is_told_at_once() -> None:
    """Nobody has to start five times to find five mistakes."""
    found = issues({"prot": 1, "host": 2, "ssl": {"use_ssl": "x"}, "gui": {"icon": 1}, "limits": {"max_log_bytes": 1}})
    assert [issue.split(":")[0] for issue in found] == [
        "host",
        "gui.icon",
        "limits.max_log_bytes",
        "ssl.use_ssl",
        "prot",
    ]


@pytest.mark.parametrize(
    "values",
    [
        {"storage": {"secret_access_key": 918273645}},
        {"storage": {"secret_access_key": ["918273645"]}},
        {"storage": {"access_key": "918273645"}},
        {"storage": {"builtin_storage_bundle_key": 918273645}},
        {"storage": {"backend_settings": {"provider": "fsspec", "url": "x://", "options": "918273645"}}},
        {"inference": {"backend_settings": {"executor": "celery", "broker_url": 918273645}}},
        {"port": "918273645x"},
    ],
)
def test_a_secret_is_in_no_error(values: dict[str, Any]) -> None:
    """An error tells the kind of a wrong value, and no text or secret itself, nor has it a cause that would."""
    with pytest.raises(SettingsError) as caught:
        load_settings(values)
    assert "918273645" not in f"{caught.value} {caught.value.details}"
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


def test_a_secret_is_in_no_text_of_the_settings() -> None:
    """Printing or dumping settings shows no key, password or option of a filesystem."""
    settings = load_settings(
        {
            "storage": {
                "access_key_id": "918273645",
                "secret_access_key": "918273645",
                "builtin_storage_bundle_key": "918273645",
                "backend_settings": {"provider": "fsspec", "url": "s3://b", "options": {"secret": "918273645"}},
            },
            "inference": {"backend_settings": {"executor": "celery", "broker_url": "amqp://u:918273645@h"}},
        }
    )
    assert "918273645" not in repr(settings) + str(settings) + settings.model_dump_json()


FILES: list[tuple[str | bytes, str]] = [
    ("- a\n- b\n", "must hold keys with values at its top, not a list"),
    ("just words", "must hold keys with values at its top, not a text"),
    ("port: 1\nhost: x\nport: 2\n", "line 3, column 1: the key 'port' stands there twice"),
    ("info:\n  group_name: a\n  group_name: b\n", "line 3, column 3: the key 'group_name' stands there twice"),
    ("? [a, b]\n: 1\n", "a key must be a text"),
    ("port: [1, 2\nhost", "it is not valid YAML at line 2"),
    ("\tport: 1", "line 1, column 1"),
    ("!!python/object/apply:os.getcwd []", "could not determine a constructor"),
    ("port: 2001-99-99", "it is not valid YAML (month must be in 1..12)"),
    ("[" * 5000, "it is not valid YAML"),
    ("port: \x07", "special characters are not allowed"),
    (b"host: caf\xe9\n", "it is not UTF-8 text (byte 9)"),
    (b"\x00\x01\x02", "it is not valid YAML"),
]


@pytest.mark.parametrize(("content", "expected"), FILES)
def test_a_broken_file_is_named(tmp_path: Path, content: str | bytes, expected: str) -> None:
    """A file that is cut, doubled or no YAML at all gets an error with its path and the place."""
    path = yaml_file(tmp_path, content)
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    assert expected in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.details == {"path": str(path)}


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A path that leads nowhere, or to a folder, says so."""
    with pytest.raises(SettingsError, match="does not exist"):
        load_settings(tmp_path / "absent.yaml")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(tmp_path)


def test_merged_groups_are_yaml_as_usual(tmp_path: Path) -> None:
    """Anchors and merge keys work; a key beside a merge is no repetition."""
    text = "ssl: &off {use_ssl: false}\n"
    assert load_settings(yaml_file(tmp_path, text)).ssl.use_ssl is False
    text = "info: &a\n  group_name: x\n  <<: {group_name: y, organization_name: z}\n"
    info = load_settings(yaml_file(tmp_path, text)).info
    assert (info.group_name, info.organization_name) == ("x", "z")


def test_a_file_cut_anywhere_ends_in_settings_or_a_settings_error(tmp_path: Path) -> None:
    """Wherever a file is cut, it is Settings or a SettingsError that names it, and no other exception."""
    text = GENERATED.read_text()
    for end in range(0, len(text), 61):
        path = yaml_file(tmp_path, text[:end])
        try:
            assert isinstance(load_settings(path), Settings)
        except SettingsError as error:
            assert path.name in error.message
