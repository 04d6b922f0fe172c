from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.model.principal import Principal
from securecc.policy.decision import Decision, decide, network_admits
from securecc.policy.document.policy_document import read_policy
from securecc.policy.model import Memberships, UnixGroup

POLICY = read_policy(
    b"""
version: 1
network: {allow: [10.0.0.0/8, 192.0.2.7, "2001:db8::/32"], deny: [10.9.0.0/16]}
groups:
  blocked: {principals: [bob@EXAMPLE.COM], unix_group: {name: leavers, realm: EXAMPLE.COM}}
  committers:
    principals: [alice@EXAMPLE.COM, bob@EXAMPLE.COM, "*/ci@EXAMPLE.COM"]
    unix_group: [{name: vcs-commit, realm: EXAMPLE.COM}, {name: guests, realm: OTHER.ORG}]
  careful: {principals: [carol@OTHER.ORG]}
rules:
  - {name: blocked, action: deny, who: [blocked]}
  - {name: annex, action: deny, from: [10.8.0.0/16]}
  - name: committers
    who: [committers]
    from: [10.0.0.0/8]
    toolchains: [gcc-*]
    limits: {wall: 10min, jobs: 7}
    weight: 2
    cache: group
  - {name: careful, who: [careful], require: {auth_indicators: [pkinit, otp]}}
  - {name: robots, who: ["build-*/robot@EXAMPLE.COM"]}
""",
    "policy.yaml",
)
LEAVERS = UnixGroup("leavers", "EXAMPLE.COM")
COMMIT = UnixGroup("vcs-commit", "EXAMPLE.COM")
GUESTS = UnixGroup("guests", "OTHER.ORG")
NOBODY: Memberships = {LEAVERS: frozenset(), COMMIT: frozenset(), GUESTS: frozenset()}


def judged(name: str, address: str = "10.2.3.4", indicators: Any = (), memberships: Memberships = NOBODY) -> Decision:
    return decide(POLICY, Principal.parse(name), ip_address(address), indicators, memberships)


def rule(*args: Any, **kwargs: Any) -> tuple[Any, ...]:
    decision = judged(*args, **kwargs)
    assert (decision.grant is not None) == decision.allowed
    return (decision.allowed, decision.rule)


class TestNetworkAdmits:
    @pytest.mark.parametrize("text", ["10.2.3.4", "::ffff:10.2.3.4", "2001:db8::1", "192.0.2.7"])
    def test_takes(self, text: str) -> None:
        assert network_admits(POLICY, ip_address(text))

    @pytest.mark.parametrize(
        "text", ["10.9.1.1", "::ffff:10.9.1.1", "11.0.0.1", "::1", "2001:db9::1", "::10.2.3.4", "fe80::1%eth0"]
    )
    def test_turns_away(self, text: str) -> None:
        assert not network_admits(POLICY, ip_address(text))
        assert rule("alice@EXAMPLE.COM", text) == (False, "network")


class TestDecide:
    def test_the_grant_is_the_rules(self) -> None:
        grant = judged("alice@EXAMPLE.COM").grant
        assert grant is not None
        assert (grant.principal, grant.rule, grant.revision) == ("alice@EXAMPLE.COM", "committers", POLICY.revision)
        assert (grant.limits.wall_s, grant.jobs, grant.weight, grant.cache) == (600, 7, 2, "group")
        assert grant.toolchains == ("gcc-*",)
        robot = judged("build-1/robot@EXAMPLE.COM").grant
        assert robot is not None
        assert robot.cache == "none"

    @pytest.mark.parametrize(
        "name",
        [
            b"alice@OTHER.ORG",
            b"alice/admin@EXAMPLE.COM",
            rb"alice\/ci@EXAMPLE.COM",
            rb"alice\@EXAMPLE.COM@OTHER.ORG",
            rb"alice@EXAMPLE.COM\@OTHER.ORG",
            rb"alice\0@EXAMPLE.COM",
            rb"alice\n@EXAMPLE.COM",
            b"alice\xff@EXAMPLE.COM",
            b"Alice@EXAMPLE.COM",
            b"a/b/ci@EXAMPLE.COM",
            b"WELLKNOWN/ci@EXAMPLE.COM",
            b"x/ci@OTHER.ORG",
            b"mallory@EXAMPLE.COM",
        ],
    )
    def test_somebody_else_is_denied(self, name: str) -> None:
        assert rule(name) == (False, "nothing-matched")

    def test_the_first_match_decides(self) -> None:
        assert rule("bob@EXAMPLE.COM") == (False, "blocked")
        assert rule("alice@EXAMPLE.COM", "10.8.1.1") == (False, "annex")
        assert rule("alice@EXAMPLE.COM", "::ffff:10.8.1.1") == (False, "annex")

    def test_address(self) -> None:
        assert rule("alice@EXAMPLE.COM", "::ffff:10.2.3.4") == (True, "committers")
        assert rule("alice@EXAMPLE.COM", "192.0.2.7") == (False, "nothing-matched")

    def test_one_indicator_of_those_required_is_enough(self) -> None:
        assert rule("carol@OTHER.ORG", indicators=["otp"]) == (True, "careful")
        assert rule("carol@OTHER.ORG", indicators=["password", "pkinit"]) == (True, "careful")
        assert rule("carol@OTHER.ORG", indicators=["password"]) == (False, "nothing-matched")
        assert rule("carol@OTHER.ORG") == (False, "nothing-matched")

    def test_a_principal_in_who(self) -> None:
        assert rule("build-1/robot@EXAMPLE.COM", "2001:db8::9") == (True, "robots")

    def test_every_rule_looked_at_has_its_reason(self) -> None:
        decision = judged("carol@OTHER.ORG", indicators=["password"])
        assert [verdict.rule for verdict in decision.verdicts] == [each.name for each in POLICY.rules]
        assert "needs indicator pkinit or otp; the ticket has password" in decision.reasons[3]
        assert judged("alice@EXAMPLE.COM").reasons[-1] == (
            "committers: alice@EXAMPLE.COM is listed in committers, from 10.0.0.0/8"
        )


class TestUnixGroups:
    def members(self, group: UnixGroup, name: str) -> Memberships:
        return {**NOBODY, group: frozenset([Principal.parse(name)])}

    def test_a_member(self) -> None:
        assert rule("dave@EXAMPLE.COM", memberships=self.members(COMMIT, "dave@EXAMPLE.COM")) == (True, "committers")
        assert rule("dave@OTHER.ORG", memberships=self.members(COMMIT, "dave@EXAMPLE.COM"))[0] is False

    def test_unknown_members_open_no_door(self) -> None:
        decision = judged("carol@OTHER.ORG", memberships={LEAVERS: frozenset()})
        assert not decision.allowed
        assert "the members of unix group guests are not known" in decision.reasons[2]

    def test_unknown_members_keep_a_door_shut(self) -> None:
        known: Memberships = {COMMIT: frozenset(), GUESTS: frozenset()}
        assert rule("alice@EXAMPLE.COM", memberships=known) == (False, "blocked")

    def test_who_cannot_be_a_member_is_not_kept_out(self) -> None:
        known: Memberships = {COMMIT: frozenset(), GUESTS: frozenset()}
        assert rule("x/ci@EXAMPLE.COM", memberships=known) == (True, "committers")
        assert rule("carol@OTHER.ORG", indicators=["otp"], memberships=known) == (True, "careful")

    def test_unknown_members_leave_the_listed_in(self) -> None:
        assert rule("alice@EXAMPLE.COM", memberships={LEAVERS: frozenset()}) == (True, "committers")


PARTS = st.sampled_from(["alice", "bob", "ci", "robot", "build-1", "*", "\0", "\udcff", "/", "WELLKNOWN"]) | st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5
)
PRINCIPALS = st.builds(Principal, st.lists(PARTS, min_size=1, max_size=3).map(tuple), PARTS | st.just("EXAMPLE.COM"))


@settings(max_examples=200)
@given(PRINCIPALS, st.ip_addresses(), st.lists(st.text(max_size=5) | st.just("pkinit"), max_size=3))
def test_decides_in_every_case(principal: Principal, address: Any, indicators: list[Any]) -> None:
    decision = decide(POLICY, principal, address, indicators, {})
    assert decision.allowed == (decision.grant is not None)
    assert not decision.allowed or network_admits(POLICY, address)
    assert all("\n" not in each for each in decision.reasons)
    if decision.grant:
        assert principal.realm in ("EXAMPLE.COM", "OTHER.ORG")
        assert Principal.parse(decision.grant.principal) == principal


PROXIED = read_policy(
    b"""
version: 1
network: {allow: [10.0.0.0/8], deny: [10.9.0.0/16], proxies: [10.0.0.2, 192.0.2.2, 10.9.0.2]}
groups:
  blocked: {principals: [bob@EXAMPLE.COM]}
rules:
  - {name: annex, action: deny, who: [blocked], from: [10.8.0.0/16]}
  - {name: near, who: ["alice@EXAMPLE.COM", "bob@EXAMPLE.COM"], from: [10.0.0.0/8]}
  - {name: anywhere, who: ["carol@OTHER.ORG", "bob@EXAMPLE.COM"]}
""",
    "policy.yaml",
)


class TestBehindAProxy:
    """Who comes from a proxy's own address was not named by it."""

    @pytest.mark.parametrize(
        ("name", "address", "outcome"),
        [
            ("alice@EXAMPLE.COM", "10.2.3.4", (True, "near")),
            ("alice@EXAMPLE.COM", "10.0.0.2", (False, "nothing-matched")),  # though 10.0.0.0/8 holds the proxy
            ("alice@EXAMPLE.COM", "::ffff:10.0.0.2", (False, "nothing-matched")),
            ("carol@OTHER.ORG", "10.0.0.2", (True, "anywhere")),
            ("bob@EXAMPLE.COM", "10.2.3.4", (True, "near")),
            ("bob@EXAMPLE.COM", "10.0.0.2", (False, "annex")),  # who knows whether he is not there
            ("carol@OTHER.ORG", "192.0.2.2", (False, "network")),
            ("carol@OTHER.ORG", "10.9.0.2", (False, "network")),
        ],
    )
    def test_where_nobody_is_named_no_network_admits(self, name: str, address: str, outcome: tuple[Any, ...]) -> None:
        decision = decide(PROXIED, Principal.parse(name), ip_address(address), (), {})
        assert (decision.allowed, decision.rule) == outcome

    def test_the_reasons_say_so(self) -> None:
        decision = decide(PROXIED, Principal.parse("alice@EXAMPLE.COM"), ip_address("10.0.0.2"), (), {})
        assert "proxy 10.0.0.2 did not name it" in decision.reasons[1]
