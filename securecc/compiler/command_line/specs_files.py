"""Specs files that only add options, as those options (GCC manual, "Spec Files").

Debian's hardened builds name such files: a ``*self_spec:`` that adds options for position independence to command lines
without those that it lists. gcc puts them after all others.
"""

import re
from collections.abc import Sequence

from securecc.model.errors import StaysLocal
from securecc.model.printable import quote

_NAMED = re.compile(rb"--?specs=(.*)", re.DOTALL)
_SELF = re.compile(rb"\s*\*self_spec:\n\+ ((?:%\{![A-Za-z-]+:)+)([A-Za-z -]+?)(\}+)\s*")
_UNLESS = re.compile(rb"%\{!([A-Za-z-]+):")
_KNOWN = frozenset((b"-fPIE", b"-fno-PIE", b"-fpie", b"-fno-pie", b"-pie", b"-no-pie"))
_CORE = re.compile(rb"-?f?(?:no-)?(.*)", re.DOTALL)


def named(arguments: Sequence[bytes]) -> bytes:
    """The specs file of a command line; empty if it has none.

    Raises:
        StaysLocal: there are several, or gcc would have to search for it.
    """
    found = [match[1] for argument in arguments if argument[:3] in _BEGINS and (match := _NAMED.fullmatch(argument))]
    if len(found) > 1 or (found and not found[0].startswith(b"/")):
        raise StaysLocal("program", f"-specs={quote(found[0])} is not one absolute path")
    return found[0] if found else b""


_BEGINS = (b"-sp", b"--s")


def without(arguments: Sequence[bytes], content: bytes) -> tuple[bytes, ...]:
    """The command line that means the same without its one specs file, whose content is `content`.

    Raises:
        StaysLocal: the file does more than add such options.
    """
    match = _SELF.fullmatch(content)
    added = match[2].split() if match else []
    conditions = _UNLESS.findall(match[1]) if match else []
    if match is None or len(match[3]) != len(conditions) or not _KNOWN.issuperset(added):
        raise StaysLocal("program", "the specs file does more than add options for position independence")
    rest = tuple(argument for argument in arguments if not _NAMED.fullmatch(argument))
    return (*rest, *(added if _applies(rest[1:], conditions) else ()))


def _applies(arguments: Sequence[bytes], conditions: Sequence[bytes]) -> bool:
    """Whether none of these options is given. Of two opposite ones gcc drops one, by its own rules.

    Raises:
        StaysLocal: several are given, or one that may be opposite.
    """
    cores = {_core(name) for name in conditions} | {b"pie", b"pic"}
    about = {argument for argument in arguments if _core(argument) in cores or argument == b"-static-pie"}
    if len(about) > 1:
        raise StaysLocal("program", "a specs file together with several options for position independence")
    for argument in about:
        if argument[1:] in conditions:
            return False
        if argument not in (b"-static", b"-shared"):
            raise StaysLocal("program", f"a specs file together with {quote(argument)}, which may contradict it")
    return True


def _core(argument: bytes) -> bytes:
    match = _CORE.fullmatch(argument)
    return match[1].lower() if match else b""
