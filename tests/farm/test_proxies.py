"""A farm behind HAProxy, which says for whom it connects, or does not."""

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from securecc.wire.proxy_protocol import SIGNATURE
from tests.farm.farmside import Farm, sources, until
from tests.waiting import CEILING_S

HAPROXY = "/usr/sbin/haproxy"
PROXY = "127.0.0.9"
"""From where HAProxy connects, so that the daemon can tell it from everybody else here."""

POLICY = f"""\
version: 1
network: {{allow: [127.0.0.0/8], proxies: [{PROXY}]}}
rules:
  - {{name: near, who: [alice@EXAMPLE.COM], from: [127.0.0.0/8]}}
  - {{name: anywhere, who: [bob@EXAMPLE.COM]}}
tests:
  - {{principal: alice@EXAMPLE.COM, from: 127.0.0.1, expect: near}}
  - {{principal: alice@EXAMPLE.COM, from: {PROXY}, expect: denied}}
"""
CONFIG = """\
global
  log stderr format raw local0
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen farm
  bind 127.0.0.1:{port}
  server one 127.0.0.1:{server} source {proxy} {options}
"""


@pytest.fixture(scope="module", autouse=True)
def policy(farm: Farm) -> None:
    farm.server.put_policy(POLICY)


@contextlib.contextmanager
def haproxy(farm: Farm, folder: Path, options: str) -> Iterator[int]:
    """HAProxy before the farm's server; its port."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    config = folder / "haproxy.cfg"
    config.write_text(CONFIG.format(port=port, server=farm.server.port, proxy=PROXY, options=options))
    process = subprocess.Popen(
        [HAPROXY, "-db", "-f", str(config)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        until(lambda: _answers(port), what="HAProxy")
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=CEILING_S)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def behind(farm: Farm, folder: Path, port: int, person: str) -> Farm:
    """The farm as somebody sees it who knows only the proxy."""
    other = farm.as_principal(person, own_agent=True)
    return other.with_env(SECURECC_HOSTS=f"localhost:{port}/2")


def compiled(farm: Farm, person: Farm, folder: Path) -> list[dict[str, Any]]:
    """The records of what one compile led to; the compile itself succeeds in any case, here or there."""
    before = len(farm.audit())
    (source,) = sources(folder, 1)
    done = person.compile(source, SECURECC_VERBOSE="0")
    assert done.returncode == 0, done.stderr
    return farm.audit()[before:]


def judged(records: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [
        (record["decision"], record["peer"].partition(":")[0], record["rule"])
        for record in records
        if record["kind"] == "connection"
    ]


@pytest.mark.parametrize("options", ["send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"])
def test_whom_the_proxy_names_is_judged_and_on_record(farm: Farm, tmp_path: Path, options: str) -> None:
    with haproxy(farm, tmp_path, options) as port:
        alice = behind(farm, tmp_path, port, "alice")
        records = compiled(farm, alice, tmp_path)
        alice.end_agents()
    assert judged(records) == [("allowed", "127.0.0.1", "near")]
    (ended,) = (record for record in records if record["kind"] == "job-end")
    assert ended["outcome"] == "done"
    assert ended["peer"].startswith("127.0.0.1:")
    (connection,) = (record for record in records if record["kind"] == "connection")
    assert connection["reason"] == f"by proxy {PROXY}"


def test_without_its_word_rules_with_from_do_not_match(farm: Farm, tmp_path: Path) -> None:
    with haproxy(farm, tmp_path, "") as port:
        alice, bob = (behind(farm, tmp_path, port, person) for person in ("alice", "bob"))
        assert judged(compiled(farm, alice, tmp_path)) == [("denied", PROXY, "nothing-matched")]
        records = compiled(farm, bob, tmp_path)
        alice.end_agents()
        bob.end_agents()
    assert judged(records) == [("allowed", PROXY, "anywhere")]
    assert records[0]["reason"] == f"by proxy {PROXY}, which named no client"


def test_version_1_is_refused_and_said(farm: Farm, tmp_path: Path) -> None:
    with haproxy(farm, tmp_path, "send-proxy") as port:
        alice = behind(farm, tmp_path, port, "alice")
        assert judged(compiled(farm, alice, tmp_path)) == []
        alice.end_agents()


def test_who_is_no_proxy_is_not_believed(farm: Farm, tmp_path: Path) -> None:
    """The same header from an address that the policy does not list."""
    farm.server.put_policy(
        POLICY.replace(f"proxies: [{PROXY}]", "proxies: [127.0.0.10]").replace(f"from: {PROXY}", "from: 127.0.0.10")
    )
    try:
        with haproxy(farm, tmp_path, "send-proxy-v2") as port:
            alice = behind(farm, tmp_path, port, "alice")
            assert judged(compiled(farm, alice, tmp_path)) == []
            alice.end_agents()
    finally:
        farm.server.put_policy(POLICY)


def test_health_checks_shut_nobody_out(farm: Farm, tmp_path: Path) -> None:
    """They say LOCAL and go, hundreds of them: it costs the proxy no place, and nobody behind it a penalty."""
    with haproxy(farm, tmp_path, "send-proxy-v2 check check-send-proxy inter 50ms") as port:
        for _ in range(300):
            with socket.create_connection(("127.0.0.1", farm.server.port), source_address=(PROXY, 0)) as check:
                check.sendall(SIGNATURE + bytes((0x20, 0, 0, 0)))
        alice = behind(farm, tmp_path, port, "alice")
        assert judged(compiled(farm, alice, tmp_path)) == [("allowed", "127.0.0.1", "near")]
        alice.end_agents()
