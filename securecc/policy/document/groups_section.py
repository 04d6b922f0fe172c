"""The `groups:` of a policy document."""

from pathlib import PurePosixPath
from typing import Annotated

from msgspec import Meta

from securecc.config_file.section import Section, key_place, place_at
from securecc.config_file.words import FileName, Name
from securecc.config_file.yaml_nodes import Node
from securecc.policy.document.words import Pattern, Realm, UnixGroupName
from securecc.policy.model import Group, UnixGroup


class UnixGroupSection(Section, frozen=True):
    """A group that the name service knows. It knows no realms, so its members' realm is given here."""

    name: UnixGroupName
    realm: Realm


class GroupSection(Section, frozen=True):
    """Principals under one name."""

    principals: Annotated[tuple[Pattern, ...], Meta(min_length=1)] = ()
    file: Annotated[FileName, Meta(description="One principal per line; relative to this document's folder")] = ""
    unix_group: UnixGroupSection | Annotated[tuple[UnixGroupSection, ...], Meta(min_length=1)] = ()


Groups = dict[Name, Annotated[GroupSection, Meta(extra_json_schema={"minProperties": 1})]]


def make_groups(sections: Groups, node: Node, folder: PurePosixPath) -> dict[str, Group]:
    """Groups by name. `node` is the document that they are in, `folder` that document's folder, from the policy's.

    Raises:
        PolicyError: a group has no members.
    """
    groups: dict[str, Group] = {}
    for name, section in sections.items():
        if section == GroupSection():
            choices = ", ".join(GroupSection.__struct_fields__)
            raise place_at(node, "groups", name).error("a group without members", f"give it one of {choices}")
        named = section.unix_group if isinstance(section.unix_group, tuple) else (section.unix_group,)
        groups[name] = Group(
            name=name,
            principals=frozenset(each.principal for each in section.principals if each.exact),
            patterns=tuple(each for each in section.principals if not each.exact),
            file=str(folder / section.file) if section.file else "",
            unix_groups=tuple(UnixGroup(each.name, each.realm) for each in named),
            place=key_place(node, "groups", name),
        )
    return groups
