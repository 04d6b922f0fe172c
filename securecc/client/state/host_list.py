"""Host lists, as distcc(1) has them: servers, their ports and limits, and local slots."""

import re
from dataclasses import dataclass

from securecc.model.address import address
from securecc.model.errors import ConfigError
from securecc.model.service import PORT

SLOTS_MAX = 4096
"""The greatest limit of a host."""

_HOST_SLOTS = 0  # if the host list names no limit: servers themselves say when they have room
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?", re.ASCII)
_V6 = re.compile(r"\[([0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9_.-]{1,32})?)\]")
_IGNORED = frozenset(["--randomize"])  # distcc's: the order of hosts means nothing here either way


@dataclass(frozen=True, slots=True)
class Host:
    """One server. `slots` limits this user's concurrent jobs there, 0 for no limit. `principal`
    replaces ``service/name`` as the name that the server must prove (option ``auth=``).
    """

    name: str
    port: int = PORT
    slots: int = _HOST_SLOTS
    principal: str = ""

    def __str__(self) -> str:
        """As a user writes it, without the default port."""
        return address(self.name, self.port).removesuffix(f":{PORT}")


def parse_host(word: str) -> Host | int:
    """One word of a host list: a Host, or the number of local slots that ``localhost/N`` gives (``localhost`` alone: 0,
    for none given).

    The syntax is ``NAME[:PORT][/LIMIT][,OPTION...]`` and ``[V6]...``, as in distcc(1). distcc's options ``lzo`` and
    ``cpp`` are accepted and mean nothing; ``auth`` is always on, and ``auth=PRINCIPAL`` names the principal that the
    server must prove to be.

    Raises:
        ConfigError: the word does not follow this syntax.
    """
    place, *options = word.split(",")
    place, slash, limit = place.partition("/")
    name, port = _split_port(place, word)
    slots = _whole(limit, 1, SLOTS_MAX, word, "limit") if slash else None
    if name == "localhost" and port is None:
        return slots or 0
    principal = ""
    for option in options:
        key, equals, value = option.partition("=")
        if key == "auth" and equals and value:
            principal = value
        elif option not in ("lzo", "cpp", "auth"):
            raise ConfigError(f"host {word!a}: unknown option {option!a}", "use auth, auth=PRINCIPAL, lzo or cpp")
    return Host(name, PORT if port is None else port, _HOST_SLOTS if slots is None else slots, principal)


def parse_hosts(text: str) -> tuple[tuple[Host, ...], int, tuple[str, ...]]:
    """Parses a host list: hosts, local slots (0: none given) and what was invalid. ``#`` begins a comment."""
    hosts: dict[tuple[str, int], Host] = {}
    local = 0
    troubles = []
    for word in " ".join(line.partition("#")[0] for line in text.splitlines()).split():
        if word in _IGNORED:
            continue
        try:
            found = parse_host(word)
        except ConfigError as error:
            troubles.append(str(error))
            continue
        if isinstance(found, int):
            local = found or local
        else:
            hosts.setdefault((found.name.lower(), found.port), found)
    return tuple(hosts.values()), local, tuple(troubles)


def _split_port(place: str, word: str) -> tuple[str, int | None]:
    bracketed = _V6.match(place)
    if bracketed:
        name, rest = bracketed[1], place[bracketed.end() :]
    else:
        name, colon, port = place.partition(":")
        rest = colon + port
    if rest and not rest.startswith(":"):
        raise ConfigError(
            f"host {word[:80]!a}: unexpected {rest[:40]!a} after the address", "write [ADDRESS]:PORT/LIMIT"
        )
    if not bracketed and not _NAME.fullmatch(name):
        advice = "write HOST[:PORT][/LIMIT][,OPTION...], an IPv6 address in [ ]"
        raise ConfigError(f"host {word[:80]!a}: {name[:80]!a} is not a host name", advice)
    return name, _whole(rest[1:], 1, 65535, word, "port") if rest else None


def _whole(text: str, low: int, high: int, word: str, what: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(high)) and low <= int(text) <= high):
        raise ConfigError(f"{word[:80]!a}: {text[:80]!a} is not a {what}", f"write a number from {low} to {high}")
    return int(text)
