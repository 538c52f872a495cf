"""The certificate by which a server proves who it is."""

from __future__ import annotations

import ssl
from pathlib import Path

from compox_core.errors import SettingsError
from compox_core.settings import Settings, resolve_path

CERTIFICATE, KEY = "ssl_certfile", "ssl_keyfile"
ADVICE = "Give PEM files, or set ssl.use_ssl to false."


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Return what the server speaks TLS 1.2 or later with; None where the settings ask for none.

    `ssl_certfile` may hold the certificates of the authorities between, and the key as well.

    Raises:
        SettingsError: `ssl_certfile_not_found` or `ssl_keyfile_not_found` where a file is missing, `ssl_invalid` where
            one cannot be read or used, or the two do not belong together.
    """
    if not settings.ssl.use_ssl:
        return None
    certificate = _present(settings, CERTIFICATE)
    if certificate is None:
        raise SettingsError(
            f"ssl.use_ssl asks for TLS, and ssl.{CERTIFICATE} names no certificate. {ADVICE}",
            code=f"{CERTIFICATE}_not_found",
            details={"key": f"ssl.{CERTIFICATE}"},
        )
    key = _present(settings, KEY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _holds(CERTIFICATE, certificate, "certificate")
    if key is None:
        _holds(CERTIFICATE, certificate, "private key", f", and ssl.{KEY} names no other file")
    else:
        _holds(KEY, key, "private key")
    _load(context, certificate, key)
    return context


def _present(settings: Settings, name: str) -> Path | None:
    path = resolve_path(settings, f"ssl.{name}")
    if path is not None and not path.is_file():
        what = "is no file" if path.exists() else "does not exist"
        raise SettingsError(
            f"The file of ssl.{name}, '{path}', {what}. {ADVICE}",
            code=f"{name}_not_found",
            details={"key": f"ssl.{name}", "path": str(path)},
        )
    return path


def _holds(name: str, path: Path, what: str, so: str = "") -> None:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _invalid(name, path, f"cannot be read: {error.strerror or error}") from error
    if f"{what.upper()}-----".encode() not in content:
        raise _invalid(name, path, f"holds no {what} in the form PEM{so}")


def _load(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    encrypted: list[bool] = []

    def password() -> str:
        encrypted.append(True)
        return ""  # none: OpenSSL would ask at the terminal

    try:
        context.load_cert_chain(certificate, key, password)
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        if encrypted:
            raise _invalid(KEY, key or certificate, "is encrypted, and there is no way to give its password") from error
        if reason == "KEY_VALUES_MISMATCH":
            raise _invalid(KEY, key or certificate, f"does not belong to the certificate '{certificate}'") from error
        if not _is_certificate(certificate):
            raise _invalid(CERTIFICATE, certificate, f"holds no certificate that can be used ({reason})") from error
        raise _invalid(KEY, key or certificate, f"holds no key that can be used ({reason})") from error


def _is_certificate(path: Path) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        return False
    return True


def _invalid(name: str, path: Path, why: str) -> SettingsError:
    return SettingsError(
        f"The file of ssl.{name}, '{path}', {why}. {ADVICE}",
        code="ssl_invalid",
        details={"key": f"ssl.{name}", "path": str(path)},
    )
