"""TLS: certificates that are used, and those that cannot be."""

from __future__ import annotations

import datetime
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from compox_core.engine import Engine
from compox_core.errors import SettingsError
from compox_core.settings import Settings, load_settings
from compox_http.tls import tls_context
from tests.http.serving import served
from tests.http.test_serve import end, run, running

Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Papers:
    """An authority, and the certificate and key of a server on this machine."""

    authority: Path
    certificate: Path
    key: Path

    def settings(self, **more: Any) -> Settings:
        """Return settings that use them, or others."""
        values = {"use_ssl": True, "ssl_certfile": str(self.certificate), "ssl_keyfile": str(self.key), **more}
        return load_settings({"ssl": values, "storage": {"backend_settings": {"provider": "memory"}}})


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _signed(subject: str, key: Key, issuer: str, by: Key, *, authority: bool) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    return (
        x509.CertificateBuilder()
        .subject_name(_named(subject))
        .issuer_name(_named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(names, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
        .add_extension(_usage(authority), critical=True)
        .sign(by, hashes.SHA256())
    )


def _usage(authority: bool) -> x509.KeyUsage:
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
        **dict.fromkeys(others, False),
    )


def _pem(key: Key, password: bytes | None = None) -> bytes:
    how = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    """Papers that fit."""
    folder = tmp_path_factory.mktemp("papers")
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _signed("authority", authority_key, "authority", authority_key, authority=True)
    certificate = _signed("server", key, "authority", authority_key, authority=False)
    made = Papers(folder / "authority.pem", folder / "server.pem", folder / "server.key")
    made.authority.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    made.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(_pem(key))
    (folder / "both.pem").write_bytes(made.key.read_bytes() + made.certificate.read_bytes())
    (folder / "locked.key").write_bytes(_pem(key, b"password"))
    (folder / "other.key").write_bytes(_pem(authority_key))
    (folder / "text.pem").write_text("nothing of the kind")
    (folder / "empty.pem").write_bytes(b"")
    (folder / "torn.pem").write_bytes(made.certificate.read_bytes()[:200] + b"\n-----END CERTIFICATE-----\n")
    (folder / "torn.key").write_bytes(made.key.read_bytes()[:80] + b"\n-----END PRIVATE KEY-----\n")
    (folder / "binary.der").write_bytes(certificate.public_bytes(serialization.Encoding.DER))
    return made


def trusting(papers: Papers, highest: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """Return what a client that trusts the authority speaks."""
    context = ssl.create_default_context(cafile=str(papers.authority))
    if highest is not None:
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = highest
        context.set_ciphers("ALL:@SECLEVEL=0")
    return context


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_a_server_speaks_tls(papers: Papers) -> None:
    """To clients that trust its authority, and not plain HTTP; it outlives those that do not."""
    settings = papers.settings()
    with Engine(settings) as engine, served(engine, tls_context(settings)) as url:
        assert url.startswith("https://")
        for _ in range(2):
            with httpx2.Client(verify=trusting(papers), trust_env=False) as client:
                assert client.get(url).json()["name"]
            with httpx2.Client(trust_env=False) as stranger, pytest.raises(httpx2.TransportError):
                stranger.get(url)
            with httpx2.Client(trust_env=False) as plain, pytest.raises(httpx2.TransportError):
                plain.get(url.replace("https", "http"))
            old = trusting(papers, ssl.TLSVersion.TLSv1_1)
            with httpx2.Client(verify=old, trust_env=False) as dated, pytest.raises(httpx2.TransportError):
                dated.get(url)
        with httpx2.Client(verify=trusting(papers, ssl.TLSVersion.TLSv1_2), trust_env=False) as client:
            assert client.get(url).status_code == 200


def test_a_file_may_hold_certificate_and_key(papers: Papers) -> None:
    """Then no key file is named."""
    both = papers.certificate.with_name("both.pem")
    assert tls_context(papers.settings(ssl_certfile=str(both), ssl_keyfile=None)) is not None


def test_without_use_ssl_nothing_is_looked_at(papers: Papers) -> None:
    """Not even whether the files exist."""
    assert tls_context(papers.settings(use_ssl=False, ssl_certfile="nowhere.pem")) is None


@pytest.mark.parametrize(
    ("files", "code", "says"),
    [
        ({"ssl_certfile": None}, "ssl_certfile_not_found", "names no certificate"),
        ({"ssl_certfile": ""}, "ssl_certfile_not_found", "names no certificate"),
        ({"ssl_certfile": "missing.pem"}, "ssl_certfile_not_found", "missing.pem', does not exist"),
        ({"ssl_certfile": "."}, "ssl_certfile_not_found", "is no file"),
        ({"ssl_keyfile": "missing.key"}, "ssl_keyfile_not_found", "missing.key', does not exist"),
        ({"ssl_keyfile": None}, "ssl_invalid", "holds no private key"),
        ({"ssl_keyfile": "server.pem"}, "ssl_invalid", "holds no private key"),
        ({"ssl_keyfile": "locked.key"}, "ssl_invalid", "is encrypted"),
        ({"ssl_keyfile": "other.key"}, "ssl_invalid", "does not belong to the certificate"),
        ({"ssl_keyfile": "torn.key"}, "ssl_invalid", "holds no key that can be used"),
        ({"ssl_keyfile": "empty.pem"}, "ssl_invalid", "holds no private key"),
        ({"ssl_certfile": "server.key"}, "ssl_invalid", "holds no certificate"),
        ({"ssl_certfile": "text.pem"}, "ssl_invalid", "holds no certificate"),
        ({"ssl_certfile": "empty.pem"}, "ssl_invalid", "holds no certificate"),
        ({"ssl_certfile": "binary.der"}, "ssl_invalid", "holds no certificate"),
        ({"ssl_certfile": "torn.pem"}, "ssl_invalid", "holds no certificate that can be used"),
    ],
)
def test_papers_that_cannot_be_used(files: dict[str, str | None], code: str, says: str, papers: Papers) -> None:
    """The error says which file of which key, and why."""
    folder = papers.key.parent
    paths = {key: str(folder / name) if name else name for key, name in files.items()}
    with pytest.raises(SettingsError) as caught:
        tls_context(papers.settings(**paths))
    assert caught.value.code == code and says in caught.value.message
    assert f"ssl.{next(iter(files))}" in caught.value.message and caught.value.details["key"].startswith("ssl.")


def test_the_command_serves_it(papers: Papers) -> None:
    """And says so in the URL that it prints."""
    arguments = ["--store", "memory://", "--port", "0", "--ssl.use_ssl", "true"]
    arguments += ["--ssl.ssl_certfile", str(papers.certificate), "--ssl.ssl_keyfile", str(papers.key)]
    with running(arguments) as (process, url):
        assert url.startswith("https://")
        with httpx2.Client(verify=trusting(papers), trust_env=False) as client:
            assert client.get(url).status_code == 200
        assert end(process) == ""


def test_nothing_listens_where_the_papers_cannot_be_used(papers: Papers) -> None:
    """Exit code 1 before the port is taken, and no traceback."""
    done = run(["serve", "--store", "memory://", "--port", "0", "--ssl.use_ssl=true", "--ssl.ssl_certfile=no.pem"])
    assert (done.returncode, done.stdout) == (1, "") and "Traceback" not in done.stderr
    assert done.stderr.startswith("Error: The file of ssl.ssl_certfile, ")
