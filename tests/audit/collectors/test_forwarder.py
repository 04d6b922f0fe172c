import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from securecc.audit.collectors import forwarder
from securecc.audit.collectors.collector_connection import CollectorConnection
from securecc.audit.collectors.destination import Destination, Kind
from securecc.audit.collectors.forwarder import CheckpointForwarder
from securecc.model import limits
from tests.waiting import CEILING_S

TIME = "2026-11-05T08:09:10.123456Z"


class StubConnection(CollectorConnection):
    """A collector that cannot be reached as long as `down` is set."""

    def __init__(self, name: Kind = "tcp") -> None:
        super().__init__(Destination(name, "loghost", 601))
        self.down = False
        self.got: list[str] = []
        self.tried = threading.Event()
        self.news = threading.Event()
        self.closed = False

    def send(self, message: Any) -> None:
        self.tried.set()
        if self.down:
            raise ConnectionRefusedError(111, "Connection refused")
        self.got.append(message.split()[-1].decode())
        self.news.set()

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[Any]:
    fd = os.open(tmp_path / "log", os.O_CREAT | os.O_RDWR)
    yield lambda: os.dup(fd)
    os.close(fd)


def test_what_is_on_the_disk_goes_to_all(descriptor: Any) -> None:
    kept: list[str] = []
    connections = [StubConnection(), StubConnection("udp")]
    post = CheckpointForwarder(connections, host="farm1", keep=kept.append)
    before = len(os.listdir("/proc/self/fd"))
    for number in range(20):
        post.put(descriptor(), f"line{number}", TIME)
    post.close()
    lines = [f"line{number}" for number in range(20)]
    assert kept == lines
    assert [connection.got for connection in connections] == [lines, lines]
    assert all(connection.closed for connection in connections)
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_is_not_on_the_disk_is_not_told(
    descriptor: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Any) -> None:
        raise OSError(5, "Input/output error")

    connection = StubConnection()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        post = CheckpointForwarder([connection], host="farm1", keep=lambda _: None)
        post.put(descriptor(), "line", TIME)
        post.close()
    assert connection.got == []
    assert "not on disk: Input/output error" in caplog.text


def test_a_collector_that_is_away_gets_all_later_and_is_spoken_of_once(
    descriptor: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(forwarder, "_RETRY_S", 0.01)
    connection = StubConnection()
    connection.down = True
    post = CheckpointForwarder([connection], host="farm1", keep=lambda _: None)
    for number in range(5):
        post.put(descriptor(), f"line{number}", TIME)
    assert connection.tried.wait(CEILING_S)
    connection.down = False
    assert connection.news.wait(CEILING_S)
    post.close()
    assert connection.got == [f"line{number}" for number in range(5)]
    said = [record.message for record in caplog.records if record.name == "securecc"]
    assert said == [
        "audit checkpoints cannot be sent to tcp:loghost:601: Connection refused",
        "audit checkpoints are being sent to tcp:loghost:601 again",
    ]


def test_of_too_many_that_wait_the_newest_stay(descriptor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "AUDIT_UNSENT", 3)
    connection = StubConnection()
    connection.down = True
    put = threading.Semaphore(0)
    post = CheckpointForwarder([connection], host="farm1", keep=lambda _: put.release())
    for number in range(9):
        post.put(descriptor(), f"line{number}", TIME)
        assert put.acquire(timeout=CEILING_S)
    connection.down = False
    post.close()
    assert connection.got == ["line6", "line7", "line8"]


def test_an_end_does_not_wait_for_who_is_away(descriptor: Any) -> None:
    connection = StubConnection()
    connection.down = True
    post = CheckpointForwarder([connection], host="farm1", keep=lambda _: None)
    post.put(descriptor(), "line", TIME)
    assert connection.tried.wait(CEILING_S)
    post.close()
    assert connection.closed
