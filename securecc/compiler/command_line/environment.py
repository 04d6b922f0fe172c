"""The environment that a compiler reads: which variables are sent, what they mean, and which keep a compile local.

Names are those of the GCC manual ("Environment Variables Affecting GCC", "Diagnostic Message Formatting Options") and
of what the programs of GCC 12 and clang 14 look up. Only the server sets variables that choose programs or libraries.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import takewhile

from securecc.compiler.command_line.languages import Language
from securecc.compiler.toolchain import gettext
from securecc.model import limits
from securecc.model.errors import Refused, StaysLocal
from securecc.model.printable import quote

# Sent unchanged: how diagnostics look, the working directory, the date that is compiled in.
_SENT = frozenset(
    (
        b"PWD",
        b"SOURCE_DATE_EPOCH",
        b"COLUMNS",
        b"TERM",
        b"COLORTERM",
        b"GCC_COLORS",
        b"GCC_URLS",
        b"TERM_URLS",
        b"GCC_EXTRA_DIAGNOSTIC_OUTPUT",
    )
)
_MADE = frozenset((b"LC_ALL", b"LANGUAGE", b"TZ"))  # made by the client from its locale and time zone
_SEARCH: dict[Language, bytes] = {
    "c": b"C_INCLUDE_PATH",
    "c++": b"CPLUS_INCLUDE_PATH",
    "objective-c": b"OBJC_INCLUDE_PATH",
    "objective-c++": b"OBJCPLUS_INCLUDE_PATH",
}
SEARCHES = frozenset((b"CPATH", *_SEARCH.values()))
"""Variables that name directories of headers; an empty one means none."""

_LOCAL = frozenset(
    (
        b"COMPILER_PATH",
        b"DEPENDENCIES_OUTPUT",
        b"SUNPRO_DEPENDENCIES",
        b"CXX_MODULE_MAPPER",
        b"GNUTARGET",
        b"POSIXLY_CORRECT",
        b"LOCPATH",
        b"GCONV_PATH",
        # clang's own, and those of LLVM's assembler and debug information
        b"CLANG_NO_DEFAULT_CONFIG",
        b"FORCE_CLANG_DIAGNOSTICS_CRASH",
        b"AS_SECURE_LOG_FILE",
        b"LLVM_OVERRIDE_PRODUCER",
        b"RC_DEBUG_OPTIONS",
        b"GCC_EXEC_PREFIX",
        b"GCC_COMPARE_DEBUG",
        b"CCC_OVERRIDE_OPTIONS",
        b"CCC_ADD_ARGS",
    )
)  # known to be asked for, or read inside the C library, where no witness sees it: these save a round trip
_LOCAL_FAMILIES = (b"GCC_", b"CCC_", b"COLLECT_")  # of which anything may count, if no witness says what does
_HARMLESS = frozenset((b"GCC_NOAPPORT",))  # crash reports
_LOCALES = frozenset((b"C", b"C.UTF-8"))
_PLAIN = frozenset((b"C", b"POSIX"))
_LANGUAGES = 8  # of one user's LANGUAGE
_EPOCH = re.compile(rb"[0-9]{1,12}")
_NAME, _OFFSET = rb"(?:[A-Za-z]{3,6}|<[A-Za-z0-9+-]{3,8}>)", rb"[+-]?[0-9]{1,3}(?::[0-9]{2}){0,2}"
_CHANGE = rb",M[0-9]{1,2}\.[1-5]\.[0-6](?:/" + _OFFSET + rb")?"
ZONE = re.compile(_NAME + _OFFSET + rb"(?:" + _NAME + rb"(?:" + _OFFSET + rb")?" + _CHANGE + _CHANGE + rb")?")
"""A self-contained TZ (POSIX.1-2017, 8.3), which names no file."""

_UTF8 = re.compile(rb"[^@]*\.utf-?8(?:@.*)?", re.IGNORECASE)
_VALUE = 32 * limits.KIB  # bytes of one variable; a module system's CPATH is some 4 KiB
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Locales:
    """The machine's locales: `available` says whether setlocale(3) accepts a name; for a language, as gettext(3) spells
    it, `translated` says whether any of the compiler's programs has a message catalogue, `system` whether libc has one
    (strerror(3)), `renamed` whether it is an alias.
    """

    available: Callable[[bytes], bool]
    translated: Callable[[bytes], bool]
    system: Callable[[bytes], bool] = lambda _: False
    renamed: Callable[[bytes], bool] = lambda _: False


@dataclass(frozen=True, slots=True)
class EffectiveLocale:
    """What a locale means to a compiler: `ctype` is ``C`` or ``C.UTF-8``; `languages` are those of its messages that it
    has, in order; `system` says that strerror(3) is not in English.
    """

    ctype: bytes
    languages: tuple[bytes, ...] = ()
    system: bool = False


@dataclass(frozen=True, slots=True)
class SentEnvironment:
    """`variables` are sent with the compile. `directories` are searched for headers after those of the command line
    (CPATH, then the language's own), in order, as spelled; an empty component of a variable is ``.``. `doubtful` is the
    name of a variable that is set and may count: the questions of a witnessed run tell.
    """

    variables: dict[bytes, bytes]
    directories: tuple[bytes, ...] = ()
    locale: EffectiveLocale = EffectiveLocale(b"C")
    doubtful: bytes = b""


def sent_environment(
    environment: Mapping[bytes, bytes], language: Language, locale: EffectiveLocale
) -> SentEnvironment:
    """The part of a launcher's environment that is sent for a compile of `language`, given what the locale means.

    Raises:
        StaysLocal: a variable is set that a server cannot honour.
    """
    doubtful = b""
    for name, value in environment.items():
        if value and name in _LOCAL:
            raise StaysLocal("environment", f"{quote(name)} is set, and a server cannot honour it")
        if value and _is_doubtful(name):
            doubtful = name
    variables = {name: environment[name] for name in _SENT if name in environment}
    epoch = variables.get(b"SOURCE_DATE_EPOCH")
    if epoch is not None and not _EPOCH.fullmatch(epoch):
        raise StaysLocal("environment", f"SOURCE_DATE_EPOCH is {quote(epoch)}, not a number of seconds")
    directories: list[bytes] = []
    for name in (b"CPATH", _SEARCH[language]):
        if environment.get(name):
            variables[name] = environment[name]
            directories += (part or b"." for part in environment[name].split(b":"))
    variables[b"LC_ALL"] = locale.ctype
    if locale.languages:
        variables[b"LANGUAGE"] = b":".join(locale.languages)
    try:
        _check(variables)
    except Refused as error:
        raise StaysLocal("environment", error.message) from error
    return SentEnvironment(variables, tuple(directories), locale, doubtful)


def effective_locale(environment: Mapping[bytes, bytes], locales: Locales) -> EffectiveLocale:
    """What the locale means to the compiler's messages.

    Quotation marks follow the character set of LC_CTYPE, the language follows LC_MESSAGES and LANGUAGE (gettext(3));
    English has no catalogue. A locale that setlocale(3) does not accept means C.

    Raises:
        StaysLocal: the character set is neither ASCII nor UTF-8, or the language's name or character set may mean
        something else on another machine.
    """
    ctype = _category(environment, b"LC_CTYPE")
    messages = _category(environment, b"LC_MESSAGES")
    wanted: list[bytes] = []
    if messages not in _PLAIN and locales.available(messages):
        wanted = _languages(environment.get(b"LANGUAGE", b""), messages)
    languages = [language for language in wanted if any(map(locales.translated, gettext.spellings(language)))]
    system = any(locales.system(name) for language in wanted for name in gettext.spellings(language))
    if ctype in _PLAIN or not locales.available(ctype):
        meant = b"C"
    elif _UTF8.fullmatch(ctype) is not None:
        meant = b"C.UTF-8"
    else:
        raise StaysLocal("locale", f"the character set of {quote(ctype)} is neither ASCII nor UTF-8")
    strange = not all(map(gettext.is_language, wanted)) or any(map(locales.renamed, wanted))
    if languages and (strange or meant == b"C" or environment.get(b"OUTPUT_CHARSET") or len(languages) > _LANGUAGES):
        raise StaysLocal("locale", f"messages in {quote(languages[0])} may differ on another machine")
    return EffectiveLocale(meant, tuple(languages), system)


def compiler_environment(sent: Mapping[bytes, bytes], path: bytes = b"/usr/bin:/bin") -> dict[bytes, bytes]:
    """The server's side: the compiler's environment, from what a client sent. `path` is the toolchain's.

    Raises:
        Refused: a variable is not on the list, or its value is invalid; the message names it.
    """
    for name in sent:
        if name not in _SENT and name not in SEARCHES and name not in _MADE:
            raise Refused(
                "option", f"environment variable {quote(name)} is not on the list of those that a compile may have"
            )
    _check(sent)
    return {b"LC_ALL": b"C", **sent, b"PATH": path}


def _is_doubtful(name: bytes) -> bool:
    """Whether a variable may choose programs or files, for all that its name tells."""
    return name.startswith(_LOCAL_FAMILIES) and name not in _SENT and name not in _HARMLESS


def _check(variables: Mapping[bytes, bytes]) -> None:
    total = sum(len(name) + len(value) for name, value in variables.items())
    if total > limits.ENVIRONMENT_TOTAL:
        raise Refused("limit", f"an environment of {total} bytes; at most {limits.ENVIRONMENT_TOTAL}")
    for name, value in variables.items():
        if len(value) > _VALUE:
            raise Refused("limit", f"environment variable {quote(name)} of {len(value)} bytes; at most {_VALUE}")
        if _CONTROL.search(value):
            raise Refused("option", f"environment variable {quote(name)} has a control character")
    if variables.get(b"LC_ALL", b"C") not in _LOCALES:
        raise Refused("option", f"LC_ALL is {quote(variables[b'LC_ALL'])}, neither C nor C.UTF-8")
    if not all(map(gettext.is_language, variables.get(b"LANGUAGE", b"en").split(b":"))):
        raise Refused("option", f"LANGUAGE is {quote(variables[b'LANGUAGE'])}, not a list of languages")
    if not ZONE.fullmatch(variables.get(b"TZ", b"UTC0")):
        raise Refused("option", f"TZ is {quote(variables[b'TZ'])}, not a POSIX time zone")
    if not _EPOCH.fullmatch(variables.get(b"SOURCE_DATE_EPOCH", b"0")):
        raise Refused(
            "option", f"SOURCE_DATE_EPOCH is {quote(variables[b'SOURCE_DATE_EPOCH'])}, not a number of seconds"
        )


def _category(environment: Mapping[bytes, bytes], name: bytes) -> bytes:
    return environment.get(b"LC_ALL") or environment.get(name) or environment.get(b"LANG") or b"C"


def _languages(preferred: bytes, messages: bytes) -> list[bytes]:
    """In order; gettext stops at a C or POSIX among them (dcigettext.c)."""
    named = [language for language in preferred.split(b":") if language] or [messages]
    return list(takewhile(lambda language: language not in _PLAIN, named))
