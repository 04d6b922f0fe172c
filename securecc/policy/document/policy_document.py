"""Turns the text of a policy into a Policy, or raises one PolicyError that says where and why not.

docs/policy.md explains the keys; policy/schema.json, for editors, is made from the sections here and beside.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, UnsetType, field

from securecc.config_file.json_schema import json_schema
from securecc.config_file.section import Section, key_place, place_at, read_section
from securecc.config_file.yaml_nodes import Node, compose
from securecc.policy.document.groups_section import Groups, make_groups
from securecc.policy.document.rules_section import Ranges, Rules, make_rules
from securecc.policy.document.tests_section import PolicyTestSection, make_tests
from securecc.policy.document.words import Folder
from securecc.policy.member_list import read_members
from securecc.policy.model import Group, Policy, PolicyTest, Rule
from securecc.policy.network import EVERYWHERE, Network

_OF_THE_POLICY: Final = ("include", "network")  # an included document has neither
_SOME_RULES: Final[dict[str, Any]] = {
    "anyOf": [{"required": ["rules"]}, {"required": ["include"]}, {"required": ["groups"]}]
}


class NetworkSection(Section, frozen=True):
    """Who may connect at all; deny wins."""

    allow: Annotated[Ranges | UnsetType, Meta(description="If omitted: every address")] = UNSET
    deny: Ranges = ()
    proxies: Annotated[Ranges, Meta(description="Believed when they name the address that they connect for")] = ()


class PolicyDocument(Section, frozen=True):
    """For editors. `securecctl policy check` is authoritative: it also checks names, tests and files."""

    version: Annotated[Literal[1], Meta(description="write version: 1")]
    include: Annotated[
        tuple[Folder, ...],
        Meta(min_length=1, description="Folders below this one, whose *.yaml hold more groups, rules and tests"),
    ] = ()
    network: NetworkSection = NetworkSection()
    groups: Groups = field(default_factory=dict)
    rules: Rules = ()
    tests: tuple[PolicyTestSection, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """A document that a policy includes. `name` is its path from the policy's folder."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class _Opened:
    """A document that was read from `node`; `folder` is its own, from the policy's."""

    folder: PurePosixPath
    document: PolicyDocument
    node: Node


def policy_schema() -> str:
    """The JSON schema of a policy, as text."""
    return json_schema(PolicyDocument, "securecc policy", _SOME_RULES)


def read_includes(data: bytes, document: str) -> tuple[str, ...]:
    """The folders that a document includes, as it writes them.

    Raises:
        PolicyError: it is not a policy document; names file, line, column and key.
    """
    return read_section(compose(data, document), PolicyDocument).include


def read_policy(data: bytes, document: str, parts: Sequence[Part] = ()) -> Policy:
    """The policy in a file's bytes, with the `parts` that it includes; `document` is the name by which errors
    call the file. The documents' tests are read, not run (`securecc.policy.embedded_tests`), and files that they name
    are not looked at.

    Raises:
        PolicyError: one of them is not a policy document; names file, line, column and key.
    """
    folder = PurePosixPath(document).parent
    main = _open(data, document, PurePosixPath())
    opened = [main, *(_open_part(part, folder) for part in parts)]
    groups = _groups(opened)
    rules: tuple[Rule, ...] = ()
    for each in opened:
        rules = make_rules(each.document.rules, each.node, groups, rules)
    if not rules:
        raise main.node.place.error('"rules" is missing', "without rules nobody is admitted")
    network = main.document.network
    tests: list[PolicyTest] = []
    for each in opened:
        tests += make_tests(each.document.tests, each.node, rules, groups)
    return Policy(
        document=document,
        revision=revision_of(data, {part.name: part.data for part in parts}),
        network=Network(network.allow or EVERYWHERE, network.deny, network.proxies),
        groups=groups,
        rules=rules,
        tests=tuple(tests),
    )


def with_files(policy: Policy, data: bytes, files: Mapping[str, bytes], parts: Sequence[Part] = ()) -> Policy:
    """The policy with the members that its group files name; `files` has their bytes by their paths from its folder.

    Raises:
        PolicyError: a line that is not a principal; names file and line.
    """
    folder = PurePosixPath(policy.document).parent
    groups = {
        name: replace(group, members=read_members(files[group.file], str(folder / group.file))) if group.file else group
        for name, group in policy.groups.items()
    }
    everything = {**files, **{part.name: part.data for part in parts}}
    return replace(policy, groups=groups, revision=revision_of(data, everything))


def revision_of(document: bytes, files: Mapping[str, bytes]) -> str:
    """Sixteen hexadecimal digits that change with any byte of the document, or of a file that belongs to it."""
    digest = hashlib.sha256(hashlib.sha256(document).digest())
    for name in sorted(files):
        digest.update(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest())
        digest.update(hashlib.sha256(files[name]).digest())
    return digest.hexdigest()[:16]


def _open(data: bytes, document: str, folder: PurePosixPath) -> _Opened:
    node = compose(data, document)
    return _Opened(folder, read_section(node, PolicyDocument), node)


def _open_part(part: Part, folder: PurePosixPath) -> _Opened:
    opened = _open(part.data, str(folder / part.name), PurePosixPath(part.name).parent)
    for key in _OF_THE_POLICY:
        if place_at(opened.node, key) != opened.node.place:
            place = key_place(opened.node, key)
            raise place.error("not allowed in an included document", f"put {key} into the policy itself")
    return opened


def _groups(opened: Sequence[_Opened]) -> dict[str, Group]:
    """The groups of all documents: a rule may name any of them, and no two have the same name."""
    groups: dict[str, Group] = {}
    for each in opened:
        for name, group in make_groups(each.document.groups, each.node, each.folder).items():
            if name in groups:
                where = groups[name].place.seen_from(group.place)
                raise group.place.error(f'a second group "{name}" (the first is in {where})', "rename one of them")
            groups[name] = group
    return groups
