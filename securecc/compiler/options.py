"""What one option of a compiler means to us, recognised by its own spelling alone.

Default deny: an option that is in none of the tables raises StaysLocal with the option's name in the message.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache

from securecc.compiler import options_gcc as gcc
from securecc.words.errors import StaysLocal

_CACHED = 256  # bytes; longer arguments are recognised anew, so that nobody fills the memory through the cache


class Meaning(Enum):
    """What an option does to a compile, as far as anybody outside the compiler has to know."""

    PLAIN = auto()  # nothing but to the code or the diagnostics
    SEARCH = auto()  # a directory in which includes are looked for
    FORCED = auto()  # a file that is included before the source
    MACRO = auto()  # -D, -U
    LINK = auto()  # looked at by linking only
    OUTPUT = auto()  # -o
    LANGUAGE = auto()  # -x
    MODE = auto()  # -c, -S
    DEPENDENCIES = auto()  # writes a list of dependencies: -MD, -MMD
    DEPENDENCY_FILE = auto()  # -MF
    DEPENDENCY_DETAIL = auto()  # -MT, -MQ, -MP
    EFFECT = auto()  # makes one more output, or no longer: -fstack-usage, -gsplit-dwarf, ...
    PARAMETER = auto()  # --param, with its value in the next argument


@dataclass(frozen=True, slots=True)
class Option:
    """An option by its canonical `name`. `value` is what was joined to it; `separate` says that the next argument is
    its value.
    """

    name: bytes
    meaning: Meaning
    value: bytes = b""
    separate: bool = False


WORD = re.compile(rb"[A-Za-z0-9_.:+,!=-]+")
NUMBER = re.compile(rb"[0-9]{1,18}|0[xX][0-9A-Fa-f]{1,16}")
_WARNING = re.compile(rb"-W(?:no-)?error=[a-z0-9+=-]+|-Wno-[a-z0-9+-]+(?:=[A-Za-z0-9_:.+-]*)?")
_NAMED_FLAG = re.compile(
    rb"-fno-builtin-\w+|-f(?:fixed|call-used|call-saved)-[\w%.]+|-f(?:inline-limit|template-depth)-[0-9]+"
    rb"|-fno-sanitize(?:-recover|-trap|-coverage)?=[a-z,-]+"
)

# Options that take a value, joined or in the next argument.
_VALUED = {
    b"-I": Meaning.SEARCH,
    b"-iquote": Meaning.SEARCH,
    b"-isystem": Meaning.SEARCH,
    b"-idirafter": Meaning.SEARCH,
    b"-isysroot": Meaning.SEARCH,
    b"-D": Meaning.MACRO,
    b"-U": Meaning.MACRO,
    b"-o": Meaning.OUTPUT,
    b"-x": Meaning.LANGUAGE,
    b"-MF": Meaning.DEPENDENCY_FILE,
    b"-MT": Meaning.DEPENDENCY_DETAIL,
    b"-MQ": Meaning.DEPENDENCY_DETAIL,
    b"-L": Meaning.LINK,
    b"-l": Meaning.LINK,
}
# Options that take a value in the next argument only.
_SEPARATE = {
    b"-include": Meaning.FORCED,
    b"-imacros": Meaning.FORCED,
    b"--sysroot": Meaning.SEARCH,
    b"-Xlinker": Meaning.LINK,
    b"--param": Meaning.PARAMETER,
}
_ALONE = {
    b"-c": Meaning.MODE,
    b"-S": Meaning.MODE,
    b"-MD": Meaning.DEPENDENCIES,
    b"-MMD": Meaning.DEPENDENCIES,
    b"-MP": Meaning.DEPENDENCY_DETAIL,
    b"-gsplit-dwarf": Meaning.EFFECT,
    b"-gno-split-dwarf": Meaning.EFFECT,
    b"-fstack-usage": Meaning.EFFECT,
    b"-ftest-coverage": Meaning.EFFECT,
    b"--coverage": Meaning.EFFECT,
    b"-coverage": Meaning.EFFECT,
    b"-fprofile-arcs": Meaning.PLAIN,
    b"-fprofile-generate": Meaning.PLAIN,
}
# Longest first, so that -MF is not read as an unknown -M and -isystem not as something shorter.
_JOINED = tuple(sorted(_VALUED, key=len, reverse=True))
_NOT_JOINED = frozenset((b"-I-", b"-lang-asm"))  # options of their own, not -I and -l with a value
_JOINED_FIRST = frozenset(name[:2] for name in _JOINED)

_REASONS = (
    (b"@", "response-file"),
    (b"-E", "preprocess-only"),
    (b"-M", "dependencies-only"),
    (b"-fsyntax-only", "syntax-only"),
    (b"-flto", "lto"),
    (b"-ffat-lto", "lto"),
    (b"-fprofile-use", "profile"),
    (b"-fauto-profile", "profile"),
    (b"-fbranch-prob", "profile"),
    (b"-save-temps", "dump"),
    (b"--save-temps", "dump"),
    (b"-fdump", "dump"),
    (b"-d", "dump"),
    (b"-fplugin", "program"),
    (b"-wrapper", "program"),
    (b"-specs", "program"),
    (b"--specs", "program"),
    (b"-B", "program"),
    (b"-fmodule", "modules"),
    (b"-Wa,", "assembler"),
    (b"-Xassembler", "assembler"),
    (b"-fpreprocessed", "language"),
)


def recognise(argument: bytes) -> Option:
    """The option that `argument`, which starts with `-`, spells.

    Raises StaysLocal for one that is unknown, or whose joined value is not of its type.
    """
    return _recognise_known(argument) if len(argument) <= _CACHED else _recognise(argument)


def check_parameter(value: bytes) -> None:
    """The value of `--param`: raises StaysLocal unless it is a known name with a value of its type."""
    name, equals, setting = value.partition(b"=")
    known = (name in gcc.PARAMETERS and NUMBER.fullmatch(setting)) or _chosen(gcc.PARAMETER_CHOICES, name, setting)
    if not equals or not known:
        raise _refusal(b"--param " + value)


def _recognise(argument: bytes) -> Option:
    if (meaning := _ALONE.get(argument)) is not None:
        return Option(argument, meaning)
    if (meaning := _VALUED.get(argument) or _SEPARATE.get(argument)) is not None:
        return Option(argument, meaning, separate=True)
    if _is_plain(argument):
        return Option(argument, Meaning.PLAIN)
    if argument.startswith(b"-Wl,"):
        return Option(b"-Wl,", Meaning.LINK)
    if argument.startswith(b"-Wp,"):
        return _for_preprocessor(argument)
    if argument.startswith(b"--sysroot="):
        return Option(b"--sysroot", Meaning.SEARCH, argument[10:])
    if argument.startswith(b"--param="):
        check_parameter(argument[8:])
        return Option(b"--param", Meaning.PLAIN)
    return _joined(argument)


_recognise_known = lru_cache(maxsize=4096)(_recognise)


def _joined(argument: bytes) -> Option:
    if argument[:2] in _JOINED_FIRST and argument not in _NOT_JOINED:
        for name in _JOINED:
            if argument.startswith(name):
                return Option(name, _VALUED[name], argument[len(name) :])
    raise _refusal(argument)


def _for_preprocessor(argument: bytes) -> Option:
    """`-Wp,-MD,FILE`, or a list of -D and -U; nothing else is handed to the preprocessor behind our back."""
    parts = argument.split(b",")[1:]
    if parts[0] in {b"-MD", b"-MMD"} and len(parts) == len((b"-MD", b"FILE")) and parts[1]:
        return Option(b"-Wp," + parts[0], Meaning.DEPENDENCIES, parts[1])
    if all(part[:2] in {b"-D", b"-U"} and part[2:3] not in {b"", b"@"} for part in parts):
        return Option(b"-Wp,", Meaning.MACRO, b",".join(parts))
    raise _refusal(argument)


def _is_plain(argument: bytes) -> bool:
    family = argument[1:2]
    if family == b"W":
        return _is_warning(argument)
    if family == b"f":
        return _is_flag(argument)
    if family == b"m":
        return _is_machine(argument)
    if argument.startswith(b"-std="):
        return argument[5:] in gcc.STANDARDS
    return argument[1:] in gcc.PLAIN


def _is_warning(argument: bytes) -> bool:
    if argument.startswith(b"-Wa,"):
        return all(part in gcc.ASSEMBLER for part in argument[4:].split(b","))
    name, equals, value = argument[2:].partition(b"=")
    if name in gcc.WARNINGS and (not equals or WORD.fullmatch(value)):
        return True
    return argument == b"-W" or _WARNING.fullmatch(argument) is not None


def _is_flag(argument: bytes) -> bool:
    name, equals, value = argument[2:].partition(b"=")
    if not equals:
        return name in gcc.FLAGS or (name[:3] == b"no-" and name[3:] in gcc.FLAGS) or _is_named_flag(argument)
    if name in gcc.FLAG_NUMBERS:
        return NUMBER.fullmatch(value) is not None
    if name in gcc.FLAG_WORDS:
        return WORD.fullmatch(value) is not None
    return name in gcc.FLAG_TEXTS or _chosen(gcc.FLAG_CHOICES, name, value) or _is_named_flag(argument)


def _is_named_flag(argument: bytes) -> bool:
    return _NAMED_FLAG.fullmatch(argument) is not None


def _is_machine(argument: bytes) -> bool:
    name, equals, value = argument[2:].partition(b"=")
    if not equals:
        return name in gcc.MACHINE or (name[:3] == b"no-" and name[3:] in gcc.MACHINE)
    if name in gcc.MACHINE_NUMBERS:
        return NUMBER.fullmatch(value) is not None
    if name in gcc.MACHINE_WORDS and value.startswith(b"native"):
        raise StaysLocal("native", f"{show(argument)} asks for the machine at hand")
    return name in gcc.MACHINE_WORDS and WORD.fullmatch(value) is not None


def _chosen(choices: dict[bytes, bytes], name: bytes, value: bytes) -> bool:
    return value in choices[name].split(b"|") if name in choices else False


def _refusal(argument: bytes) -> StaysLocal:
    for prefix, reason in _REASONS:
        if argument.startswith(prefix):
            return StaysLocal(reason, f"{show(argument)} is for the machine at hand only")
    return StaysLocal("option", f"{show(argument)} is not known to be safe elsewhere")


def show(argument: bytes, longest: int = 200) -> str:
    """An argument fit for a message: one line, printable, at most `longest` bytes of it."""
    return repr(argument[:longest])[1:] + ("..." if len(argument) > longest else "")
