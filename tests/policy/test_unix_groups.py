import grp
from pathlib import Path
from typing import Any

import pytest

from securecc.model import limits
from securecc.model.errors import ConfigError
from securecc.model.principal import Principal
from securecc.policy import unix_groups
from securecc.policy.model import UnixGroup
from securecc.policy.unix_groups import UnixGroups, getent

COMMIT = UnixGroup("vcs-commit", "EXAMPLE.COM")
ABROAD = UnixGroup("vcs-commit", "OTHER.ORG")
PASSWD = b"alice:x:1000:100:Alice:/home/alice:/bin/sh\nbob:x:1001:77:Bob:/home/bob:/bin/sh\n"
GROUP = b"vcs-commit:*:77:carol,dave\n"


class Service:
    """A name service that answers from a table, fails, and moves the clock."""

    def __init__(self) -> None:
        self.table = {("passwd",): PASSWD, ("group", "vcs-commit"): GROUP}
        self.now = 0.0
        self.asked: list[Any] = []

    def __call__(self, question: Any, deadline_s: Any) -> Any:
        self.asked.append((question, deadline_s))
        answer = self.table.get(question)
        if answer is None:
            raise ConfigError("no answer within 3 s")
        return answer

    def resolver(self) -> UnixGroups:
        return UnixGroups(self, lambda: self.now)


def names(members: frozenset[Principal]) -> set[str]:
    return {str(each) for each in members}


def test_members_are_principals_of_the_realm_that_the_policy_gives() -> None:
    members, warnings = Service().resolver().refresh([COMMIT, ABROAD])
    assert names(members[COMMIT]) == {"bob@EXAMPLE.COM", "carol@EXAMPLE.COM", "dave@EXAMPLE.COM"}
    assert names(members[ABROAD]) == {"bob@OTHER.ORG", "carol@OTHER.ORG", "dave@OTHER.ORG"}
    assert warnings == ()


def test_a_name_is_one_component_whatever_it_holds() -> None:
    service = Service()
    service.table["group", "vcs-commit"] = b"vcs-commit:*:7:eve/admin,eve@OTHER.ORG,\xff,,\n"
    members, _ = service.resolver().refresh([COMMIT])
    assert names(members[COMMIT]) == {
        r"eve\/admin@EXAMPLE.COM",
        r"eve\@OTHER.ORG@EXAMPLE.COM",
        r"\xff@EXAMPLE.COM",
    }
    assert Principal.parse("eve/admin@EXAMPLE.COM") not in members[COMMIT]


def test_nothing_is_asked_without_groups() -> None:
    service = Service()
    assert service.resolver().refresh([]) == ({}, ())
    assert service.asked == []


@pytest.mark.parametrize("fails", [("passwd",), ("group", "vcs-commit")])
class TestFailure:
    def test_the_last_answer_stands(self, fails: tuple[str, ...]) -> None:
        service = Service()
        resolver = service.resolver()
        before, _ = resolver.refresh([COMMIT])
        del service.table[fails]
        service.now = limits.GROUP_STALE_S
        after, warnings = resolver.refresh([COMMIT])
        assert after == before
        assert len(warnings) == 1
        assert warnings[0].endswith("no answer within 3 s; the last answer is used")

    def test_but_not_for_ever(self, fails: tuple[str, ...]) -> None:
        service = Service()
        resolver = service.resolver()
        resolver.refresh([COMMIT])
        del service.table[fails]
        service.now = limits.GROUP_STALE_S + 1
        members, warnings = resolver.refresh([COMMIT])
        assert members == {}
        assert "it admits nobody" in warnings[0]

    def test_without_an_answer_the_group_is_unknown(self, fails: tuple[str, ...]) -> None:
        service = Service()
        del service.table[fails]
        members, warnings = service.resolver().refresh([COMMIT])
        assert members == {}
        assert len(warnings) == 1

    def test_the_next_answer_counts(self, fails: tuple[str, ...]) -> None:
        service = Service()
        answer = service.table.pop(fails)
        resolver = service.resolver()
        resolver.refresh([COMMIT])
        service.table[fails] = answer
        members, warnings = resolver.refresh([COMMIT])
        assert len(members[COMMIT]) == 3
        assert warnings == ()


def test_a_member_who_leaves_is_gone_with_the_next_answer() -> None:
    service = Service()
    resolver = service.resolver()
    resolver.refresh([COMMIT])
    service.table["group", "vcs-commit"] = b"vcs-commit:*:77:\n"
    service.table["passwd",] = b""
    members, _ = resolver.refresh([COMMIT])
    assert members[COMMIT] == frozenset()


def test_a_service_that_hangs_is_given_up_at_the_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "getent"
    script.write_text("#!/bin/sh\nexec sleep infinity\n")
    script.chmod(0o755)
    monkeypatch.setattr(unix_groups, "_GETENT", str(script))
    monkeypatch.setattr(limits, "GROUP_LOOKUP_S", 0.2)
    members, warnings = UnixGroups().refresh([COMMIT, UnixGroup("other", "EXAMPLE.COM")])
    assert members == {}
    assert len(warnings) == 3


@pytest.mark.parametrize(("script", "says"), [("exit 3", "status 3"), ("exit 2", "has no such entry")])
def test_a_service_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, says: str) -> None:
    file = tmp_path / "getent"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    monkeypatch.setattr(unix_groups, "_GETENT", str(file))
    with pytest.raises(ConfigError, match=says):
        getent(("group", "x"), 5)


def test_no_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unix_groups, "_GETENT", "/nonexistent")
    with pytest.raises(ConfigError, match="cannot be run"):
        getent(("group", "x"), 5)


def test_the_real_service_knows_root() -> None:
    group = UnixGroup(grp.getgrgid(0).gr_name, "EXAMPLE.COM")
    members, warnings = UnixGroups().refresh([group])
    assert "root@EXAMPLE.COM" in names(members[group])
    assert warnings == ()
