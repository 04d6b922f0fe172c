"""The front put together: a stub in Kerberos's place, a runner played by the test, real channels over loopback."""

import asyncio
import json
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from securecc.audit.settings import AuditSettings
from securecc.audit.signed_log import SignedAuditLog
from securecc.channel import dialer, kerberos
from securecc.channel.tls_channel import TlsChannel
from securecc.daemon.reloadable import Reloadable
from securecc.daemon.service_manager import ServiceManager
from securecc.daemon.settings import DaemonSettings
from securecc.model.errors import AuditError, CredentialError, Denied, SandboxError
from securecc.model.messages import Goodbye, Hello, Invite, Need, Refuse, Result, Supply, Welcome
from securecc.policy.policy_in_force import PolicyInForce
from securecc.runner_protocol.messages import WorkCancel, WorkOrder, WorkReady
from securecc.runner_protocol.packets import pair
from securecc.server import front as front_module
from securecc.server.blobs.blob_store import BlobStore
from securecc.server.front import READY, Equipment, Front
from tests import gss_stub
from tests.server.execution.test_runner_client import Runner, report
from tests.server.execution.test_runner_pool import RunnerSpawner
from tests.server.frontside import GCC, HEADER, SOURCE, ask, submit
from tests.waiting import CEILING_S

LAYERS = ("bubblewrap", "userns", "mountns", "pidns", "netns", "rlimits")
READY_WORK = WorkReady(LAYERS, (GCC,))
POLICY = """
version: 1
rules:
  - name: everybody
    who: ["*@EXAMPLE.COM"]
    toolchains: ["gcc-*"]
"""
NOBODY = POLICY.replace('"*@EXAMPLE.COM"', '"bob@EXAMPLE.COM"')
NO_MANAGER = ServiceManager()


class Client:
    """A listener that keeps what it hears."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.said: list[Any] = []
        self.bulk = b""
        self.lost: Exception | None = None
        self.news = asyncio.Event()
        channel.attach(self)
        channel.send(Hello((1,), "test"))

    def on_message(self, message: Any) -> None:
        self.said.append(message)
        self.news.set()

    def on_bulk(self, job: int, data: bytes) -> None:
        self.bulk += data
        self.news.set()

    def on_lost(self, error: Exception) -> None:
        self.lost = error
        self.news.set()

    async def until(self, test: Any) -> Any:
        async with asyncio.timeout(CEILING_S):
            while not (found := test()):
                self.news.clear()
                await self.news.wait()
        return found

    async def hears(self, kind: Any) -> Any:
        return await self.until(lambda: next((said for said in self.said if isinstance(said, kind)), None))


class Trail(SignedAuditLog):
    """Fails as the test wants it to: `trouble` when a record is written, `trouble_reopening` when it is reopened."""

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.trouble: Exception | None = None
        self.trouble_reopening: Exception | None = None
        self.reopened = 0
        self.write, self.append = self.append, self.append_or_fail

    def append_or_fail(self, record: Any) -> Any:
        if self.trouble is not None:
            raise self.trouble
        return self.write(record)

    def reopen(self) -> None:
        if self.trouble_reopening is not None:
            raise self.trouble_reopening
        self.reopened += 1
        super().reopen()


class House:
    """A front that runs, and all around it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.policy = folder / "policy.yaml"
        self.policy.write_text(POLICY)
        self.policy.chmod(0o600)
        self.keytab = folder / "keytab"
        self.keytab.write_bytes(b"key")
        self.keytab.chmod(0o600)
        self.acceptor = gss_stub.StubAcceptor()
        self.trouble: Exception | None = None
        self.read = 0
        self.log: list[str] = []
        monkeypatch.setattr(kerberos, "check_keytab", self.check_keytab)
        monkeypatch.setattr(kerberos, "Acceptor", lambda *_: self.acceptor)
        monkeypatch.setattr(front_module, "_HOUSEKEEPING_S", 0.01)

    def check_keytab(self, *_: Any) -> None:
        self.read += 1
        if self.trouble is not None:
            raise self.trouble

    def settings(self, **changes: Any) -> Any:
        values = {
            "keytab": self.keytab,
            "policy": self.policy,
            "audit": AuditSettings(self.folder / "audit.jsonl"),
            "state": self.folder,
            "scratch": self.folder,
            "listen": ("127.0.0.1",),
            "port": 0,
            "slots": 2,
            **changes,
        }
        return DaemonSettings(**values)

    def records(self) -> Any:
        return [json.loads(line) for line in (self.folder / "audit.jsonl").read_text().splitlines()]

    def events(self, kind: Any, field: Any) -> Any:
        return [record[field] for record in self.records() if record["kind"] == kind]

    @asynccontextmanager
    async def serving(
        self, *, ready: Any = READY_WORK, spawner: Any = None, supervisor: Any = NO_MANAGER, **changes: Any
    ) -> AsyncIterator[Any]:
        """The front as a task; `self.front`, `self.runner`, `self.end` (its exit status)."""
        settings = self.settings(**changes)
        self.audit = Trail(settings.audit, self.folder)
        ours, theirs = pair()
        self.runner = Runner(theirs)
        self.runner.packets.send(ready)
        equipment = Equipment(
            settings,
            PolicyInForce(settings.policy),
            self.audit,
            BlobStore(settings.state / "store"),
            ours,
            spawner,
            supervisor,
        )
        self.front = Front(equipment)
        self.end = asyncio.create_task(self.front.run())
        begun: set[asyncio.Future[Any]] = {self.end, self.front.listening}
        try:
            await asyncio.wait(begun, timeout=CEILING_S, return_when=asyncio.FIRST_COMPLETED)
            yield self
        finally:
            self.front.stop()
            with suppress(Exception):
                await asyncio.wait_for(self.end, CEILING_S)
            self.runner.close()
            self.front.close()

    async def client(self) -> Any:
        port = self.front.listening.result()[0][1]
        return Client(await dialer.dial("127.0.0.1", port, initiate=gss_stub.StubInitiator))


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    return House(tmp_path, monkeypatch)


def heard(client: Client, kinds: Any, job: int) -> Any:
    """Whether something of these kinds was said of a job."""
    return any(isinstance(said, kinds) and said.job == job for said in client.said)


async def compiled(client: Client, job: int = 1) -> None:
    """All that a client says for one compile."""
    await client.hears(Welcome)
    client.channel.send(ask(job))
    await client.until(lambda: len(client.said) > job)
    client.channel.send(submit(job))
    await client.hears(Need)
    client.channel.send(Supply(job))
    client.channel.send_bulk(job, SOURCE)
    client.channel.send_bulk(job, HEADER)


def test_no_secret_of_a_job_reaches_audit_or_log(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Neither of one that runs nor of one that is refused."""
    caplog.set_level(logging.DEBUG)

    async def body() -> None:
        async with house.serving(audit=AuditSettings(house.folder / "audit.jsonl", redact=(r"-D\w*TOKEN=(.*)",))):
            client = await house.client()
            await client.hears(Welcome)
            for number, more in enumerate(
                (b"-fplugin=-DX_TOKEN=hunter2", b"-DTOKEN=hunter2\0", b"-DX_TOKEN=hunter2"), 1
            ):
                client.channel.send(ask(number))
                await client.until(lambda: heard(client, Invite, number))  # noqa: B023 - awaited here
                arguments = (b"/usr/bin/gcc", more, b"-DTOKEN=hunter2", b"-c", b"a.c", b"-o", b"a.o")
                client.channel.send(submit(number, arguments=arguments))
                await client.until(lambda: heard(client, (Refuse, Need), number))  # noqa: B023
            await client.hears(Need)
            client.channel.send(Supply(3))
            client.channel.send_bulk(3, SOURCE)
            client.channel.send_bulk(3, HEADER)
            order, _ = await house.runner.until(WorkOrder)
            assert b"-DTOKEN=hunter2" in order.arguments
            house.runner.say(report(order.job), b"", b"")
            await client.hears(Result)

    asyncio.run(body())
    assert {"job-start", "job-end", "job-refused"} <= {record["kind"] for record in house.records()}
    whole = (house.folder / "audit.jsonl").read_text()
    assert whole.count("-DTOKEN=[redacted]") >= 3
    assert "hunter2" not in whole + caplog.text


def test_a_compile_from_the_wire_to_the_runner_and_back(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="securecc")

    async def body() -> None:
        async with house.serving():
            client = await house.client()
            welcome = await client.hears(Welcome)
            assert (welcome.principal, welcome.slots, welcome.toolchains[0].name) == ("alice@EXAMPLE.COM", 2, "gcc-12")
            await compiled(client)
            order, _ = await house.runner.until(WorkOrder)
            house.runner.say(report(order.job), b"out", b"err")
            result = await client.hears(Result)
            assert (result.stdout, result.stderr) == (3, 3)
            await client.until(lambda: client.bulk == b"outerr")
            client.channel.close()
            await client.channel.wait_closed()
            house.front.stop()
            assert await house.end == 0

    asyncio.run(body())
    assert READY in caplog.text
    assert house.events("daemon", "event") == ["start", "stop"]
    assert house.events("connection", "decision") == ["allowed"]
    assert house.events("job-end", "outcome") == ["done"]


def test_a_client_that_goes_takes_its_jobs_with_it(house: House) -> None:
    async def body() -> None:
        async with house.serving():
            client = await house.client()
            await compiled(client)
            order, _ = await house.runner.until(WorkOrder)
            client.channel.connection.fail(ConnectionResetError())
            cancel, _ = await house.runner.until(WorkCancel)
            assert cancel.job == order.job
            house.runner.say(report(order.job, status=-9), b"", b"")

    asyncio.run(body())
    assert house.events("job-end", "outcome") == ["cancelled"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ready": WorkReady(LAYERS, ())}, "no compiler was found"),
        ({"ready": WorkReady(LAYERS[:-1], (GCC,))}, "does not offer the sandbox layers rlimits"),
    ],
)
def test_a_machine_that_cannot_do_it_keeps_the_front_from_starting(house: House, changes: Any, message: Any) -> None:
    async def body() -> None:
        async with house.serving(**changes):
            with pytest.raises(SandboxError, match=message):
                await house.end
            assert not house.front.listening.done()

    asyncio.run(body())


def test_a_bad_keytab_keeps_the_front_from_starting(house: House) -> None:
    house.trouble = CredentialError("the keytab is readable by others")

    async def body() -> None:
        ours, theirs = pair()
        settings = house.settings()
        audit = SignedAuditLog(settings.audit, house.folder)
        equipment = Equipment(settings, PolicyInForce(settings.policy), audit, cast("BlobStore", None), ours)
        with ours, theirs, pytest.raises(CredentialError):
            Front(equipment)
        audit.close()

    asyncio.run(body())


def test_a_stop_waits_for_running_jobs_and_takes_no_new_ones(house: House) -> None:
    async def body() -> None:
        async with house.serving():
            client = await house.client()
            await compiled(client)
            order, _ = await house.runner.until(WorkOrder)
            os.kill(os.getpid(), signal.SIGTERM)
            goodbye = await client.hears(Goodbye)
            assert (goodbye.code, goodbye.reason) == ("draining", "the server stops: told to stop")
            with pytest.raises(Exception, match="cannot connect"):
                await house.client()
            assert not house.end.done()
            house.runner.say(report(order.job), b"", b"")
            await client.hears(Result)
            assert await house.end == 0

    asyncio.run(body())


def test_jobs_that_do_not_end_do_not_keep_the_front(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front_module, "DRAIN_S", 0.01)

    async def body() -> None:
        async with house.serving():
            client = await house.client()
            await compiled(client)
            await house.runner.until(WorkOrder)
            os.kill(os.getpid(), signal.SIGINT)
            cancel, _ = await house.runner.until(WorkCancel)
            house.runner.say(report(cancel.job, status=-9), b"", b"")
            assert await house.end == 0
            await client.until(lambda: client.lost)

    asyncio.run(body())
    assert house.events("job-end", "outcome") == ["cancelled"]


def test_who_is_let_in_while_the_front_ends_is_ended_too(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its handshake was under way; its job has its end on record like any other."""
    monkeypatch.setattr(front_module, "DRAIN_S", 0.01)
    came, goes_on = threading.Event(), threading.Event()

    class Late(gss_stub.StubAcceptor):
        def start(self, exporter: bytes) -> gss_stub.StubExchange:
            def late() -> None:
                came.set()
                goes_on.wait(CEILING_S)

            exchange = super().start(exporter)
            exchange.before_step = late
            return exchange

    async def body() -> None:
        async with house.serving():
            first = await house.client()
            await compiled(first)
            order, _ = await house.runner.until(WorkOrder)
            house.runner.heard.clear()
            house.acceptor = Late()
            before = house.read
            house.keytab.write_bytes(b"newer key")
            async with asyncio.timeout(CEILING_S):
                while house.read == before:  # noqa: ASYNC110 - the daemon's own pace
                    await asyncio.sleep(0.005)
            dialling = asyncio.create_task(house.client())
            await asyncio.to_thread(came.wait, CEILING_S)
            os.kill(os.getpid(), signal.SIGTERM)
            await house.runner.until(WorkCancel)
            goes_on.set()
            second = await dialling
            await second.hears(Welcome)
            second.channel.send(ask())
            await second.hears(Invite)
            second.channel.send(submit())  # all that it reads is there
            late, _ = await house.runner.until(WorkOrder)
            house.runner.heard.clear()
            house.runner.say(report(order.job, status=-9), b"", b"")
            cancel, _ = await house.runner.until(WorkCancel)
            assert cancel.job == late.job
            house.runner.say(report(late.job, status=-9), b"", b"")
            assert await house.end == 0

    asyncio.run(body())
    assert house.events("job-start", "job") == house.events("job-end", "job")
    assert house.events("job-end", "outcome") == ["cancelled", "cancelled"]


def test_a_front_without_its_runner_ends_with_an_error(house: House) -> None:
    async def body() -> None:
        async with house.serving():
            client = await house.client()
            await client.hears(Welcome)
            house.runner.packets.close()
            assert await house.end == 1
            await client.until(lambda: client.lost)

    asyncio.run(body())
    assert house.events("daemon", "detail")[-1] == "the runner has gone"


def test_a_changed_policy_closes_the_channels_that_it_denies(house: House) -> None:
    async def body() -> None:
        async with house.serving():
            client = await house.client()
            await client.hears(Welcome)
            house.policy.write_text(NOBODY)
            os.kill(os.getpid(), signal.SIGHUP)
            goodbye = await client.hears(Goodbye)
            assert (goodbye.code, goodbye.reason) == ("denied", "the policy has changed")
            await client.until(lambda: client.lost)
            with pytest.raises(Denied):
                await house.client()

    asyncio.run(body())
    assert house.events("daemon", "event") == ["start", "reload", "stop"]
    assert house.events("connection", "decision") == ["allowed", "denied", "denied"]


def test_a_changed_policy_that_admits_is_in_force_for_open_channels(house: House) -> None:
    async def body() -> None:
        async with house.serving():
            client = await house.client()
            await client.hears(Welcome)
            house.policy.write_text(POLICY.replace("everybody", "newer"))
            await house.front.reload()
            [connection] = house.front.connections
            assert connection.grant.rule == "newer"
            assert client.lost is None

    asyncio.run(body())


@pytest.mark.parametrize("cause", ["signal", "demand"])
def test_a_compiler_installed_meanwhile_is_offered_on_the_next_channel(house: House, cause: Any) -> None:
    newer = msgspec.structs.replace(GCC, digest=b"n" * 32)

    async def body() -> None:
        ours, theirs = pair()
        spawner = RunnerSpawner(theirs, WorkReady(LAYERS, (GCC, newer)))
        async with house.serving(spawner=ours):
            client = await house.client()
            await compiled(client)
            order, _ = await house.runner.until(WorkOrder)
            if cause == "signal":
                os.kill(os.getpid(), signal.SIGHUP)
            else:
                client.channel.send(ask(7, newer.digest))
                assert (await client.hears(Refuse)).code == "toolchain"
            goodbye = await client.hears(Goodbye)
            assert goodbye.reason == "the toolchains have changed"
            welcome = await (await house.client()).hears(Welcome)
            assert [toolchain.digest for toolchain in welcome.toolchains] == [GCC.digest, newer.digest]
            house.runner.say(report(order.job), b"", b"")
            await client.hears(Result)
        spawner.close()

    asyncio.run(body())
    details = [record["detail"] for record in house.records() if record.get("event") == "reload"]
    assert details[-1] == "toolchains gcc-12, gcc-12"


def test_compilers_that_cannot_be_looked_for_stay_as_they_were(house: House) -> None:
    async def body() -> None:
        ours, theirs = pair()
        theirs.close()
        async with house.serving(spawner=ours):
            await house.front.reload()
            assert [offer.name for offer in house.front.catalogue.toolchains] == ["gcc-12"]

    asyncio.run(body())
    assert "reload-refused" in house.events("daemon", "event")


def fails(*_: Any) -> None:
    raise RuntimeError("a defect")


def test_a_front_that_keeps_house_no_longer_ends(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else no ticket would end a channel any more, and nobody would know."""

    async def body() -> None:
        async with house.serving():
            await house.front.listening
            monkeypatch.setattr(Reloadable, "refresh", fails)
            assert await asyncio.wait_for(house.end, CEILING_S) == 1

    asyncio.run(body())
    assert "internal error: RuntimeError('a defect')" in caplog.text
    assert house.events("daemon", "detail")[-1] == "internal error"


def test_a_reload_that_fails_for_a_defect_leaves_all_as_it_was_and_is_told(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    manager = Supervised()

    async def body() -> None:
        async with house.serving(supervisor=manager):
            await house.front.listening
            house.audit.trouble_reopening = RuntimeError("a defect")
            os.kill(os.getpid(), signal.SIGHUP)
            async with asyncio.timeout(CEILING_S):
                while len(manager.heard) < 3:  # noqa: ASYNC110 - the stub has no event
                    await asyncio.sleep(0.005)
            client = await house.client()
            await client.hears(Welcome)

    asyncio.run(body())
    assert "internal error: RuntimeError('a defect')" in caplog.text
    assert [lines[0] for lines in manager.heard] == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]


class Supervised(ServiceManager):
    """In the place of a service manager: remembers what it is told."""

    __slots__ = ("heard",)
    heard: list[tuple[str, ...]]

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        object.__setattr__(self, "heard", [])

    def _tell(self, *lines: Any) -> None:
        self.heard.append(lines)


def test_the_service_manager_hears_how_it_goes(house: House) -> None:
    manager = Supervised(watchdog_s=0.02)

    async def body() -> None:
        async with house.serving(supervisor=manager):
            await house.front.listening
            while ("WATCHDOG=1",) not in manager.heard:  # noqa: ASYNC110 - the watchdog's own pace
                await asyncio.sleep(0.005)
            before = len(manager.heard)
            await house.front.reload()
        told = [lines[0] for lines in manager.heard if lines != ("WATCHDOG=1",)]
        assert told == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]
        assert before < len(manager.heard)
        [ready] = [lines for lines in manager.heard[:1] if lines[0] == "READY=1"]
        assert ready[1].startswith("STATUS=serves 1 toolchains under policy ")

    asyncio.run(body())


def test_a_bad_policy_leaves_the_old_one_in_force(house: House) -> None:
    async def body() -> None:
        async with house.serving():
            house.policy.write_text("version: 1\nrules: {")
            await house.front.reload()
            client = await house.client()
            await client.hears(Welcome)

    asyncio.run(body())
    assert "reload-refused" in house.events("daemon", "event")


def test_a_log_that_others_can_write_is_said_and_the_open_one_goes_on(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        async with house.serving():
            (house.folder / "audit.jsonl").chmod(0o666)
            await house.front.reload()
            assert not house.audit.reopened
            client = await house.client()
            await client.hears(Welcome)

    asyncio.run(body())
    assert house.events("daemon", "event").count("reload-refused") == 1
    assert "anyone who can write it can forge audit records: chmod go-w" in caplog.text


def test_a_log_that_cannot_be_opened_again_is_said(house: House, caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        async with house.serving():
            house.audit.trouble_reopening = AuditError("the log cannot be opened")
            await house.front.reload()

    asyncio.run(body())
    assert "the log cannot be opened" in caplog.text


def test_a_front_whose_log_is_full_admits_nobody_and_still_ends(house: House, caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        async with house.serving():
            house.audit.trouble = AuditError("the disk is full")
            client = await house.client()
            await client.until(lambda: client.lost)
            assert not house.front.connections

    asyncio.run(body())
    assert "the disk is full" in caplog.text


def test_a_ticket_that_ends_ends_the_channel_softly(house: House) -> None:
    async def body() -> None:
        async with house.serving():
            client = await house.client()
            await client.hears(Welcome)
            [connection] = house.front.connections
            assert isinstance(connection.channel, TlsChannel)
            connection.channel.lifetime_end = 0.0
            goodbye = await client.hears(Goodbye)
            assert goodbye.code == "ticket"
            await client.until(lambda: client.lost)

    asyncio.run(body())
