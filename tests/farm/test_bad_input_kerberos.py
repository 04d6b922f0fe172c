"""Kerberos out of order: the build goes on without waiting long, and hears what to do."""

import contextlib
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.farm.farmside import Farm, sources, until

KDC_DEADLINE_S = 3.0


@contextlib.contextmanager
def silent_kdc() -> Iterator[int]:
    """A port that takes datagrams and connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(stream.getsockname())
        yield stream.getsockname()[1]


def with_kdc_at(farm: Farm, folder: Path, port: int) -> Farm:
    """The same tickets, with a krb5.conf that names another KDC. It is another world, so with an agent of its own."""
    text = Path(farm.env["KRB5_CONFIG"]).read_text()
    first = text.index("kdc = 127.0.0.1:")
    config = folder / "krb5.conf"
    config.write_text(text[:first] + f"kdc = 127.0.0.1:{port}" + text[text.index("\n", first) :])
    return farm.apart(f"kdc{port}", KRB5_CONFIG=str(config))


def test_a_silent_kdc_costs_one_deadline(farm: Farm, tmp_path: Path) -> None:
    fresh = farm.as_principal("bob")  # a ticket for tickets, none for the server yet
    first, second = sources(tmp_path, 2)
    with silent_kdc() as port:
        other = with_kdc_at(fresh, tmp_path, port)
        began = time.monotonic()
        done = other.compile(first)
        took = time.monotonic() - began
        assert (done.returncode, done.stdout) == (0, "")
        assert took > KDC_DEADLINE_S - 0.1
        assert "no KDC answered within 3 s; check the network and the realm's `kdc` in krb5.conf" in done.stderr
        assert first.with_suffix(".o").exists()
        done = other.compile(second)
        assert (done.returncode, done.stderr) == (0, "")
        assert other.counts("kdc", 2)
        other.end_agents()


def test_a_cached_ticket_goes_on_working_without_a_kdc(farm: Farm, tmp_path: Path) -> None:
    first, second = sources(tmp_path, 2)
    other = farm.as_principal("alice", own_agent=True)
    assert other.compile(first).stderr == ""
    other.end_agents()
    with silent_kdc() as port:
        without = with_kdc_at(other, tmp_path, port)
        done = without.compile(second)
        assert (done.returncode, done.stderr) == (0, "")
        until(lambda: without.journal()["remote"] == 1)
        without.end_agents()


def test_a_kdc_that_refuses(farm: Farm, tmp_path: Path) -> None:
    fresh = farm.as_principal("bob")
    (source,) = sources(tmp_path, 1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        other = with_kdc_at(fresh, tmp_path, free.getsockname()[1])
        done = other.compile(source)
        assert done.returncode == 0
        assert "Cannot contact any KDC" in done.stderr
        assert "krb5.conf" in done.stderr
        assert other.counts("kdc")
        other.end_agents()


def test_an_expired_ticket(farm: Farm, tmp_path: Path) -> None:
    other = farm.as_principal("bob", "-l", "1s", own_agent=True)
    (source,) = sources(tmp_path, 1)
    until(lambda: other.run("klist", "-s", cwd=tmp_path).returncode != 0, what="the ticket's end")
    done = other.compile(source)
    assert (done.returncode, done.stdout) == (0, "")
    assert "Kerberos ticket expired (your tickets); run kinit; compiling locally" in done.stderr
    assert source.with_suffix(".o").exists()
    assert other.counts("no-ticket")
    other.end_agents()


def shift_clock(cache: Path, seconds: int) -> None:
    """Tells the library that the KDC's clock is so far from ours: DeltaTime in the header of the cache (MIT's file
    format 4). It then writes that time into what it proves itself with, as a machine with a wrong clock would.
    """
    data = cache.read_bytes()
    version, header = struct.unpack_from(">HH", data)
    assert version == 0x0504
    delta = struct.pack(">HHii", 1, 8, seconds, 0)
    cache.write_bytes(struct.pack(">HH", version, len(delta)) + delta + data[4 + header :])


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_wrong_clock(farm: Farm, tmp_path: Path, seconds: int) -> None:
    other = farm.as_principal("bob", own_agent=True)
    assert other.run("kvno", "securecc/localhost", cwd=tmp_path).returncode == 0
    shift_clock(Path(other.cache.removeprefix("FILE:")), seconds)
    (source,) = sources(tmp_path, 1)
    done = other.compile(source)
    assert (done.returncode, done.stdout) == (0, "")
    assert source.with_suffix(".o").exists()
    assert "clock" in done.stderr.lower()
    assert "set the " in done.stderr
    other.end_agents()
    done = other.compile(source, SECURECC_FALLBACK="0")
    assert done.returncode == 119
    other.end_agents()


@pytest.mark.parametrize("junk", [b"", b"\x05\x04", b"no cache at all\n"], ids=["empty", "cut", "text"])
def test_a_damaged_cache(farm: Farm, tmp_path: Path, junk: bytes) -> None:
    cache = tmp_path / "cc"
    cache.write_bytes(junk)
    other = farm.apart(f"damaged{len(junk)}", KRB5CCNAME=f"FILE:{cache}")
    (source,) = sources(tmp_path, 1)
    done = other.compile(source)
    assert (done.returncode, done.stdout) == (0, "")
    assert "run kinit" in done.stderr
    assert other.counts("no-ticket")
