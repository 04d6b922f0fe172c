"""The text of a policy becomes a Policy, or one PolicyError that says where and why not.

The schema is docs/policy.md's; policy/schema.json says the same to editors. Each part of the document has a module.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from securecc.config_file import fields
from securecc.config_file.fields import Section
from securecc.config_file.yaml_nodes import Node, compose
from securecc.model import limits
from securecc.policy.document.groups_section import read_groups
from securecc.policy.document.rules_section import read_rules
from securecc.policy.document.tests_section import read_tests
from securecc.policy.member_list import read_members
from securecc.policy.model import Group, Policy, PolicyTest, Rule
from securecc.policy.network import Network, parse_range

_DOCUMENT = ("version", "include", "network", "groups", "rules", "tests")
_PART = ("version", "groups", "rules", "tests")
_NETWORK = ("allow", "deny", "proxies")

_ranges = fields.filled(fields.parsed(parse_range))


@dataclass(frozen=True, slots=True)
class Part:
    """A document that a policy includes. `name` is its path from the policy's folder."""

    name: str
    data: bytes


def read_includes(data: bytes, document: str) -> tuple[str, ...]:
    """The folders that a document includes, as it writes them. Raises PolicyError."""
    return _opened(data, document, _DOCUMENT).get("include", fields.filled(_folder), ())


def read_policy(data: bytes, document: str, parts: Sequence[Part] = ()) -> Policy:
    """The policy that a file's bytes say, with the `parts` that it includes; `document` is the name by which errors
    call the file.

    Raises PolicyError naming file, line, column and key. The documents' tests are read, not run
    (`securecc.policy.embedded_tests`), and files that they name are not looked at.
    """
    main = _opened(data, document, _DOCUMENT)
    folder = PurePosixPath(document).parent
    opened = [(PurePosixPath(part.name).parent, _part(part.data, str(folder / part.name))) for part in parts]
    sections = [(PurePosixPath(), main), *opened]
    groups = _groups(sections)
    rules: tuple[Rule, ...] = ()
    for _, section in sections:
        rules = section.get("rules", lambda node: read_rules(node, groups, rules), rules)  # noqa: B023 (called at once)
    if not rules:
        main.need("rules", lambda node: read_rules(node, groups), "without rules nobody is let in")
    none: tuple[PolicyTest, ...] = ()
    tests = [section.get("tests", lambda node: read_tests(node, rules, groups), none) for _, section in sections]
    return Policy(
        document=document,
        revision=revision_of(data, {part.name: part.data for part in parts}),
        network=main.get("network", _network, Network()),
        groups=groups,
        rules=rules,
        tests=tuple(test for some in tests for test in some),
    )


def with_files(policy: Policy, data: bytes, files: Mapping[str, bytes], parts: Sequence[Part] = ()) -> Policy:
    """The policy with the members that its group files name; `files` has their bytes by their paths from its folder.

    Raises PolicyError naming file and line.
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


def _opened(data: bytes, document: str, keys: Sequence[str]) -> Section:
    section = Section(compose(data, document), keys)
    section.need("version", fields.integer(1, 1), "write version: 1")
    return section


def _part(data: bytes, document: str) -> Section:
    section = _opened(data, document, _DOCUMENT)
    for key, scalar in section.node.keys.items():
        if key not in _PART:
            raise scalar.place.error("an included document has none", f"write {key} into the policy itself")
    return section


def _groups(sections: Sequence[tuple[PurePosixPath, Section]]) -> dict[str, Group]:
    """Those of all documents: a rule may name any of them, and no name stands for two."""
    groups: dict[str, Group] = {}
    none: dict[str, Group] = {}
    for folder, section in sections:
        for name, group in section.get("groups", lambda node: read_groups(node, folder), none).items():  # noqa: B023
            if name in groups:
                where = groups[name].place.seen_from(group.place)
                raise group.place.error(f'a second group "{name}" (the first is in {where})', "rename one of them")
            groups[name] = group
    return groups


def _folder(node: Node) -> str:
    word = fields.text(node)
    path = PurePosixPath(word)
    if "\0" in word or len(word) > limits.PATH or path.is_absolute() or ".." in path.parts or not path.parts:
        advice = "name a folder below that of the policy, as policy.d"
        raise node.place.error(f"{word[:80]!a} cannot be included", advice)
    return str(path)


def _network(node: Node) -> Network:
    section = Section(node, _NETWORK)
    return Network(
        allow=section.get("allow", _ranges, Network().allow),
        deny=section.get("deny", _ranges, ()),
        proxies=section.get("proxies", _ranges, ()),
    )
