"""Settings on a command line, and what their texts mean."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from compox_core.errors import SettingsError
from compox_core.settings import Settings, load_settings, parse_dotted
from compox_core.settings.keys import known_keys

TEXTS = sorted(name for name, key in known_keys().items() if str in key.kinds and not key.section)
PLAIN = [name for name in TEXTS if type(None) not in known_keys()[name].kinds]

FORMS: list[tuple[list[str], dict[str, Any]]] = [
    ([], {}),
    (["--port", "1"], {"port": "1"}),
    (["--storage.fsync=true"], {"storage": {"fsync": "true"}}),
    (["--insecure"], {"insecure": "true"}),
    (["--insecure", "--port", "1"], {"insecure": "true", "port": "1"}),
    (["--insecure", "no"], {"insecure": "no"}),
    (["--host", "a=b"], {"host": "a=b"}),
    (["--host=--x"], {"host": "--x"}),
    (["--host="], {"host": ""}),
    (["--host", ""], {"host": ""}),
    (["--inference.timeout_s", "-1"], {"inference": {"timeout_s": "-1"}}),
    (["--inference.timeout_s", "None"], {"inference": {"timeout_s": None}}),
    (["--inference.cuda_visible_devices", "0"], {"inference": {"cuda_visible_devices": "0"}}),
    (["--inference.cuda_visible_devices", "null"], {"inference": {"cuda_visible_devices": None}}),
    (["--host", "null"], {"host": "null"}),
    (["--info.server_tags", "a, b"], {"info": {"server_tags": ["a", "b"]}}),
    (["--info.server_tags", '["a, b"]'], {"info": {"server_tags": ["a, b"]}}),
    (["--info.server_tags", ""], {"info": {"server_tags": []}}),
    (["--deploy.allowed_roots", "none"], {"deploy": {"allowed_roots": None}}),
    (
        ["--storage", '{"fsync": true}', "--storage.collection_prefix", "x"],
        {"storage": {"fsync": True, "collection_prefix": "x"}},
    ),
    (["--port", "1", "--port", "2"], {"port": "2"}),
    (
        ["--inference.backend_settings.workers", '{"cuda:0": 2}'],
        {"inference": {"backend_settings": {"workers": {"cuda:0": 2}}}},
    ),
    (
        ["--storage.backend_settings.port=1", "--storage.backend_settings.provider=local"],
        {"storage": {"backend_settings": {"provider": "local"}}},
    ),
]


@pytest.mark.parametrize(("arguments", "expected"), FORMS, ids=[" ".join(words) for words, _ in FORMS])
def test_options_become_nested_settings(arguments: list[str], expected: dict[str, Any]) -> None:
    """Each form of an option is understood by the type of its key."""
    assert parse_dotted(arguments) == expected


WRONG: list[tuple[list[str], str, str]] = [
    (["--prot", "1"], "unknown_option", "--prot: there is no such option; did you mean --port?"),
    (["--fsync"], "unknown_option", "--fsync: there is no such option; did you mean --storage.fsync?"),
    (["--storage.collection-prefix", "x"], "unknown_option", "did you mean --storage.collection_prefix?"),
    (["--qqq=1"], "unknown_option", "--qqq: there is no such option"),
    (["--PORT", "1"], "unknown_option", "did you mean --port?"),
    (["port", "--insecure"], "unknown_option", "word 1: is no option: a setting is written --section.key VALUE"),
    (["--port", "1", "secret"], "unknown_option", "word 3: is no option"),
    (["--", "--port=1"], "unknown_option", "word 1: is no option"),
    (["-p"], "unknown_option", "word 1: is no option"),
    (["--=1"], "unknown_option", "--: there is no such option"),
    (["--port"], "configuration_error", "--port: needs a value: --port VALUE"),
    (["--port", "--insecure"], "configuration_error", "--port: needs a value"),
    (["--storage"], "configuration_error", "--storage: needs a value"),
    (["--storage", "fsync"], "configuration_error", "--storage: must be a JSON object, such as {…}"),
]


@pytest.mark.parametrize(("arguments", "code", "expected"), WRONG, ids=[" ".join(words) for words, _, _ in WRONG])
def test_a_wrong_option_is_named(arguments: list[str], code: str, expected: str) -> None:
    """What is no option of a setting, or lacks its value, is told with the nearest that is one."""
    with pytest.raises(SettingsError) as caught:
        parse_dotted(arguments)
    [issue] = caught.value.details["issues"]
    assert caught.value.code == code
    assert expected in issue and issue in str(caught.value)
    assert "secret" not in str(caught.value)


def test_all_wrong_options_are_told_at_once() -> None:
    """An unknown option takes its value with it, and the next one is judged."""
    with pytest.raises(SettingsError) as caught:
        parse_dotted(["--prot", "1", "--hots=x", "--port", "--host", "h"])
    assert [issue.split(":")[0] for issue in caught.value.details["issues"]] == ["--prot", "--hots", "--port"]


@given(key=st.sampled_from(PLAIN), text=st.text())
@example(key="host", text="0")
@example(key="host", text="true")
@example(key="host", text="[1]")
def test_a_text_stays_one(key: str, text: str) -> None:
    """Whatever looks like a number, a truth value or a list is a text where the key is one."""
    found: Any = parse_dotted([f"--{key}={text}"])
    for part in key.split("."):
        found = found[part]
    assert found == text


@given(items=st.lists(st.text()))
def test_a_list_in_json_is_that_list(items: list[str]) -> None:
    """Items with commas, quotes and brackets in them survive as JSON."""
    found = load_settings(overrides=parse_dotted([f"--middleware.allow_origins={json.dumps(items)}"]))
    assert found.middleware.allow_origins == items


@given(number=st.floats(min_value=1e-6, max_value=1e6) | st.integers(1, 10**6))
def test_a_number_is_read_from_its_text(number: float) -> None:
    """Numbers arrive as they were written."""
    assert load_settings(overrides=parse_dotted(["--inference.timeout_s", str(number)])).inference.timeout_s == number


@pytest.mark.parametrize(
    ("text", "value"),
    [(text, True) for text in ("true", "True", "yes", "on", "1")]
    + [(text, False) for text in ("false", "NO", "off", "0")],
)
def test_a_truth_value_has_many_names(text: str, value: bool) -> None:
    """All that people write for true and false is understood, in options and variables."""
    assert load_settings(overrides=parse_dotted(["--insecure", text])).insecure is value
    assert load_settings(environment={"COMPOX_INSECURE": text}).insecure is value


@given(key=st.sampled_from(sorted(known_keys())), text=st.text())
def test_any_text_is_settings_or_a_settings_error(key: str, text: str) -> None:
    """No text of any key ends in another exception."""
    for given_so in (
        lambda: load_settings(overrides=parse_dotted([f"--{key}={text}"])),
        lambda: load_settings(environment={f"COMPOX_{key.replace('.', '__').upper()}": text}),
    ):
        try:
            assert isinstance(given_so(), Settings)
        except SettingsError as error:
            assert error.details["issues"]


@given(words=st.lists(st.text() | st.sampled_from(["--", "--port", "--storage.fsync", "--storage={}"])))
def test_any_words_are_settings_or_a_settings_error(words: list[str]) -> None:
    """No command line ends in another exception."""
    try:
        parse_dotted(words)
    except SettingsError as error:
        assert error.details["issues"]
