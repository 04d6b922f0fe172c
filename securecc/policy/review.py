"""What is suspicious about a policy that is not wrong: warnings for the person who wrote it."""

from securecc.config_file.yaml_nodes import Place
from securecc.policy.model import Policy, Rule
from securecc.policy.network import covers

_Warning = tuple[Place, str]


def review(policy: Policy) -> tuple[str, ...]:
    """One line for each warning, beginning with file and line."""
    found = [*_unreachable(policy), *_out_of_network(policy), *_unused(policy), *_scopes(policy)]
    if not policy.tests:
        place = Place(policy.document, 1, 1)
        found.append((place, "the policy has no tests; say at least who must get in and who must not"))
    found.sort(key=lambda each: (each[0].document != policy.document, each[0].document, each[0].line))
    return tuple(f"{place.row}: {text}" for place, text in found)


def _unreachable(policy: Policy) -> list[_Warning]:
    """Rules that an earlier rule leaves nothing to decide."""
    found = []
    for at, rule in enumerate(policy.rules):
        for earlier in policy.rules[:at]:
            if _takes_all(earlier, rule):
                where = earlier.place.seen_from(rule.place)
                text = f'rule "{rule.name}" is never reached: "{earlier.name}" ({where}) takes all it means'
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
    """Rules whose every `from` the network ACL keeps out."""
    network = policy.network
    return [
        (rule.place, f'rule "{rule.name}" never matches: the network section admits nothing of its from')
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
        (group.place, f'group "{name}" stands in no rule') for name, group in policy.groups.items() if name not in used
    ]


def _scopes(policy: Policy) -> list[_Warning]:
    """Nobody is served from results that nobody keeps: safe, and yet not what such a rule's author hopes for."""
    return [
        (rule.place, f'rule "{rule.name}": cache: {rule.cache} does nothing; this version keeps no results')
        for rule in policy.rules
        if rule.cache != "none"
    ]
