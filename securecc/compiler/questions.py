"""What a compile asked of its surroundings, and what it was told: the witness's questions, as a Result carries them.

Pure. docs/protocol.md, section 8, is normative; `securecc/sandbox/witness` writes them.
"""

import re
from collections.abc import Iterable
from enum import StrEnum
from zlib import crc32

import msgspec

from securecc.model import limits
from securecc.model.errors import ProtocolError


class Kind(StrEnum):
    """What a question is about."""

    NAME = "N"  # what a path leads to
    LINK = "L"  # what is at a path itself
    ALLOWED = "A"  # whether the file may be read (4), written (2) or executed (1), as in access(2): the mark says which
    DIRECTORY = "D"  # which names a directory has: the mark is their checksum
    VARIABLE = "V"
    CLOCK = "T"
    MACHINE = "M"
    CHANCE = "C"
    WRITTEN = "W"  # a path was opened for writing; the answer is what was there before
    PROGRAM = "P"  # a program was started
    UNKNOWN = "U"  # something was asked that cannot be asked again


PATHS = frozenset((Kind.NAME, Kind.LINK, Kind.ALLOWED, Kind.DIRECTORY))
"""Questions about what is there, which nearly all are."""


class Answer(StrEnum):
    """What was found."""

    ABSENT = "-"
    PRESENT = "+"
    REGULAR = "f"
    FOLDER = "d"
    SYMLINK = "l"
    SPECIAL = "s"
    REFUSED = "!"


_KINDS = {kind.value.encode(): kind for kind in Kind}
_ANSWERS = {answer.value.encode(): answer for answer in Answer}
_MARKED = frozenset((Kind.ALLOWED, Kind.DIRECTORY))
_MARK = 16  # bytes
_CHECKSUM = re.compile(rb"[0-9a-f]{16}")
_MODE = re.compile(rb"[0-7]-{15}")
_SUM, _NUMBER = (1 << 48) - 1, 0xFFFF


class Question(msgspec.Struct, frozen=True, gc=False):
    """One question. `text` is a path or a name as the compiler spelled it; `by_driver` says that the job's first
    program asked.
    """

    kind: Kind
    answer: Answer
    text: bytes
    mark: bytes = b""
    by_driver: bool = False


def parse(data: bytes) -> tuple[Question, ...]:
    """The questions of one run, each once.

    Raises:
        ProtocolError: these are no questions, or too many.
    """
    if len(data) > limits.WITNESS:
        raise ProtocolError(f"questions of {len(data)} bytes; at most {limits.WITNESS}")
    if (number := data.count(b"\0") + 1) > limits.QUESTIONS:
        raise ProtocolError(f"{number} questions; at most {limits.QUESTIONS}")
    return tuple([_question(record) for record in data.split(b"\0")]) if data else ()


def names_checksum(names: Iterable[bytes]) -> bytes:
    """The mark of a directory with these names, in any order: their number, and the sum of their CRC-32."""
    number = total = 0
    for name in names:
        number += 1
        total += crc32(name)
    return b"%016x" % ((number & _NUMBER) << 48 ^ total & _SUM)


def _question(record: bytes) -> Question:
    letter = record[:1]
    kind = _KINDS.get(letter.upper())
    answer = _ANSWERS.get(record[1:2])
    if kind is None or answer is None:
        raise ProtocolError(f"no question begins with {record[:2]!a}")
    mark = record[2 : 2 + _MARK] if kind in _MARKED else b""
    text = record[2 + len(mark) :]
    if not text and kind in _MARKED:
        raise ProtocolError("a question of a path without a path")
    if kind in _MARKED and not (_CHECKSUM if kind is Kind.DIRECTORY else _MODE).fullmatch(mark):
        raise ProtocolError(f"a question with the mark {mark!a}")
    return Question(kind, answer, text, mark, letter.islower())
