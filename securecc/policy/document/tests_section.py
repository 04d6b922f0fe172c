"""The `tests:` of a policy document."""

from collections.abc import Iterable, Mapping

from securecc.config_file import fields
from securecc.config_file.fields import Section
from securecc.config_file.yaml_nodes import Node
from securecc.model.principal import Principal, PrincipalPattern
from securecc.policy.model import DENIED, Group, PolicyTest, Rule
from securecc.policy.network import parse_address

_TEST = ("principal", "from", "expect", "indicators", "unix_groups")

_address = fields.parsed(parse_address)


def _principal(node: Node) -> Principal:
    pattern = fields.parsed(PrincipalPattern.parse)(node)
    if not pattern.exact:
        raise node.place.error(f"{pattern} is a pattern", "a test is about one principal; write one out")
    return pattern.principal


def _indicators(node: Node) -> tuple[str, ...] | None:
    return fields.listed(fields.text)(node)


def read_tests(node: Node, rules: Iterable[Rule], groups: Mapping[str, Group]) -> tuple[PolicyTest, ...]:
    """Tests in their order. Raises PolicyError, also for names that the document does not define."""
    expected = fields.one_of({DENIED, *(rule.name for rule in rules)}, "rule")
    unix_group = fields.one_of({each.name for group in groups.values() for each in group.unix_groups}, "unix group")

    def read(item: Node) -> PolicyTest:
        section = Section(item, _TEST)
        return PolicyTest(
            principal=section.need("principal", _principal, "say who: principal: alice@EXAMPLE.COM"),
            address=section.need("from", _address, "say from where: from: 10.2.3.4"),
            expect=section.need("expect", expected, "name the rule that decides, or write denied"),
            indicators=section.get("indicators", _indicators, None),
            unix_groups=section.get("unix_groups", fields.listed(unix_group), ()),
            place=item.place,
        )

    return fields.listed(read)(node)
