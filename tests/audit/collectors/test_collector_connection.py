import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from securecc.audit.collectors.collector_connection import CollectorConnection
from securecc.audit.collectors.destination import Destination
from tests.waiting import CEILING_S


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Any]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.settimeout(CEILING_S)
        server.bind(str(tmp_path / "log"))
        yield server, Destination("local", str(tmp_path / "log"))


@pytest.fixture
def udp() -> Iterator[Any]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.settimeout(CEILING_S)
        server.bind(("127.0.0.1", 0))
        yield server, Destination("udp", "127.0.0.1", server.getsockname()[1])


@pytest.fixture
def tcp() -> Iterator[Any]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(CEILING_S)
        yield server, Destination("tcp", "127.0.0.1", server.getsockname()[1])


@pytest.mark.parametrize("kind", ["local", "udp"])
def test_a_datagram_a_message(kind: str, request: pytest.FixtureRequest) -> None:
    server, destination = request.getfixturevalue(kind)
    with contextlib.closing(CollectorConnection(destination)) as connection:
        for message in (b"one", b"two"):
            connection.send(message)
            assert server.recv(100) == message


def test_a_local_collector_that_was_restarted(tmp_path: Path) -> None:
    destination = Destination("local", str(tmp_path / "log"))
    with contextlib.closing(CollectorConnection(destination)) as connection:
        with pytest.raises(OSError, match="No such file"):
            connection.send(b"nobody there")
        for message in (b"one", b"two"):
            (tmp_path / "log").unlink(missing_ok=True)
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
                server.bind(str(tmp_path / "log"))
                connection.send(message)
                assert server.recv(100) == message
            with pytest.raises(ConnectionRefusedError):
                connection.send(b"lost")


def test_a_stream(tcp: tuple[Any, ...]) -> None:
    server, destination = tcp
    with contextlib.closing(CollectorConnection(destination)) as connection:
        connection.send(b"3 one")
        taken, _ = server.accept()
        with taken:
            connection.send(b"3 two")
            with taken.makefile("rb") as file:
                assert file.read(10) == b"3 one3 two"


def test_after_a_break_the_last_message_goes_again(tcp: tuple[Any, ...]) -> None:
    """What the broken stream took may never have arrived."""
    server, destination = tcp
    with contextlib.closing(CollectorConnection(destination)) as connection:
        connection.send(b"3 one")
        server.accept()[0].close()
        with pytest.raises(OSError, match=r"closed by the collector|reset"):
            connection.send(b"3 two")
        connection.send(b"3 two")
        taken, _ = server.accept()
        with taken:
            connection.close()
            assert taken.recv(100) == b"3 one3 two"


def test_nobody_listens(tcp: tuple[Any, ...]) -> None:
    server, destination = tcp
    server.close()
    with pytest.raises(ConnectionRefusedError):
        CollectorConnection(destination).send(b"x")


def test_nothing_stays_open_where_nothing_could_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    real = socket.socket

    def remembered(*arguments: Any) -> Any:
        made.append(real(*arguments))
        return made[-1]

    monkeypatch.setattr(socket, "socket", remembered)
    with pytest.raises(OSError, match="No such file"):
        CollectorConnection(Destination("local", str(tmp_path / "none"))).send(b"x")
    assert [item.fileno() for item in made] == [-1]
