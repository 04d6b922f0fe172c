"""Decides who may compile, and says why. Pure and total. The first rule that matches decides; without one: denied."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from securecc.config_file.yaml_nodes import Place
from securecc.model.grant import Grant
from securecc.model.principal import Principal
from securecc.policy.model import NETWORK, NOTHING, NOWHERE, Group, Memberships, Policy, Rule
from securecc.policy.network import Address, range_of


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one rule said, and why, for the site's administrator (never for the peer)."""

    rule: str
    matched: bool
    why: str
    place: Place = NOWHERE

    def __str__(self) -> str:
        return f"{self.rule}: {self.why}"


@dataclass(frozen=True, slots=True)
class Decision:
    """`rule` names the rule that decided, or is `model.NETWORK` or `model.NOTHING`. `verdicts` has one for each rule
    that was examined, in order, the deciding one last. There is a grant if and only if it is allowed.
    """

    allowed: bool
    rule: str
    verdicts: tuple[Verdict, ...]
    grant: Grant | None = None

    @property
    def reasons(self) -> tuple[str, ...]:
        """The verdicts as text."""
        return tuple(map(str, self.verdicts))


@dataclass(frozen=True, slots=True)
class _Who:
    """Whether a rule applies to a principal. `known` is False if that depends on a group with unknown members."""

    matched: bool
    why: str
    known: bool = True


def network_admits(policy: Policy, address: Address) -> bool:
    """Whether connections from this address are accepted at all; `deny` wins."""
    return policy.network.admits(address)


def decide(
    policy: Policy, principal: Principal, address: Address, indicators: Collection[str], memberships: Memberships
) -> Decision:
    """The decision for one principal at one address. `indicators` are the authentication indicators of its ticket.

    Never raises. If the members of a unix group are not known, a rule that allows does not match and a rule that denies
    does. The same goes for `from` if the address is that of a proxy that did not name its client.
    """
    refusal = _network_refusal(policy, address)
    if refusal is not None:
        return Decision(False, NETWORK, (refusal,))
    hidden = policy.network.believes(address)
    verdicts: list[Verdict] = []
    for rule in policy.rules:
        who = _who(policy, rule, principal, memberships)
        verdicts.append(_judge(rule, who, address, indicators, hidden=hidden))
        if verdicts[-1].matched:
            grant = _grant(policy, rule, principal) if rule.action == "allow" else None
            return Decision(grant is not None, rule.name, tuple(verdicts), grant)
    return Decision(False, NOTHING, tuple(verdicts))


def _network_refusal(policy: Policy, address: Address) -> Verdict | None:
    denying = range_of(address, policy.network.deny)
    if denying is not None:
        return Verdict(NETWORK, True, f"{address} is in {denying}, which network.deny lists")
    if not policy.network.admits(address):
        return Verdict(NETWORK, True, f"{address} is in no network that network.allow lists")
    return None


def _judge(rule: Rule, who: _Who, address: Address, indicators: Collection[str], *, hidden: bool) -> Verdict:
    matched = who.matched if who.known else rule.action == "deny"
    why = who.why
    if matched and rule.sources and hidden:
        matched = rule.action == "deny"
        why = f"{why}, but the client's address is not known: proxy {address} did not name it"
    elif matched and rule.sources:
        source = range_of(address, rule.sources)
        matched = source is not None
        why = f"{why}, from {source}" if matched else f"{address} is not in {_listing(map(str, rule.sources))}"
    if matched and rule.indicators:
        met = [each for each in rule.indicators if each in indicators]
        matched = bool(met)
        got = _listing(sorted(indicators)) if indicators else "none"
        why = f"{why}, by {met[0]}" if met else f"needs indicator {_listing(rule.indicators)}; the ticket has {got}"
    return Verdict(rule.name, matched, why, rule.place)


def _who(policy: Policy, rule: Rule, principal: Principal, memberships: Memberships) -> _Who:
    if not rule.groups and not rule.patterns:
        return _Who(True, "applies to everybody")
    unknown = None
    for name in rule.groups:
        found = _in_group(policy.groups[name], principal, memberships)
        if found.known and found.matched:
            return found
        unknown = unknown or (found if not found.known else None)
    for pattern in rule.patterns:
        if pattern.matches(principal):
            return _Who(True, f"names {pattern}")
    wanted = (*rule.groups, *map(str, rule.patterns))
    return unknown or _Who(False, f"{principal} is not in {_listing(wanted)}")


def _in_group(group: Group, principal: Principal, memberships: Memberships) -> _Who:
    if principal in group.principals:
        return _Who(True, f"{principal} is listed in {group.name}")
    if principal in group.members:
        return _Who(True, f"{principal} is in {group.name} by {group.file}")
    for pattern in group.patterns:
        if pattern.matches(principal):
            return _Who(True, f"{principal} is in {group.name} by {pattern}")
    for unix in group.unix_groups:
        if principal in memberships.get(unix, ()):
            return _Who(True, f"{principal} is in {group.name} by unix group {unix.name}")
    for unix in group.unix_groups:
        if unix not in memberships and unix.realm == principal.realm and len(principal.components) == 1:
            return _Who(False, f"the members of unix group {unix.name} are not known", known=False)
    return _Who(False, f"{principal} is not in {group.name}")


def _grant(policy: Policy, rule: Rule, principal: Principal) -> Grant:
    return Grant(
        principal=str(principal),
        rule=rule.name,
        revision=policy.revision,
        toolchains=rule.toolchains,
        limits=rule.limits,
        quota=rule.quota,
        jobs=rule.jobs,
        weight=rule.weight,
        cache=rule.cache,
    )


def _listing(words: Iterable[str]) -> str:
    return " or ".join(words)
