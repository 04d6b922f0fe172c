"""The `rules:` of a policy document."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, UnsetType, structs

from securecc.config_file.quantities import size_text
from securecc.config_file.section import Section, did_you_mean, place_at
from securecc.config_file.words import Name, Text, duration, rate, size
from securecc.config_file.yaml_nodes import Node, Place
from securecc.model import limits as bound
from securecc.model.errors import AuthenticationError
from securecc.model.grant import CacheScope, JobLimits, Quota
from securecc.model.limits import GIB, KIB, MIB
from securecc.model.principal import PrincipalPattern
from securecc.policy.document.words import Range
from securecc.policy.model import RESERVED, Group, Rule

_GRANTING: Final = ("toolchains", "limits", "quota", "weight", "cache")
_ALLOWS_NAMED_PEOPLE: Final[dict[str, Any]] = {
    "if": {"properties": {"action": {"const": "deny"}}, "required": ["action"]},
    "then": {"properties": dict.fromkeys(_GRANTING, False)},
    "else": {"required": ["who"]},
}

At = Callable[..., Place]
"""The place of a part of a rule, by its keys and indexes."""

Who = tuple[tuple[str, ...], tuple[PrincipalPattern, ...]]
Texts = Annotated[tuple[Text, ...], Meta(min_length=1)]
Ranges = Annotated[tuple[Range, ...], Meta(min_length=1)]
Time = Annotated[float, duration(0.1, 86400.0)]
Memory = Annotated[int, size(16 * MIB, 1024 * GIB)]
Rate = Annotated[float, rate(1 / 3600, 1e6)]
Size = Annotated[int, size(4 * KIB, 64 * GIB)]


class RequireSection(Section, frozen=True):
    """What a ticket must say about how its owner was authenticated."""

    auth_indicators: Annotated[Texts, Meta(description="Authentication indicators; one of them is enough")]


class LimitsSection(Section, frozen=True):
    """What one job may use; `jobs`: how many at a time."""

    wall: Time = bound.WALL_S
    cpu: Time = bound.CPU_S
    memory: Memory = bound.MEMORY
    processes: Annotated[int, Meta(ge=4, le=4096)] = bound.PROCESSES
    output: Size = bound.OUTPUT
    diagnostics: Size = bound.DIAGNOSTICS
    source: Size = bound.JOB_SOURCE
    jobs: Annotated[int, Meta(ge=1, le=100_000)] = bound.JOBS_PER_PRINCIPAL


class QuotaSection(Section, frozen=True):
    """What one principal may use at any one time, all its jobs and connections together."""

    rate: Rate = 0.0
    burst: Annotated[int, Meta(ge=1, le=1_000_000, description="Jobs that may start at once")] | UnsetType = UNSET
    memory: Memory = 0
    store: Memory = 0
    connections: Annotated[int, Meta(ge=1, le=65536)] = bound.CONNECTIONS_PER_PRINCIPAL


class RuleSection(Section, frozen=True, rename={"sources": "from"}):
    """One rule. The first that matches decides."""

    name: Annotated[Name, Meta(description="Used in the audit log, in grants and in tests")]
    action: Literal["allow", "deny"] = "allow"
    who: Annotated[tuple[Text, ...], Meta(min_length=1, description="Groups, and principals (with an @)")] = ()
    sources: Ranges = ()
    require: RequireSection | UnsetType = UNSET
    toolchains: Texts = ("*",)
    limits: LimitsSection = LimitsSection()
    quota: QuotaSection = QuotaSection()
    weight: Annotated[float, Meta(ge=0.01, le=100)] = 1.0
    cache: Annotated[
        CacheScope, Meta(description="none: this version keeps no results, and warns of any other scope")
    ] = "none"


Rules = Annotated[tuple[Annotated[RuleSection, Meta(extra_json_schema=_ALLOWS_NAMED_PEOPLE)], ...], Meta(min_length=1)]


def make_rules(
    sections: Sequence[RuleSection], node: Node, groups: Mapping[str, Group], before: tuple[Rule, ...] = ()
) -> tuple[Rule, ...]:
    """All rules in their order: those of the documents `before`, then these, which are in the document `node`.

    Raises:
        PolicyError: too many, two of one name, a group that nothing defines, or keys that contradict each other.
    """
    count = len(before) + len(sections)
    if count > bound.POLICY_RULES:
        raise place_at(node, "rules").error(f"{count} rules; at most {bound.POLICY_RULES}", "put people into groups")
    places = {rule.name: rule.place for rule in before}
    return before + tuple(_make_each(sections, node, groups, places))


def _make_each(
    sections: Sequence[RuleSection], node: Node, groups: Mapping[str, Group], places: dict[str, Place]
) -> Iterator[Rule]:
    for number, section in enumerate(sections):
        at = partial(place_at, node, "rules", number)
        if section.name in places:
            message = f'a second rule "{section.name}" (the first is in {places[section.name].seen_from(at())})'
            raise at().error(message, "rename one: the audit log names the rule")
        places[section.name] = at()
        yield _rule(section, at, groups)


def _rule(section: RuleSection, at: At, groups: Mapping[str, Group]) -> Rule:
    _check(section, at)
    names, patterns = _who(section.who, at, groups)
    if section.cache == "group" and patterns:
        advice = "put those principals into a group: its members share what they compiled"
        raise at("cache").error("cache: group requires that who lists only groups", advice)
    granted = structs.asdict(section.limits)
    jobs = granted.pop("jobs")
    return Rule(
        name=section.name,
        action=section.action,
        groups=names,
        patterns=patterns,
        sources=section.sources,
        indicators=section.require.auth_indicators if section.require else (),
        toolchains=section.toolchains,
        limits=JobLimits(granted.pop("wall"), granted.pop("cpu"), **granted),
        jobs=jobs,
        quota=_quota(section, at),
        weight=section.weight,
        cache=section.cache,
        place=at(),
    )


def _check(section: RuleSection, at: At) -> None:
    if section.name in RESERVED:
        advice = "the word has a meaning of its own in decisions"
        raise at("name").error(f'a rule cannot be called "{section.name}"', advice)
    if section.action == "allow" and not section.who:
        raise at().error('"who" is missing', "an allow rule needs it: who: [committers]")
    for key in _GRANTING:
        if section.action == "deny" and at(key) != at():
            raise at(key).error("a deny rule grants nothing", f"leave {key} out")


def _who(words: Sequence[str], at: At, groups: Mapping[str, Group]) -> Who:
    """Names of groups, and principals, recognised by their @."""
    names: list[str] = []
    patterns: list[PrincipalPattern] = []
    for number, word in enumerate(words):
        place = at("who", number)
        if "@" not in word:
            if word not in groups:
                raise place.error(f'no group is called "{word[:80]}"', did_you_mean(word, groups))
            names.append(word)
            continue
        try:
            patterns.append(PrincipalPattern.parse(word))
        except AuthenticationError as error:
            raise place.error(error.message, error.advice) from error
    return tuple(names), tuple(patterns)


def _quota(section: RuleSection, at: At) -> Quota:
    quota, most = section.quota, section.limits.memory
    if quota.burst and not quota.rate:
        raise at("quota", "burst").error("burst without rate", "write a rate as well: rate: 50/s")
    if quota.memory and quota.memory < most:
        why = f"one job of this rule may use {size_text(most)}"
        raise at("quota", "memory").error(f"{size_text(quota.memory)} for all jobs is too little", why)
    return Quota(
        rate=quota.rate,
        burst=quota.burst or max(1, round(quota.rate * bound.RATE_BURST_S)),
        memory=quota.memory,
        store=quota.store,
        connections=quota.connections,
    )
