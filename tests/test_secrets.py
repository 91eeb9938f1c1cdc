"""Secrets: where they may stand, what is said when they may not be used, and that they show themselves nowhere."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from k4 import secrets
from k4.errors import K4Error

VALUE = "Zx81-not-to-be-seen"


def file_with(folder: Path, text: str, mode: int = 0o600) -> str:
    path = folder / "key"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_a_file_or_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", f" {VALUE}\n")
    assert secrets.read("api_key", env="A_KEY", file=None).reveal() == VALUE
    for mode in (0o600, 0o400):
        assert secrets.read("api_key", env=None, file=file_with(tmp_path, VALUE + "\n", mode)).reveal() == VALUE
        (tmp_path / "key").unlink()


def test_it_shows_itself_nowhere() -> None:
    secret = secrets.Secret(VALUE)
    for text in (repr(secret), str(secret), f"{secret}", f"{[secret]}", f"{ {'a': secret} }"):
        assert VALUE not in text
    with pytest.raises(TypeError, match="not written"):
        pickle.dumps(secret)


@pytest.mark.parametrize(
    ("mode", "text", "says"),
    [
        (0o640, VALUE, "has mode 0640: others may use it"),
        (0o604, VALUE, "has mode 0604"),
        (0o600, "", "is empty"),
        (0o600, f"{VALUE} {VALUE}", "holds more than one word"),
        (0o600, f"{VALUE}é", "holds more than one word of printable ASCII"),
        (0o600, f"{VALUE}\r\nX-Evil: 1", "holds more than one word"),
        (0o600, "k" * 5000, "is longer than 4096 bytes"),
    ],
)
def test_files_that_will_not_do(tmp_path: Path, mode: int, text: str, says: str) -> None:
    path = file_with(tmp_path, text, mode)
    with pytest.raises(K4Error, match=says) as caught:
        secrets.read("api_key", env=None, file=path)
    told = f"{caught.value} {caught.value.hint}"
    assert told.startswith("secrets.api_key: ")
    assert VALUE not in told


def test_what_is_no_file_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(file_with(tmp_path, VALUE))
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name, says in (("link", "cannot be opened"), ("none", "No such file"), (".", "is no regular file"), ("pipe", "is no regular file")):
        with pytest.raises(K4Error, match=says):
            secrets.read("api_key", env=None, file=str(tmp_path / name))


def test_a_file_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file_with(tmp_path, VALUE)
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    with pytest.raises(K4Error, match="belongs to another user"):
        secrets.read("api_key", env=None, file=path)


def test_a_variable_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("A_KEY", raising=False)
    with pytest.raises(K4Error, match=r"secrets\.api_key: environment variable A_KEY is not set"):
        secrets.read("api_key", env="A_KEY", file=None)
