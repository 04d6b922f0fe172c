"""The keys of a daemon change while it runs."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from securecc.audit.settings import AuditSettings
from securecc.channel import kerberos as kerberos_module
from securecc.daemon.settings import DaemonSettings
from securecc.model.errors import ConfigError, CredentialError
from securecc.server.connections.keytab import keytab


class Acceptor:
    """Remembers what it was made of."""

    def __init__(self, path: bytes, service: Any, cache: Any) -> None:
        with open(path, "rb") as file:
            self.keys = file.read()
        self.service = service
        self.cache = cache


class Kerberos:
    trouble: CredentialError | None = None

    def check_keytab(self, path: bytes, service: Any) -> None:
        if self.trouble is not None:
            raise self.trouble


@pytest.fixture
def kerberos(monkeypatch: pytest.MonkeyPatch) -> Any:
    some = Kerberos()
    monkeypatch.setattr(kerberos_module, "check_keytab", some.check_keytab)
    monkeypatch.setattr(kerberos_module, "Acceptor", Acceptor)
    return some


@pytest.fixture
def settings(tmp_path: Path) -> DaemonSettings:
    path = tmp_path / "keytab"
    path.write_bytes(b"first")
    path.chmod(0o600)
    audit = AuditSettings(tmp_path / "audit")
    return DaemonSettings(path, tmp_path / "policy", audit, tmp_path / "state", tmp_path / "scratch")


def test_a_host_that_is_named_is_the_only_one(kerberos: Any, settings: Any) -> None:
    assert keytab(replace(settings, hostname="farm1.example.com")).value.service == "securecc/farm1.example.com"


def test_a_new_keytab_takes_over_and_a_bad_one_does_not(
    kerberos: Any, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="securecc")
    some = keytab(settings)
    first: Any = some.value
    assert (first.keys, first.service) == (b"first", "securecc")
    some.refresh()
    assert some.value is first
    settings.keytab.write_bytes(b"another key")
    some.refresh()
    second: Any = some.value
    assert second.keys == b"another key"
    kerberos.trouble = CredentialError("no key for this service")
    settings.keytab.unlink()
    some.refresh()
    some.refresh()
    assert some.value is second
    assert "reloaded" in caplog.text
    assert caplog.text.count("no key for this service") == 1


def test_a_keytab_that_others_can_read_or_write_is_not_taken(
    kerberos: Any, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    some = keytab(settings)
    first: Any = some.value
    settings.keytab.write_bytes(b"somebody's key")
    settings.keytab.chmod(0o660)
    some.refresh()
    assert some.value is first
    assert "can impersonate any principal: chmod go-w" in caplog.text
    settings.keytab.chmod(0o644)
    with pytest.raises(ConfigError, match="others than the daemon may read it"):
        keytab(settings)


def test_a_keytab_that_vanishes_while_it_is_read_is_refused(kerberos: Any, settings: Any) -> None:
    settings.keytab.unlink()
    with pytest.raises(CredentialError, match="cannot read keytab"):
        keytab(settings)
