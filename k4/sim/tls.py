"""A throw-away certificate authority in the user's cache, and server certificates signed by it.

The authority is made once per user and kept with mode 0600; readers of its certificate (`tls.ca_file`, `k4 run --sim`)
trust nothing beyond servers that this user's own simulators run. Imports cryptography, `k4.errors`, `k4.home`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import ipaddress
import os
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from k4 import home
from k4.errors import K4Error

VALID_DAYS = 365
RENEW_BEFORE_DAYS = 30


def ca_dir() -> Path:
    """The folder that holds the authority: `$XDG_CACHE_HOME/k4/sim`, by default below `~/.cache`."""
    return home.folder("sim")


def ca_file() -> Path:
    """The authority's certificate (PEM), made when it is not there yet or about to run out. Raises K4Error."""
    folder = ca_dir()
    certificate, key = folder / "ca.pem", folder / "ca.key"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(folder):
            if not (certificate.exists() and key.exists() and _still_valid(certificate)):
                _make_authority(certificate, key)
    except OSError as error:
        raise K4Error(
            f"{error.filename or folder} cannot be used: {error.strerror}", hint="the simulator keeps its authority there"
        ) from error
    return certificate


def server_context(hosts: list[str]) -> ssl.SSLContext:
    """A server-side TLS context for `hosts` (names or addresses), signed by the user's authority."""
    certificate = ca_file()
    with tempfile.TemporaryDirectory(prefix="k4-sim-") as scratch:
        chain = Path(scratch) / "server.pem"
        with _locked(certificate.parent):
            issued = _issue(certificate, certificate.with_suffix(".key"), hosts)
        _write_private(chain, issued)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(chain)
    return context


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """For one simulator at a time, so that key and certificate belong together, however many start at once."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _still_valid(certificate: Path) -> bool:
    try:
        parsed = x509.load_pem_x509_certificate(certificate.read_bytes())
    except ValueError:
        return False
    return parsed.not_valid_after_utc - _now() > dt.timedelta(days=RENEW_BEFORE_DAYS)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _write_private(path: Path, data: bytes) -> None:
    """Writes under a temporary name with mode 0600, then renames: two simulators starting at once never see half a file."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    Path(name).replace(path)


def _builder(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    return (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - dt.timedelta(hours=1))
        .not_valid_after(_now() + dt.timedelta(days=VALID_DAYS))
    )


_AUTHORITY = "K4 simulator (throw-away)"


def _make_authority(certificate: Path, key_file: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    signed = (
        _builder(_AUTHORITY, _AUTHORITY, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_private(key_file, _pem_key(key))
    _write_private(certificate, _pem(signed))


def _issue(certificate: Path, key_file: Path, hosts: list[str]) -> bytes:
    """Key and certificate of a server, as one PEM."""
    authority = x509.load_pem_x509_certificate(certificate.read_bytes())
    authority_key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
    if not isinstance(authority_key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{key_file}: not an elliptic-curve key; delete {key_file.parent} and start again")
    key = ec.generate_private_key(ec.SECP256R1())
    signed = (
        _builder("k4 sim", _AUTHORITY, key)
        .add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return _pem_key(key) + _pem(signed) + _pem(authority)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _pem_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
