"""YAML text as a small tree of nodes that have their places.

It is built from the parser's events, so that an alias, an anchor, a tag, too deep nesting or a second document ends the
reading where it stands, before anything is expanded.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from securecc.model import limits
from securecc.model.errors import PolicyError
from securecc.model.printable import plain

_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # CSafeLoader only where PyYAML was built with libyaml
_INDENT = re.compile(r"[ ]*\t[ \t]*[^\s#]")
_CONTROL = re.compile("[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is in a document. Line and column are counted from 1; `key` is the path of keys to it."""

    document: str
    line: int
    column: int
    key: str = ""

    def error(self, message: str, advice: str = "") -> PolicyError:
        """An error about what is here."""
        key = f"{self.key}: " if self.key else ""
        return PolicyError(f"{self}: {plain(key + message)}", plain(advice))

    def __str__(self) -> str:
        return f"{self.row}:{self.column}"

    @property
    def row(self) -> str:
        """Document and line."""
        return f"{self.document}:{self.line}"

    def seen_from(self, other: "Place") -> str:
        """Where this is, in words for a message about `other`."""
        return f"line {self.line}" if self.document == other.document else self.row


@dataclass(frozen=True, slots=True)
class Scalar:
    """A word, number or text. `plain` means that it has no quotes."""

    place: Place
    text: str
    plain: bool


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    place: Place
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Mapping:
    """A map of different keys, in the document's order. `keys` has the keys themselves."""

    place: Place
    items: dict[str, "Node"]
    keys: dict[str, Scalar]


Node = Scalar | Sequence | Mapping


def compose(data: bytes, document: str) -> Node:
    """The document's tree. `document` is its name in errors.

    Raises:
        PolicyError: not one plain YAML document of UTF-8 text of at most `limits.POLICY_FILE` bytes; names line, column
            and key path.
    """
    if len(data) > limits.POLICY_FILE:
        raise PolicyError(f"{document}: {len(data)} bytes; the limit is {limits.POLICY_FILE}")
    text = _text(data, document)
    try:
        return _Composer(document, text).document()
    except yaml.MarkedYAMLError as error:
        failure = _translated(error, document)
        raise failure from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise PolicyError(f"{document}: not YAML: {' '.join(str(error).split())}") from error


def _text(data: bytes, document: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise Place(document, line, column).error("this byte is not UTF-8", "save the file as UTF-8") from error
    for number, line_text in enumerate(text.split("\n"), 1):
        if _INDENT.match(line_text):
            place = Place(document, number, line_text.index("\t") + 1)
            raise place.error("a tab in the indentation", "indent with spaces only")
        if found := _CONTROL.search(line_text):
            place = Place(document, number, found.start() + 1)
            raise place.error(f"a control character ({found[0]!a})", "write it as an escape within double quotes")
    return text


def _translated(error: yaml.MarkedYAMLError, document: str) -> PolicyError:
    mark = error.problem_mark or error.context_mark
    place = Place(document, mark.line + 1, mark.column + 1) if mark else Place(document, 1, 1)
    what = " ".join(part for part in (error.context, error.problem) if part)
    advice = "look for a missing quote, bracket, colon or indentation at this line"
    if "alias" in what:
        advice = 'a name that begins with * needs quotes: "*/ci@EXAMPLE.COM"'
    elif "flow node" in what or "unexpected ':'" in what:
        advice += ', or for an address like "::1" that needs quotes'
    return place.error(f"not YAML: {what}", advice)


class _Composer:
    """Turns a document's events into nodes; `_depth` bounds the recursion."""

    def __init__(self, document: str, text: str) -> None:
        self._name = document
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=_Loader)
        self._depth = 0

    def document(self) -> Node:
        next(self._events)  # stream start
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            raise PolicyError(f"{self._name}: an empty document", "a policy needs at least version: 1 and rules")
        node = self._node(next(self._events), "")
        next(self._events)  # document end
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise self._place(event, "").error("a second document begins here", "write one document per file")
        return node

    def _place(self, event: yaml.Event, key: str) -> Place:
        mark = event.start_mark
        return Place(self._name, mark.line + 1, mark.column + 1, key) if mark else Place(self._name, 1, 1, key)

    def _node(self, event: yaml.Event, key: str) -> Node:
        place = self._place(event, key)
        if isinstance(event, yaml.AliasEvent):
            raise place.error(f"an alias (*{event.anchor})", "write the value out, or quote a name that begins with *")
        assert isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)
        if event.anchor is not None:
            raise place.error(
                f"an anchor (&{event.anchor})", "anchors and aliases are not allowed: write the value out"
            )
        if event.tag is not None and event.tag != "!":
            raise place.error(f"a tag ({event.tag})", "tags are not allowed: quote a text that begins with !")
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(place, event.value, event.style is None or event.style == "")
        self._depth += 1
        if self._depth > limits.POLICY_DEPTH:
            raise place.error(f"nested deeper than {limits.POLICY_DEPTH} levels")
        node = self._sequence(place) if isinstance(event, yaml.SequenceStartEvent) else self._mapping(place)
        self._depth -= 1
        return node

    def _sequence(self, place: Place) -> Sequence:
        items: list[Node] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, f"{place.key}[{len(items)}]"))
        return Sequence(place, tuple(items))

    def _mapping(self, place: Place) -> Mapping:
        items: dict[str, Node] = {}
        keys: dict[str, Scalar] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, place.key)
            if not isinstance(key, Scalar):
                raise key.place.error("a key must be one word")
            path = f"{place.key}.{key.text}" if place.key else key.text
            here = self._place(event, path)
            if key.text in keys:
                first = keys[key.text].place.line
                raise here.error(f"duplicate key (first in line {first})", "keep one of them")
            keys[key.text] = Scalar(here, key.text, key.plain)
            items[key.text] = self._node(next(self._events), path)
        return Mapping(place, items, keys)
