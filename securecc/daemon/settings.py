"""The daemon's configuration: config.yaml as frozen values. docs/settings.md lists the keys."""

import os
import pwd
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from msgspec import UNSET

from securecc.audit.settings import AuditSettings, audit_settings
from securecc.config_file.section import place_at, read_section
from securecc.config_file.yaml_nodes import Place, compose
from securecc.daemon.config_document import (
    GROUP_LAYERS,
    LISTEN,
    MINIMUM,
    RUNNER_SOCKET,
    SANDBOXES,
    TOOLCHAINS,
    ConfigDocument,
    SandboxSection,
    UsersSection,
)
from securecc.daemon.limits_section import ServerLimits, server_limits
from securecc.model import limits
from securecc.model.documentation import page
from securecc.model.errors import ConfigError, PolicyError
from securecc.model.service import PORT, SERVICE

At = Callable[..., Place]
"""The place of something in config.yaml, by its keys."""


@dataclass(frozen=True, slots=True)
class User:
    """The user that a process becomes when the daemon is started as root."""

    uid: int
    gid: int
    name: str


@dataclass(frozen=True, slots=True)
class Users:
    """Front and runner are two users, neither of them root: an intruder in one has no access to the other."""

    front: User
    runner: User


@dataclass(frozen=True, slots=True)
class Pair:
    """The site's own certificate with its chain, and its key, both PEM."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """A daemon's settings. All paths are absolute. `hostname` is HOST or HOST@REALM, empty if any name in the keytab
    will do; `tls` is None if the daemon makes a certificate itself, `users` if the configuration names none,
    `shared_trees` if the toolchains' own headers are meant. `sandbox` is the program that makes sandboxes, empty
    where any will do; `sandbox_minimum` lists the layers without which no job is run; `groups` is a directory of
    control groups for jobs, None where a service manager may have given one. `runner_socket` is where a runner that is
    a service of its own waits for its front.
    """

    keytab: Path
    policy: Path
    audit: AuditSettings
    state: Path
    scratch: Path
    listen: tuple[str, ...] = LISTEN
    port: int = PORT
    service: str = SERVICE
    hostname: str = ""
    tls: Pair | None = None
    users: Users | None = None
    slots: int = 1
    toolchains: tuple[Path, ...] = (Path(TOOLCHAINS[0]),)
    shared_trees: tuple[Path, ...] | None = None
    sandbox: str = ""
    sandbox_minimum: tuple[str, ...] = MINIMUM
    groups: Path | None = None
    runner_socket: Path = Path(RUNNER_SOCKET)
    limits: ServerLimits = field(default_factory=ServerLimits)
    log_level: str = "info"

    @property
    def accepts(self) -> str:
        """Whose tickets are accepted: the service's, of one host if the configuration names it."""
        return f"{self.service}/{self.hostname}" if self.hostname else self.service


def find_user(name: str) -> User | None:
    """The user of this name or number, by NSS. A number without an account is also its group."""
    try:
        entry = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except KeyError:
        return User(int(name), int(name), name) if name.isdecimal() else None
    return User(entry.pw_uid, entry.pw_gid, entry.pw_name)


def read_settings(path: Path) -> DaemonSettings:
    """The settings in a file.

    Raises:
        ConfigError: it cannot be read, or is not a configuration; names file, line, column and key.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limits.SETTINGS_FILE + 1)
    except OSError as error:
        advice = f"name the configuration with --config FILE; {page('settings.md')} lists its keys"
        raise ConfigError(f"{path}: {error.strerror}", advice) from error
    return parse_settings(data, str(path), Path(os.path.abspath(path)).parent)


def parse_settings(
    data: bytes,
    document: str,
    folder: Path,
    *,
    slots: int | None = None,
    lookup: Callable[[str], User | None] = find_user,
) -> DaemonSettings:
    """The settings in a file's bytes. `document` is its name in errors, relative paths are below `folder`. `slots` is
    the default of the key of that name (None: the processors that this process may use), `lookup` finds users.

    Raises:
        ConfigError: not a configuration; names file, line, column and key.
    """
    if len(data) > limits.SETTINGS_FILE:
        raise ConfigError(f"{document}: over {limits.SETTINGS_FILE} bytes", "this is not a configuration")
    try:
        node = compose(data, document)
        return _settings(read_section(node, ConfigDocument), partial(place_at, node), folder, slots, lookup)
    except PolicyError as error:
        raise ConfigError(error.message, error.advice) from error


def _settings(
    document: ConfigDocument, at: At, folder: Path, slots: int | None, lookup: Callable[[str], User | None]
) -> DaemonSettings:
    program, minimum = _sandbox(document.sandbox, at)
    return DaemonSettings(
        keytab=folder / document.keytab,
        policy=folder / document.policy,
        audit=audit_settings(document.audit, folder),
        state=folder / document.state,
        scratch=folder / document.scratch,
        listen=tuple(map(str, document.listen or LISTEN)),
        port=document.port,
        service=document.service,
        hostname=document.hostname,
        tls=Pair(folder / document.tls.certificate, folder / document.tls.key) if document.tls else None,
        users=_users(document.users, at, lookup) if document.users else None,
        slots=document.slots or slots or len(os.sched_getaffinity(0)),
        toolchains=tuple(map(Path, document.toolchains)),
        shared_trees=None if document.layers is UNSET else tuple(map(Path, document.layers)),
        sandbox=program,
        sandbox_minimum=minimum,
        groups=Path(document.sandbox.groups) if document.sandbox.groups else None,
        runner_socket=folder / document.runner_socket,
        limits=server_limits(document.limits),
        log_level=document.log_level,
    )


def _users(section: UsersSection, at: At, lookup: Callable[[str], User | None]) -> Users:
    front = _user(section.front, at("users", "front"), lookup)
    runner = _user(section.runner, at("users", "runner"), lookup)
    if front.uid == runner.uid:
        why = "front and runner each need a user of their own"
        raise at("users", "runner").error(f"{runner.name} is the front's user too", why)
    return Users(front, runner)


def _user(name: str, place: Place, lookup: Callable[[str], User | None]) -> User:
    found = lookup(name)
    if found is None:
        raise place.error(f"no user is called {name[:80]!a}", f"create it: useradd --system {name[:32]}")
    if found.uid == 0:
        raise place.error("root is not allowed", "name another user: the daemon gives up root at its start")
    return found


def _sandbox(section: SandboxSection, at: At) -> tuple[str, tuple[str, ...]]:
    """The program, and the layers without which no job runs. A program among these need not be named a second time;
    ``cgroup`` stands for all that control groups can do.
    """
    minimum: tuple[str, ...] = section.minimum
    listed = [name for name in SANDBOXES if name in minimum]
    program = section.program or (listed[0] if listed else "")
    if set(listed) - {program}:
        why = "only one program can make the sandbox"
        raise at("sandbox", "minimum").error(f"{' and '.join(listed)} beside {program}", why)
    if "cgroup" in minimum:
        minimum = (*(name for name in minimum if name != "cgroup"), *GROUP_LAYERS)
    return program, minimum
