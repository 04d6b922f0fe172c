"""What a compiler's command line asks for: a plan of one compile that may run elsewhere, or the reason why not.

Both sides parse: the agent to decide, the server because it trusts no agent. Rules follow the GCC manual ("Overall
Options", "Preprocessor Options", "Developer Options") and were tried with GCC 12.
"""

import re
from dataclasses import dataclass
from typing import Literal

from securecc.compiler.options import Meaning, Option, check_parameter, recognise, show
from securecc.words import limits
from securecc.words.errors import StaysLocal

Language = Literal["c", "c++"]

_COMPILER = re.compile(rb"(?:[A-Za-z0-9_.]+-)*(gcc|g\+\+|cc|c\+\+)(?:-[0-9]+(?:\.[0-9]+)*)?")
_SUFFIXES: dict[bytes, Language] = {
    b".c": "c",
    b".cc": "c++",
    b".cp": "c++",
    b".cxx": "c++",
    b".cpp": "c++",
    b".CPP": "c++",
    b".c++": "c++",
    b".C": "c++",
}
_OTHER_SUFFIXES = {
    b".i": "preprocessed",
    b".ii": "preprocessed",
    b".s": "assembler",
    b".S": "assembler",
    b".sx": "assembler",
    b".h": "precompiled-header",
    b".hh": "precompiled-header",
    b".hpp": "precompiled-header",
    b".hxx": "precompiled-header",
    b".H": "precompiled-header",
    b".h++": "precompiled-header",
    b".tcc": "precompiled-header",
}
_WRITES_MODE = (b"-c", b"-S", b"-E", b"-M", b"-MM", b"-fsyntax-only")
_INFORMS = (b"--version", b"--help", b"--target-help", b"-v", b"-###", b"-dump", b"-print-", b"--print-", b"-qversion")


@dataclass(frozen=True, slots=True)
class SearchOption:
    """An option that names a directory of includes (-I, -isystem, --sysroot ...) or a file included before the source
    (-include, -imacros): canonical `name`, `path` as typed.
    """

    name: bytes
    path: bytes


@dataclass(frozen=True, slots=True)
class CompilePlan:
    """One compile of one source, which needs nothing but the files that it includes.

    Paths are as typed, hence relative to the working directory unless absolute. `outputs` are all the files that the
    compile may make, `output` (the object, or assembly with -S) first. `driver` is the language family of the
    command's name, `language` what the source is compiled as. `macros` are the texts of -D and -U with their letter
    (``DNAME=1``), in order. `kept` are the arguments, without the command, that matter to what is read.
    """

    arguments: tuple[bytes, ...]
    driver: Language
    language: Language
    source: bytes
    output: bytes
    outputs: tuple[bytes, ...]
    search: tuple[SearchOption, ...]
    forced: tuple[SearchOption, ...]
    macros: tuple[bytes, ...]
    kept: tuple[bytes, ...]
    assembly: bool = False
    dependency_file: bytes = b""

    @property
    def compiler(self) -> bytes:
        """The compiler as typed."""
        return self.arguments[0]


def parse(arguments: tuple[bytes, ...]) -> CompilePlan:
    """The plan of a compile. `arguments[0]` is the compiler as typed.

    Raises StaysLocal, with a reason fit for counting, for everything that is not one understood compile of one
    source by gcc or g++.
    """
    _check_size(arguments)
    driver = _driver(arguments[0])
    _check_mode(arguments)
    reading = _Reading()
    reading.read(arguments[1:])
    return reading.plan(arguments, driver)


def dependency_command(plan: CompilePlan) -> tuple[bytes, ...]:
    """The command that prints the list of files which the compile reads: the very same options with -M."""
    return (plan.compiler, *plan.kept, b"-M")


def is_probe(plan: CompilePlan, cwd: bytes) -> bool:
    """Whether this compile is a question of configure, CMake or meson: thousands of tiny ones, each waited for."""
    if plan.source.rpartition(b"/")[2].startswith((b"conftest.", b"CMakeCCompilerId", b"CMakeCXXCompilerId")):
        return True
    places = (cwd + b"/" + plan.source).split(b"/")
    return not {b"CMakeScratch", b"CMakeTmp", b"meson-private"}.isdisjoint(places)


def _check_size(arguments: tuple[bytes, ...]) -> None:
    if not arguments:
        raise StaysLocal("no-source", "an empty command line")
    longest = max(map(len, arguments))
    total = sum(map(len, arguments))
    if len(arguments) > limits.ARGUMENTS or longest > limits.ARGUMENT or total > limits.ARGUMENTS_TOTAL:
        raise StaysLocal("limit", f"{len(arguments)} arguments of {total} bytes, the longest of {longest}")
    if b"\0" in arguments[0]:
        raise StaysLocal("compiler", f"{show(arguments[0])} is no path")
    for argument in arguments[1:]:
        if argument[:1] == b"@":
            raise StaysLocal("response-file", f"{show(argument)} names a file of further arguments")
        if not argument or b"\0" in argument:
            raise StaysLocal("option", f"{show(argument)} is no argument for a compiler")


def _driver(compiler: bytes) -> Language:
    match = _COMPILER.fullmatch(compiler.rpartition(b"/")[2])
    if match is None:
        raise StaysLocal("compiler", f"{show(compiler)} is neither gcc nor g++")
    return "c++" if match[1].endswith(b"++") else "c"


def _check_mode(arguments: tuple[bytes, ...]) -> None:
    """Links and questions are most of what is not a compile: told apart before options are looked at."""
    if any(mode in arguments for mode in _WRITES_MODE):
        return
    if any(argument.startswith(_INFORMS) for argument in arguments[1:]):
        raise StaysLocal("information", "asks the compiler about itself")
    if all(argument[:1] == b"-" for argument in arguments[1:]):
        raise StaysLocal("no-source", "names no source")
    raise StaysLocal("link", "links, for neither -c nor -S is there")


class _Reading:
    """What has been read of a command line so far."""

    def __init__(self) -> None:
        self.source = b""
        self.source_language = b""
        self.language = b""
        self.output = b""
        self.modes: set[bytes] = set()
        self.dependencies: list[Option] = []
        self.dependency_file = b""
        self.dependency_details = False
        self.effects: dict[bytes, bool] = {}
        self.seeded = False
        self.verbose = False
        self.search: list[SearchOption] = []
        self.forced: list[SearchOption] = []
        self.macros: list[bytes] = []
        self.kept: list[bytes] = []

    def read(self, arguments: tuple[bytes, ...]) -> None:
        rest = iter(arguments)
        for argument in rest:
            if argument[:1] != b"-" or argument == b"-":
                self._take_source(argument)
                continue
            option = recognise(argument)
            spelled = [argument]
            value = option.value
            if option.separate:
                value = next(rest, b"")
                spelled.append(value)
            if option.meaning is Meaning.PLAIN:
                self._note_plain(argument)
            elif not self._take(option, value):
                continue
            self.kept += spelled

    def _note_plain(self, argument: bytes) -> None:
        self.seeded |= argument.startswith(b"-frandom-seed")
        self.verbose |= argument == b"-fverbose-asm"

    def _take_source(self, argument: bytes) -> None:
        if argument == b"-":
            raise StaysLocal("standard-input", "the source is standard input")
        if self.source:
            raise StaysLocal("several-sources", f"{show(self.source)} and {show(argument)}")
        self.source, self.source_language = argument, self.language
        self.kept.append(argument)

    def _take(self, option: Option, value: bytes) -> bool:
        """True if what is read depends on the option, so that it is kept for -M."""
        if not value and option.separate:
            raise StaysLocal("option-value", f"{show(option.name)} lacks its value")
        match option.meaning:
            case Meaning.SEARCH:
                self.search.append(SearchOption(option.name, _path(option, value)))
            case Meaning.FORCED:
                self.forced.append(SearchOption(option.name, _path(option, value)))
            case Meaning.MACRO:
                self._take_macro(option, value)
            case Meaning.LANGUAGE:
                self._take_language(value)
            case Meaning.PARAMETER:
                check_parameter(value)
            case _:
                self._take_output(option, value)
                return False
        return True

    def _take_macro(self, option: Option, value: bytes) -> None:
        if option.name == b"-Wp,":
            self.macros += [part[1:] for part in value.split(b",")]
            return
        _refuse_expanded(option.name, value)
        self.macros.append(option.name[1:] + value)

    def _take_language(self, value: bytes) -> None:
        if value not in {b"c", b"c++", b"none"}:
            reason = "precompiled-header" if value.endswith(b"-header") else "language"
            raise StaysLocal(reason, f"-x {show(value)}")
        self.language = b"" if value == b"none" else value

    def _take_output(self, option: Option, value: bytes) -> None:
        match option.meaning:
            case Meaning.MODE:
                self.modes.add(option.name)
            case Meaning.OUTPUT:
                self.output = _path(option, value)
            case Meaning.DEPENDENCIES:
                self.dependencies.append(option)
            case Meaning.DEPENDENCY_FILE:
                self.dependency_file = _path(option, value)
            case Meaning.DEPENDENCY_DETAIL:
                _refuse_expanded(option.name, value)
                self.dependency_details = True
            case Meaning.EFFECT:
                self.effects[option.name.replace(b"-gno-", b"-g")] = not option.name.startswith(b"-gno-")
            case _:
                _refuse_expanded(option.name, value)

    def plan(self, arguments: tuple[bytes, ...], driver: Language) -> CompilePlan:
        if not self.source:
            raise StaysLocal("no-source", "names no source")
        if len(self.modes) != 1:
            raise StaysLocal("link" if not self.modes else "option", "neither -c nor -S alone")
        language = _language(self.source, self.source_language, driver)
        assembly = self.modes == {b"-S"}
        name = self.source.rpartition(b"/")[2]
        output = self.output or _stem(name) + (b".s" if assembly else b".o")
        for path in (self.source, output):
            _check_basename(path)
        written = self._dependency_output(output)
        outputs = (output, *([written] if written else ()), *self._effects(output, assembly=assembly))
        _check_outputs(outputs, self.source)
        return CompilePlan(
            arguments=arguments,
            driver=driver,
            language=language,
            source=self.source,
            output=output,
            outputs=outputs,
            search=tuple(self.search),
            forced=tuple(self.forced),
            macros=tuple(self.macros),
            kept=tuple(self.kept),
            assembly=assembly,
            dependency_file=written,
        )

    def _dependency_output(self, output: bytes) -> bytes:
        """The file that -MD and its kin write; empty if none.

        GCC manual, -MD: the argument of -o with suffix .d; -MF overrides; -Wp,-MD takes its own.
        """
        if not self.dependencies:
            if self.dependency_file or self.dependency_details:
                raise StaysLocal("option", "details of dependencies without -MD or -MMD")
            return b""
        if len({option.name for option in self.dependencies}) > 1:
            raise StaysLocal("option", "dependencies asked for in two ways")
        named = {option.value for option in self.dependencies}
        if len(named) > 1 or (named != {b""} and self.dependency_file):
            raise StaysLocal("option", "dependencies asked for in two files")
        directory, _, name = output.rpartition(b"/")
        prefix = output[: len(output) - len(name)] if directory or output.startswith(b"/") else b""
        derived = prefix + (name.rpartition(b".")[0] if b"." in name else name) + b".d"
        return named.pop() or self.dependency_file or derived

    def _effects(self, output: bytes, *, assembly: bool) -> list[bytes]:
        """Auxiliary outputs (GCC manual, -dumpdir): named after the output without its suffix."""
        wanted = {name for name, on in self.effects.items() if on}
        covered = bool(wanted & {b"-ftest-coverage", b"--coverage", b"-coverage"})
        if covered and self.seeded:
            raise StaysLocal("profile", "-frandom-seed with coverage removes old counts beside the object")
        if assembly and (b"-gsplit-dwarf" in wanted or self.verbose):
            raise StaysLocal("option", "-S with -gsplit-dwarf or -fverbose-asm")
        directory, slash, name = output.rpartition(b"/")
        stem = directory + slash + _stem(name)
        suffixes = ((b".dwo", b"-gsplit-dwarf" in wanted), (b".su", b"-fstack-usage" in wanted), (b".gcno", covered))
        return [stem + suffix for suffix, made in suffixes if made]


def _stem(name: bytes) -> bytes:
    """A base name without its last suffix; a leading dot starts none."""
    return name[: name.rindex(b".")] if b"." in name[1:] else name


def _language(source: bytes, told: bytes, driver: Language) -> Language:
    if told:
        return "c" if told == b"c" else "c++"
    name = source.rpartition(b"/")[2]
    suffix = b"." + name.rpartition(b".")[2] if b"." in name else b""
    if (language := _SUFFIXES.get(suffix)) is None:
        raise StaysLocal(_OTHER_SUFFIXES.get(suffix, "language"), f"{show(source)} is no C or C++ source by its name")
    return "c++" if driver == "c++" else language


def _path(option: Option, value: bytes) -> bytes:
    if value.startswith((b"=", b"$SYSROOT")) or value == b"-" or not value:
        raise StaysLocal("option-value", f"{show(option.name)} {show(value)} is not a plain path")
    _refuse_expanded(option.name, value)
    return value


def _refuse_expanded(name: bytes, value: bytes) -> None:
    """The driver hands a joined value on as an argument of its own, and cc1 and as expand @FILE once more:
    -D@FILE would bring options that nobody looked at.
    """
    if value.startswith(b"@"):
        raise StaysLocal("response-file", f"{show(name)} {show(value)} would be read as a file of arguments")


def _check_basename(path: bytes) -> None:
    """The base name becomes an argument of its own (-dumpbase): see `_refuse_expanded`."""
    if path.rpartition(b"/")[2][:1] in {b"@", b"-", b""}:
        raise StaysLocal("option-value", f"{show(path)} is not a plain file name")


def _check_outputs(outputs: tuple[bytes, ...], source: bytes) -> None:
    if len({*outputs, source}) <= len(outputs):
        raise StaysLocal("output", "one file is to be written twice, or over its source")
    for path in outputs:
        if path.startswith(b"/dev/") or path.rpartition(b"/")[2] in {b"", b".", b".."}:
            raise StaysLocal("output", f"{show(path)} is not a file to be made")
