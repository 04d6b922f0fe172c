"""The service manager's side of a daemon, with a stand-in for the manager."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from securecc.daemon.service_manager import ServiceManager, service_manager
from securecc.model.errors import ConfigError
from tests.waiting import CEILING_S

OURS = str(os.getpid())


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Any]:
    """Where a service manager listens for word of us."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.settimeout(CEILING_S)
        yield end


def test_nobody_started_us() -> None:
    environment = {"PATH": "/usr/bin"}
    nobody = service_manager(environment)
    assert nobody == ServiceManager()
    assert nobody.notify_every_s == 0.0
    nobody.ready("nobody hears this")
    assert environment == {"PATH": "/usr/bin"}


def test_what_it_hears(manager: Any) -> None:
    environment = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": OURS}
    started_by = service_manager(environment)
    assert environment == {}, "our children are our own business"
    assert (started_by.watchdog_s, started_by.notify_every_s) == (30.0, 15.0)
    started_by.ready("serves\nREADY=0")
    assert manager.recv(4096) == b"READY=1\nSTATUS=serves\\x0aREADY=0"
    before = time.monotonic_ns() // 1000
    started_by.reloading()
    said = dict(line.split("=") for line in manager.recv(4096).decode().splitlines())
    assert before <= int(said.pop("MONOTONIC_USEC")) <= time.monotonic_ns() // 1000
    assert said == {"RELOADING": "1"}
    started_by.alive()
    assert manager.recv(4096) == b"WATCHDOG=1"
    started_by.stopping("told to stop")
    assert manager.recv(4096) == b"STOPPING=1\nSTATUS=told to stop"


def test_a_manager_at_an_abstract_address() -> None:
    name = f"securecc-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind("\0" + name)
        service_manager({"NOTIFY_SOCKET": "@" + name}).alive()
        assert end.recv(4096) == b"WATCHDOG=1"


@pytest.mark.parametrize("address", ["/nonexistent/notify", "relative", "vsock:2:9999", "", "/" + "x" * 200])
def test_a_manager_that_cannot_be_reached_is_no_reason_to_end(address: str) -> None:
    service_manager({"NOTIFY_SOCKET": address}).ready()


def test_a_manager_that_does_not_read_is_not_waited_for(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(tmp_path / "notify"))
        started_by = service_manager({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        deaf.settimeout(0)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    filler.sendto(b"x", str(tmp_path / "notify"))
        started_by.alive()  # comes back, that is


@pytest.mark.parametrize(
    "environment",
    [{"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "-1"}],
)
def test_a_watchdog_that_is_not_ours(environment: dict[str, str]) -> None:
    assert service_manager(environment).watchdog_s == 0.0


def test_sockets_that_it_has_opened() -> None:
    """In a process of its own: they are descriptors 3 and on."""
    script = (
        "import os\n"
        "os.environ['LISTEN_PID'] = str(os.getpid())\n"
        "from securecc.daemon.service_manager import service_manager\n"
        "given = service_manager().sockets\n"
        "print(len(given), given[0].getsockname()[1], given[0].get_inheritable(), 'LISTEN_FDS' in os.environ)"
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        before = os.dup(3) if os.path.exists("/proc/self/fd/3") else -1
        try:
            os.dup2(listening.fileno(), 3)
            done = subprocess.run(
                [sys.executable, "-c", script],
                pass_fds=[3],
                env={**os.environ, "LISTEN_FDS": "1"},
                capture_output=True,
                text=True,
                check=True,
            )
        finally:
            if before >= 0:
                os.dup2(before, 3)
                os.close(before)
            else:
                os.close(3)
        assert done.stdout.split() == ["1", str(listening.getsockname()[1]), "False", "False"]


@pytest.mark.parametrize(
    "said", [{"LISTEN_PID": "1", "LISTEN_FDS": "1"}, {"LISTEN_FDS": "1"}, {"LISTEN_PID": OURS, "LISTEN_FDS": "x"}]
)
def test_sockets_that_are_not_for_us(said: dict[str, str]) -> None:
    assert service_manager(said).sockets == ()


def test_descriptors_that_are_no_sockets() -> None:
    script = (
        "import os\n"
        "null = os.open('/dev/null', os.O_RDONLY)\n"
        "os.dup2(null, 3)\n"
        "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')\n"
        "from securecc.daemon.service_manager import service_manager\n"
        "service_manager()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "ConfigError: a descriptor from the service manager is not a socket" in done.stderr
    with pytest.raises(ConfigError, match="the limit is"):
        service_manager({"LISTEN_PID": OURS, "LISTEN_FDS": "1000"})
