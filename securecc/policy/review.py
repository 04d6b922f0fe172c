"""What is suspicious about a policy that is not wrong: warnings for the person who wrote it."""

from securecc.policy.model import Policy, Rule
from securecc.policy.network import covers


def review(policy: Policy) -> tuple[str, ...]:
    """One line for each warning, beginning with file and line."""
    found = [*_unreachable(policy), *_out_of_network(policy), *_unused(policy)]
    if not policy.tests:
        found.append((1, "the policy has no tests; say at least who must get in and who must not"))
    return tuple(f"{policy.document}:{line}: {text}" for line, text in sorted(found))


def _unreachable(policy: Policy) -> list[tuple[int, str]]:
    """Rules that an earlier rule leaves nothing to decide."""
    found = []
    for at, rule in enumerate(policy.rules):
        for earlier in policy.rules[:at]:
            if _takes_all(earlier, rule):
                text = f'rule "{rule.name}" is never reached: "{earlier.name}" (line {earlier.line}) takes all it means'
                found.append((rule.line, text))
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


def _out_of_network(policy: Policy) -> list[tuple[int, str]]:
    """Rules whose every `from` the network ACL keeps out."""
    network = policy.network
    return [
        (rule.line, f'rule "{rule.name}" never matches: the network section admits nothing of its from')
        for rule in policy.rules
        if rule.sources
        and all(
            covers(network.deny, source)
            or not (covers(network.allow, source) or any(covers([source], each) for each in network.allow))
            for source in rule.sources
        )
    ]


def _unused(policy: Policy) -> list[tuple[int, str]]:
    used = {name for rule in policy.rules for name in rule.groups}
    return [
        (group.line, f'group "{name}" stands in no rule') for name, group in policy.groups.items() if name not in used
    ]
