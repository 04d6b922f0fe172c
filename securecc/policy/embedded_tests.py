"""The tests in a policy document. A policy whose own tests fail is never put in force."""

from securecc.policy.decision import Decision, decide
from securecc.policy.model import DENIED, Memberships, Policy, PolicyTest


def run_tests(policy: Policy) -> None:
    """Runs the tests. No name service is asked: a test says of which unix groups its principal is a member.

    Raises:
        PolicyError: a test fails; says which, what it expects, what was decided, and why.
    """
    for test in policy.tests:
        decision = judge(policy, test)
        if outcome(test, decision) != test.expect:
            raise test.place.error(
                f"expected {test.expect} for {test.principal} from {test.address}, got {_decided(decision)}",
                f"because {'; '.join(decision.reasons) or 'there is no rule'}",
            )


def judge(policy: Policy, test: PolicyTest) -> Decision:
    """The decision in a test's case."""
    every = {indicator for rule in policy.rules for indicator in rule.indicators}
    indicators = every if test.indicators is None else test.indicators
    return decide(policy, test.principal, test.address, indicators, _memberships(policy, test))


def outcome(test: PolicyTest, decision: Decision) -> str:
    """The decision in the words of `expect`: the rule's name, or `denied` if the test expects that."""
    return DENIED if test.expect == DENIED and not decision.allowed else decision.rule


def _decided(decision: Decision) -> str:
    return f"{'allowed' if decision.allowed else 'denied'} by {decision.rule}"


def _memberships(policy: Policy, test: PolicyTest) -> Memberships:
    alone = len(test.principal.components) == 1
    return {
        group: frozenset([test.principal])
        if alone and group.name in test.unix_groups and group.realm == test.principal.realm
        else frozenset()
        for group in policy.unix_groups
    }
