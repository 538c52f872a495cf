"""Keys of bundles as text: what is accepted, what is refused, and that secrets do not show."""

from __future__ import annotations

import base64
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compox_core.bundle import primitives
from compox_core.bundle.keys import (
    BundleKey,
    Identity,
    Passphrase,
    Recipient,
    Signer,
    SigningKey,
    parse_lock,
    parse_unlock,
)
from compox_core.errors import InvalidInputError

RAW = bytes(range(32))
TEXT = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


def refusal(text: str) -> InvalidInputError:
    """Return the error of a key's text."""
    with pytest.raises(InvalidInputError) as caught:
        BundleKey.parse(text)
    assert caught.value.code == "invalid_bundle_key"
    return caught.value


@pytest.mark.parametrize("text", [TEXT, TEXT + "=", f"  {TEXT}\r\n"])
def test_a_key_is_read_with_padding_and_whitespace_around_it(text: str) -> None:
    """What editors and generators add does not matter."""
    assert BundleKey.parse(text).raw == RAW
    assert BundleKey.parse(text).text() == TEXT


@given(st.binary(min_size=32, max_size=32))
def test_every_key_has_43_characters_and_comes_back(raw: bytes) -> None:
    """The text is base64url of the 32 bytes, as in version 1."""
    text = BundleKey(raw).text()
    assert len(text) == 43
    assert base64.urlsafe_b64decode(text + "=") == raw
    assert BundleKey.parse(text).raw == raw


@pytest.mark.parametrize("text", ["", TEXT[:-1], TEXT + "A", TEXT + "==", TEXT[:20] + "!" + TEXT[20:], TEXT[:-1] + "é"])
def test_a_key_with_anything_else_is_refused(text: str) -> None:
    """Characters that are no part of base64url are not dropped, as compox 3.2 does: it is another key."""
    assert "43 characters" in refusal(text).message


def test_a_key_whose_last_character_was_mistyped_is_refused() -> None:
    """Its two lowest bits stand for nothing, so that four texts would be one key."""
    assert "last character" in refusal(TEXT[:-1] + "9").message


def test_a_key_in_the_other_base64_is_told_what_to_write() -> None:
    """A text with + and / is of the standard alphabet."""
    assert "write - for +" in refusal("+" * 42 + "A").message


def test_a_recipient_that_is_given_as_a_key_is_told_that_it_opens_nothing() -> None:
    """The public half is mistaken for the private one most easily."""
    assert "its identity" in refusal(Identity(RAW).recipient.text()).message


@pytest.mark.parametrize("kind", [Recipient, Identity, Signer, SigningKey])
def test_a_checked_text_comes_back_and_a_mistyped_one_does_not(kind: type[Identity]) -> None:
    """Any one character that is wrong is noticed, and any that is missing."""
    text = kind(RAW).text()
    assert kind.parse(f" {text}\n") == kind(RAW)
    wrong = [text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :] for at in range(len(text))]
    for each in [*wrong, text[:-1], text + "A", text[:-1] + "=", text.upper(), ""]:
        with pytest.raises(InvalidInputError) as caught:
            kind.parse(each)
        assert caught.value.code == "invalid_bundle_key"


@pytest.mark.parametrize("kind", [Recipient, Identity, Signer, SigningKey])
def test_a_checked_text_of_one_kind_is_none_of_another(kind: type[Identity]) -> None:
    """What is public cannot be taken for what is secret, nor what signs for what opens."""
    text = kind(RAW).text()
    for other in {Recipient, Identity, Signer, SigningKey} - {kind}:
        with pytest.raises(InvalidInputError, match=kind.NAME[0].lower() + kind.NAME[1:]):
            other.parse(text)
        assert other(RAW) != kind(RAW)


def test_secrets_do_not_show() -> None:
    """Neither a log of a key object nor a traceback of a refused text has the secret in it."""
    for secret in (BundleKey(RAW), Identity(RAW), SigningKey(RAW)):
        text = secret.text()
        assert TEXT[5:30] in text
        assert TEXT[5:30] not in f"{secret!r} {secret}"
        with pytest.raises(InvalidInputError) as caught:
            type(secret).parse(text + "A")
        assert TEXT[5:30] not in f"{caught.value!r} {caught.value.details}"
    assert "open sesame" not in repr(Passphrase("open sesame"))


def test_public_halves_show() -> None:
    """A message about a signer can be read."""
    signer = SigningKey(RAW).signer
    assert signer.text() in repr(signer)


def test_generated_keys_differ() -> None:
    """Each comes from the system's secure source."""
    for kind in (BundleKey, Identity, SigningKey):
        assert len({kind.generate().raw for _ in range(50)}) == 50


def test_a_text_says_what_it_is() -> None:
    """Keys and recipients lock, keys and identities open; one parser reads either."""
    identity = Identity(RAW)
    assert parse_lock(TEXT) == parse_unlock(TEXT) == BundleKey(RAW)
    assert parse_lock(identity.recipient.text()) == identity.recipient
    assert parse_unlock(identity.text()) == identity


def test_an_empty_passphrase_is_none() -> None:
    """A prompt that somebody left with Enter must not lock a bundle for everybody."""
    with pytest.raises(InvalidInputError, match="empty"):
        Passphrase("")


@pytest.mark.parametrize("cost", [0, 19, 255])
def test_a_cost_that_no_reader_pays_is_refused(cost: int) -> None:
    """A bundle that nobody opens is not built."""
    with pytest.raises(InvalidInputError, match="1 to 18"):
        Passphrase("words", cost)


def test_the_costs_of_passphrases_at_both_ends_work() -> None:
    """The largest that is allowed can be paid: 256 MiB."""
    for cost in (1, 18):
        assert len(primitives.scrypt(b"words", bytes(16), cost, 8, 1)) == 32


def test_cryptography_is_loaded_when_it_is_needed() -> None:
    """What only looks whether a file is a bundle, or reads a key's text, does not pay for it."""
    code = "import compox_core.bundle.container, sys; print('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.strip() == b"False"


def test_a_passphrase_is_the_same_from_every_keyboard() -> None:
    """An accent that is typed as a character of its own is the same as the composed one."""
    assert Passphrase("e\u0301te\u0301").raw == Passphrase("été").raw
