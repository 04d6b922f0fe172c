"""Sections of a document as msgspec structs: which keys there are, and what values they take.

A word of YAML has no type of its own here: ``no`` may be a name and ``10`` the start of a duration. The key's type
decides how it is read, and every error names the place of its node. The JSON schema for editors comes from the same
types (`securecc.config_file.json_schema`).
"""

import difflib
from collections.abc import Iterable
from typing import Any, NoReturn, TypeVar, cast

import msgspec
from msgspec import inspect

from securecc.config_file.words import WORD, Word, integer, is_boolean, is_number, real, text
from securecc.config_file.yaml_nodes import Mapping, Node, Place, Scalar, Sequence
from securecc.model.errors import SecureccError

_NULLS = frozenset(["", "~", "null"])
_KINDS = {Scalar: "one word", Sequence: "a list", Mapping: "a map of keys"}
_CHOICES = 12  # named in advice


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all sections. A field's `description` appears in errors and in the schema."""


S = TypeVar("S", bound=Section)


def read_section(node: Node, section: type[S]) -> S:
    """The section that a node is.

    Raises:
        PolicyError: an unknown or missing key, or a value that its key does not take; names file, line, column and key.
    """
    return cast("S", _value(node, inspect.type_info(section)))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Advice for a word that is not among those known."""
    names = sorted(known)
    close = difflib.get_close_matches(word[:64], names, 1)
    more = f" and {len(names) - _CHOICES} more" if len(names) > _CHOICES else ""
    choices = (", ".join(names[:_CHOICES]) or "none") + more
    return f'did you mean "{close[0]}"?' if close else f"known here: {choices}"


def _value(node: Node, kind: inspect.Type, word: Word | None = None) -> Any:
    match kind:
        case inspect.Metadata():
            return _value(node, kind.type, (kind.extra or {}).get(WORD, word))
        case inspect.UnionType():
            return _value(node, _fitting(node, kind.types), word)
        case inspect.StructType():
            return _struct(node, kind)
        case inspect.VarTupleType():
            return _list(node, kind)
        case inspect.DictType():
            return _table(node, kind)
        case inspect.LiteralType():
            return _choice(node, kind)
        case inspect.IntType() | inspect.FloatType() if word is None:
            number = integer if isinstance(kind, inspect.IntType) else real
            return _word(node, number(kind.ge or 0, kind.le or 0))
    return _word(node, word or text())


def _fitting(node: Node, kinds: tuple[inspect.Type, ...]) -> inspect.Type:
    """The one of several types that fits such a node; a section if none does."""
    wanted = {Mapping: inspect.StructType, Sequence: inspect.VarTupleType}.get(type(node), inspect.Metadata)
    fitting = [kind for kind in kinds if isinstance(kind, wanted)]
    return (fitting or [kind for kind in kinds if isinstance(kind, inspect.StructType)])[0]


def _struct(node: Node, kind: inspect.StructType) -> Any:
    fields = {field.encode_name: field for field in kind.fields}
    if not isinstance(node, Mapping):
        needed = [f"{name}: ..." for name, field in fields.items() if field.required]
        _wrong(node, _KINDS[Mapping], f" (write {{{', '.join(needed)}}})" if needed else "")
    for key, word in node.keys.items():
        if key not in fields:
            raise word.place.error(f'unknown key "{key}"', did_you_mean(key, fields))
    for key, field in fields.items():
        if field.required and key not in node.items:
            raise node.place.error(f'"{key}" is missing', _description(field.type))
    return kind.cls(**{fields[key].name: _value(each, fields[key].type) for key, each in node.items.items()})


def _list(node: Node, kind: inspect.VarTupleType) -> tuple[Any, ...]:
    if not isinstance(node, Sequence):
        _wrong(node, _KINDS[Sequence], " (write [ ] around it)" if isinstance(node, Scalar) and node.text else "")
    if len(node.items) < (kind.min_length or 0):
        raise node.place.error("an empty list", "leave the key out if nothing is to be listed")
    if kind.max_length is not None and len(node.items) > kind.max_length:
        raise node.place.error(f"a list of {len(node.items)} is too long", f"the limit is {kind.max_length}")
    return tuple(_value(item, kind.item_type) for item in node.items)


def _table(node: Node, kind: inspect.DictType) -> dict[str, Any]:
    if not isinstance(node, Mapping):
        _wrong(node, _KINDS[Mapping])
    return {_value(node.keys[key], kind.key_type): _value(each, kind.value_type) for key, each in node.items.items()}


def _choice(node: Node, kind: inspect.LiteralType) -> Any:
    choices = {str(value): value for value in kind.values}
    word = _scalar(node)
    if word.text not in choices:
        raise word.place.error(f'unknown value "{word.text[:80]}"', did_you_mean(word.text, choices))
    return choices[word.text]


def _word(node: Node, word: Word) -> Any:
    scalar = _scalar(node)
    if scalar.plain and not word.bare:
        _check_quotes(scalar)
    try:
        value = word.parse(scalar.text)
    except SecureccError as error:
        raise scalar.place.error(error.message, error.advice) from error
    if word.bounds is not None and not word.bounds[0] <= value <= word.bounds[1]:
        low, high = map(word.show, word.bounds)
        raise scalar.place.error(f"{word.show(value)} is out of bounds", f"allowed is {low} to {high}")
    return value


def _check_quotes(scalar: Scalar) -> None:
    """A name that YAML takes for something else is a mistake, or will mislead the next reader."""
    word = scalar.text
    if is_boolean(word):
        raise scalar.place.error(f"unquoted {word} is yes-or-no to YAML, not a name", f'write "{word}"')
    if is_number(word):
        raise scalar.place.error(f"unquoted {word[:80]} is a number to YAML, not a name", f'write "{word}"')


def _scalar(node: Node) -> Scalar:
    if not isinstance(node, Scalar):
        _wrong(node, _KINDS[Scalar])
    if _is_null(node):
        raise node.place.error("no value", "write one, or leave the key out")
    return node


def _description(kind: inspect.Type) -> str:
    more = kind.extra_json_schema or {} if isinstance(kind, inspect.Metadata) else {}
    return str(more.get("description", ""))


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.plain and node.text.lower() in _NULLS


def _wrong(node: Node, wanted: str, hint: str = "") -> NoReturn:
    if _is_null(node):
        raise node.place.error("no value", f"write {wanted}, or leave the key out")
    raise node.place.error(f"{_KINDS[type(node)]} where {wanted} is wanted{hint}")


def place_at(node: Node, *steps: str | int) -> Place:
    """The place of something, by its keys and indexes from `node`; of the innermost that exists, if it is missing."""
    return _descend(node, steps).place


def key_place(node: Node, *steps: str | int) -> Place:
    """The place of a key itself, not of its value."""
    *above, key = steps
    section = _descend(node, above)
    return section.keys[str(key)].place if isinstance(section, Mapping) and key in section.keys else section.place


def _descend(node: Node, steps: Iterable[str | int]) -> Node:
    for step in steps:
        match node, step:
            case Mapping(items=items), str() if step in items:
                node = items[step]
            case Sequence(items=several), int() if step < len(several):
                node = several[step]
            case _:
                break
    return node
