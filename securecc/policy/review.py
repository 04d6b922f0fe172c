"""Warnings about a policy that is valid, for its author."""

from securecc.config_file.yaml_nodes import Place
from securecc.policy.model import Policy, Rule
from securecc.policy.network import covers

_Warning = tuple[Place, str]


def review(policy: Policy) -> tuple[str, ...]:
    """One line for each warning, beginning with file and line."""
    found = [*_unreachable(policy), *_out_of_network(policy), *_unused(policy), *_scopes(policy)]
    if not policy.tests:
        place = Place(policy.document, 1, 1)
        found.append(
            (place, "the policy has no tests: write at least one for who must get in and one for who must not")
        )
    found.sort(key=lambda each: (each[0].document != policy.document, each[0].document, each[0].line))
    return tuple(f"{place.row}: {text}" for place, text in found)


def _unreachable(policy: Policy) -> list[_Warning]:
    """Rules that are never reached because of an earlier one."""
    found = []
    for at, rule in enumerate(policy.rules):
        for earlier in policy.rules[:at]:
            if _takes_all(earlier, rule):
                where = earlier.place.seen_from(rule.place)
                text = f'rule "{rule.name}" is never reached: "{earlier.name}" ({where}) matches everything it would'
                found.append((rule.place, text))
                break
    return found


def _takes_all(earlier: Rule, later: Rule) -> bool:
    if earlier.indicators and not (later.indicators and set(later.indicators) <= set(earlier.indicators)):
        return False
    if earlier.sources and not (later.sources and all(covers(earlier.sources, each) for each in later.sources)):
        return False
    if not earlier.groups and not earlier.patterns:
        return True
    somebody = bool(later.groups or later.patterns)
    return somebody and set(later.groups) <= set(earlier.groups) and set(later.patterns) <= set(earlier.patterns)


def _out_of_network(policy: Policy) -> list[_Warning]:
    """Rules of which the network section rejects every `from`."""
    network = policy.network
    return [
        (rule.place, f'rule "{rule.name}" never matches: the network section accepts no address in its from')
        for rule in policy.rules
        if rule.sources
        and all(
            covers(network.deny, source)
            or not (covers(network.allow, source) or any(covers([source], each) for each in network.allow))
            for source in rule.sources
        )
    ]


def _unused(policy: Policy) -> list[_Warning]:
    used = {name for rule in policy.rules for name in rule.groups}
    return [
        (group.place, f'group "{name}" is not used in any rule')
        for name, group in policy.groups.items()
        if name not in used
    ]


def _scopes(policy: Policy) -> list[_Warning]:
    """Rules that share results, which this version does not keep: safe, but not what their author expects."""
    return [
        (rule.place, f'rule "{rule.name}": cache: {rule.cache} does nothing; this version keeps no results')
        for rule in policy.rules
        if rule.cache != "none"
    ]
