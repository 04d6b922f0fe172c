"""Which files a compile makes, and under which names (GCC manual, "Overall Options", -dumpdir; tested with GCC 12 and
clang 14).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from securecc.compiler.command_line import languages
from securecc.compiler.command_line.languages import SourceType
from securecc.compiler.command_line.option_table import Family
from securecc.compiler.command_line.options import Option
from securecc.model.errors import StaysLocal
from securecc.model.printable import quote

STDOUT = b"-"
"""Standard output, as the name of a file."""


@dataclass(slots=True)
class OutputOptions:
    """The options of a command line that determine its outputs.

    Attributes:
        output, assembly, bitcode: -o, -S, -emit-llvm.
        dependencies, dependency_file, dependency_details: -MD and -MMD; -MF; whether any of -MT, -MQ, -MP is given.
        effects: Suffixes of further outputs, each with whether it is wanted.
        seeded, placed, verbose, compressed: Whether -frandom-seed, clang's -fdebug-compilation-dir, -fverbose-asm, or a
            -gz that compresses debug information is given.
    """

    output: bytes = b""
    assembly: bool = False
    bitcode: bool = False
    dependencies: list[Option] = field(default_factory=list)
    dependency_file: bytes = b""
    dependency_details: bool = False
    effects: dict[bytes, bool] = field(default_factory=dict)
    seeded: bool = False
    placed: bool = False
    verbose: bool = False
    compressed: bool = False


@dataclass(frozen=True, slots=True)
class Outputs:
    """`every` lists all files that the compile may make, the object or assembly first. `output` is that file, or ``-``
    for standard output, which is not in `every`. `dependencies` is the file of -MD, or empty.
    """

    every: tuple[bytes, ...]
    output: bytes
    dependencies: bytes


def outputs_of(asked: OutputOptions, source: bytes, text: SourceType, family: Family) -> Outputs:
    """The outputs of one compile.

    Raises:
        StaysLocal: they cannot be known in advance, or cannot be made on another machine.
    """
    stem = _STEMS[family]
    output = asked.output or stem(source.rpartition(b"/")[2]) + _suffix(asked)
    printed = output == STDOUT
    given = source == languages.STDIN
    for path in (*(() if given else (source,)), *(() if printed or (given and not asked.output) else (output,))):
        _check_basename(path)
    if printed and not asked.assembly:
        raise StaysLocal("output", "the object goes to standard output, which compilers must be able to seek")
    if asked.assembly and not text.compiles:
        raise StaysLocal("option", "-S asks for assembly, and the source is assembly already")
    if family == "clang" and asked.compressed and text.preprocesses and not text.compiles:
        raise StaysLocal(
            "temporary-file", "clang's debug information of assembly may hide the name of a temporary file"
        )
    written = _dependencies(asked, output, text, family)
    further = _further(asked, output, source, text, family)
    if printed and further:
        raise StaysLocal("output", "the command makes other files besides standard output")
    if given and further:
        raise StaysLocal("standard-input", "the command makes further files, which standard input gives no name for")
    every = tuple(path for path in (output, written, *further) if path and path != STDOUT)
    _check(every, source)
    return Outputs(every, output, written if written != STDOUT else b"")


def _suffix(asked: OutputOptions) -> bytes:
    if asked.bitcode:
        return b".ll" if asked.assembly else b".bc"
    return b".s" if asked.assembly else b".o"


def gcc_stem(name: bytes) -> bytes:
    """A base name without its last suffix; a leading dot does not start a suffix."""
    return name[: name.rindex(b".")] if b"." in name[1:] else name


def _clang_stem(name: bytes) -> bytes:
    """A base name without its last suffix (llvm::sys::path::stem)."""
    return name.rpartition(b".")[0] if b"." in name else name


_STEMS: Mapping[Family, Callable[[bytes], bytes]] = {"gcc": gcc_stem, "clang": _clang_stem}


def _beside(output: bytes, family: Family) -> bytes:
    """The beginning of the names of further outputs."""
    directory, slash, name = output.rpartition(b"/")
    return directory + slash + _STEMS[family](name)


def _dependencies(asked: OutputOptions, output: bytes, text: SourceType, family: Family) -> bytes:
    """The file that -MD and similar options write; empty if none.

    GCC manual, -MD: the argument of -o with suffix .d; -MF overrides. -Wp,-MD names its own file: if there are several,
    gcc writes the last of these, clang that of -MF. Nothing is written if the source is not preprocessed.

    Raises:
        StaysLocal: -MF or a similar option is given without -MD.
    """
    if not asked.dependencies:
        if asked.dependency_file or asked.dependency_details:
            raise StaysLocal("option", "-MF, -MT, -MQ or -MP without -MD or -MMD")
        return b""
    if not text.preprocesses:
        return b""
    named = next((option.value for option in reversed(asked.dependencies) if option.value), b"")
    told = (asked.dependency_file, named) if family == "clang" else (named, asked.dependency_file)
    directory, slash, name = output.rpartition(b"/")
    derived = directory + slash + (name.rpartition(b".")[0] if b"." in name else name) + b".d"
    return told[0] or told[1] or derived


_FURTHER = (b".dwo", b".su", b".gcno", b".ci", b".json")
_OF_COMPILING = frozenset((b".su", b".ci", b".gcno"))


def _further(asked: OutputOptions, output: bytes, source: bytes, text: SourceType, family: Family) -> Sequence[bytes]:
    """Auxiliary outputs, named after the output without its suffix.

    Raises:
        StaysLocal: one of them, or its content, depends on the machine.
    """
    wanted = [suffix for suffix in _FURTHER if asked.effects.get(suffix)]
    if b".gcno" in wanted and asked.seeded:
        raise StaysLocal("profile", "-frandom-seed with coverage removes an old profile beside the object")
    if asked.assembly and asked.verbose:
        raise StaysLocal("option", "-S with -fverbose-asm records how much memory the machine has")
    stem = _beside(output, family)
    names = {suffix: stem + suffix for suffix in wanted if text.compiles or suffix not in _OF_COMPILING}
    if b".dwo" in names:
        names[b".dwo"] = _split(asked, source, stem, family)
    return [name for name in names.values() if name]


def _split(asked: OutputOptions, source: bytes, stem: bytes, family: Family) -> bytes:
    """The file of -gsplit-dwarf: in gcc, the assembler makes it; clang names it after the source unless -o names the
    object (Clang's CommonArgs.cpp: SplitDebugName).

    Raises:
        StaysLocal: clang names it after a compilation directory.
    """
    if family == "gcc":
        return b"" if asked.assembly else stem + b".dwo"
    if asked.output and not asked.assembly:
        return stem + b".dwo"
    if asked.placed:
        raise StaysLocal("option", "-gsplit-dwarf with -fdebug-compilation-dir")
    return _clang_stem(source.rpartition(b"/")[2]) + b".dwo"


def _check_basename(path: bytes) -> None:
    """Checks a base name: it becomes a separate argument (-dumpbase), which the compiler proper could take for a
    response file or an option.

    Raises:
        StaysLocal: it begins with ``@`` or ``-``, or is empty.
    """
    if path.rpartition(b"/")[2][:1] in {b"@", b"-", b""}:
        raise StaysLocal("option-value", f"{quote(path)} is not a plain file name")


def _check(outputs: tuple[bytes, ...], source: bytes) -> None:
    if len({*outputs, source}) <= len(outputs):
        raise StaysLocal("output", "the command would write one file twice, or overwrite its source")
    for path in outputs:
        if path.startswith(b"/dev/") or path.rpartition(b"/")[2] in {b"", b".", b".."}:
            raise StaysLocal("output", f"{quote(path)} is not a file that a compile can make")
