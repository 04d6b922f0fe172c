"""The arguments of a command line, parsed one after the other."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from securecc.compiler.command_line import clang_frontend, languages
from securecc.compiler.command_line.languages import SourceType
from securecc.compiler.command_line.option_table import Family
from securecc.compiler.command_line.options import (
    NOT_ALLOWED,
    Meaning,
    Option,
    check_separate,
    included_by_assembler,
    recognise,
)
from securecc.compiler.command_line.outputs import STDOUT, OutputOptions
from securecc.model.errors import StaysLocal
from securecc.model.printable import quote

_PREFIXED = {b"-iwithprefix": b"-idirafter", b"-iwithprefixbefore": b"-I"}
_ROOTED = frozenset((b"-I", b"-iquote", b"-isystem", b"-idirafter"))
_HANDED = _ROOTED | {b"-include", b"-imacros", b"-D", b"-U"}

ROOTS = frozenset((b"--sysroot", b"-isysroot"))
"""Options that name a sysroot."""

SYSROOT_MARKS = (b"=", b"$SYSROOT")
"""The prefixes that stand for the sysroot in a header directory (GCC manual, "Directory Options")."""


@dataclass(frozen=True, slots=True)
class SearchOption:
    """An option that names a directory of includes (-I, -isystem, --sysroot ...) or a file included before the source
    (-include, -imacros): canonical `name`, `path` as typed.
    """

    name: bytes
    path: bytes


class Argument(NamedTuple):
    """An option, its value included, or a source, which has no `meaning`. `words` are as typed. `affects_input`: what
    is read depends on it, so `gcc -M` needs it.
    """

    words: tuple[bytes, ...]
    meaning: Meaning | None = None
    affects_input: bool = True

    @property
    def chooses_processor(self) -> bool:
        """Whether it is one of -m... and --param."""
        return self.words[0].startswith((b"-m", b"--param"))


@dataclass(slots=True)
class ParsedArguments:
    """The contents of a command line, filled by `parse`.

    Attributes:
        arguments: All of them, in order; `sources` are those that are no options.
        given_type: The type that -x gave the last source; None if its name decides.
        modes: Which of -c and -S were given.
        search_options, forced_includes, macros: Directories of headers; -include and -imacros; -D and -U without their
            dash. In order.
        uses_profile: Whether a profile of earlier runs is read, from `profile_path` (empty: beside the object).
        include_prefix: The last -iprefix.
        preprocessor_words, frontend_words: What -Wp and -Xpreprocessor, and -Xclang, pass on.
        option_files: Files that options name, and that include no others.
    """

    family: Family
    arguments: list[Argument] = field(default_factory=list)
    sources: list[Argument] = field(default_factory=list)
    given_type: SourceType | None = None
    modes: set[bytes] = field(default_factory=set)
    output_options: OutputOptions = field(default_factory=OutputOptions)
    search_options: list[SearchOption] = field(default_factory=list)
    forced_includes: list[SearchOption] = field(default_factory=list)
    macros: list[bytes] = field(default_factory=list)
    uses_profile: bool = False
    profile_path: bytes = b""
    include_prefix: bytes = b""
    preprocessor_words: list[bytes] = field(default_factory=list)
    frontend_words: list[bytes] = field(default_factory=list)
    option_files: list[bytes] = field(default_factory=list)
    _current_type: SourceType | None = None

    @property
    def native_option(self) -> bytes:
        """The last option that asks for this machine's processor (-march=native); empty if none does."""
        found = [argument.words[0] for argument in self.arguments if argument.meaning is Meaning.NATIVE]
        return found[-1] if found else b""

    def parse(self, arguments: Sequence[bytes]) -> None:
        """Takes all arguments after the compiler's name.

        Raises:
            StaysLocal: at the first that is not understood.
        """
        rest = iter(arguments)
        for argument in rest:
            if argument[:1] != b"-" or argument == b"-":
                self.given_type = self._current_type
                self.sources.append(Argument((argument,)))
                self.arguments.append(self.sources[-1])
                continue
            option = recognise(argument, self.family)
            words: tuple[bytes, ...] = (argument,)
            value = option.value
            if option.separate:
                value = next(rest, b"")
                words = (argument, value)
                if not value:
                    raise StaysLocal("option-value", f"{quote(option.name)} has no value")
            self._note(option, argument)
            self.arguments.append(Argument(words, option.meaning, self._take(option, value)))
        self._take_handed()
        clang_frontend.check(self.frontend_words)
        self._check_rooted()

    def _note(self, option: Option, argument: bytes) -> None:
        self.output_options.seeded |= argument.startswith(b"-frandom-seed")
        self.output_options.placed |= b"-compilation-dir" in option.name
        self.output_options.compressed |= argument.startswith(b"-gz") and argument != b"-gz=none"
        self.output_options.verbose |= option.name == b"-fverbose-asm" and not option.off

    def _take(self, option: Option, value: bytes) -> bool:
        """True if the option affects what is read (see `Argument.affects_input`)."""
        match option.meaning:
            case Meaning.PLAIN | Meaning.PARAMETER | Meaning.TARGET | Meaning.NATIVE:
                self._take_plain(option, value)
            case Meaning.SEARCH:
                self._take_search(option, value)
            case Meaning.FORCED:
                self.forced_includes.append(SearchOption(option.name, plain_path(option, value)))
            case Meaning.MACRO:
                refuse_expanded(option.name, value)
                self.macros.append(option.name[1:] + value)
            case Meaning.FRONTEND | Meaning.PREPROCESSOR:
                self._take_passed(option, value)
            case Meaning.LANGUAGE:
                self._current_type = None if value == b"none" else languages.of_name(value)
            case Meaning.PROFILE | Meaning.PROFILE_FOLDER:
                self._take_profile(option, value)
            case Meaning.INPUT:
                self.option_files.append(plain_path(option, value))
            case _:
                self._take_output(option, value)
                return False
        return True

    def _take_handed(self) -> None:
        """Takes what -Wp, and -Xpreprocessor pass on, as one list: an option's value may come with the next of them.

        Raises:
            StaysLocal: it is not a directory of headers, an included file or a macro.
        """
        rest = iter(self.preprocessor_words)
        for part in rest:
            option = recognise(part, self.family) if part[:1] == b"-" else None
            value = next(rest, b"") if option and option.separate else option.value if option else b""
            if option is None or not value or option.name not in _HANDED:
                raise StaysLocal("option", f"-Wp,{quote(part)} {NOT_ALLOWED}")
            self._take(option, value)

    def _take_passed(self, option: Option, value: bytes) -> None:
        """Takes what is passed directly to the preprocessor (-Wp,) or clang's compiler proper (-Xclang).

        Raises:
            StaysLocal: -Xclang has no next argument.
        """
        if option.meaning is Meaning.PREPROCESSOR:
            self.preprocessor_words += [value] if option.separate else value.split(b",")
        elif not option.separate:
            raise StaysLocal("option", f"{quote(option.name + value)} {NOT_ALLOWED}")
        elif option.name == b"-mllvm":
            clang_frontend.check_llvm(value)
        else:
            self.frontend_words.append(value)
            self.output_options.placed |= b"-compilation-dir" in value

    def _take_search(self, option: Option, value: bytes) -> None:
        """-iwithprefix and -iwithprefixbefore are -idirafter and -I below the last -iprefix.

        Raises:
            StaysLocal: no -iprefix came before.
        """
        rooted = option.name in _ROOTED and value.startswith(SYSROOT_MARKS)
        path = value if rooted else plain_path(option, value)
        if option.name == b"-iprefix":
            self.include_prefix = path
        elif option.name in _PREFIXED:
            if not self.include_prefix:
                raise StaysLocal(
                    "search", f"{quote(option.name)} without -iprefix searches the compiler's own directories"
                )
            self.search_options.append(SearchOption(_PREFIXED[option.name], self.include_prefix + path))
        else:
            self.search_options.append(SearchOption(option.name, path))

    def _check_rooted(self) -> None:
        """Checks directories below the sysroot: only the compiler knows the one that it was built with.

        Raises:
            StaysLocal: a directory is below the sysroot, and no option names the sysroot.
        """
        rooted = next((option for option in self.search_options if option.path.startswith(SYSROOT_MARKS)), None)
        if rooted and not any(option.name in ROOTS for option in self.search_options):
            raise StaysLocal("search", f"{quote(rooted.name)} {quote(rooted.path)} without --sysroot")

    def _take_plain(self, option: Option, value: bytes) -> None:
        if option.name == b"-Wa,":
            self.search_options += [SearchOption(b"-Wa,-I", path) for path in included_by_assembler(option.value)]
        if option.separate:
            check_separate(option, value, self.family)

    def _take_profile(self, option: Option, value: bytes) -> None:
        refuse_expanded(option.name, value)
        if option.meaning is Meaning.PROFILE:  # several options ask for it; negating one leaves the others
            self.uses_profile |= not option.off
        if value:
            self.profile_path = value

    def _take_output(self, option: Option, value: bytes) -> None:
        asked = self.output_options
        match option.meaning:
            case Meaning.MODE:
                self.modes.add(option.name)
            case Meaning.OUTPUT:
                asked.output = value if value == STDOUT else plain_path(option, value)
            case Meaning.DEPENDENCIES:
                asked.dependencies.append(option)
            case Meaning.DEPENDENCY_FILE:
                asked.dependency_file = value if value == STDOUT else plain_path(option, value)
            case Meaning.DEPENDENCY_DETAIL:
                refuse_expanded(option.name, value)
                asked.dependency_details = True
            case Meaning.EFFECT:
                asked.effects[option.suffix] = not option.off and value != b"single"
            case Meaning.BITCODE:
                asked.bitcode = True
            case _:
                refuse_expanded(option.name, value)


def plain_path(option: Option, value: bytes) -> bytes:
    """The value of an option that names a file or a directory.

    Raises:
        StaysLocal: it is empty, standard input, below the sysroot, or a response file.
    """
    if value.startswith(SYSROOT_MARKS) or value == b"-" or not value:
        raise StaysLocal("option-value", f"{quote(option.name)} {quote(value)} is not a plain path")
    refuse_expanded(option.name, value)
    return value


def refuse_expanded(name: bytes, value: bytes) -> None:
    """Refuses @FILE as the value of an option: the driver passes it on as a separate argument, and cc1 and as expand it
    again, so that -D@FILE would add unchecked options.

    Raises:
        StaysLocal: the value begins with ``@``.
    """
    if value.startswith(b"@"):
        raise StaysLocal("response-file", f"{quote(name)} {quote(value)} would be expanded as a response file")
