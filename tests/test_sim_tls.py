"""The simulators' authority: one, however many start at once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from k4.sim import tls

PUBLIC = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def test_two_that_start_at_once_have_one_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second comes when the first has written its key and not yet its certificate."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    write, halfway = tls._write_private, threading.Event()
    written: list[str] = []

    def slowly(path: Path, data: bytes) -> None:
        if path.name == "ca.pem" and not halfway.is_set():
            halfway.set()
            other.join(0.5)
        write(path, data)
        written.append(path.name)

    monkeypatch.setattr(tls, "_write_private", slowly)
    other = threading.Thread(target=lambda: (halfway.wait(10), tls.server_context(["venue.example"])))
    first = threading.Thread(target=tls.ca_file)
    for thread in (other, first):
        thread.start()
    for thread in (first, other):
        thread.join(20)
    folder = tmp_path / "k4" / "sim"
    certificate = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), password=None)
    assert certificate.public_key().public_bytes(*PUBLIC) == key.public_key().public_bytes(*PUBLIC)
    assert written == ["ca.key", "ca.pem", "server.pem"]
