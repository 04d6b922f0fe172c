import base64
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.audit.signing import load_or_make, parse_public, proves
from securecc.model.errors import AuditError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.key"


def test_a_key_is_made_once_for_its_owner_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        first = load_or_make(path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_make(path).public == first.public
    assert path.with_name("audit.key.pub").read_text() == first.public + "\n"
    assert sorted(item.name for item in path.parent.iterdir()) == ["audit.key", "audit.key.pub"]


def test_what_it_signs_is_proven_by_its_public_key(path: Path) -> None:
    signer = load_or_make(path)
    signature = signer.sign(b"said")
    assert proves(signer.public, b"said", signature)
    assert not proves(signer.public, b"not said", signature)
    assert not proves(signer.public, b"said", signature[:-4] + "AAA=")


def test_openssl_reads_the_key_and_agrees(path: Path, tmp_path: Path) -> None:
    signer = load_or_make(path)
    (tmp_path / "data").write_bytes(b"said")
    subprocess.run(
        ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", path, "-in", tmp_path / "data", "-out", tmp_path / "sig"],
        check=True,
    )
    assert base64.b64encode((tmp_path / "sig").read_bytes()).decode() == signer.sign(b"said")


def test_a_public_key_that_was_lost_is_shown_again(path: Path) -> None:
    public = load_or_make(path).public
    path.with_name("audit.key.pub").write_text("ed25519:other\n")
    load_or_make(path)
    assert path.with_name("audit.key.pub").read_text() == public + "\n"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_key_that_others_may_read_is_refused(path: Path, mode: int) -> None:
    load_or_make(path)
    path.chmod(mode)
    with pytest.raises(AuditError, match=r"accessible to others.*0600"):
        load_or_make(path)


def test_a_key_of_somebody_else_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_or_make(path)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(AuditError, match="accessible to others"):
        load_or_make(path)


@pytest.mark.parametrize("content", [b"", b"x", b"-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_refused_and_left(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(AuditError, match="cannot be read"):
        load_or_make(path)
    assert path.read_bytes() == content


def test_another_kind_of_key_is_refused(path: Path) -> None:
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path],
        check=True, capture_output=True,
    )  # fmt: skip
    path.chmod(0o600)
    with pytest.raises(AuditError, match="not an Ed25519 key"):
        load_or_make(path)


def test_a_link_or_a_fifo_is_no_key(path: Path, tmp_path: Path) -> None:
    load_or_make(tmp_path / "real")
    path.symlink_to(tmp_path / "real")
    with pytest.raises(AuditError, match="symbolic links"):
        load_or_make(path)
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(AuditError, match="accessible to others"):
        load_or_make(path)


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="No such file"):
        load_or_make(tmp_path / "none" / "audit.key")


@given(st.text(max_size=80), st.binary(max_size=20), st.text(max_size=100))
def test_what_is_no_key_or_signature_proves_nothing(key: str, data: bytes, signature: str) -> None:
    assert not proves(key, data, signature)
    assert not proves("ed25519:" + key, data, signature)


def test_a_public_key_as_it_is_typed(path: Path) -> None:
    public = load_or_make(path).public
    assert parse_public(f" {public}\n") == public
    for text in ("", "ed25519:", "ed25519:AAAA", public[:-1], "rsa:" + public[8:], "\x1b[2J"):
        with pytest.raises(AuditError, match="not a public key") as caught:
            parse_public(text)
        assert str(caught.value).isprintable()


def test_what_is_signed_is_written_in_one_way_only(path: Path) -> None:
    """The last character of base64 has bits that mean nothing."""
    signer = load_or_make(path)
    signature = signer.sign(b"said")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    forms = [f"{signature[:-3]}{char}==" for char in last]
    assert [form for form in forms if proves(signer.public, b"said", form)] == [signature]
