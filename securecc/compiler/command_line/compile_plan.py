"""What a compiler's command line asks for: a plan of one compile that may run elsewhere, or the reason why not.

Both sides parse: the agent to decide, the server because it trusts no agent. Rules follow the GCC manual ("Overall
Options", "Preprocessor Options", "Developer Options") and clang's, and were tried with GCC 12 and clang 14.
"""

import re
from dataclasses import dataclass

from securecc.compiler.command_line import languages, outputs
from securecc.compiler.command_line.arguments import ROOTS, Arguments, SearchOption
from securecc.compiler.command_line.languages import Language, Text
from securecc.compiler.command_line.option_table import Family
from securecc.compiler.command_line.options import show
from securecc.model import limits
from securecc.model.errors import StaysLocal

__all__ = ["CompilePlan", "Family", "Language", "SearchOption", "dependency_command", "family_of", "is_probe", "parse"]

_COMPILER = re.compile(rb"(?:[A-Za-z0-9_.]+-)*(gcc|g\+\+|cc|c\+\+|clang|clang\+\+)(?:-[0-9]+(?:\.[0-9]+)*)?")
_WRITES_MODE = (b"-c", b"-S", b"-E", b"-M", b"-MM", b"-fsyntax-only", b"--preprocess")
_ASKS = (b"-print-", b"--print-")  # answered whatever else is asked for
_QUESTIONS = (b"conftest.", b"CMakeCCompilerId", b"CMakeCXXCompilerId")  # of autoconf and CMake
_INFORMS = (*_ASKS, b"--version", b"--help", b"--target-help", b"-v", b"-###", b"-dump", b"-qversion")


@dataclass(frozen=True, slots=True)
class CompilePlan:
    """One compile of one source, which needs nothing but the files that it includes.

    Paths are as typed, hence relative to the working directory unless absolute; the source may be ``-``, standard
    input. `outputs` are all the files that the compile may make, `output` (the object, or assembly with -S) first,
    unless that is ``-``, standard output. `driver` is the language family of the command's name, `text` what the
    source is compiled as. `macros` are the texts of -D and -U with their letter (``DNAME=1``), in order. `kept` are
    the arguments, without the command, that matter to what is read, `source_at` the place of the source among them.
    `profile` is where counts of other runs are read from (empty: beside the object), None if they are not read.
    `elsewhere` says that the compiler looks for its own headers in other directories than without options, `inputs`
    are files that it reads beside all includes.
    """

    arguments: tuple[bytes, ...]
    driver: Language
    text: Text
    source: bytes
    output: bytes
    outputs: tuple[bytes, ...]
    search: tuple[SearchOption, ...]
    forced: tuple[SearchOption, ...]
    macros: tuple[bytes, ...]
    kept: tuple[bytes, ...]
    assembly: bool = False
    dependency_file: bytes = b""
    family: Family = "gcc"
    profile: bytes | None = None
    source_at: int = 0
    elsewhere: bool = False
    inputs: tuple[bytes, ...] = ()

    @property
    def compiler(self) -> bytes:
        """The compiler as typed."""
        return self.arguments[0]

    @property
    def language(self) -> Language:
        """What the source is compiled as."""
        return self.text.language


def family_of(name: str | bytes) -> Family:
    """Which options a toolchain of this name takes (``gcc-12``, ``clang-14``, or a compiler's path).

    Raises StaysLocal for a compiler that is neither.
    """
    word = (name.encode("utf-8", "surrogateescape") if isinstance(name, str) else name).rpartition(b"/")[2]
    match = _COMPILER.fullmatch(word)
    if match is None:
        raise StaysLocal("compiler", f"{show(word)} is neither gcc nor clang")
    return "clang" if match[1].startswith(b"clang") else "gcc"


def parse(arguments: tuple[bytes, ...], family: Family | None = None) -> CompilePlan:
    """The plan of a compile. `arguments[0]` is the compiler as typed; `family` says whose options it takes, if its name
    does not.

    Raises StaysLocal, with a reason fit for counting, for everything that is not one understood compile of one
    source.
    """
    read, driver = _read(arguments, family)
    if read.native:
        raise StaysLocal("native", f"{show(read.native)} asks for the machine at hand")
    if not read.source:
        raise StaysLocal("no-source", "names no source")
    if len(read.modes) != 1:
        raise StaysLocal("link" if not read.modes else "option", "neither -c nor -S alone")
    read.asked.assembly = read.modes == {b"-S"}
    text = read.told or languages.of_file(read.source, driver, read.family)
    made = outputs.made(read.asked, read.source, text, read.family)
    if read.source == languages.STDIN and read.profiled:
        raise StaysLocal("standard-input", "counts of other runs, which standard input gives no name")
    return CompilePlan(
        arguments=arguments,
        driver=driver,
        text=text,
        source=read.source,
        output=made.output,
        outputs=made.every,
        search=tuple(read.search),
        forced=tuple(read.forced),
        macros=tuple(read.macros),
        kept=tuple(read.kept),
        assembly=read.asked.assembly,
        dependency_file=made.dependencies,
        family=read.family,
        profile=read.profile if read.profiled else None,
        source_at=read.source_at,
        elsewhere=read.elsewhere or _looks_in_root(read, text),
        inputs=tuple(read.inputs),
    )


def parts(arguments: tuple[bytes, ...], family: Family | None = None) -> tuple[tuple[bytes, ...], ...]:
    """The command once for each of its sources, where these make by themselves what they make together; else the
    command as it is: a -x between sources would be one after the last. Raises StaysLocal as `parse` does.
    """
    if sum(map(languages.is_source, arguments[1:])) < len(("a.c", "b.c")):
        return (arguments,)
    read, _ = _read(arguments, family, several=True)
    asked = read.asked
    named = asked.output or asked.dependency_file or any(option.value for option in asked.dependencies)
    between = arguments[read.sources[0] + 1 : read.sources[-1] + 1] if read.sources else ()
    said = any(word.startswith(b"-x") for word in between) or any(
        arguments[at + 1] == languages.STDIN for at in read.sources
    )
    if not 1 < len(read.sources) <= limits.SOURCES or named or said:
        return (arguments,)
    places = {at + 1 for at in read.sources}
    return tuple(
        tuple(word for place, word in enumerate(arguments) if place not in places - {one}) for one in sorted(places)
    )


def for_processor(arguments: tuple[bytes, ...], family: Family | None = None) -> tuple[list[bytes], list[bytes]] | None:
    """The options of a command that choose the processor (-m..., --param), and all other arguments, where the machine
    at hand is asked for; None where it is not. Raises StaysLocal as `parse` does, and where what it is would show in
    the object: debug information and link-time optimisation record the options.
    """
    if not any(argument.endswith(b"=native") for argument in arguments):
        return None
    read, _ = _read(arguments, family)
    if not read.native:
        return None
    shows = next((argument for argument in read.rest if _records_options(argument, read.family)), b"")
    if shows:
        raise StaysLocal("native", f"{show(read.native)} asks for the machine at hand, and {show(shows)} records it")
    return read.machine, read.rest


def dependency_command(plan: CompilePlan) -> tuple[bytes, ...]:
    """The command that prints the list of files which the compile reads: the very same options with -M. Empty where
    nothing but the source is read.
    """
    if plan.text.preprocesses:
        return (plan.compiler, *plan.kept, b"-M")
    if plan.family == "clang" and plan.text.compiles:  # which honours #include in preprocessed text as well
        before, after = plan.kept[: plan.source_at], plan.kept[plan.source_at :]
        return (plan.compiler, *before, b"-x", plan.text.language.encode(), *after, b"-M")
    return ()


def preprocess_command(plan: CompilePlan) -> tuple[bytes, ...]:
    """The command that prints the preprocessed text, with the very same options."""
    return (plan.compiler, *plan.kept, b"-E")


def is_probe(plan: CompilePlan, cwd: bytes) -> bool:
    """Whether this compile is a question of configure, CMake or meson: thousands of tiny ones, each waited for."""
    if plan.source == b"/dev/null" or plan.source.rpartition(b"/")[2].startswith(_QUESTIONS):
        return True
    places = (cwd + b"/" + plan.source).split(b"/")
    return not {b"CMakeScratch", b"CMakeTmp", b"meson-private"}.isdisjoint(places)


def _read(arguments: tuple[bytes, ...], family: Family | None, *, several: bool = False) -> tuple[Arguments, Language]:
    _check_size(arguments)
    match = _COMPILER.fullmatch(arguments[0].rpartition(b"/")[2])
    if match is None:
        raise StaysLocal("compiler", f"{show(arguments[0])} is neither gcc nor clang")
    _check_mode(arguments)
    read = Arguments(family or family_of(arguments[0]), several=several)
    read.read(arguments[1:])
    return read, "c++" if match[1].endswith(b"++") else "c"


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


def _check_mode(arguments: tuple[bytes, ...]) -> None:
    """Links and questions are most of what is not a compile: told apart before options are looked at."""
    if any(argument.startswith(_ASKS) for argument in arguments[1:]):
        raise StaysLocal("information", "asks the compiler about itself")
    if any(mode in arguments for mode in _WRITES_MODE):
        return
    if any(argument.startswith(_INFORMS) for argument in arguments[1:]):
        raise StaysLocal("information", "asks the compiler about itself")
    if all(argument[:1] == b"-" for argument in arguments[1:]):
        raise StaysLocal("no-source", "names no source")
    raise StaysLocal("link", "links, for neither -c nor -S is there")


def _looks_in_root(read: Arguments, text: Text) -> bool:
    """Whether clang looks for a gcc of the sysroot, and its headers of C++."""
    if read.family != "clang" or not text.language.endswith("c++"):
        return False
    rooted = any(option.name in ROOTS for option in read.search)
    return rooted and not any(option.startswith(b"-nostdinc") for option in read.rest)


def _records_options(argument: bytes, family: Family) -> bool:
    if family == "clang":
        return argument.startswith((b"-grecord-", b"-frecord-", b"-flto", b"-emit-llvm", b"-fembed-bitcode"))
    if argument.startswith(b"-g"):
        return argument != b"-g0" and not argument.startswith(b"-gno-")
    return argument.startswith((b"-flto", b"-frecord-gcc-switches", b"-fverbose-asm", b"-ffat-lto"))
