import asyncio
import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from securecc.model import limits
from securecc.model.errors import ConfigError, Denied, PolicyError
from securecc.policy import unix_groups
from securecc.policy.policy_in_force import PolicyInForce
from securecc.policy.unix_groups import UnixGroups
from tests.waiting import CEILING_S

TEXT = """\
version: 1
network: {allow: [10.0.0.0/8], deny: [10.9.0.0/16], proxies: [10.0.0.1]}
groups:
  committers: {principals: [alice@EXAMPLE.COM], file: committers.txt}
rules:
  - {name: committers, who: [committers]}
tests:
  - {principal: alice@EXAMPLE.COM, from: 10.2.3.4, expect: committers}
"""
RELOAD_S = 5  # after which a reload has to have taken effect
UNIX = TEXT.replace("file: committers.txt", "unix_group: {name: vcs, realm: EXAMPLE.COM}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "committers.txt").write_text("bob@EXAMPLE.COM\n")
    (tmp_path / "committers.txt").chmod(0o644)
    return written(tmp_path / "policy.yaml", TEXT)


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o644)
    return path


class TestJudge:
    def test_grants(self, path: Path) -> None:
        force = PolicyInForce(path)
        grant = force.judge(b"alice@EXAMPLE.COM", "10.2.3.4")
        assert (grant.principal, grant.rule, grant.revision) == ("alice@EXAMPLE.COM", "committers", force.revision)
        assert force.judge(b"bob@EXAMPLE.COM", "::ffff:10.2.3.4").rule == "committers"

    @pytest.mark.parametrize(
        ("name", "address", "rule"),
        [
            (b"alice@OTHER.ORG", "10.2.3.4", "nothing-matched"),
            (b"alice/admin@EXAMPLE.COM", "10.2.3.4", "nothing-matched"),
            (b"alice@EXAMPLE.COM", "10.9.3.4", "network"),
            (b"alice@EXAMPLE.COM", "::ffff:10.9.3.4", "network"),
            (b"alice@EXAMPLE.COM", "unix", "nothing-matched"),
            (b"alice", "10.2.3.4", "nothing-matched"),
            (b"alice@EXAMPLE.COM\0", "10.2.3.4", "nothing-matched"),
            (b"\xff@EXAMPLE.COM", "10.2.3.4", "nothing-matched"),
        ],
    )
    def test_denies_in_the_same_words(self, path: Path, name: bytes, address: str, rule: str) -> None:
        with pytest.raises(Denied) as caught:
            PolicyInForce(path).judge(name, address)
        assert caught.value.rule == rule
        assert caught.value.message == "you may not compile here"
        assert "committers" not in str(caught.value)

    def test_addresses(self, path: Path) -> None:
        force = PolicyInForce(path)
        assert force.admits("10.2.3.4")
        assert not force.admits("10.9.3.4")
        assert not force.admits("no address")
        assert force.believes("::ffff:10.0.0.1")
        assert not force.believes("10.0.0.2")
        assert not force.believes("")


class TestStart:
    def test_without_a_file(self, tmp_path: Path) -> None:
        with pytest.raises(PolicyError, match="cannot be read"):
            PolicyInForce(tmp_path / "policy.yaml")

    @pytest.mark.parametrize("name", ["policy.yaml", "committers.txt"])
    def test_with_a_file_that_anybody_may_write(self, path: Path, name: str) -> None:
        (path.parent / name).chmod(0o666)
        with pytest.raises(PolicyError, match=f"{name}: others than its owner may write it"):
            PolicyInForce(path)

    def test_with_a_test_that_fails(self, path: Path) -> None:
        written(path, TEXT.replace("alice@EXAMPLE.COM], file", "carol@OTHER.ORG], file"))
        with pytest.raises(PolicyError, match=r"policy\.yaml:8:5: tests\[0\]: expected committers"):
            PolicyInForce(path)

    def test_warnings_are_logged(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        written(path, TEXT[: TEXT.index("tests:")])
        PolicyInForce(path)
        assert "the policy has no tests" in caplog.text


class TestReload:
    def test_a_good_one_is_in_force_and_told(self, path: Path) -> None:
        told = []
        force = PolicyInForce(path, on_change=lambda: told.append(force.revision))
        old = force.revision
        written(path.parent / "committers.txt", "carol@OTHER.ORG\n")
        assert asyncio.run(force.reload()) is None
        assert force.revision != old
        assert told == [force.revision]
        assert force.generation == 2
        force.judge(b"carol@OTHER.ORG", "10.2.3.4")
        with pytest.raises(Denied):
            force.judge(b"bob@EXAMPLE.COM", "10.2.3.4")

    def test_the_same_again_tells_nobody(self, path: Path) -> None:
        told = []
        force = PolicyInForce(path, on_change=lambda: told.append(1))
        assert asyncio.run(force.reload()) is None
        assert (told, force.generation) == ([], 1)

    @pytest.mark.parametrize(
        ("file", "text", "says"),
        [
            ("policy.yaml", TEXT + "x: 1\n", "unknown key"),
            ("policy.yaml", TEXT.replace("committers}", "denied}"), "tests[0]: expected denied"),
            ("policy.yaml", "", "an empty document"),
            ("committers.txt", "bob\n", "committers.txt:1:1: "),
        ],
    )
    def test_a_bad_one_leaves_the_old_in_force_and_says_why(
        self, path: Path, caplog: pytest.LogCaptureFixture, file: str, text: str, says: str
    ) -> None:
        told = []
        force = PolicyInForce(path, on_change=lambda: told.append(1))
        old = force.revision
        written(path.parent / file, text)
        error = asyncio.run(force.reload())
        assert isinstance(error, ConfigError)
        assert says in str(error)
        assert says in caplog.text
        assert f"revision {old} stays in force" in caplog.text
        assert (force.revision, told) == (old, [])
        assert force.judge(b"bob@EXAMPLE.COM", "10.2.3.4").revision == old

    @pytest.mark.parametrize("name", ["policy.yaml", "committers.txt"])
    def test_a_missing_or_untrusted_file_changes_nothing(self, path: Path, name: str) -> None:
        force = PolicyInForce(path)
        (path.parent / name).chmod(0o646)
        assert "may write it" in str(asyncio.run(force.reload()))
        (path.parent / name).unlink()
        assert "cannot be read" in str(asyncio.run(force.reload()))
        force.judge(b"bob@EXAMPLE.COM", "10.2.3.4")

    def test_good_again_after_bad(self, path: Path) -> None:
        force = PolicyInForce(path)
        written(path, "nonsense")
        assert asyncio.run(force.reload()) is not None
        written(path, TEXT + "# good again\n")
        assert asyncio.run(force.reload()) is None


class Service:
    def __init__(self) -> None:
        self.members = b"dave"
        self.gate = None

    def __call__(self, question: Any, deadline_s: Any) -> Any:
        if self.gate is not None:
            assert self.gate.wait(CEILING_S)
        return b"" if question == ("passwd",) else b"vcs:x:7:" + self.members + b"\n"


class TestUnixGroups:
    @pytest.fixture
    def service(self) -> Any:
        return Service()

    @pytest.fixture
    def force(self, path: Path, service: Any) -> PolicyInForce:
        written(path, UNIX)
        return PolicyInForce(path, UnixGroups(service))

    def test_members_are_let_in(self, force: PolicyInForce) -> None:
        force.judge(b"dave@EXAMPLE.COM", "10.2.3.4")
        with pytest.raises(Denied):
            force.judge(b"dave@OTHER.ORG", "10.2.3.4")

    def test_a_refresh_is_a_change(self, path: Path, service: Any) -> None:
        written(path, UNIX)
        told = []
        force = PolicyInForce(path, UnixGroups(service), lambda: told.append(1))
        service.members = b"erin"
        asyncio.run(force.refresh())
        assert (told, force.generation) == ([1], 2)
        force.judge(b"erin@EXAMPLE.COM", "10.2.3.4")
        with pytest.raises(Denied):
            force.judge(b"dave@EXAMPLE.COM", "10.2.3.4")

    @pytest.mark.parametrize("work", [PolicyInForce.refresh, PolicyInForce.reload])
    def test_a_service_that_hangs_keeps_no_decision_waiting(
        self, force: PolicyInForce, service: Any, work: Any
    ) -> None:
        async def scenario() -> None:
            service.gate = threading.Event()
            working = asyncio.create_task(work(force))
            await asyncio.sleep(0)
            force.judge(b"dave@EXAMPLE.COM", "10.2.3.4")
            assert not working.done()
            service.gate.set()
            await working

        asyncio.run(scenario())

    def test_a_service_that_hangs_does_not_keep_a_reload_waiting(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """A refresh that hangs and then the reload's own: who is denied now is denied within the five seconds."""
        slow = tmp_path / "getent"
        slow.write_text("#!/bin/sh\nexec sleep infinity\n")
        slow.chmod(0o755)
        monkeypatch.setattr(unix_groups, "_GETENT", str(slow))
        assert 2 * limits.GROUP_LOOKUP_S + 1 <= RELOAD_S
        monkeypatch.setattr(limits, "GROUP_LOOKUP_S", 0.2)
        written(path, UNIX)
        force = PolicyInForce(path)

        async def scenario() -> None:
            refreshing = asyncio.create_task(force.refresh())
            await asyncio.sleep(0)
            written(path, UNIX.replace("alice", "erin"))
            assert await force.reload() is None
            await refreshing

        asyncio.run(scenario())
        with pytest.raises(Denied):
            force.judge(b"alice@EXAMPLE.COM", "10.2.3.4")

    def test_it_is_asked_again_by_itself(
        self, force: PolicyInForce, service: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "GROUP_REFRESH_S", 0.01)
        changed = asyncio.Event()
        force.on_change = changed.set

        async def scenario() -> None:
            keeping = asyncio.create_task(force.keep_fresh())
            service.members = b"erin"
            await asyncio.wait_for(changed.wait(), CEILING_S)
            keeping.cancel()
            with pytest.raises(asyncio.CancelledError):
                await keeping

        asyncio.run(scenario())
        force.judge(b"erin@EXAMPLE.COM", "10.2.3.4")

    def test_a_failure_is_logged_once(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        def fails(question: Any, deadline_s: Any) -> bytes:
            raise ConfigError("no answer within 3 s")

        written(path, UNIX)
        force = PolicyInForce(path, UnixGroups(fails))
        asyncio.run(force.refresh())
        lines = [
            each for each in caplog.records if each.levelno == logging.WARNING and "unix group vcs" in each.message
        ]
        assert len(lines) == 1
        force.judge(b"alice@EXAMPLE.COM", "10.2.3.4")
