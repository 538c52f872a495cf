"""Keys of bundles on the command line: from files, the environment, or somebody at the terminal.

The only secret that is ever printed is one that a command was asked to make.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from compox_cli.screen import Screen
from compox_core.errors import InvalidInputError, StorageError

if TYPE_CHECKING:
    from compox_core.bundle.keys import Identity, Lock, Passphrase, Recipient, Signer, SigningKey, Unlock

Command = TypeVar("Command", bound=Callable[..., Any])
Parsed = TypeVar("Parsed")

KEY_VARIABLE = "COMPOX_BUNDLE_KEY"
PASSPHRASE_VARIABLE = "COMPOX_BUNDLE_PASSPHRASE"
MOST_BYTES = 65_536
EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)


@dataclass(frozen=True, repr=False)
class Keys:
    """What the command line says of keys. Where it says nothing, the environment does, and then the terminal."""

    files: Sequence[Path] = ()
    text: str | None = None
    passphrase: bool = False
    recipients: Sequence[str] = ()

    def locks(self, screen: Screen) -> list[Lock]:
        """Return what a bundle is to be built for. Raises InvalidInputError, StorageError and UsageError."""
        from compox_core.bundle.keys import Identity, Recipient, parse_lock

        found: list[Lock] = [
            each.recipient if isinstance(each, Identity) else each for each in self._given(screen, _lock, asks=True)
        ]
        found += [_named("--recipient", Recipient.parse, text) for text in self.recipients]
        return found or [_named("the key", parse_lock, _hidden("Key for the bundle: ", _NO_LOCK))]

    def unlocks(self, bundle: Path, screen: Screen) -> list[Unlock]:
        """Return what may open a bundle. Raises InvalidInputError, StorageError and UsageError."""
        from compox_core.bundle.keys import Passphrase, parse_unlock

        if found := self._given(screen, parse_unlock, asks=False):
            return found
        why = _NO_UNLOCK.format(bundle=bundle)
        if _opened_by_words(bundle):
            return [Passphrase(_hidden(f"Passphrase of {bundle}: ", why))]
        return [_named("the key", parse_unlock, _hidden(f"Key of {bundle}: ", why))]

    def unlocks_if_given(self, screen: Screen) -> list[Unlock]:
        """Return what may open a bundle, and nothing where nobody said so; nobody is asked for a key."""
        from compox_core.bundle.keys import parse_unlock

        return self._given(screen, parse_unlock, asks=False)

    def _given(self, screen: Screen, parse: Callable[[str], Parsed], *, asks: bool) -> list[Parsed | Passphrase]:
        """Return the keys that the command line names, else those of the environment."""
        from compox_core.bundle.keys import Passphrase

        found: list[Parsed | Passphrase] = [_named(f"'{path}'", parse, read_key_file(path)) for path in self.files]
        if self.text is not None:
            warn_of_key(screen, f"take --key-file or {KEY_VARIABLE}")
            found.append(_named("--key", parse, self.text))
        if self.passphrase:
            found.append(_passphrase(twice=asks))
        if found or self.recipients:
            return found
        if key := os.environ.get(KEY_VARIABLE):
            found.append(_named(KEY_VARIABLE, parse, key))
        if words := os.environ.get(PASSPHRASE_VARIABLE):
            found.append(Passphrase(words))
        return found


_NO_LOCK = (
    f"The bundle needs a key: give --key-file FILE (`compox-cli bundle key -o FILE` makes one), --recipient or "
    f"--passphrase, or set {KEY_VARIABLE}."
)
_NO_UNLOCK = f"'{{bundle}}' cannot be read without its key: give --key-file FILE, or set {KEY_VARIABLE}."


def key_options(command: Command) -> Command:
    """Add `--key-file`, `--passphrase` and `--key`; the command gets `keys`."""
    return _key_options(command)


def lock_options(command: Command) -> Command:
    """Add what `key_options` does, and `--recipient`."""
    recipients = click.option(
        "--recipient", "recipients", multiple=True, metavar="RECIPIENT",
        help="Build it for the owner of this recipient (compox-recipient-…); repeat it for several.",
    )  # fmt: skip
    return recipients(_key_options(command))


def _key_options(command: Command) -> Command:
    @click.option(
        "--key-file", "files", multiple=True, metavar="FILE", type=EXISTING,
        help=f"A file with the key; repeat it for several. Default: {KEY_VARIABLE}, else you are asked.",
    )  # fmt: skip
    @click.option(
        "--passphrase", is_flag=True, help=f"Take a passphrase: from {PASSPHRASE_VARIABLE}, else you are asked."
    )
    @click.option("--key", "text", metavar="KEY", help="The key itself, which others on this machine can then read.")
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        files: Sequence[Path],
        passphrase: bool,
        text: str | None,
        recipients: Sequence[str] = (),
        **kwargs: Any,
    ) -> Any:
        return command(*args, keys=Keys(files, text, passphrase, recipients), **kwargs)

    return wrapped  # type: ignore[return-value]  # click's decorators give back what they take


def trust_option(command: Command) -> Command:
    """Add `--trust`; the command gets `trusted`, a list of signers, or None."""

    def parse(_: click.Context, __: click.Parameter, texts: Sequence[str]) -> list[Signer] | None:
        from compox_core.bundle.keys import Signer

        return [_named("--trust", Signer.parse, text) for text in texts] or None

    return click.option(
        "--trust", "trusted", multiple=True, metavar="SIGNER", callback=parse,
        help="Refuse the bundle unless this signer (compox-signer-…) signed it; repeat it for several.",
    )(command)  # fmt: skip


def warn_of_key(screen: Screen, instead: str) -> None:
    """Tell somebody who gave a key on the command line what comes of that."""
    screen.warn(
        "A key on the command line can be read by everybody on this machine, and stays in the history of the shell: "
        f"{instead}."
    )


def signing_key(path: Path | None) -> SigningKey | None:
    """Return the signing key in a file. Raises InvalidInputError (`invalid_bundle_key`), StorageError."""
    from compox_core.bundle.keys import SigningKey

    return None if path is None else _named(f"'{path}'", SigningKey.parse, read_key_file(path))


def public_half(path: Path) -> Recipient | Signer:
    """Return the recipient of the identity, or the signer of the signing key, that a file holds.

    Raises InvalidInputError (`invalid_bundle_key`) where it holds something else, StorageError.
    """
    from compox_core.bundle.keys import Identity, SigningKey

    text = read_key_file(path)
    if text.startswith(SigningKey.PREFIX):
        return _named(f"'{path}'", SigningKey.parse, text).signer
    return _named(f"'{path}'", Identity.parse, text).recipient


def read_key_file(path: Path) -> str:
    """Return the key in a file: its only line, but for empty ones and those that begin with `#`.

    Raises:
        InvalidInputError: `invalid_bundle_key`.
        StorageError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise StorageError(f"The key file '{path}' cannot be read: {error.strerror or error}.") from error
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        lines = []
    texts = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if len(content) > MOST_BYTES or len(texts) != 1:
        raise InvalidInputError(
            f"'{path}' is no key file: it must have one line with a key, as `compox-cli bundle key -o FILE` writes it.",
            code="invalid_bundle_key",
            details={"path": str(path)},
        )
    return texts[0]


def _lock(text: str) -> Lock | Identity:
    """Read what a bundle can be built for; an identity stands for its recipient."""
    from compox_core.bundle.keys import Identity, parse_lock

    return Identity.parse(text) if text.strip().startswith(Identity.PREFIX) else parse_lock(text)


def _named(where: str, parse: Callable[[str], Parsed], text: str) -> Parsed:
    """Read a key, and say where it stands in what is wrong with it."""
    try:
        return parse(text)
    except InvalidInputError as error:
        raise InvalidInputError(f"{where}: {error.message}", code=error.code, details=error.details) from None


def _passphrase(*, twice: bool) -> Passphrase:
    from compox_core.bundle.keys import Passphrase

    words = os.environ.get(PASSPHRASE_VARIABLE)
    if not words:
        why = f"Nobody can be asked for the passphrase here: set {PASSPHRASE_VARIABLE}."
        words = _hidden("Passphrase: ", why)
        if twice and _hidden("Once more: ", why) != words:
            raise click.UsageError("These were two different passphrases: begin anew.")
    return Passphrase(words)


def _hidden(question: str, why: str) -> str:
    """Ask for a secret, which is not shown. Raises UsageError with `why` where nobody can be asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError(why)
    text: str = click.prompt(question, hide_input=True, err=True, prompt_suffix="")
    return text


def _opened_by_words(bundle: Path) -> bool:
    """Return whether nothing but a passphrase opens a bundle. Raises InvalidInputError where it is none."""
    from compox_core.bundle.container import bundle_version, outline

    return bundle_version(bundle) != 1 and set(outline(bundle).slots) == {"passphrase"}
