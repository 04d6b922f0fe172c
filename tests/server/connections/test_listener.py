"""The listener: its memory of known sources lives in the state directory."""

import asyncio
import logging
import os
import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from securecc.audit.settings import AuditSettings
from securecc.channel import dialer, tls
from securecc.daemon.settings import DaemonSettings
from securecc.model import limits
from securecc.model.errors import ChannelError
from securecc.policy.policy_in_force import PolicyInForce
from securecc.server.connections import known_sources_file, listener
from securecc.server.connections.listener import KNOWN_NAME, NetworkListener
from tests import gss_stub

POLICY = 'version: 1\nnetwork: {proxies: [192.0.2.2]}\nrules: [{name: all, who: ["*@EXAMPLE.COM"]}]\n'


class Listener:
    def __init__(self, channel: Any) -> None:
        self.channel = channel

    def on_lost(self, error: Exception) -> None:
        self.error = error


class Site:
    def __init__(self, folder: Path) -> None:
        policy = folder / "policy.yaml"
        policy.write_text(POLICY)
        policy.chmod(0o600)
        self.state = folder
        audit = AuditSettings(policy)
        self.settings = DaemonSettings(policy, policy, audit, folder, folder, listen=("127.0.0.1",), port=0)
        self.policy = PolicyInForce(policy)
        self.channels: list[Any] = []

    def listener(self, sockets: Sequence[socket.socket] = ()) -> NetworkListener:
        return NetworkListener(self.settings, self.policy, sockets)

    def on_channel(self, channel: Any) -> Any:
        self.channels.append(channel)
        return Listener(channel)

    async def judge(self, principal: str, peer: Any, indicators: Any) -> Any:
        return principal

    async def listen(self, opened: Any) -> Any:
        return await opened.listen(
            gss_stub.StubAcceptor, tls.server_context, self.judge, self.on_channel, lambda *_: None
        )

    def on_disk(self) -> Any:
        return known_sources_file.read(self.state / KNOWN_NAME)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    return Site(tmp_path)


def test_who_was_let_in_is_known_after_a_restart(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "KNOWN_WRITE_S", 0.0)

    async def body() -> None:
        opened = site.listener()
        server = await site.listen(opened)
        await opened.keep()
        assert site.on_disk() == {}
        channel = await dialer.dial("127.0.0.1", server.addresses[0][1], initiate=gss_stub.StubInitiator)
        await opened.keep()
        assert list(site.on_disk()) == ["127.0.0.1"]
        channel.close()
        await channel.wait_closed()
        site.channels[0].close()
        await server.close()
        assert site.listener().gate.enter("127.0.0.1").known
        assert not site.listener().gate.enter("192.0.2.1").known

    asyncio.run(body())


def test_a_service_managers_sockets_are_the_only_ones(site: Site) -> None:
    async def body() -> None:
        with socket.create_server(("127.0.0.1", 0)) as given:
            server = await site.listen(site.listener([given]))
            assert server.addresses == [given.getsockname()]
            await server.close()

    asyncio.run(body())


def test_it_is_written_not_too_often_and_at_the_end(site: Site) -> None:
    async def body() -> None:
        opened = site.listener()
        opened.known.learn("192.0.2.1")
        await opened.keep()
        assert site.on_disk() == {}
        opened.close()
        assert list(site.on_disk()) == ["192.0.2.1"]
        (site.state / KNOWN_NAME).unlink()
        opened.close()
        assert site.on_disk() == {}

    asyncio.run(body())


def test_a_file_that_is_none_keeps_nobody_from_serving(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    (site.state / KNOWN_NAME).mkdir()

    async def body() -> None:
        opened = site.listener()
        assert not opened.gate.enter("192.0.2.1").known
        opened.known.learn("192.0.2.1")
        opened.close()

    asyncio.run(body())
    assert "no source is known" in caplog.text
    assert "cannot write" in caplog.text


def test_proxies_are_the_policys(site: Site) -> None:
    async def body() -> None:
        gate = site.listener().gate
        assert gate.enter("192.0.2.2").proxied
        assert not gate.enter("192.0.2.1").proxied

    asyncio.run(body())


def test_a_port_that_is_taken_is_an_error(site: Site) -> None:
    async def body() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            site.settings = replace(site.settings, port=taken.getsockname()[1])
            with pytest.raises(ChannelError, match="cannot listen"):
                await site.listen(site.listener())

    asyncio.run(body())


def test_the_file_is_the_daemons_alone(site: Site) -> None:
    site.listener().known.learn("192.0.2.1")
    opened = site.listener()
    opened.known.learn("192.0.2.1")
    opened.close()
    assert os.stat(site.state / listener.KNOWN_NAME).st_mode & 0o077 == 0
