"""The user's settings: hosts, fallback, verbosity. Arguments override SECURECC_* variables, which override the user's
files, which override the site's. docs/settings.md lists the names.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Final, get_origin, get_type_hints

from securecc.client.state.host_list import SLOTS_MAX, Host, parse_hosts
from securecc.config_file.words import Word, integer
from securecc.model import limits
from securecc.model.errors import ConfigError
from securecc.model.service import SERVICE

SITE: Final = Path("/etc/securecc")

_SERVICE = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?", re.ASCII)
_FLAGS = dict.fromkeys(("1", "yes", "true", "on"), True) | dict.fromkeys(("0", "no", "false", "off"), False)


def _flag(text: str) -> bool:
    if text.lower() not in _FLAGS:
        raise ConfigError(f"{text[:80]!a} is neither yes nor no", "write 1 or 0")
    return _FLAGS[text.lower()]


def _service(text: str) -> str:
    if not _SERVICE.fullmatch(text):
        raise ConfigError(f"{text[:80]!a} is not a Kerberos service", f"write a word, such as {SERVICE}")
    return text


@dataclass(frozen=True, slots=True)
class Settings:
    """A client's settings, and how the words for them are read. `fallback`: compiles may run locally at all;
    `local_slots`: how many may at a time. `ca` is a file (PEM) of the authorities for servers' TLS certificates, empty
    if only Kerberos proves servers. `troubles` say which settings are invalid and ignored: a bad setting breaks no
    build.
    """

    hosts: tuple[Host, ...] = ()
    fallback: Annotated[bool, Word(_flag)] = True
    verbose: Annotated[bool, Word(_flag)] = False
    local_slots: Annotated[int, integer(1, SLOTS_MAX)] = 1
    service: Annotated[str, Word(_service)] = SERVICE
    ca: Annotated[str, Word(str)] = ""
    troubles: tuple[str, ...] = ()


_WORDS: Final[Mapping[str, Word]] = {
    key: kind.__metadata__[0]
    for key, kind in get_type_hints(Settings, include_extras=True).items()
    if get_origin(kind) is Annotated
}
_KEYS: Final = ("hosts", *_WORDS)


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
        contents = []
        for name in _FILES:
            content, trouble = _read(directory / name)
            contents.append(content)
            troubles += trouble
        files.append(SettingsFiles(str(directory), *contents))
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
        setting = line.partition("#")[0].strip()
        if not setting:
            continue
        key, equals, value = setting.partition("=")
        key = key.strip()
        where = f"{source.name}/config:{number}"
        if not equals:
            found.troubles.append(f"{where}: {setting[:80]!a} is not a setting; write KEY = VALUE")
        elif key not in _KEYS:
            found.troubles.append(f"{where}: unknown key {key[:80]!a}; use one of {', '.join(_KEYS)}")
        else:
            found.offer(key, value.strip(), where)


def _settled(found: _Found, processors: int) -> Settings:
    text, where = found.values.get("hosts", ("", ""))
    hosts, local, troubles = parse_hosts(text)
    found.troubles += [f"{where}: {trouble}" for trouble in troubles]
    values: dict[str, Any] = {"local_slots": local or processors}
    for key, word in _WORDS.items():
        if key in found.values:
            text, where = found.values[key]
            try:
                values[key] = word.parse(text.strip())
            except ConfigError as error:
                found.troubles.append(f"{where}: {key}: {error}")
    return Settings(hosts=hosts, troubles=tuple(found.troubles), **values)
