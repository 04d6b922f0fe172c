"""The `groups:` of a policy document."""

from pathlib import PurePosixPath

from securecc.config_file import fields
from securecc.config_file.fields import Section
from securecc.config_file.yaml_nodes import Node, Scalar, Sequence
from securecc.model import limits as bound
from securecc.model.principal import PrincipalPattern
from securecc.policy.model import Group, UnixGroup

_GROUP = ("principals", "file", "unix_group")
_UNIX_GROUP = ("name", "realm")

_patterns = fields.filled(fields.parsed(PrincipalPattern.parse))


def read_groups(node: Node, folder: PurePosixPath) -> dict[str, Group]:
    """Groups by name. `folder` is the document's own, from that of the policy. Raises PolicyError."""
    entries = fields.mapping(node)
    return {fields.name(key): _group(key, entries.items[key.text], folder) for key in entries.keys.values()}


def _group(key: Scalar, node: Node, folder: PurePosixPath) -> Group:
    section = Section(node, _GROUP)
    if not section.node.items:
        raise node.place.error("a group of nobody", f"give it one of {', '.join(_GROUP)}")
    nobody: tuple[PrincipalPattern, ...] = ()
    patterns = section.get("principals", _patterns, nobody)
    return Group(
        name=key.text,
        principals=frozenset(each.principal for each in patterns if each.exact),
        patterns=tuple(each for each in patterns if not each.exact),
        file=section.get("file", lambda each: str(folder / _file(each)), ""),
        unix_groups=section.get("unix_group", _unix_groups, ()),
        place=key.place,
    )


def _file(node: Node) -> str:
    path = fields.text(node)
    if "\0" in path or len(path) > bound.PATH or PurePosixPath(path).name in ("", ".."):
        raise node.place.error(f"{path[:80]!a} is no file", "name one, relative to the folder of this document")
    return path


def _unix_groups(node: Node) -> tuple[UnixGroup, ...]:
    if isinstance(node, Sequence):
        return fields.filled(_unix_group)(node)
    return (_unix_group(node),)


def _unix_group(node: Node) -> UnixGroup:
    if isinstance(node, Scalar):
        advice = f"unix groups know no realms; write {{name: {node.text[:80] or 'committers'}, realm: EXAMPLE.COM}}"
        raise node.place.error("the realm of the group's members is missing", advice)
    section = Section(node, _UNIX_GROUP)
    return UnixGroup(
        section.need("name", _unix_name, "name the group as getent(1) does"),
        section.need("realm", _realm, "say of which realm its members are: realm: EXAMPLE.COM"),
    )


def _unix_name(node: Node) -> str:
    word = fields.text(node)
    if not word.isprintable() or word.isdigit() or word.startswith("-") or not set(word).isdisjoint(":,/"):
        raise node.place.error(f"{word[:80]!a} is no name of a unix group", "name it as getent(1) shows it")
    return word


def _realm(node: Node) -> str:
    word = fields.text(node)
    if not word or not word.isprintable() or not word.isascii() or not set(word).isdisjoint("/@*\\ "):
        raise node.place.error(f"{word[:80]!a} is no realm", "write it as in krb5.conf: EXAMPLE.COM")
    return word
