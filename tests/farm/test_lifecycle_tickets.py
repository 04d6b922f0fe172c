"""Tickets and policies come and go: whose channel it is, how many handshakes it took, and when it ends."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.farm.farmside import POLICY, Farm, slow_source, sources, until
from tests.waiting import CEILING_S

ALICE, BOB = "alice@EXAMPLE.COM", "bob@EXAMPLE.COM"


def connections(farm: Farm) -> list[str]:
    """Who was let in, in order."""
    return [record["principal"] for record in farm.audit(kind="connection", decision="allowed")]


def jobs_of(farm: Farm, principal: str) -> int:
    return len(farm.audit(kind="job-end", outcome="done", principal=principal))


def test_fifty_jobs_take_one_handshake(farm: Farm, tmp_path: Path) -> None:
    other = farm.apart("fifty")
    before, jobs = len(connections(farm)), jobs_of(farm, ALICE)
    farm.makefile(tmp_path, sources(tmp_path, 50))
    done = other.run("make", "-s", "-j4", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert jobs_of(farm, ALICE) == jobs + 50
    assert connections(farm)[before:] == [ALICE]
    other.end_agents()


def test_another_principals_ticket_replaces_the_channel(farm: Farm, tmp_path: Path) -> None:
    """kdestroy, then kinit bob, in one and the same cache, while the agent lives on."""
    first, second = sources(tmp_path, 2)
    other = farm.as_principal("alice", own_agent=True)
    assert other.compile(first).returncode == 0
    agent = other.agent
    before, jobs = len(connections(farm)), jobs_of(farm, BOB)
    other.run("kdestroy", cwd=tmp_path)
    until(lambda: not channels_of(farm, agent), what="the end of alice's channel")
    other.kinit("bob")
    until(lambda: other.compile(second).returncode == 0 and jobs_of(farm, BOB) == jobs + 1, what="a job of bob's")
    assert connections(farm)[before:] == [BOB]
    assert other.agent == agent
    other.end_agents()


def test_a_ticket_that_is_replaced_at_once_replaces_the_channel_too(farm: Farm, tmp_path: Path) -> None:
    """kinit bob over alice's tickets, right after the handshake."""
    first, second = sources(tmp_path, 2)
    other = farm.as_principal("alice", own_agent=True)
    assert other.compile(first).returncode == 0
    other.kinit("bob")
    before = len(connections(farm))
    until(lambda: other.compile(second).returncode == 0 and connections(farm)[before:] == [BOB], what="bob's channel")
    other.end_agents()


def channels_of(farm: Farm, agent: int) -> list[str]:
    """The agent's connections to the server, by inode."""
    inodes = set()
    for entry in Path(f"/proc/{agent}/fd").iterdir():
        try:
            inodes.add(os.readlink(entry).removeprefix("socket:[").removesuffix("]"))
        except OSError:
            continue
    established = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    port = f":{farm.server.port:04X}"
    return [words[9] for words in established if words[9] in inodes and words[2].endswith(port) and words[3] == "01"]


def test_a_channel_takes_no_new_jobs_after_its_ticket_has_ended(farm: Farm, tmp_path: Path) -> None:
    other = farm.as_principal("alice", "-l", "20s", own_agent=True)
    first, second = sources(tmp_path, 2)
    assert other.compile(first).returncode == 0
    agent = other.agent
    until(lambda: not channels_of(farm, agent), what="the end of the channel")
    before = len(farm.audit(kind="job-start"))
    done = other.compile(second)
    assert done.returncode == 0
    assert "expired" in done.stderr
    assert "run kinit" in done.stderr
    assert len(farm.audit(kind="job-start")) == before
    assert other.counts("no-ticket")
    other.end_agents()


def test_a_running_job_outlives_its_ticket(farm: Farm, tmp_path: Path) -> None:
    other = farm.as_principal("alice", "-l", "20s", own_agent=True)
    ends = time.time() + 20
    source = slow_source(tmp_path, parts=6)
    process = other.begin("securecc", "g++", "-c", source.name, "-o", "slow.o", cwd=tmp_path)
    compiler = until(lambda: farm.server.sandboxed, what="the remote compile")
    signalled(compiler, signal.SIGSTOP)  # so that it is not over before its ticket on a fast machine
    try:
        until(lambda: time.time() > ends)
        assert farm.server.sandboxed, "it was over before its ticket"
    finally:
        signalled(compiler, signal.SIGCONT)
    assert process.communicate() == ("", "")
    assert process.returncode == 0
    assert until(lambda: other.journal()["remote"] == 1)
    other.end_agents()


def signalled(processes: list[int], number: int) -> None:
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):  # it was between two programs
            os.kill(pid, number)


def test_alice_and_bob_at_once_see_nothing_of_each_other(farm: Farm, tmp_path: Path) -> None:
    """One agent, two tickets: each compile runs in the name of whoever asked, and each record says so."""
    bob = farm.as_principal("bob")
    for name in ("alice", "bob"):
        (tmp_path / name).mkdir()
        sources(tmp_path / name, 12, text=f'const char *who{{n}} = "{name}";\n')
        farm.makefile(tmp_path / name, sorted((tmp_path / name).glob("*.c")))
    before = len(farm.audit())
    makes = [person.begin("make", "-s", "-j4", cwd=tmp_path / name) for name, person in (("alice", farm), ("bob", bob))]
    assert [make.communicate(timeout=CEILING_S) for make in makes] == [("", "")] * 2
    assert bob.agents() == farm.agents()
    for name, principal in (("alice", ALICE), ("bob", BOB)):
        assert len(farm.audit(kind="job-end", principal=principal, cwd=str(tmp_path / name))) == 12
        for number in range(12):
            assert name.encode() in (tmp_path / name / f"s{number}.o").read_bytes()
    others = [r for r in farm.audit()[before:] if r.get("principal") == BOB and r.get("cwd") == str(tmp_path / "alice")]
    assert others == []


WITHOUT_ALICE = (
    POLICY.read_text()
    .replace("[alice@EXAMPLE.COM, bob@EXAMPLE.COM]", "[bob@EXAMPLE.COM]")
    .replace(
        "alice@EXAMPLE.COM, from: 127.0.0.1, expect: committers", "alice@EXAMPLE.COM, from: 127.0.0.1, expect: denied"
    )
)


@pytest.fixture
def policy_put_back(farm: Farm) -> Iterator[None]:
    yield
    farm.server.put_policy(POLICY.read_text())


@pytest.mark.usefixtures("policy_put_back")
def test_a_reload_that_removes_alice_closes_her_channel(farm: Farm, tmp_path: Path) -> None:
    other = farm.apart("removed")
    first, second = sources(tmp_path, 2)
    assert other.compile(first).returncode == 0
    agent = other.agent
    assert channels_of(farm, agent)
    farm.server.put_policy(WITHOUT_ALICE)
    until(lambda: not channels_of(farm, agent), what="the end of her channel")
    assert farm.audit(kind="connection")[-1]["decision"] == "denied"
    done = other.compile(second)
    assert done.returncode == 0
    assert "refused" in done.stderr
    assert "reference" in done.stderr
    assert second.with_suffix(".o").exists()
    denial = farm.audit(kind="connection")[-1]
    assert (denial["decision"], denial["principal"]) == ("denied", ALICE)
    assert other.counts("denied")
    other.end_agents()


@pytest.mark.usefixtures("policy_put_back")
def test_a_reload_that_removes_alice_ends_her_running_jobs_and_spares_bobs(farm: Farm, tmp_path: Path) -> None:
    bob = farm.as_principal("bob")
    for name in ("alice", "bob"):
        (tmp_path / name).mkdir()
    hers = slow_source(tmp_path / "alice", parts=40)
    his = slow_source(tmp_path / "bob", parts=4)
    running = [
        person.begin("securecc", "g++", "-c", file.name, "-o", "slow.o", cwd=file.parent)
        for person, file in ((farm, hers), (bob, his))
    ]
    until(lambda: jobs_begun(farm, tmp_path) == 2)
    farm.server.put_policy(WITHOUT_ALICE)
    until(lambda: farm.audit(kind="job-end", cwd=str(tmp_path / "alice")), what="the end of her job")
    assert farm.audit(kind="job-end", cwd=str(tmp_path / "alice"))[0]["outcome"] == "cancelled"
    os.killpg(running[0].pid, signal.SIGKILL)
    running[0].communicate()
    assert running[1].communicate(timeout=CEILING_S) == ("", "")
    assert farm.audit(kind="job-end", cwd=str(tmp_path / "bob"))[0]["outcome"] == "done"


def jobs_begun(farm: Farm, below: Path) -> int:
    return len([record for record in farm.audit(kind="job-start") if Path(record["cwd"]).parent == below])
