"""What a daemon shows in TLS."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from securecc.audit.settings import AuditSettings
from securecc.channel import tls
from securecc.daemon.settings import DaemonSettings, Pair
from securecc.model.errors import ChannelError, ConfigError
from securecc.server.connections.certificate import certificate
from tests.site_certificate import certificate as made

HOST = "farm.example.com"


@pytest.fixture
def settings(tmp_path: Path) -> DaemonSettings:
    audit = AuditSettings(tmp_path / "audit")
    return DaemonSettings(tmp_path / "keytab", tmp_path / "policy", audit, tmp_path / "state", tmp_path / "scratch")


@pytest.fixture
def of_the_site(settings: DaemonSettings, tmp_path: Path) -> DaemonSettings:
    paths = made(tmp_path, [x509.DNSName(HOST)])
    (tmp_path / "key.pem").chmod(0o600)
    return replace(settings, tls=Pair(*(tmp_path / path for path in paths)))


def shake_hands(context: Any, ca: Any) -> None:
    server = tls.TlsPipe(context, server=True)
    client = tls.TlsPipe(tls.client_context(str(ca) if ca else None), server=False, host=HOST)
    while not (client.secured and server.secured):
        server.feed(client.take_outgoing())
        client.feed(server.take_outgoing())


def test_one_of_its_own_making_satisfies_who_asks_for_none(settings: Any, of_the_site: Any) -> None:
    shown = certificate(settings)
    shake_hands(shown.value, None)
    with pytest.raises(ChannelError, match="does not verify this server"):
        shake_hands(shown.value, of_the_site.tls.certificate)


def test_the_sites_own_and_its_renewal(of_the_site: Any, tmp_path: Path) -> None:
    shown = certificate(of_the_site)
    shake_hands(shown.value, of_the_site.tls.certificate)
    before = tmp_path / "before.pem"
    before.write_bytes(of_the_site.tls.certificate.read_bytes())
    made(tmp_path, [x509.DNSName(HOST)])
    shown.refresh()
    shake_hands(shown.value, of_the_site.tls.certificate)
    with pytest.raises(ChannelError):
        shake_hands(shown.value, before)


@pytest.mark.parametrize(("name", "mode"), [("key.pem", 0o604), ("key.pem", 0o620), ("cert.pem", 0o646)])
def test_files_that_others_could_have_read_or_written_are_not_taken(
    of_the_site: Any, tmp_path: Path, name: Any, mode: Any
) -> None:
    (tmp_path / name).chmod(mode)
    with pytest.raises(ConfigError, match=name):
        certificate(of_the_site)
