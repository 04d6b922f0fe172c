from typing import Any

import pytest

from securecc.policy.document.policy_document import read_policy
from securecc.policy.review import review

HEAD = """\
version: 1
network: {allow: [10.0.0.0/8], deny: [10.9.0.0/16]}
groups:
  committers: {principals: [alice@EXAMPLE.COM]}
  others: {principals: [bob@EXAMPLE.COM]}
tests: [{principal: carol@OTHER.ORG, from: 10.2.3.4, expect: denied}]
rules:
"""


def warnings(*rules: Any) -> list[Any]:
    text = HEAD + "".join(f"  - {{{rule}}}\n" for rule in rules)
    return [each for each in review(read_policy(text.encode(), "p.yaml")) if "is not used in any rule" not in each]


@pytest.mark.parametrize(
    "rules",
    [
        ("name: a, who: [committers]", "name: b, who: [committers], from: [10.1.0.0/16]"),
        ("name: a, action: deny", "name: b, who: [committers]"),
        ("name: a, action: deny", "name: b, action: deny"),
        ("name: a, who: [committers, others], from: [10.0.0.0/8]", "name: b, who: [others], from: [10.1.0.0/16]"),
        (
            "name: a, who: [others], require: {auth_indicators: [x, y]}",
            "name: b, who: [others], require: {auth_indicators: [x]}",
        ),
    ],
)
def test_a_rule_that_is_never_reached(rules: tuple[str, ...]) -> None:
    assert warnings(*rules) == ['p.yaml:9: rule "b" is never reached: "a" (line 8) matches everything it would']


@pytest.mark.parametrize(
    "rules",
    [
        ("name: a, who: [committers], from: [10.1.0.0/16]", "name: b, who: [committers]"),
        ("name: a, who: [committers]", "name: b, who: [committers, others]"),
        ("name: a, who: [committers]", "name: b, action: deny"),
        ("name: a, who: [others], require: {auth_indicators: [x]}", "name: b, who: [others]"),
    ],
)
def test_a_rule_that_is_reached(rules: tuple[str, ...]) -> None:
    assert warnings(*rules) == []


def test_a_rule_that_the_network_keeps_out() -> None:
    assert "never matches" in warnings("name: a, who: [others], from: [10.9.1.0/24, 11.0.0.0/8]")[0]
    assert warnings("name: a, who: [others], from: [0.0.0.0/0]") == []


def test_groups_and_tests_that_are_missing() -> None:
    found = review(read_policy(b"version: 1\ngroups: {g: {file: x}}\nrules: [{name: a, who: ['a@B']}]", "p.yaml"))
    assert found[0].startswith("p.yaml:1: the policy has no tests")
    assert found[1] == 'p.yaml:2: group "g" is not used in any rule'


@pytest.mark.parametrize("scope", ["principal", "group", "all"])
def test_a_cache_scope_where_nothing_is_kept(scope: str) -> None:
    assert warnings(f"name: a, who: [committers], cache: {scope}") == [
        f'p.yaml:8: rule "a": cache: {scope} does nothing; this version keeps no results'
    ]
    assert warnings("name: a, who: [committers], cache: none") == []
