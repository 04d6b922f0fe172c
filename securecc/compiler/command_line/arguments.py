"""The arguments of a command line, one after the other, and what has been understood of them so far."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from securecc.compiler.command_line import clang_frontend, languages
from securecc.compiler.command_line.languages import Text
from securecc.compiler.command_line.option_table import Family
from securecc.compiler.command_line.options import (
    Meaning,
    Option,
    check_separate,
    included_by_assembler,
    recognise,
    show,
)
from securecc.compiler.command_line.outputs import STDOUT, Asked
from securecc.model.errors import StaysLocal

_PREFIXED = {b"-iwithprefix": b"-idirafter", b"-iwithprefixbefore": b"-I"}
_ROOTED = frozenset((b"-I", b"-iquote", b"-isystem", b"-idirafter"))
_HANDED = _ROOTED | {b"-include", b"-imacros", b"-D", b"-U"}

ROOTS = frozenset((b"--sysroot", b"-isysroot"))
"""Options that name a sysroot."""

SYSROOT_MARKS = (b"=", b"$SYSROOT")
"""What stands for the sysroot at the beginning of a searched directory (GCC manual, "Directory Options")."""


@dataclass(frozen=True, slots=True)
class SearchOption:
    """An option that names a directory of includes (-I, -isystem, --sysroot ...) or a file included before the source
    (-include, -imacros): canonical `name`, `path` as typed.
    """

    name: bytes
    path: bytes


@dataclass(slots=True)
class Arguments:
    """What a command line says. `kept` are the arguments that matter to what is read, `source_at` the place of the
    source among them, `machine` those that choose the processor (-m..., --param), `rest` all others; `native` is the
    option that asks for the machine at hand. `sources` are the places of all sources; that there may be `several` is
    to be said beforehand. `elsewhere` says that the compiler looks for its own headers in other directories than
    without options; `inputs` are files that it reads and that include no others. `handed` is what the preprocessor
    itself is given, by -Wp, and -Xpreprocessor, `frontend` what clang's compiler proper is, by -Xclang. `profiled`
    says that counts of other runs may be read, from the directory `profile` (empty: from beside the object).
    """

    family: Family
    source: bytes = b""
    told: Text | None = None
    modes: set[bytes] = field(default_factory=set)
    asked: Asked = field(default_factory=Asked)
    search: list[SearchOption] = field(default_factory=list)
    forced: list[SearchOption] = field(default_factory=list)
    macros: list[bytes] = field(default_factory=list)
    kept: list[bytes] = field(default_factory=list)
    machine: list[bytes] = field(default_factory=list)
    rest: list[bytes] = field(default_factory=list)
    native: bytes = b""
    profiled: bool = False
    profile: bytes = b""
    source_at: int = 0
    several: bool = False
    elsewhere: bool = False
    prefix: bytes = b""
    handed: list[bytes] = field(default_factory=list)
    frontend: list[bytes] = field(default_factory=list)
    inputs: list[bytes] = field(default_factory=list)
    sources: list[int] = field(default_factory=list)
    _language: Text | None = None

    def read(self, arguments: Sequence[bytes]) -> None:
        """All arguments after the compiler's name. Raises StaysLocal at the first that is not understood."""
        rest = enumerate(arguments)
        for at, argument in rest:
            if argument[:1] != b"-" or argument == b"-":
                self._take_source(argument)
                self.sources.append(at)
                self.rest.append(argument)
                continue
            option = recognise(argument, self.family)
            spelled = [argument]
            value = option.value
            if option.separate:
                _, value = next(rest, (at, b""))
                spelled.append(value)
                if not value:
                    raise StaysLocal("option-value", f"{show(option.name)} lacks its value")
            self._note(option, argument, spelled)
            if self._take(option, value):
                self.kept += spelled
        self._take_handed()
        clang_frontend.check(self.frontend)
        self._check_rooted()

    def _note(self, option: Option, argument: bytes, spelled: list[bytes]) -> None:
        chooses = argument[:2] == b"-m" or argument.startswith(b"--param")
        (self.machine if chooses else self.rest).extend(spelled)
        self.asked.seeded |= argument.startswith(b"-frandom-seed")
        self.asked.placed |= b"-compilation-dir" in option.name
        self.asked.verbose |= option.name == b"-fverbose-asm" and not option.off

    def _take_source(self, argument: bytes) -> None:
        if self.source and not self.several:
            raise StaysLocal("several-sources", f"{show(self.source)} and {show(argument)}")
        self.source, self.told, self.source_at = argument, self._language, len(self.kept)
        self.kept.append(argument)

    def _take(self, option: Option, value: bytes) -> bool:
        """True if what is read depends on the option, so that it is kept for -M."""
        match option.meaning:
            case Meaning.PLAIN | Meaning.PARAMETER | Meaning.TARGET:
                self._take_plain(option, value)
            case Meaning.NATIVE:
                self.native = option.name + value
            case Meaning.SEARCH:
                self._take_search(option, value)
            case Meaning.FORCED:
                self.forced.append(SearchOption(option.name, plain_path(option, value)))
            case Meaning.MACRO:
                refuse_expanded(option.name, value)
                self.macros.append(option.name[1:] + value)
            case Meaning.FRONTEND | Meaning.PREPROCESSOR:
                self._take_passed(option, value)
            case Meaning.LANGUAGE:
                self._language = None if value == b"none" else languages.of_name(value)
            case Meaning.PROFILE | Meaning.PROFILE_FOLDER:
                self._take_profile(option, value)
            case Meaning.INPUT:
                self.inputs.append(plain_path(option, value))
            case _:
                self._take_output(option, value)
                return False
        return True

    def _take_handed(self) -> None:
        """What -Wp, and -Xpreprocessor hand to the preprocessor itself, all of it in one row: a value may come with the
        next of them.
        """
        rest = iter(self.handed)
        for part in rest:
            option = recognise(part, self.family) if part[:1] == b"-" else None
            value = next(rest, b"") if option and option.separate else option.value if option else b""
            if option is None or not value or option.name not in _HANDED:
                raise StaysLocal(
                    "option", f"{show(part)}, handed to the preprocessor, is not known to be safe elsewhere"
                )
            self._take(option, value)

    def _take_passed(self, option: Option, value: bytes) -> None:
        """What a part of the compiler is given itself: all of -Xclang, as all of -Wp, is one row."""
        if option.meaning is Meaning.PREPROCESSOR:
            self.handed += [value] if option.separate else value.split(b",")
        elif not option.separate:
            raise StaysLocal("option", f"{show(option.name + value)} is not known to be safe elsewhere")
        elif option.name == b"-mllvm":
            clang_frontend.check_llvm(value)
        else:
            self.frontend.append(value)
            self.asked.placed |= b"-compilation-dir" in value

    def _take_search(self, option: Option, value: bytes) -> None:
        """-iwithprefix and -iwithprefixbefore are -idirafter and -I with the beginning that -iprefix gave last."""
        rooted = option.name in _ROOTED and value.startswith(SYSROOT_MARKS)
        path = value if rooted else plain_path(option, value)
        if option.name == b"-iprefix":
            self.prefix = path
        elif option.name in _PREFIXED:
            if not self.prefix:
                raise StaysLocal("search", f"{show(option.name)} of the compiler's own directories")
            self.search.append(SearchOption(_PREFIXED[option.name], self.prefix + path))
        else:
            self.search.append(SearchOption(option.name, path))

    def _check_rooted(self) -> None:
        """A sysroot of the compiler's own is known to nobody else."""
        rooted = next((option for option in self.search if option.path.startswith(SYSROOT_MARKS)), None)
        if rooted and not any(option.name in ROOTS for option in self.search):
            raise StaysLocal("search", f"{show(rooted.name)} {show(rooted.path)} without --sysroot")

    def _take_plain(self, option: Option, value: bytes) -> None:
        self.elsewhere |= option.meaning is Meaning.TARGET
        if option.name == b"-Wa,":
            self.search += [SearchOption(b"-Wa,-I", path) for path in included_by_assembler(option.value)]
        if option.separate:
            check_separate(option, value, self.family)

    def _take_profile(self, option: Option, value: bytes) -> None:
        refuse_expanded(option.name, value)
        if option.meaning is Meaning.PROFILE:  # several options ask for it, and undoing one leaves the others
            self.profiled |= not option.off
        if value:
            self.profile = value

    def _take_output(self, option: Option, value: bytes) -> None:
        asked = self.asked
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
    """The value of an option that names a file or a directory. Raises StaysLocal if it means more than itself."""
    if value.startswith(SYSROOT_MARKS) or value == b"-" or not value:
        raise StaysLocal("option-value", f"{show(option.name)} {show(value)} is not a plain path")
    refuse_expanded(option.name, value)
    return value


def refuse_expanded(name: bytes, value: bytes) -> None:
    """The driver hands a joined value on as an argument of its own, and cc1 and as expand @FILE once more:
    -D@FILE would bring options that nobody looked at.
    """
    if value.startswith(b"@"):
        raise StaysLocal("response-file", f"{show(name)} {show(value)} would be read as a file of arguments")
