"""`bundle key`: makes the keys of bundles."""

from __future__ import annotations

import os
from pathlib import Path

import click

from compox_cli.bundle_keys import EXISTING, public_half
from compox_cli.options import reporting_options
from compox_cli.screen import Screen
from compox_core.errors import ConflictError, StorageError


@click.command("key")
@click.option("--recipient", "pair", flag_value="recipient", help="Make an identity, and the recipient to build for.")
@click.option("--signer", "pair", flag_value="signer", help="Make a signing key, and the signer that others trust.")
@click.option(
    "--public", "source", metavar="FILE", type=EXISTING,
    help="Make nothing; print the recipient of the identity, or the signer of the signing key, in this file.",
)  # fmt: skip
@click.option(
    "-o", "--out", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    help="Write the secret into this new file, which only you can read, and print it nowhere.",
)  # fmt: skip
@reporting_options
def key(pair: str | None, source: Path | None, out: Path | None, screen: Screen) -> None:
    """Make a key for bundles.

    Without options, it is one secret of 43 characters that whoever builds and whoever opens share. --recipient and
    --signer make pairs, of which one half is public: give a recipient to those who build for you, and a signer to those
    who are to trust what you build.
    """
    if source is not None:
        if pair or out:
            raise click.UsageError("--public makes nothing: leave out --recipient, --signer and -o.")
        found = public_half(source)
        _tell({found.PREFIX.split("-")[1]: found.text()}, screen, found.text())
        return
    name, secret, public = _made(pair)
    halves = {} if pair is None else {pair: public}
    if out is None:
        _tell({name: secret, **halves}, screen, secret)
        if pair and not screen.as_json:
            screen.note(f"Its {pair}, which may be published: {public}")
        return
    _write(out, secret)
    _tell({"written": str(out), **halves}, screen, public or str(out))


def _made(pair: str | None) -> tuple[str, str, str]:
    """Return the name of a new secret, its text, and that of its public half, empty where it has none."""
    from compox_core.bundle.keys import BundleKey, Identity, SigningKey

    if pair == "recipient":
        identity = Identity.generate()
        return "identity", identity.text(), identity.recipient.text()
    if pair == "signer":
        signing_key = SigningKey.generate()
        return "signing_key", signing_key.text(), signing_key.signer.text()
    return "key", BundleKey.generate().text(), ""


def _tell(answer: dict[str, str], screen: Screen, line: str) -> None:
    if screen.as_json:
        screen.answer(answer)
    else:
        screen.line(line)


def _write(path: Path, secret: str) -> None:
    """Write a secret into a new file. Raises ConflictError (`output_exists`), StorageError (`output_write_failed`)."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{secret}\n")
    except FileExistsError:
        raise ConflictError(
            f"'{path}' exists already, and a key is never replaced: choose another file with -o.",
            code="output_exists",
            details={"output": str(path)},
        ) from None
    except OSError as error:
        raise StorageError(
            f"'{path}' could not be written: {error.strerror or error}.",
            code="output_write_failed",
            details={"output": str(path)},
        ) from error
