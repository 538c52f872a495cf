"""Secrets that stand in files of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from compox_core.errors import SettingsError
from compox_core.settings import load_settings, parse_dotted
from compox_core.settings.models import CeleryExecutor, FsspecBackend

KEY = "storage.secret_access_key"


def secret_in(folder: Path, content: bytes) -> str:
    path = folder / "secret"
    path.write_bytes(content)
    return f"FILE:{path}"


def read(text: str) -> str:
    found = load_settings({"storage": {"secret_access_key": text}}).storage.secret_access_key
    assert found is not None
    return found.get_secret_value()


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"sesame", "sesame"),
        (b"sesame\n", "sesame"),
        (b"sesame\r\n\r\n", "sesame"),
        (b" ses\name \n", " ses\name "),
        (b"\xef\xbb\xbfsesame\n", "sesame"),
        ("Žaluzie".encode(), "Žaluzie"),
        (b"FILE:/not/again", "FILE:/not/again"),
    ],
)
def test_a_secret_is_the_content_of_its_file(tmp_path: Path, content: bytes, secret: str) -> None:
    """The ends of the last line are not part of it; everything else is."""
    assert read(secret_in(tmp_path, content)) == secret


def test_every_source_may_name_a_file(tmp_path: Path) -> None:
    """A file, a variable and an option do it alike, and the options of a filesystem and the URL of a broker, too."""
    text = secret_in(tmp_path, b"sesame\n")
    by_variable = load_settings(environment={"COMPOX_STORAGE__SECRET_ACCESS_KEY": text})
    by_option = load_settings(overrides=parse_dotted([f"--{KEY}", text]))
    assert by_variable == by_option == load_settings({"storage": {"secret_access_key": "sesame"}})
    settings = load_settings(
        {
            "storage": {
                "backend_settings": {"provider": "fsspec", "url": "s3://b", "options": {"key": text, "anon": False}}
            },
            "inference": {"backend_settings": {"executor": "celery", "broker_url": text}},
        }
    )
    assert isinstance(settings.storage.backend_settings, FsspecBackend)
    assert settings.storage.backend_settings.options.get_secret_value() == {"key": "sesame", "anon": False}
    assert isinstance(settings.inference.backend_settings, CeleryExecutor)
    assert settings.inference.backend_settings.broker_url.get_secret_value() == "sesame"


def test_a_path_may_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` is the user's home, and a path without a root begins at the working directory."""
    secret_in(tmp_path, b"sesame")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert read("FILE:~/secret") == read("FILE:secret") == "sesame"


def test_only_a_secret_is_read_from_a_file() -> None:
    """In any other key `FILE:` is a text as any other."""
    assert load_settings({"host": "FILE:/etc/passwd"}).host == "FILE:/etc/passwd"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is empty"),
        (b" \n\n", "it is empty"),
        (b"918273645\xff", "it is not UTF-8 text"),
        (b"918273645" * 10_000, "it has more than 65536 bytes"),
    ],
)
def test_a_file_without_a_secret_is_told(tmp_path: Path, content: bytes, why: str) -> None:
    """Key, path and reason are in the error, never the content."""
    text = secret_in(tmp_path, content)
    with pytest.raises(SettingsError) as caught:
        read(text)
    [issue] = caught.value.details["issues"]
    assert issue == f"{KEY}: the file '{text.removeprefix('FILE:')}' cannot be used: {why}"
    assert "918273645" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("path", ["", "  ", "absent", ".", "a\0b", "~no-such-user-here/x", "x" * 5000])
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """A path that leads nowhere is an error of its key; the other errors are told with it."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError) as caught:
        load_settings({"port": "x", "storage": {"secret_access_key": f"FILE:{path}"}})
    first, second = caught.value.details["issues"]
    assert first.startswith(f"{KEY}: the file '{path}' cannot be used: ")
    assert second.startswith("port: ")


def test_the_source_of_a_bad_file_is_told() -> None:
    """Where there are several sources, the one that names the file is told."""
    with pytest.raises(SettingsError, match=r"cannot be used: .* \(environment variable COMPOX_STORAGE__"):
        load_settings({"port": 1}, environment={"COMPOX_STORAGE__SECRET_ACCESS_KEY": "FILE:/no/such/file"})
