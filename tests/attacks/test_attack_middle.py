"""A relay with its own certificate, and a false server without a key, between the wrapper and the farm: no byte of the
source reaches either; the compile is done at home, and its user hears why.
"""

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Self, TypeVar, cast

import pytest

from securecc.channel import tls
from securecc.channel.channel import Channel
from securecc.channel.connection_gate import ConnectionGate
from securecc.channel.server import Server, serve
from securecc.wire.framing import Kind
from tests.attacks.health import Health
from tests.farm.farmside import Farm
from tests.middle_stub import Liar, Relay, frames_of
from tests.waiting import CEILING_S

T = TypeVar("T")
MARK = "never_seen_by_anybody_else"


class Aside:
    """An event loop in a thread: the middle, while the test waits for the wrapper."""

    def __enter__(self) -> Self:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        return self

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(CEILING_S)

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


def compiled_at_home(farm: Farm, tmp_path: Path, port: int) -> str:
    """What the user reads of a compile by way of this port."""
    source = tmp_path / "secret.c"
    source.write_text(f"int {MARK};\n")
    other = farm.apart(f"middle{port}", SECURECC_HOSTS=f"localhost:{port}/2")
    done = other.compile(source)
    other.end_agents()
    assert done.returncode == 0
    assert source.with_suffix(".o").exists()
    return done.stderr


def test_a_relay_sees_handshakes_and_nothing_else(farm: Farm, health: Health, tmp_path: Path) -> None:
    with Aside() as aside:
        relay = Relay(farm.server.port)
        port = aside.run(relay.start())
        said = compiled_at_home(farm, tmp_path, port)
        relay.server.close()
        aside.run(relay.server.wait_closed())
    assert "authentication failed" in said
    assert relay.seen
    assert MARK.encode() not in relay.seen
    assert {frame.kind for frame in frames_of(relay.seen)} == {Kind.HANDSHAKE}
    assert health.records(kind="connection") == health.records(kind="job-start") == []


@pytest.mark.usefixtures("health")
def test_a_false_server_hears_nothing(farm: Farm, tmp_path: Path) -> None:
    heard: list[Channel] = []
    noticed: list[str] = []

    async def begin() -> Server:
        return await serve(
            [("127.0.0.1", 0)],
            gate=ConnectionGate(),
            authenticator=Liar,
            context=tls.server_context(),
            authorise=cast("Any", None),
            on_channel=cast("Any", heard.append),
            on_event=lambda event, *_: noticed.append(event),
        )

    with Aside() as aside:
        house = aside.run(begin())
        said = compiled_at_home(farm, tmp_path, house.addresses[0][1])
        aside.run(house.close())
    assert "did not prove to be securecc/localhost" in said
    assert heard == []
    assert noticed
