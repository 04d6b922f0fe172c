"""What a compiler's command line asks for: a plan of one compile that may run remotely, or the reason why it may not.

Both sides parse: the agent to decide, the server because it trusts no agent. The rules follow the GCC manual ("Overall
Options", "Preprocessor Options", "Developer Options") and clang's, and were tested with GCC 12 and clang 14.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from securecc.compiler.command_line import languages, outputs
from securecc.compiler.command_line.arguments import ROOTS, Argument, ParsedArguments, SearchOption
from securecc.compiler.command_line.languages import Language, SourceType
from securecc.compiler.command_line.option_table import Family
from securecc.compiler.command_line.options import Meaning
from securecc.model import limits
from securecc.model.errors import StaysLocal
from securecc.model.printable import quote

__all__ = [
    "CompilePlan",
    "Family",
    "Language",
    "ParsedCommand",
    "SearchOption",
    "dependency_command",
    "family_of",
    "is_probe",
    "parse",
    "parse_command",
]

_COMPILER = re.compile(rb"(?:[A-Za-z0-9_.]+-)*(gcc|g\+\+|cc|c\+\+|clang|clang\+\+)(?:-[0-9]+(?:\.[0-9]+)*)?")
_MODES = (b"-c", b"-S", b"-E", b"-M", b"-MM", b"-fsyntax-only", b"--preprocess")
_PRINTS = (b"-print-", b"--print-")  # answered whatever else the command asks for
_PROBES = (b"conftest.", b"CMakeCCompilerId", b"CMakeCXXCompilerId")  # of autoconf and CMake
_INFORMATION = (*_PRINTS, b"--version", b"--help", b"--target-help", b"-v", b"-###", b"-dump", b"-qversion")


@dataclass(frozen=True, slots=True)
class CompilePlan:
    """One compile of one source, which needs only the files that it includes.

    Paths are as typed, hence relative to the working directory unless absolute.

    Attributes:
        arguments: The whole command line.
        driver_language: The language that the command's name implies: C++ for g++ and clang++.
        source_type: What the source is compiled as.
        source: The source; ``-`` is standard input.
        output: The object, or assembly with -S; ``-`` is standard output.
        outputs: All files that the compile may make, `output` first unless it is standard output.
        search_options, forced_includes: Directories of headers; -include and -imacros. In order.
        macros: The texts of -D and -U with their letter (``DNAME=1``), in order.
        preprocessor_arguments: The arguments, without the command, that affect what is read; the source is at
        `source_index`. assembly: Whether -S asks for assembly. dependency_file: The file of -MD; empty if there is
        none. family: The compiler family whose options the command line has. profile_path: Where a profile of earlier
        runs is read from (empty: beside the object); None if none is read. alters_system_search: Whether the compiler
        looks for its own headers in other directories than by default. option_files: Files that options name, and that
        the compiler reads in addition to all includes.
    """

    arguments: tuple[bytes, ...]
    driver_language: Language
    source_type: SourceType
    source: bytes
    output: bytes
    outputs: tuple[bytes, ...]
    search_options: tuple[SearchOption, ...]
    forced_includes: tuple[SearchOption, ...]
    macros: tuple[bytes, ...]
    preprocessor_arguments: tuple[bytes, ...]
    assembly: bool = False
    dependency_file: bytes = b""
    family: Family = "gcc"
    profile_path: bytes | None = None
    source_index: int = 0
    alters_system_search: bool = False
    option_files: tuple[bytes, ...] = ()

    @property
    def compiler(self) -> bytes:
        """The compiler as typed."""
        return self.arguments[0]

    @property
    def language(self) -> Language:
        """What the source is compiled as."""
        return self.source_type.language


@dataclass(frozen=True, slots=True)
class ParsedCommand:
    """A command line parsed once, for all that a client wants to know about it. `compiler` is as typed."""

    compiler: bytes
    driver_language: Language
    parsed: ParsedArguments

    @property
    def family(self) -> Family:
        """The compiler family whose options it was parsed with."""
        return self.parsed.family

    def plan(self) -> CompilePlan:
        """The plan of the compile for this machine: it still has any option that asks for this machine's processor.

        Raises:
            StaysLocal: the command is not one understood compile of one source.
        """
        sources = self.parsed.sources
        if not sources:
            raise StaysLocal("no-source", "the command line names no source")
        if len(sources) > 1:
            one, other = sources[0].words[0], sources[1].words[0]
            raise StaysLocal("several-sources", f"{quote(one)} and {quote(other)} are compiled by one command")
        return self._plan(sources[0])

    def plans(self) -> tuple[CompilePlan, ...]:
        """A plan, as `plan` makes it, for each of the command's sources.

        Raises:
            StaysLocal: the command is not understood, or compiling its sources one by one makes other files.
        """
        if self._separable():
            return tuple(self._plan(source) for source in self.parsed.sources)
        return (self.plan(),)

    def native_options(self) -> tuple[bytes, ...]:
        """All options that choose the processor (-m..., --param), if one of them asks for this machine's
        (-march=native); else none.

        Raises:
            StaysLocal: the processor would show in the object: debug information and link-time optimisation record the
            options.
        """
        native = self.parsed.native_option
        if not native:
            return ()
        others = _words(argument for argument in self.parsed.arguments if not argument.chooses_processor)
        recorder = next((word for word in others if _records_options(word, self.family)), b"")
        if recorder:
            message = f"{quote(native)} means this machine's processor, and {quote(recorder)} records the options"
            raise StaysLocal("native", message)
        return _words(argument for argument in self.parsed.arguments if argument.chooses_processor)

    def with_native_options(self, options: tuple[bytes, ...]) -> "ParsedCommand":
        """The command with these options in place of its `native_options`. Only they are parsed.

        Raises:
            StaysLocal: one is not understood, asks for this machine's processor as well, or chooses none.
        """
        chosen = ParsedArguments(self.family)
        chosen.parse(options)
        _refuse_native(chosen)
        for argument in chosen.arguments:
            if not argument.chooses_processor:
                raise StaysLocal("native", f"{quote(argument.words[0])} does not choose a processor")
        others = (argument for argument in self.parsed.arguments if not argument.chooses_processor)
        parsed = replace(self.parsed, arguments=[*chosen.arguments, *others])
        _check_size((self.compiler, *_words(parsed.arguments)))
        return replace(self, parsed=parsed)

    def _separable(self) -> bool:
        """Whether the command may be cut into one for each source: a -x between sources would come after the last one,
        and outputs that are named would be written by each.
        """
        arguments, options = self.parsed.arguments, self.parsed.output_options
        if not 1 < len(self.parsed.sources) <= limits.SOURCES:
            return False
        places = [place for place, argument in enumerate(arguments) if argument.meaning is None]
        named = options.output or options.dependency_file or any(option.value for option in options.dependencies)
        typed = any(argument.meaning is Meaning.LANGUAGE for argument in arguments[places[0] : places[-1]])
        return not (named or typed or any(arguments[place].words[0] == languages.STDIN for place in places))

    def _plan(self, source: Argument) -> CompilePlan:
        """The plan of one source, as if the command named no other.

        Raises:
            StaysLocal: it is not one understood compile.
        """
        parsed, options, path = self.parsed, self.parsed.output_options, source.words[0]
        if len(parsed.modes) != 1:
            raise StaysLocal("link" if not parsed.modes else "option", "the command needs exactly one of -c and -S")
        options.assembly = parsed.modes == {b"-S"}
        source_type = parsed.given_type or languages.of_file(path, self.driver_language, parsed.family)
        made = outputs.outputs_of(options, path, source_type, parsed.family)
        if path == languages.STDIN and parsed.uses_profile:
            raise StaysLocal("standard-input", "a profile is named after the source, and standard input has no name")
        words, for_preprocessor, source_index, alters_search = [self.compiler], list[bytes](), 0, False
        for argument in parsed.arguments:
            if argument is source:
                source_index = len(for_preprocessor)
            elif argument.meaning is None:
                continue
            words += argument.words
            if argument.affects_input:
                for_preprocessor += argument.words
            alters_search = alters_search or argument.meaning is Meaning.TARGET
        return CompilePlan(
            arguments=tuple(words),
            driver_language=self.driver_language,
            source_type=source_type,
            source=path,
            output=made.output,
            outputs=made.every,
            search_options=tuple(parsed.search_options),
            forced_includes=tuple(parsed.forced_includes),
            macros=tuple(parsed.macros),
            preprocessor_arguments=tuple(for_preprocessor),
            assembly=options.assembly,
            dependency_file=made.dependencies,
            family=parsed.family,
            profile_path=parsed.profile_path if parsed.uses_profile else None,
            source_index=source_index,
            alters_system_search=alters_search or _searches_sysroot(parsed, source_type),
            option_files=tuple(parsed.option_files),
        )


def family_of(name: str | bytes) -> Family:
    """Which options a toolchain of this name takes (``gcc-12``, ``clang-14``, or a compiler's path).

    Raises:
        StaysLocal: it is neither gcc nor clang.
    """
    match = _matched(name.encode("utf-8", "surrogateescape") if isinstance(name, str) else name)
    return "clang" if match[1].startswith(b"clang") else "gcc"


def parse_command(arguments: tuple[bytes, ...], family: Family | None = None) -> ParsedCommand:
    """Parses a command line. `arguments[0]` is the compiler as typed; `family` says whose options it takes, if its name
    does not.

    Raises:
        StaysLocal: an argument is not understood, or none asks for a compile; with a reason fit for counting.
    """
    _check_size(arguments)
    match = _matched(arguments[0])
    _check_mode(arguments)
    parsed = ParsedArguments(family or family_of(arguments[0]))
    parsed.parse(arguments[1:])
    return ParsedCommand(arguments[0], "c++" if match[1].endswith(b"++") else "c", parsed)


def parse(arguments: tuple[bytes, ...], family: Family | None = None) -> CompilePlan:
    """The plan of a compile that may run remotely. Arguments as for `parse_command`.

    Raises:
        StaysLocal: with a reason fit for counting, for everything that is not one understood compile of one source.
    """
    command = parse_command(arguments, family)
    _refuse_native(command.parsed)
    return command.plan()


def dependency_command(plan: CompilePlan) -> tuple[bytes, ...]:
    """The command that prints the list of files that the compile reads: the same options with -M. Empty if only the
    source is read.
    """
    if plan.source_type.preprocesses:
        return (plan.compiler, *plan.preprocessor_arguments, b"-M")
    if plan.family == "clang" and plan.source_type.compiles:  # which honours #include in preprocessed text as well
        before, after = (
            plan.preprocessor_arguments[: plan.source_index],
            plan.preprocessor_arguments[plan.source_index :],
        )
        return (plan.compiler, *before, b"-x", plan.source_type.language.encode(), *after, b"-M")
    return ()


def preprocess_command(plan: CompilePlan) -> tuple[bytes, ...]:
    """The command that prints the preprocessed text, with the same options."""
    return (plan.compiler, *plan.preprocessor_arguments, b"-E")


def is_probe(plan: CompilePlan, cwd: bytes) -> bool:
    """Whether this is a configure-time probe of autoconf, CMake or meson: thousands of tiny ones, each waited for."""
    if plan.source == b"/dev/null" or plan.source.rpartition(b"/")[2].startswith(_PROBES):
        return True
    places = (cwd + b"/" + plan.source).split(b"/")
    return not {b"CMakeScratch", b"CMakeTmp", b"meson-private"}.isdisjoint(places)


def _matched(path: bytes) -> re.Match[bytes]:
    match = _COMPILER.fullmatch(path.rpartition(b"/")[2])
    if match is None:
        raise StaysLocal("compiler", f"{quote(path)} is neither gcc nor clang")
    return match


def _words(arguments: Iterable[Argument]) -> tuple[bytes, ...]:
    return tuple(word for argument in arguments for word in argument.words)


def _refuse_native(parsed: ParsedArguments) -> None:
    if parsed.native_option:
        raise StaysLocal("native", f"{quote(parsed.native_option)} asks for this machine's own processor")


def _check_size(arguments: tuple[bytes, ...]) -> None:
    if not arguments:
        raise StaysLocal("no-source", "an empty command line")
    longest = max(map(len, arguments))
    total = sum(map(len, arguments))
    if len(arguments) > limits.ARGUMENTS or longest > limits.ARGUMENT or total > limits.ARGUMENTS_TOTAL:
        raise StaysLocal("limit", f"{len(arguments)} arguments of {total} bytes, the longest of {longest}")
    if b"\0" in arguments[0]:
        raise StaysLocal("compiler", f"{quote(arguments[0])} is not a path")
    for argument in arguments[1:]:
        if argument[:1] == b"@":
            raise StaysLocal("response-file", f"{quote(argument)} names a file of further arguments")
        if not argument or b"\0" in argument:
            raise StaysLocal("option", f"{quote(argument)} is not an argument that a compiler takes")


def _check_mode(arguments: tuple[bytes, ...]) -> None:
    """Refuses most commands that do not compile, which link or ask for information, before any option is parsed.

    Raises:
        StaysLocal: the command is one of those.
    """
    if any(argument.startswith(_PRINTS) for argument in arguments[1:]):
        raise StaysLocal("information", "the command asks the compiler about itself")
    if any(mode in arguments for mode in _MODES):
        return
    if any(argument.startswith(_INFORMATION) for argument in arguments[1:]):
        raise StaysLocal("information", "the command asks the compiler about itself")
    if all(argument[:1] == b"-" for argument in arguments[1:]):
        raise StaysLocal("no-source", "the command line names no source")
    raise StaysLocal("link", "the command links: it has neither -c nor -S")


def _searches_sysroot(parsed: ParsedArguments, source_type: SourceType) -> bool:
    """Whether clang looks for a gcc below the sysroot, and for its C++ headers."""
    if parsed.family != "clang" or not source_type.language.endswith("c++"):
        return False
    rooted = any(option.name in ROOTS for option in parsed.search_options)
    return rooted and not any(word.startswith(b"-nostdinc") for word in _words(parsed.arguments))


def _records_options(argument: bytes, family: Family) -> bool:
    if family == "clang":
        return argument.startswith((b"-grecord-", b"-frecord-", b"-flto", b"-emit-llvm", b"-fembed-bitcode"))
    if argument.startswith(b"-g"):
        return argument != b"-g0" and not argument.startswith(b"-gno-")
    return argument.startswith((b"-flto", b"-frecord-gcc-switches", b"-fverbose-asm", b"-ffat-lto"))
