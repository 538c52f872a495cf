"""What an algorithm may be called."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compox_core.algorithms.naming import MAX_NAME, check_name
from compox_core.errors import PackageError
from compox_core.identity import algorithm_id

LETTERS = st.text(st.characters(categories=["Lu", "Ll", "Lo", "Nd"], include_characters="._-"), min_size=1)


@pytest.mark.parametrize("name", ["a", "A.b_c-1", "...", "-", "Größe", "降噪", "शोर", "x" * MAX_NAME, "٣", "a."])
def test_letters_and_digits_of_every_script_are_names(name: str) -> None:
    """Letters with their marks, digits, `.`, `_` and `-`, at most 128, are kept as they are."""
    assert check_name(name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "it is empty"),
        (".", "it means a folder"),
        ("..", "it means a folder"),
        ("a/b", "it contains solidus"),
        ("a\\b", "it contains reverse solidus"),
        ("a~b", "it contains tilde"),
        ("a b", "it contains space"),
        ("a:b", "it contains colon"),
        ("a\x00b", "it contains '\\x00'"),
        ("a\nb", "it contains '\\n'"),
        ("a\x7f", "it contains '\\x7f'"),
        ("a\u200b", "it contains zero width space"),
        ("a\u202e", "it contains right-to-left override"),
        ("a\u3164", "it contains hangul filler"),
        ("a\ufe0f", "it contains variation selector-16"),
        ("a\ud800", "it contains '\\ud800'"),
        ("a²", "it contains superscript two"),
        ("a😀", "it contains grinning face"),
        ("\u0301a", "it begins with a mark"),
        ("x" * (MAX_NAME + 1), "it has 129 characters"),
        ("x" * 500, "it has 500 characters"),
        ("名" * 500, "it has 500 characters"),
    ],
)
def test_everything_else_is_refused(name: str, said: str) -> None:
    """The error shows the name, cut where it is long, and says which character is in the way."""
    with pytest.raises(PackageError) as caught:
        check_name(name)
    assert caught.value.code == "invalid_algorithm_name"
    assert said in str(caught.value)
    assert len(str(caught.value)) < 300


def test_equal_looking_forms_are_one_name() -> None:
    """An accent written apart is the same name as the accented letter, and so the same algorithm."""
    apart, whole = "e\u0301", "\u00e9"
    assert check_name(apart) == check_name(whole) == whole
    assert algorithm_id(check_name(apart), "1") == algorithm_id(check_name(whole.upper()), "1")


@given(LETTERS)
def test_a_checked_name_is_stable(name: str) -> None:
    """What `check_name` returns passes again unchanged, and never holds a separator."""
    try:
        checked = check_name(name)
    except PackageError:
        return
    assert check_name(checked) == checked
    assert not set(checked) & set("/\\~: \0") and checked not in (".", "..") and len(checked) <= MAX_NAME


@given(st.text())
def test_any_text_is_a_name_or_a_package_error(name: str) -> None:
    """No text makes it fail in another way."""
    try:
        check_name(name)
    except PackageError as error:
        assert error.code == "invalid_algorithm_name"
