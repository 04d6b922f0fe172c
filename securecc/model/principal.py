r"""Kerberos principals: whole names, realm included, and the patterns that a policy uses for them.

The escapes are those of krb5_unparse_name(3). Names are bytes to Kerberos: bytes that are not UTF-8 are kept by
surrogateescape, so that different names never become equal. Every record, log line and message shows a principal in one
form, `str` of it: characters that are not printable, and bytes that are not UTF-8, as ``\xHH``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from securecc.model import limits
from securecc.model.errors import AuthenticationError

_ESCAPES = {"n": "\n", "t": "\t", "b": "\b", "0": "\0"}
_ESCAPED = {value: "\\" + name for name, value in _ESCAPES.items()} | {char: "\\" + char for char in "/@\\"}
_LITERAL = frozenset("/@\\ *")  # krb5 escapes the first three, Heimdal a space, a pattern's author a star
_NOT_IN_A_STAR = frozenset("/@\\")
_WELLKNOWN = "WELLKNOWN"  # RFC 6111, section 3: reserved names, including the anonymous principal
_HEX_ESCAPE = 4  # \xHH
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9./_-]")
_WHOLE = "write the whole name, as alice@EXAMPLE.COM"

Field = list[tuple[int, bool]]  # the bytes of a component, each with whether it was escaped


@dataclass(frozen=True, slots=True)
class Principal:
    """A name of a realm. Two are equal only if every component and the realm are equal, byte for byte.

    Raises:
        AuthenticationError: no realm, or an empty component.
    """

    components: tuple[str, ...]
    realm: str

    def __post_init__(self) -> None:
        if not self.realm:
            raise AuthenticationError("a principal has no realm", _WHOLE)
        if not self.components or not all(self.components):
            raise AuthenticationError("a principal has an empty component", _WHOLE)
        for part in (*self.components, self.realm):
            if part != _decode(_encode(part)):
                raise AuthenticationError("a principal's text is not what its bytes decode to")

    @classmethod
    def parse(cls, name: bytes | str) -> Self:
        """Reads what krb5_unparse_name(3) writes, and what `str` of a Principal shows.

        Raises:
            AuthenticationError: anything else: no realm, two realms, an unknown escape, a raw control character.
        """
        components, realm = _split(name)
        return cls(tuple(_text(field) for field in components), _text(realm))

    @classmethod
    def display(cls, name: bytes) -> str:
        r"""The form of a GSSAPI name for records, logs and people: `str` of the principal.

        A name that is not a principal is shown with all bytes but letters, digits, ``-``, ``.``, ``/`` and ``_`` as
        ``\xHH``, the ``@`` too, so that it never looks like one.
        """
        try:
            return str(cls.parse(name))
        except AuthenticationError:
            return _NOT_PLAIN.sub(lambda found: f"\\x{ord(found[0]):02x}", name.decode("latin-1"))

    def unparse(self) -> bytes:
        """The name as krb5_unparse_name(3) writes it."""
        return _encode(self._written(show=False))

    def __str__(self) -> str:
        """The form for records, logs and people: one printable line that `parse` reads back as this principal."""
        return self._written(show=True)

    def _written(self, *, show: bool) -> str:
        return "/".join(_escape(part, show) for part in self.components) + "@" + _escape(self.realm, show)


@dataclass(frozen=True, slots=True)
class PrincipalPattern:
    """The principals that a pattern in a policy matches: ``alice@EXAMPLE.COM``, ``*/ci@EXAMPLE.COM``,
    ``build-*@EXAMPLE.COM``.

    A `*` stands for any text inside one component; it never stands for a ``/`` or an ``@``, escaped or not, nor for
    a character that is not printable, nor for a name below WELLKNOWN. The realm is always literal. Each component
    is kept as the literal texts between its stars.
    """

    components: tuple[tuple[str, ...], ...]
    realm: str

    @classmethod
    def parse(cls, text: str) -> Self:
        r"""Reads a pattern; a star that means itself is written ``\*``.

        Raises:
            AuthenticationError: as `Principal.parse`, and for a star in the realm.
        """
        components, realm = _split(text)
        if any(byte == ord("*") for byte, _ in realm):
            raise AuthenticationError(
                f"the realm of {text} has a *", "name each realm: every realm is an authority of its own"
            )
        pattern = cls(tuple(_segments(field) for field in components), _text(realm))
        if not pattern.realm or not all(any(part) or len(part) > 1 for part in pattern.components):
            raise AuthenticationError(f"{text} has an empty component", _WHOLE)
        return pattern

    @property
    def exact(self) -> bool:
        """Whether it has no star, so that it matches one principal."""
        return all(len(part) == 1 for part in self.components)

    @property
    def principal(self) -> Principal:
        """The one principal that an exact pattern matches."""
        return Principal(tuple("*".join(part) for part in self.components), self.realm)

    def matches(self, principal: Principal) -> bool:
        """Whether the pattern matches the whole principal. Takes time linear in the length of the name."""
        if principal.realm != self.realm or len(principal.components) != len(self.components):
            return False
        if principal.components[0] == _WELLKNOWN and self.components[0] != (_WELLKNOWN,):
            return False
        return all(map(_component_matches, self.components, principal.components))

    def __str__(self) -> str:
        parts = ("*".join(_escape(text, True).replace("*", "\\*") for text in part) for part in self.components)
        return "/".join(parts) + "@" + _escape(self.realm, True)


def _component_matches(segments: tuple[str, ...], text: str) -> bool:
    if len(segments) == 1:
        return segments[0] == text
    if not text.isprintable() or not _NOT_IN_A_STAR.isdisjoint(text):
        return False
    first, *middle, last = segments
    at, end = len(first), len(text) - len(last)
    if at > end or not text.startswith(first) or not text.endswith(last):
        return False
    for segment in middle:
        found = text.find(segment, at, end)
        if found < 0:
            return False
        at = found + len(segment)
    return True


def _split(name: bytes | str) -> tuple[list[Field], Field]:
    data = _encode(name) if isinstance(name, str) else name
    if len(data) > limits.PRINCIPAL:
        raise AuthenticationError(f"a principal of {len(data)} bytes is too long: the limit is {limits.PRINCIPAL}")
    components: list[Field] = [[]]
    realm: Field | None = None
    for byte, escaped in _scan(data):
        if escaped or byte not in b"/@":
            (components[-1] if realm is None else realm).append((byte, escaped))
        elif realm is not None:
            raise AuthenticationError(f"{_shown(data)} has an unescaped {chr(byte)} in its realm")
        elif byte == ord("/"):
            components.append([])
        else:
            realm = []
    if realm is None:
        raise AuthenticationError(f"no realm in {_shown(data)}", _WHOLE)
    return components, realm


def _scan(data: bytes) -> Iterator[tuple[int, bool]]:
    at = 0
    while at < len(data):
        char = chr(data[at])
        if char == "\\":
            value, length = _unescape(data, at)
            yield value, True
            at += length
        elif char in _ESCAPED and char not in _LITERAL:
            raise AuthenticationError(f"{_shown(data)} has a control character that is not escaped")
        else:
            yield data[at], False
            at += 1


def _unescape(data: bytes, at: int) -> tuple[int, int]:
    """The byte that the escape at `at` stands for, and the length of the escape.

    Raises:
        AuthenticationError: Kerberos writes no such escape.
    """
    following = chr(data[at + 1]) if at + 1 < len(data) else ""
    if following in _ESCAPES:
        return ord(_ESCAPES[following]), 2
    if following and following in _LITERAL:
        return ord(following), 2
    digits = data[at + 2 : at + _HEX_ESCAPE]
    if following == "x" and len(digits) == 2 and all(digit in b"0123456789abcdefABCDEF" for digit in digits):  # noqa: PLR2004 - two hexadecimal digits
        return int(digits, 16), _HEX_ESCAPE
    raise AuthenticationError(f"{_shown(data)} has an escape that Kerberos does not write")


def _text(field: Field) -> str:
    return _decode(bytes(byte for byte, _ in field))


def _segments(field: Field) -> tuple[str, ...]:
    segments: list[Field] = [[]]
    for byte, escaped in field:
        if byte == ord("*") and not escaped:
            segments.append([])
        else:
            segments[-1].append((byte, escaped))
    return tuple(_text(segment) for segment in segments)


def _escape(text: str, show: bool) -> str:
    return "".join(_ESCAPED.get(char) or (_printable(char) if show else char) for char in text)


def _printable(char: str) -> str:
    return char if char.isprintable() else "".join(f"\\x{byte:02x}" for byte in _encode(char))


def _shown(data: bytes) -> str:
    return ascii(_decode(data))


def _encode(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise AuthenticationError("a principal's text cannot be encoded") from error


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
