"""The `rules:` of a policy document."""

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from securecc.config_file import fields
from securecc.config_file.fields import Section
from securecc.config_file.quantities import duration, duration_text, rate, rate_text, size, size_text
from securecc.config_file.yaml_nodes import Node, Sequence
from securecc.model import limits
from securecc.model.grant import CacheScope, JobLimits, Quota
from securecc.model.limits import GIB, KIB, MIB
from securecc.model.principal import PrincipalPattern
from securecc.policy.model import RESERVED, Action, Group, Rule
from securecc.policy.network import parse_range

_RULE = ("name", "action", "who", "from", "require", "toolchains", "limits", "quota", "weight", "cache")
_GRANTING = ("toolchains", "limits", "quota", "weight", "cache")
_LIMITS = ("wall", "cpu", "memory", "processes", "output", "diagnostics", "source", "jobs")
_QUOTA = ("rate", "burst", "memory", "store", "connections")

Who = tuple[tuple[str, ...], tuple[PrincipalPattern, ...]]
_EVERYBODY: Who = ((), ())

_ranges = fields.filled(fields.parsed(parse_range))
_texts = fields.filled(fields.text)
_pattern = fields.parsed(PrincipalPattern.parse)
_duration = fields.within(fields.parsed(duration), 0.1, 86400.0, duration_text)
_memory = fields.within(fields.parsed(size), 16 * MIB, 1024 * GIB, size_text)
_rate = fields.within(fields.parsed(rate), 1 / 3600, 1e6, rate_text)
_store = fields.within(fields.parsed(size), 16 * MIB, 1024 * GIB, size_text)
_size = fields.within(fields.parsed(size), 4 * KIB, 64 * GIB, size_text)


def read_rules(node: Node, groups: Mapping[str, Group], before: tuple[Rule, ...] = ()) -> tuple[Rule, ...]:
    """All rules in their order: those of the documents `before`, then those that stand here. Raises PolicyError."""
    first = {rule.name: rule.place for rule in before}

    def read(item: Node) -> Rule:
        rule = _rule(item, groups)
        if rule.name in first:
            where = first[rule.name].seen_from(rule.place)
            message = f'a second rule "{rule.name}" (the first is in {where})'
            raise item.place.error(message, "rename one: names stand in the audit")
        first[rule.name] = rule.place
        return rule

    count = len(before) + (len(node.items) if isinstance(node, Sequence) else 0)
    if count > limits.POLICY_RULES:
        raise node.place.error(f"{count} rules; at most {limits.POLICY_RULES}", "put people into groups")
    return before + fields.filled(read)(node)


def _rule(node: Node, groups: Mapping[str, Group]) -> Rule:
    section = Section(node, _RULE)
    action = cast("Action", section.get("action", fields.one_of(("allow", "deny"), "action"), "allow"))
    names, patterns = section.get("who", lambda who: _who(who, groups), _EVERYBODY)
    rule = Rule(
        name=section.need("name", _name, "a rule's name stands in the audit and in what people are told"),
        action=action,
        groups=names,
        patterns=patterns,
        sources=section.get("from", _ranges, ()),
        indicators=section.get("require", _require, ()),
        toolchains=section.get("toolchains", _texts, ("*",)),
        weight=section.get("weight", fields.real(0.01, 100), 1.0),
        cache=_cache(section, bool(patterns)),
        place=node.place,
    )
    _check_action(section, rule)
    limited = section.get("limits", lambda each: _limited(each, rule), rule)
    return section.get("quota", lambda each: _allotted(each, limited), limited)


def _name(node: Node) -> str:
    word = fields.name(node)
    if word in RESERVED:
        raise node.place.error(f'no rule can be called "{word}"', "the word has its own meaning in decisions")
    return word


def _check_action(section: Section, rule: Rule) -> None:
    if rule.action == "allow" and not (rule.groups or rule.patterns):
        raise section.node.place.error('"who" is missing', "a rule that allows says whom: who: [committers]")
    for key in _GRANTING:
        if rule.action == "deny" and key in section.node.items:
            raise section.place(key).error("a rule that denies grants nothing", f"leave {key} out")


def _who(node: Node, groups: Mapping[str, Group]) -> Who:
    """Names of groups, and principals where an @ tells them."""
    items = fields.filled(lambda item: item)(node)
    known = fields.one_of(groups, "group")
    names = tuple(known(item) for item in items if "@" not in fields.text(item))
    return names, tuple(_pattern(item) for item in items if "@" in fields.text(item))


def _require(node: Node) -> tuple[str, ...]:
    section = Section(node, ("auth_indicators",))
    return section.need("auth_indicators", _texts, "say which: require: {auth_indicators: [pkinit]}")


def _cache(section: Section, patterns: bool) -> CacheScope:
    scope = section.get("cache", fields.one_of(("none", "principal", "group", "all"), "scope"), "none")
    if scope == "group" and patterns:
        advice = "put those principals into a group: its members share what they compiled"
        raise section.place("cache").error("cache: group wants groups alone in who", advice)
    return cast("CacheScope", scope)


def _limited(node: Node, rule: Rule) -> Rule:
    section = Section(node, _LIMITS)
    preset = JobLimits()
    granted = JobLimits(
        wall_s=section.get("wall", _duration, preset.wall_s),
        cpu_s=section.get("cpu", _duration, preset.cpu_s),
        memory=section.get("memory", _memory, preset.memory),
        processes=section.get("processes", fields.integer(4, 4096), preset.processes),
        output=section.get("output", _size, preset.output),
        diagnostics=section.get("diagnostics", _size, preset.diagnostics),
        source=section.get("source", _size, preset.source),
    )
    return replace(rule, limits=granted, jobs=section.get("jobs", fields.integer(1, 100_000), rule.jobs))


def _allotted(node: Node, rule: Rule) -> Rule:
    section = Section(node, _QUOTA)
    preset = Quota()
    jobs = section.get("rate", _rate, preset.rate)
    if not jobs and "burst" in section.node.items:
        raise section.place("burst").error("a burst of what?", "write a rate as well: rate: 50/s")
    memory = section.get("memory", _memory, preset.memory)
    if memory and memory < rule.limits.memory:
        why = f"one job of this rule may use {size_text(rule.limits.memory)}"
        raise section.place("memory").error(f"{size_text(memory)} for all jobs is too little", why)
    quota = Quota(
        rate=jobs,
        burst=section.get("burst", fields.integer(1, 1_000_000), max(1, round(jobs * limits.RATE_BURST_S))),
        memory=memory,
        store=section.get("store", _store, preset.store),
        connections=section.get("connections", fields.integer(1, 65536), preset.connections),
    )
    return replace(rule, quota=quota)
