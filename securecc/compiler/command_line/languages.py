"""What a source is compiled as, by its suffix or by -x (GCC manual, "Overall Options"; clang's Types.def)."""

from dataclasses import dataclass
from typing import Literal

from securecc.compiler.command_line.option_table import Family
from securecc.model.errors import StaysLocal
from securecc.model.printable import quote

Language = Literal["c", "c++", "objective-c", "objective-c++"]
Stage = Literal["source", "preprocessed", "assembler-with-cpp", "assembler"]


@dataclass(frozen=True, slots=True)
class SourceType:
    """A source's language, and the stage at which compiling it begins. Assembly counts as C."""

    language: Language
    stage: Stage = "source"

    @property
    def preprocesses(self) -> bool:
        """Whether #include is honoured in it, so that -M lists what is read and -MD writes a file."""
        return self.stage in {"source", "assembler-with-cpp"}

    @property
    def compiles(self) -> bool:
        """Whether it is compiled, not just assembled."""
        return self.stage in {"source", "preprocessed"}


_NAMED = {
    b"c": SourceType("c"),
    b"c++": SourceType("c++"),
    b"objective-c": SourceType("objective-c"),
    b"objective-c++": SourceType("objective-c++"),
    b"cpp-output": SourceType("c", "preprocessed"),
    b"c++-cpp-output": SourceType("c++", "preprocessed"),
    b"objective-c-cpp-output": SourceType("objective-c", "preprocessed"),
    b"objective-c++-cpp-output": SourceType("objective-c++", "preprocessed"),
    b"assembler": SourceType("c", "assembler"),
    b"assembler-with-cpp": SourceType("c", "assembler-with-cpp"),
}
SUFFIXES = {
    b".c": SourceType("c"),
    b".cc": SourceType("c++"),
    b".cp": SourceType("c++"),
    b".cxx": SourceType("c++"),
    b".cpp": SourceType("c++"),
    b".CPP": SourceType("c++"),
    b".c++": SourceType("c++"),
    b".C": SourceType("c++"),
    b".m": SourceType("objective-c"),
    b".mm": SourceType("objective-c++"),
    b".M": SourceType("objective-c++"),
    b".i": SourceType("c", "preprocessed"),
    b".ii": SourceType("c++", "preprocessed"),
    b".mi": SourceType("objective-c", "preprocessed"),
    b".mii": SourceType("objective-c++", "preprocessed"),
    b".s": SourceType("c", "assembler"),
    b".S": SourceType("c", "assembler-with-cpp"),
}
"""What both gcc and clang take a source with this suffix for; `_OF_FAMILY` has what only one of them does."""

_OF_FAMILY: dict[Family, dict[bytes, SourceType]] = {
    "gcc": {b".sx": SourceType("c", "assembler-with-cpp")},
    "clang": {b".CC": SourceType("c++"), b".CXX": SourceType("c++"), b".C++": SourceType("c++")},
}
_HEADERS = frozenset((b".h", b".hh", b".hp", b".hpp", b".hxx", b".HPP", b".H", b".h++", b".tcc"))
_PROMOTED = frozenset((b".c", b".i"))  # g++ and clang++ take these for C++

STDIN = b"-"
"""Standard input, as the name of a source."""


def of_name(language: bytes) -> SourceType:
    """What `-x language` means.

    Raises:
        StaysLocal: the language is not in the C family, or means a precompiled header.
    """
    text = _NAMED.get(language)
    if text is None:
        reason = "precompiled-header" if language.endswith((b"-header", b"-header-unit")) else "language"
        raise StaysLocal(reason, f"-x {quote(language)} is not compiled remotely")
    return text


def of_file(source: bytes, driver: Language, family: Family) -> SourceType:
    """What the name of a source means to a driver (g++ takes a .c for C++).

    Raises:
        StaysLocal: the suffix is unknown, or a header's.
    """
    name = source.rpartition(b"/")[2]
    suffix = b"." + name.rpartition(b".")[2] if b"." in name else b""
    text = SUFFIXES.get(suffix) or _OF_FAMILY[family].get(suffix)
    if text is None:
        reason = "precompiled-header" if suffix in _HEADERS else "language"
        raise StaysLocal(
            reason, f"{quote(source)} does not have the suffix of a C, C++, Objective-C or assembly source"
        )
    return SourceType("c++", text.stage) if driver == "c++" and suffix in _PROMOTED else text
