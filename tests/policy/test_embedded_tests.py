import pytest

from securecc.model.errors import PolicyError
from securecc.policy.document.policy_document import read_policy
from securecc.policy.embedded_tests import run_tests

RULES = """\
version: 1
groups:
  committers:
    principals: [alice@EXAMPLE.COM]
    unix_group: {name: vcs-commit, realm: EXAMPLE.COM}
rules:
  - {name: leavers, action: deny, who: [bob@EXAMPLE.COM]}
  - {name: committers, who: [committers], require: {auth_indicators: [pkinit]}}
tests:
"""


def run(test: str) -> None:
    run_tests(read_policy(f"{RULES}  - {{{test}}}\n".encode(), "policy.yaml"))


@pytest.mark.parametrize(
    "test",
    [
        "principal: alice@EXAMPLE.COM, from: 10.2.3.4, expect: committers",
        "principal: alice@EXAMPLE.COM, from: 10.2.3.4, indicators: [pkinit], expect: committers",
        "principal: alice@EXAMPLE.COM, from: 10.2.3.4, indicators: [], expect: denied",
        "principal: alice@OTHER.ORG, from: 10.2.3.4, expect: denied",
        "principal: bob@EXAMPLE.COM, from: 10.2.3.4, expect: denied",
        "principal: bob@EXAMPLE.COM, from: 10.2.3.4, expect: leavers",
        "principal: dave@EXAMPLE.COM, from: 10.2.3.4, unix_groups: [vcs-commit], expect: committers",
        "principal: dave@OTHER.ORG, from: 10.2.3.4, unix_groups: [vcs-commit], expect: denied",
        "principal: dave/ci@EXAMPLE.COM, from: 10.2.3.4, unix_groups: [vcs-commit], expect: denied",
        "principal: dave@EXAMPLE.COM, from: 10.2.3.4, expect: denied",
    ],
)
def test_holds(test: str) -> None:
    run(test)


@pytest.mark.parametrize(
    ("test", "says"),
    [
        (
            "principal: alice@EXAMPLE.COM, from: 10.2.3.4, expect: denied",
            "expected denied for alice@EXAMPLE.COM from 10.2.3.4, got allowed by committers",
        ),
        (
            "principal: alice@OTHER.ORG, from: 10.2.3.4, expect: committers",
            "denied by nothing-matched; because leavers: alice@OTHER.ORG is not in bob@EXAMPLE.COM; committers: ",
        ),
        ("principal: alice@EXAMPLE.COM, from: 10.2.3.4, expect: leavers", "allowed by committers"),
    ],
)
def test_fails_with_its_place_and_the_reasons(test: str, says: str) -> None:
    with pytest.raises(PolicyError) as caught:
        run(test)
    assert str(caught.value).startswith("policy.yaml:10:5: tests[0]: expected ")
    assert says in str(caught.value)
