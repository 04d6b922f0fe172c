"""The user's settings: hosts, fallback, verbosity. Arguments override SECURECC_* variables, which override the user's
files, which override the site's. docs/settings.md lists the names.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from securecc.model import limits
from securecc.model.address import address
from securecc.model.errors import ConfigError
from securecc.model.service import PORT, SERVICE

SITE: Final = Path("/etc/securecc")

_SLOTS_MAX = 4096
_HOST_SLOTS = 0  # if the host list names no limit: servers themselves say when they have room
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?", re.ASCII)
_V6 = re.compile(r"\[([0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9_.-]{1,32})?)\]")
_IGNORED = frozenset(["--randomize"])  # distcc's: the order of hosts means nothing here either way
_YES = frozenset(["1", "yes", "true", "on"])
_NO = frozenset(["0", "no", "false", "off"])
_KEYS = ("hosts", "fallback", "verbose", "local_slots", "service", "ca")


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


@dataclass(frozen=True, slots=True)
class Settings:
    """A client's settings. `fallback`: compiles may run locally at all; `local_slots`: how many may at a time. `ca` is
    a file (PEM) of the authorities for servers' TLS certificates, empty if only Kerberos proves servers. `troubles` say
    which settings are invalid and ignored: a bad setting breaks no build.
    """

    hosts: tuple[Host, ...] = ()
    fallback: bool = True
    verbose: bool = False
    local_slots: int = 1
    service: str = SERVICE
    ca: str = ""
    troubles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SettingsFiles:
    """The contents of one directory's settings files, empty if there are none; `name` is the directory."""

    name: str
    hosts: str = ""
    config: str = ""


@dataclass(slots=True)
class _Found:
    """Values to go into Settings, the strongest first, each with its origin."""

    values: dict[str, tuple[str, str]] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)

    def offer(self, key: str, value: str, where: str) -> None:
        self.values.setdefault(key, (value, where))


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
    slots = _whole(limit, 1, _SLOTS_MAX, word, "limit") if slash else None
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


def resolve(
    environ: Mapping[str, str],
    files: tuple[SettingsFiles, ...] = (),
    *,
    arguments: Mapping[str, str] | None = None,
    processors: int = 1,
) -> Settings:
    """The settings in force. `files` are the user's, then the site's; `arguments` map the keys of a config file to
    values that override all. An empty variable counts as unset, but an empty SECURECC_HOSTS means no host.

    Never raises: invalid settings are ignored and named in `troubles`.
    """
    found = _Found()
    for key, value in (arguments or {}).items():
        found.offer(key, value, "the command line")
    for key in _KEYS:
        name = f"SECURECC_{key.upper()}"
        if environ.get(name) or (name == "SECURECC_HOSTS" and name in environ):
            found.offer(key, environ[name], name)
    for source in files:
        if source.hosts.strip():
            found.offer("hosts", source.hosts, f"{source.name}/hosts")
        _config(source, found)
    return _settled(found, processors)


_FILES = ("hosts", "config")


def directories(environ: Mapping[str, str], home: str, site: Path = SITE) -> tuple[Path, ...]:
    """The directories of settings files, strongest first (XDG Base Directory Specification: ignore relative values)."""
    own = environ.get("XDG_CONFIG_HOME", "")
    if not own.startswith("/"):
        own = f"{home}/.config" if home.startswith("/") else ""
    return (*([Path(own) / "securecc"] if own else []), site)


def paths(environ: Mapping[str, str], home: str, site: Path = SITE) -> tuple[Path, ...]:
    """All settings files, whether or not they exist."""
    return tuple(directory / name for directory in directories(environ, home, site) for name in _FILES)


def read_settings(
    environ: Mapping[str, str], home: str, *, arguments: Mapping[str, str] | None = None, site: Path = SITE
) -> Settings:
    """The settings of a user with this environment and home directory. Never raises."""
    files, troubles = [], []
    for directory in directories(environ, home, site):
        texts = []
        for name in _FILES:
            text, trouble = _read(directory / name)
            texts.append(text)
            troubles += trouble
        files.append(SettingsFiles(str(directory), *texts))
    processors = len(os.sched_getaffinity(0))
    settings = resolve(environ, tuple(files), arguments=arguments, processors=processors)
    return replace(settings, troubles=(*troubles, *settings.troubles))


def _read(path: Path) -> tuple[str, list[str]]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            data = file.read(limits.SETTINGS_FILE + 1) or b""
    except (FileNotFoundError, NotADirectoryError):
        return "", []
    except OSError as error:
        return "", [f"{path}: {error.strerror}"]
    if len(data) > limits.SETTINGS_FILE:
        return "", [f"{path}: over {limits.SETTINGS_FILE} bytes; this is not a settings file"]
    return data.decode("utf-8", errors="replace"), []


def _config(source: SettingsFiles, found: _Found) -> None:
    for number, line in enumerate(source.config.splitlines(), 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        key, equals, value = text.partition("=")
        key = key.strip()
        where = f"{source.name}/config:{number}"
        if not equals:
            found.troubles.append(f"{where}: {text[:80]!a} is not a setting; write KEY = VALUE")
        elif key not in _KEYS:
            found.troubles.append(f"{where}: unknown key {key[:80]!a}; use one of {', '.join(_KEYS)}")
        else:
            found.offer(key, value.strip(), where)


def _settled(found: _Found, processors: int) -> Settings:
    text, where = found.values.get("hosts", ("", ""))
    hosts, local, troubles = parse_hosts(text)
    found.troubles += [f"{where}: {trouble}" for trouble in troubles]
    return Settings(
        hosts=hosts,
        fallback=_flag(found, "fallback", default=True),
        verbose=_flag(found, "verbose", default=False),
        local_slots=_slots(found, local or processors),
        service=_service(found),
        ca=found.values.get("ca", ("", ""))[0],
        troubles=tuple(found.troubles),
    )


def _flag(found: _Found, key: str, *, default: bool) -> bool:
    value, where = found.values.get(key, (str(int(default)), ""))
    word = value.strip().lower()
    if word not in _YES | _NO:
        found.troubles.append(f"{where}: {key}: {value[:80]!a} is neither yes nor no; write 1 or 0")
        return default
    return word in _YES


def _slots(found: _Found, default: int) -> int:
    value, where = found.values.get("local_slots", (str(default), ""))
    try:
        return _whole(value.strip(), 1, _SLOTS_MAX, value, "number of slots")
    except ConfigError as error:
        found.troubles.append(f"{where}: local_slots: {error}")
        return default


def _service(found: _Found) -> str:
    value, where = found.values.get("service", (SERVICE, ""))
    if not _NAME.fullmatch(value):
        found.troubles.append(
            f"{where}: service: {value[:80]!a} is not a Kerberos service; write a word, such as {SERVICE}"
        )
        return SERVICE
    return value


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
