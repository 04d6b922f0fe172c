"""The `tests:` of a policy document."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from securecc.config_file.section import Section, did_you_mean, place_at
from securecc.config_file.words import Text
from securecc.config_file.yaml_nodes import Node, Place
from securecc.policy.document.words import ExactPrincipal, HostAddress
from securecc.policy.model import DENIED, Group, PolicyTest, Rule


class PolicyTestSection(Section, frozen=True, rename={"address": "from"}):
    """What the policy's author expects it to decide in one case."""

    principal: ExactPrincipal
    address: HostAddress
    expect: Annotated[Text, Meta(description="The name of the rule that decides, or denied")]
    indicators: Annotated[
        tuple[Text, ...] | UnsetType, Meta(description="The ticket's; if omitted: those that the rules require")
    ] = UNSET
    unix_groups: Annotated[tuple[Text, ...], Meta(description="Groups that the principal is assumed to be in")] = ()


def make_tests(
    sections: Sequence[PolicyTestSection], node: Node, rules: Iterable[Rule], groups: Mapping[str, Group]
) -> Iterator[PolicyTest]:
    """Tests in their order; `node` is the document that they are in.

    Raises:
        PolicyError: a name that the policy does not define.
    """
    outcomes = {DENIED, *(rule.name for rule in rules)}
    unix_groups = {each.name for group in groups.values() for each in group.unix_groups}
    for number, section in enumerate(sections):
        _check(section.expect, outcomes, "rule", place_at(node, "tests", number, "expect"))
        for at, name in enumerate(section.unix_groups):
            _check(name, unix_groups, "unix group", place_at(node, "tests", number, "unix_groups", at))
        yield PolicyTest(
            principal=section.principal,
            address=section.address,
            expect=section.expect,
            indicators=None if section.indicators is UNSET else section.indicators,
            unix_groups=section.unix_groups,
            place=place_at(node, "tests", number),
        )


def _check(word: str, known: Collection[str], kind: str, place: Place) -> None:
    if word not in known:
        raise place.error(f'no {kind} is called "{word[:80]}"', did_you_mean(word, known))
