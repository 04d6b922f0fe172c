"""What one option of a compiler means for a remote compile, recognised by its spelling alone.

Default deny: an option that the family's table does not allow raises StaysLocal with the option's name in the message.
"""

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import NoReturn

from securecc.compiler.command_line.option_table import Family, Row, table
from securecc.model.errors import StaysLocal
from securecc.model.printable import quote

NOT_ALLOWED = "is not on the list of options that may be compiled remotely"

_CACHED = 256  # bytes; longer arguments are not cached, so that no one can fill memory with them


class Meaning(Enum):
    """What an option does, as far as code outside the compiler must know."""

    PLAIN = "plain"  # changes code or diagnostics only
    SEARCH = "search"  # a directory to search for includes
    FORCED = "forced"  # a file that is included before the source
    MACRO = "macro"  # -D, -U
    LINK = "link"  # matters when linking only
    OUTPUT = "output"  # -o
    LANGUAGE = "language"  # -x
    MODE = "mode"  # -c, -S
    DEPENDENCIES = "dependencies"  # writes a list of dependencies: -MD, -MMD
    DEPENDENCY_FILE = "dependency-file"  # -MF
    DEPENDENCY_DETAIL = "dependency-detail"  # -MT, -MQ, -MP
    EFFECT = "effect"  # turns a further output on or off: -fstack-usage, -gsplit-dwarf, ...
    PARAMETER = "parameter"  # --param, with its value in the next argument
    PROFILE = "profile"  # -fprofile-use: reads a profile of earlier runs
    PROFILE_FOLDER = "profile-folder"  # the directory of such profiles
    BITCODE = "bitcode"  # -emit-llvm: makes another kind of file
    NATIVE = "native"  # -march=native: this machine's processor
    FRONTEND = "frontend"  # -Xclang, -mllvm
    PREPROCESSOR = "preprocessor"  # -Wp, and -Xpreprocessor
    TARGET = "target"  # -m32, --target: the compiler searches other system directories
    INPUT = "input"  # a file that is read and that includes no others


@dataclass(frozen=True, slots=True)
class Option:
    """An option by its canonical `name`. `value` is joined to it; `separate` says that the next argument is its value.
    `suffix` is that of the file that an EFFECT makes; `off` says that it makes none.
    """

    name: bytes
    meaning: Meaning
    value: bytes = b""
    separate: bool = False
    suffix: bytes = b""
    off: bool = False


_NEGATED = re.compile(rb"-([fmWg])no-(.+)", re.DOTALL)
_PROCESSOR = frozenset((b"-march=", b"-mtune=", b"-mcpu="))
_WHY = {
    "information": "asks the compiler about itself, or how it works",
    "program": "runs another program, or code for one",
    "dump": "writes the compiler's own dumps",
    "input-file": "names a file that the compiler reads",
    "modules": "uses modules",
    "precompiled-header": "uses precompiled headers",
    "target": "has the compiler search directories of this machine",
}


def recognise(argument: bytes, family: Family = "gcc") -> Option:
    """The option that `argument`, which starts with ``-``, means to a compiler of this family.

    Raises:
        StaysLocal: it is unknown or not allowed remotely, or its joined value is invalid.
    """
    return recognise_short(argument, family) if len(argument) <= _CACHED else _recognise(argument, family)


def check_separate(option: Option, value: bytes, family: Family = "gcc") -> None:
    """Checks the value of `--param NAME=SETTING` or a similar option.

    Raises:
        StaysLocal: the value is invalid.
    """
    if option.meaning is Meaning.PARAMETER and family == "gcc":
        found = table(family).find(b"--param=" + value)
        if found is None or not found[0].takes(found[1]):
            _reject(b"--param " + value)
        return
    row = table(family).exact[option.name]
    if not row.takes(value) or value.startswith(b"@"):
        _reject(option.name + b" " + value)


_LONG = {
    b"--all-warnings": b"-Wall",
    b"--debug": b"-g",
    b"--define-macro": b"-D",
    b"--extra-warnings": b"-Wextra",
    b"--imacros": b"-imacros",
    b"--include": b"-include",
    b"--include-directory": b"-I",
    b"--include-directory-after": b"-idirafter",
    b"--no-standard-includes": b"-nostdinc",
    b"--no-warnings": b"-w",
    b"--optimize": b"-O",
    b"--output": b"-o",
    b"--undefine-macro": b"-U",
}  # other names for these in gcc and clang (gcc/common.opt, clang/Driver/Options.td)


def _recognise(argument: bytes, family: Family) -> Option:
    if argument.startswith(b"--"):
        long, equals, value = argument.partition(b"=")
        short = _LONG.get(long)
        if short is not None and (value or not equals):
            argument = short + value
    known = table(family)
    found = known.find(argument)
    negated = _NEGATED.fullmatch(argument) if found is None or _any_negated(found[0]) else None
    if negated is not None:
        positive = known.find(b"-" + negated[1] + negated[2])
        if positive is not None and _may_be_negated(*positive):
            return _meant(*positive, family, off=True)
    if found is None:
        _reject(argument)
    if found[0].meaning.startswith("!"):
        _reject(argument, found[0].meaning[1:])
    row, value = found
    separate = row.form in {"separate", "either"} and argument == row.name
    if not separate and (value or row.name.endswith(b"=")) and not _fits(row, value):
        _reject(argument)
    return _meant(row, value, family, separate=separate)


recognise_short = lru_cache(maxsize=8192)(_recognise)
"""`recognise` with a cache, for short arguments."""


def _any_negated(row: Row) -> bool:
    return row.name in {b"-Wno-", b"-gno-"}


def _may_be_negated(row: Row, value: bytes) -> bool:
    """`-fno-X` negates X, if X is allowed at all. If X takes a value, -fno-X need not have one."""
    kind = row.meaning.partition(".")[0]
    return kind in {"plain", "effect", "profile", "target"} and (not value or row.takes(value))


_SYMBOL = re.compile(rb"--defsym,[A-Za-z_.$][\w.$]*=(?:0[xX])?[0-9A-Fa-f]{1,16}(?:,|\Z)")
_CHOOSING = re.compile(rb"(?:\A|(?<=,))-m(?:arch|cpu|fpu|tune|float-abi)=[A-Za-z0-9.+-]{1,64}(?:,|\Z)")
_INCLUDED = re.compile(rb"(?:\A|(?<=,))-I(?:,(?=[^,]))?([^,=@-][^,]*)(?:,|\Z)")


def included_by_assembler(value: bytes) -> list[bytes]:
    """The directories that `-Wa,value` has the assembler search (GNU as manual, -I)."""
    return _INCLUDED.findall(value)


def _fits(row: Row, value: bytes) -> bool:
    if row.form == "comma":
        plain = value
        if row.needed == "assembler":
            plain = _INCLUDED.sub(b"", _CHOOSING.sub(b"", _SYMBOL.sub(b"", value))).removesuffix(b",")
        return row.value == "text" or not plain or all(row.takes(part) for part in plain.split(b","))
    return row.takes(value)


_LISTING = re.compile(rb"(-MM?D),([^-@,][^,]*)((?:,-MP|,-M[TQ],[^,@]+)*)")


def _meant(row: Row, value: bytes, family: Family, *, separate: bool = False, off: bool = False) -> Option:
    kind, _, suffix = row.meaning.partition(".")
    meaning = Meaning(kind)
    if row.name in _PROCESSOR and value.startswith(b"native"):
        meaning = Meaning.NATIVE
    if meaning in {Meaning.EFFECT, Meaning.PROFILE} and row.name.startswith((b"-gno-", b"-fno-")):
        off = True
    if meaning is Meaning.PREPROCESSOR and value.startswith((b"-MD", b"-MMD")):
        return _listing(value, family)
    name = row.name.removesuffix(b"=") if meaning is Meaning.SEARCH else row.name
    return Option(name, meaning, value, separate, b"." + suffix.encode() if suffix else b"", off)


def _listing(value: bytes, family: Family) -> Option:
    """`-Wp,-MD,FILE` writes a list of dependencies. gcc accepts more options for the list after it; clang accepts only
    these three words (Clang.cpp: Driver::TranslateInputArgs).
    """
    match = _LISTING.fullmatch(value)
    if match is None or (match[3] and family == "clang"):
        _reject(b"-Wp," + value)
    return Option(b"-Wp," + match[1], Meaning.DEPENDENCIES, match[2])


def _reject(argument: bytes, reason: str = "option") -> NoReturn:
    if reason != "option":
        raise StaysLocal(reason, f"{quote(argument)} {_WHY.get(reason, 'is meaningful on this machine only')}")
    reason = "assembler" if argument.startswith(b"-Wa,") else "option"
    raise StaysLocal(reason, f"{quote(argument)} {NOT_ALLOWED}")
