"""Strangers at the door of a server at work: too many, too slow, too often. Whoever was let in before gets in."""

from __future__ import annotations

import itertools
import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from securecc.wire.proxy_protocol import SIGNATURE
from tests.farm.farmside import POLICY, Farm, until
from tests.waiting import CEILING_S

PLACES, OF_ONE, EARLY = 30, 5, 20
LIMITS = (
    f"{{preauth_deadline: DEADLINE, connections_unauthenticated: {PLACES}, connections_per_source: {OF_ONE},"
    f" early_drop_from: {EARLY}, early_drop_percent: 50}}"
)
PATIENT, HASTY = LIMITS.replace("DEADLINE", "10min"), LIMITS.replace("DEADLINE", "5s")
PROXY = "127.0.0.77"
"""In its name strangers come from anywhere: this machine's own addresses get no penalties."""


@pytest.fixture(scope="module")
def farm(farm: Farm) -> Farm:
    """With a narrow door. alice has been let in, and the server started anew since."""
    farm.server.stop()
    allowed = "network: {allow: [127.0.0.0/8,"
    ours = f"network: {{proxies: [{PROXY}], allow: [198.51.100.0/24, 127.0.0.0/8,"
    text = POLICY.read_text()
    assert allowed in text
    (farm.server.folder / "policy.yaml").write_text(text.replace(allowed, ours))
    farm.server.configure(limits=PATIENT)
    farm.server.start()
    assert farm.run("securecctl", "doctor", cwd=farm.folder).returncode == 0
    farm.end_agents()
    farm.server.restart()
    return farm


@pytest.fixture(scope="module")
def on_record(farm: Farm) -> Iterator[set[str]]:
    """Reasons for which strangers were turned away. All are on record, at the latest when the daemon ends."""
    wanted: set[str] = set()
    yield wanted
    farm.server.stop()
    assert wanted <= {reason for record in farm.audit(kind="strangers") for reason in record["counts"]}


@contextmanager
def strangers(farm: Farm, addresses: Iterator[str] | list[str]) -> Iterator[list[socket.socket]]:
    """Connections that say nothing."""
    with ExitStack() as held:
        yield [
            held.enter_context(socket.create_connection(("127.0.0.1", farm.server.port), source_address=(address, 0)))
            for address in addresses
        ]


@pytest.fixture
def hasty(farm: Farm) -> Iterator[Farm]:
    """It waits five seconds for strangers, for the time of one test."""
    for limits in (HASTY, PATIENT):
        farm.server.stop()
        farm.server.configure(limits=limits)
        farm.server.start()
        if limits is HASTY:
            yield farm


def cut(connections: list[socket.socket]) -> set[socket.socket]:
    """Those that the server has ended."""
    gone: set[socket.socket] = set()
    while ready := select.select([one for one in connections if one not in gone], [], [], 0)[0]:
        for one in ready:
            assert told(one) == b"", "nothing is told to a stranger"
            gone.add(one)
    return gone


def cut_at_last(connections: list[socket.socket], count: int) -> set[socket.socket]:
    """Those that the server has ended, when it has ended so many."""
    gone: set[socket.socket] = set()

    def enough() -> bool:
        gone.update(cut([one for one in connections if one not in gone]))
        return len(gone) >= count

    until(enough, what=f"the end of {count}")
    return gone


def told(connection: socket.socket) -> bytes:
    try:
        return connection.recv(4096)
    except ConnectionResetError:
        return b""


def sockets(farm: Farm) -> int:
    """How many the front holds open."""
    return farm.server.descriptors["front: socket"]


def hears_alice(farm: Farm) -> bool:
    """Whether her address is answered, which was let in before; all who were accepted before her are judged by then."""
    with socket.create_connection(("127.0.0.1", farm.server.port), CEILING_S) as one:
        one.sendall(client_hello())
        return told(one) != b""


def test_one_address_gets_its_places_and_no_more(farm: Farm, on_record: set[str]) -> None:
    with strangers(farm, ["127.0.0.5"] * (OF_ONE + 4)) as many:
        assert len(cut_at_last(many, 4)) == 4
    on_record.add("cap-source")


def test_silence_and_slowness_end_at_the_deadline_whatever_is_sent(hasty: Farm, on_record: set[str]) -> None:
    """It is absolute: a byte now and then gains nothing."""
    with strangers(hasty, ["127.0.0.6", "127.0.0.7"]) as (silent, slow):
        hello = b"\x16\x03\x01\x02\x00" + bytes(512)
        for byte in hello:
            if select.select([slow], [], [], 0.2)[0]:
                break
            slow.sendall(bytes((byte,)))
        else:
            raise AssertionError("all of it was taken")
        cut_at_last([silent, slow], 2)
    on_record.add("deadline")


def test_all_places_taken_by_strangers_keep_out_strangers_alone(
    farm: Farm, tmp_path: Path, on_record: set[str]
) -> None:
    """alice was let in before the server was started anew, and the list has lived on."""
    source = tmp_path / "a.c"
    source.write_text("int a;\n")
    held: set[socket.socket] = set()
    addresses = (f"127.0.{number}.8" for number in itertools.count(1))
    before = sockets(farm)
    with ExitStack() as stack:

        def full() -> bool:
            held.difference_update(cut(list(held)))
            if sockets(farm) - before != len(held):
                return False  # some wait to be accepted, or have just been closed
            assert hears_alice(farm)
            held.difference_update(cut(list(held)))
            if len(held) == PLACES:
                return True
            held.update(stack.enter_context(strangers(farm, list(itertools.islice(addresses, PLACES)))))
            return False  # the fuller it is, the more are dropped

        until(full, what="strangers at all places")
        (late,) = stack.enter_context(strangers(farm, ["127.0.0.8"]))
        cut_at_last([late], 1)
        farm.end_agents()  # for a new connection
        done = farm.compile(source, SECURECC_FALLBACK="0")
        assert (done.returncode, done.stderr) == (0, "")
        assert not cut(list(held)), "all places were still taken"
    on_record.add("early")


def through_the_proxy(farm: Farm, source: str) -> socket.socket:
    """A connection in the name of `source`, by the PROXY protocol."""
    made = socket.create_connection(("127.0.0.1", farm.server.port), CEILING_S, source_address=(PROXY, 0))
    ends = socket.inet_aton(source) + socket.inet_aton("127.0.0.1") + bytes((1, 0, 2, 0))
    made.sendall(SIGNATURE + bytes((0x21, 0x11)) + len(ends).to_bytes(2, "big") + ends)
    return made


def answered(farm: Farm, source: str, said: bytes) -> bool:
    with through_the_proxy(farm, source) as one:
        one.sendall(said)
        return told(one) != b""


def client_hello() -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    out = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out).do_handshake()
    return out.read()


def test_who_errs_again_and_again_has_to_stay_away(farm: Farm, on_record: set[str]) -> None:
    """Each time costs five seconds; from fifteen on nobody listens. Others are heard meanwhile."""
    hello, wrong = client_hello(), b"GET / HTTP/1.1\r\n\r\n"
    for _ in range(2):
        assert not answered(farm, "198.51.100.7", wrong)
    assert answered(farm, "198.51.100.7", hello)

    def nobody_listens() -> bool:
        """Errs once more, which counts for more than the time that it takes."""
        return not answered(farm, "198.51.100.7", wrong) and not answered(farm, "198.51.100.7", hello)

    until(nobody_listens, what="the penalty")
    assert answered(farm, "198.51.100.8", hello)
    on_record.add("penalty")


def test_nobody_but_the_proxy_comes_in_another_s_name(farm: Farm, on_record: set[str]) -> None:
    """The header is bytes like any others: no TLS."""
    with strangers(farm, ["127.0.0.9"]) as (one,):
        one.sendall(SIGNATURE + bytes((0x21, 0x11, 0, 12)) + bytes(12))
        until(lambda: select.select([one], [], [], 0.1)[0], what="the end")
    on_record.add("tls")
