"""Typed reading of a document's nodes. Every error names file, line, column and key path."""

import difflib
import re
from collections.abc import Callable, Collection, Iterable
from typing import NoReturn, TypeVar

from securecc.config_file.yaml_nodes import Mapping, Node, Place, Scalar, Sequence
from securecc.model.errors import SecureccError

T = TypeVar("T")

_BOOLEANS = frozenset(["yes", "no", "on", "off", "true", "false"])  # as YAML 1.1 has it
_NULLS = frozenset(["", "~", "null"])
_NUMBER = re.compile(r"[-+]?(\d[\d_]*(\.\d*)?([eE][-+]?\d+)?|\.\d+|0x[0-9a-fA-F]+|0o?[0-7]+)", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9_])?", re.ASCII)
_INTEGER = re.compile(r"[0-9]{1,9}", re.ASCII)
_REAL = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,6})?", re.ASCII)

_CHOICES = 12  # named in advice
_KINDS = {Scalar: "one word", Sequence: "a list", Mapping: "a map of keys"}


class Section:
    """A map whose keys are known: what is asked for by name is typed, and what is not known is refused."""

    def __init__(self, node: Node, known: Collection[str]) -> None:
        self.node = mapping(node)
        for key, node_of_key in self.node.keys.items():
            if key not in known:
                raise node_of_key.place.error(f'unknown key "{key}"', did_you_mean(key, known))

    def get(self, key: str, read: Callable[[Node], T], default: T) -> T:
        """What stands under the key, read; the default if the key is not there."""
        node = self.node.items.get(key)
        return default if node is None else read(node)

    def need(self, key: str, read: Callable[[Node], T], why: str) -> T:
        """What stands under a key that must be there."""
        node = self.node.items.get(key)
        if node is None:
            raise self.node.place.error(f'"{key}" is missing', why)
        return read(node)

    def place(self, key: str) -> Place:
        """Where the value of a key stands, or the section itself."""
        node = self.node.items.get(key)
        return self.node.place if node is None else node.place


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Advice for a word that is not among those known."""
    names = sorted(known)
    close = difflib.get_close_matches(word[:64], names, 1)
    more = f" and {len(names) - _CHOICES} more" if len(names) > _CHOICES else ""
    choices = (", ".join(names[:_CHOICES]) or "none") + more
    return f'did you mean "{close[0]}"?' if close else f"known here: {choices}"


def mapping(node: Node) -> Mapping:
    """The node as a map."""
    return node if isinstance(node, Mapping) else _wrong(node, _KINDS[Mapping])


def listed(read: Callable[[Node], T]) -> Callable[[Node], tuple[T, ...]]:
    """A reader of lists. One value alone is not taken for a list of one."""

    def read_list(node: Node) -> tuple[T, ...]:
        if not isinstance(node, Sequence):
            _wrong(node, "a list", " (write [ ] around it)" if isinstance(node, Scalar) and node.text else "")
        return tuple(read(item) for item in node.items)

    return read_list


def filled(read: Callable[[Node], T]) -> Callable[[Node], tuple[T, ...]]:
    """A reader of lists that must not be empty."""

    def read_list(node: Node) -> tuple[T, ...]:
        values = listed(read)(node)
        if not values:
            raise node.place.error("an empty list", "leave the key out if nothing is to be listed")
        return values

    return read_list


def text(node: Node) -> str:
    """Any text that YAML itself does not take for something else."""
    word = scalar(node)
    if node_is_plain(node) and word.lower() in _BOOLEANS:
        raise node.place.error(f"unquoted {word} is yes-or-no to YAML, not a name", f'write "{word}"')
    if node_is_plain(node) and _NUMBER.fullmatch(word):
        raise node.place.error(f"unquoted {word[:80]} is a number to YAML, not a name", f'write "{word}"')
    return word


def name(node: Node) -> str:
    """A name of a group or rule: letters, digits, and ``_ . -`` inside."""
    word = text(node)
    if not _NAME.fullmatch(word):
        raise node.place.error(
            f"{word[:80]!a} is no name", "use letters, digits and _ . - (at most 64, none of . - at the ends)"
        )
    return word


def one_of(choices: Collection[str], kind: str = "word") -> Callable[[Node], str]:
    """A reader of words that are known; `kind` is what they are called."""

    def read(node: Node) -> str:
        word = scalar(node)
        if word not in choices:
            raise node.place.error(f'no {kind} is called "{word[:80]}"', did_you_mean(word, choices))
        return word

    return read


def integer(low: int, high: int) -> Callable[[Node], int]:
    """A reader of whole numbers between two bounds, both included."""

    def read(node: Node) -> int:
        word = scalar(node)
        if not _INTEGER.fullmatch(word) or not low <= int(word) <= high:
            raise node.place.error(f"{word[:80]!a} is no whole number from {low} to {high}")
        return int(word)

    return read


def real(low: float, high: float) -> Callable[[Node], float]:
    """A reader of numbers between two bounds, both included."""

    def read(node: Node) -> float:
        word = scalar(node)
        if not _REAL.fullmatch(word) or not low <= float(word) <= high:
            raise node.place.error(f"{word[:80]!a} is no number from {low:g} to {high:g}")
        return float(word)

    return read


def parsed(parse: Callable[[str], T]) -> Callable[[Node], T]:
    """A reader of what has a parser of its own, whose error gets its place here."""

    def read(node: Node) -> T:
        word = scalar(node)
        try:
            return parse(word)
        except SecureccError as error:
            raise node.place.error(error.message, error.advice) from error

    return read


def within(read: Callable[[Node], T], low: T, high: T, show: Callable[[T], str]) -> Callable[[Node], T]:
    """A reader whose value must lie between two bounds, both included."""

    def read_bounded(node: Node) -> T:
        value = read(node)
        if not low <= value <= high:  # type: ignore[operator]  # T is a number wherever this is used
            raise node.place.error(f"{show(value)} is out of bounds", f"allowed is {show(low)} to {show(high)}")
        return value

    return read_bounded


def scalar(node: Node) -> str:
    """The text of one word."""
    if not isinstance(node, Scalar):
        _wrong(node, _KINDS[Scalar])
    if node.plain and node.text.lower() in _NULLS:
        raise node.place.error("no value", "write one, or leave the key out")
    return node.text


def node_is_plain(node: Node) -> bool:
    """Whether it is a word without quotes."""
    return isinstance(node, Scalar) and node.plain


def _wrong(node: Node, wanted: str, hint: str = "") -> NoReturn:
    if isinstance(node, Scalar) and node.plain and node.text.lower() in _NULLS:
        raise node.place.error("no value", f"{wanted} is wanted here; leave the key out if there is nothing to say")
    raise node.place.error(f"{_KINDS[type(node)]} where {wanted} is wanted{hint}")
