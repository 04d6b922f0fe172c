"""The text of a policy becomes a Policy, or one PolicyError that says where and why not.

The schema is docs/policy.md's; policy/schema.json says the same to editors. Each part of the document has a module.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from securecc.policy import fields
from securecc.policy.document_groups import read_groups
from securecc.policy.document_rules import read_rules
from securecc.policy.document_tests import read_tests
from securecc.policy.fields import Section
from securecc.policy.members import read_members
from securecc.policy.model import Group, Policy
from securecc.policy.network import Network, parse_range
from securecc.policy.yaml_nodes import Node, compose

_DOCUMENT = ("version", "network", "groups", "rules", "tests")
_NETWORK = ("allow", "deny", "proxies")

_ranges = fields.filled(fields.parsed(parse_range))


def read_policy(data: bytes, document: str) -> Policy:
    """The policy that a file's bytes say; `document` is the name by which errors call the file.

    Raises PolicyError naming file, line, column and key. The document's tests are read, not run
    (`securecc.policy.embedded_tests`), and files that it names are not looked at.
    """
    section = Section(compose(data, document), _DOCUMENT)
    section.need("version", fields.integer(1, 1), "write version: 1")
    no_groups: dict[str, Group] = {}
    groups = section.get("groups", read_groups, no_groups)
    rules = section.need("rules", lambda node: read_rules(node, groups), "without rules nobody is let in")
    return Policy(
        document=document,
        revision=revision_of(data, {}),
        network=section.get("network", _network, Network()),
        groups=groups,
        rules=rules,
        tests=section.get("tests", lambda node: read_tests(node, rules, groups), ()),
    )


def with_files(policy: Policy, data: bytes, files: Mapping[str, bytes]) -> Policy:
    """The policy with the members that its group files name; `files` has their bytes by the name in the document.

    Raises PolicyError naming file and line.
    """
    folder = PurePosixPath(policy.document).parent
    groups = {
        name: replace(group, members=read_members(files[group.file], str(folder / group.file))) if group.file else group
        for name, group in policy.groups.items()
    }
    return replace(policy, groups=groups, revision=revision_of(data, files))


def revision_of(document: bytes, files: Mapping[str, bytes]) -> str:
    """Sixteen hexadecimal digits that change with any byte of the document or of a group file."""
    digest = hashlib.sha256(hashlib.sha256(document).digest())
    for name in sorted(files):
        digest.update(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest())
        digest.update(hashlib.sha256(files[name]).digest())
    return digest.hexdigest()[:16]


def _network(node: Node) -> Network:
    section = Section(node, _NETWORK)
    return Network(
        allow=section.get("allow", _ranges, Network().allow),
        deny=section.get("deny", _ranges, ()),
        proxies=section.get("proxies", _ranges, ()),
    )
