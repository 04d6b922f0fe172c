"""The daemon's configuration: config.yaml once read, as frozen values. docs/settings.md lists the keys."""

import os
import pwd
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from securecc.audit.settings import AuditSettings, read_audit
from securecc.config_file import fields
from securecc.config_file.fields import Section
from securecc.config_file.yaml_nodes import Node, compose
from securecc.daemon.limits_section import ServerLimits, read_bounds
from securecc.model import limits
from securecc.model.errors import ConfigError, PolicyError
from securecc.model.service import PORT, SERVICE
from securecc.policy.network import parse_address

LISTEN: Final = ("0.0.0.0", "::")  # noqa: S104 - a server is for others; the policy's network list comes first
TOOLCHAINS: Final = (Path("/usr/bin/gcc"),)
SANDBOXES: Final = ("jail", "bubblewrap")
MINIMUM: Final[tuple[str, ...]] = ("userns", "mountns", "pidns", "netns", "rlimits")
GROUP_LAYERS: Final = ("cgroup-memory", "cgroup-pids", "cgroup-cpu", "cgroup-kill")
LAYERS: Final = (
    *SANDBOXES, *MINIMUM, "ipcns", "utsns", "noexec", "no-new-privs", "seccomp", "landlock", "cgroup", *GROUP_LAYERS
)  # fmt: skip
RUNNER_SOCKET: Final = Path("/run/securecc/runner")
LOG_LEVELS: Final = ("error", "warning", "info", "debug")

_UID_MAX = 2**31 - 1
_ANY_SANDBOX: Final[tuple[str, tuple[str, ...], Path | None]] = ("", MINIMUM, None)


@dataclass(frozen=True, slots=True)
class User:
    """Whom a process becomes when the daemon is started as root."""

    uid: int
    gid: int
    name: str


@dataclass(frozen=True, slots=True)
class Users:
    """Front and runner are two users, neither of them root: what breaks out of one does not reach the other."""

    front: User
    runner: User


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate of the site's own with its chain, and its key, both PEM."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """A daemon's settings. All paths are absolute. `hostname` is HOST or HOST@REALM, empty where any name in the keytab
    will do; `tls` is None where the daemon makes a certificate itself, `users` where the configuration names none,
    `shared_trees` where the toolchains' own headers are meant. `sandbox` is the program that makes sandboxes, empty
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
    toolchains: tuple[Path, ...] = TOOLCHAINS
    shared_trees: tuple[Path, ...] | None = None
    sandbox: str = ""
    sandbox_minimum: tuple[str, ...] = MINIMUM
    groups: Path | None = None
    runner_socket: Path = RUNNER_SOCKET
    limits: ServerLimits = field(default_factory=ServerLimits)
    log_level: str = "info"

    @property
    def accepts(self) -> str:
        """Whose tickets are taken: the service's, of one host where the configuration names it."""
        return f"{self.service}/{self.hostname}" if self.hostname else self.service


_HOST = re.compile(r"[A-Za-z0-9.:-]+(@[A-Za-z0-9._-]+)?")
_KEYS = (
    "listen", "port", "service", "hostname", "tls", "keytab", "policy", "audit", "state", "scratch", "users", "slots",
    "toolchains", "layers", "sandbox", "runner_socket", "limits", "log_level",
)  # fmt: skip


def find_user(name: str) -> User | None:
    """The user of this name or number, by NSS. A number that nobody has is its own group."""
    try:
        entry = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except KeyError:
        return User(int(name), int(name), name) if name.isdecimal() else None
    return User(entry.pw_uid, entry.pw_gid, entry.pw_name)


def read_settings(path: Path) -> DaemonSettings:
    """The settings in a file. Raises ConfigError naming file, line and key."""
    try:
        with path.open("rb") as file:
            data = file.read(limits.SETTINGS_FILE + 1)
    except OSError as error:
        advice = "name the configuration with --config FILE; docs/settings.md lists its keys"
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
    """The settings that a file's bytes say. `document` is the name by which errors call it, relative paths are below
    `folder`, `slots` is the default for the key of that name (None: the processors that this process may use).

    Raises ConfigError naming file, line and key.
    """
    if len(data) > limits.SETTINGS_FILE:
        raise ConfigError(f"{document}: over {limits.SETTINGS_FILE} bytes", "this is no configuration")
    try:
        return _settings(Section(compose(data, document), _KEYS), folder, slots, lookup)
    except PolicyError as error:
        raise ConfigError(error.message, error.advice) from error


def _settings(
    section: Section, folder: Path, slots: int | None, lookup: Callable[[str], User | None]
) -> DaemonSettings:
    path = _path(folder)
    sandbox, minimum, groups = section.get("sandbox", _sandbox, _ANY_SANDBOX)
    return DaemonSettings(
        keytab=section.need("keytab", path, "name the file of the service's keys, readable by the daemon alone"),
        policy=section.need("policy", path, "name the file that says who may compile"),
        audit=section.need("audit", read_audit(path), "name the file that all decisions and jobs are recorded in"),
        state=section.need("state", path, "name a directory of the daemon's own, for files on their way to compilers"),
        scratch=section.need("scratch", path, "name a directory of the runner's own, where job trees are mounted"),
        listen=section.get("listen", fields.filled(_address), LISTEN),
        port=section.get("port", fields.integer(0, 65535), PORT),
        service=section.get("service", fields.name, SERVICE),
        hostname=section.get("hostname", _hostname, ""),
        tls=section.get("tls", _pair(path), None),
        users=section.get("users", lambda node: _users(node, lookup), None),
        slots=section.get("slots", fields.integer(1, 4096), slots or len(os.sched_getaffinity(0))),
        toolchains=section.get("toolchains", fields.filled(_absolute("compiler", "/usr/bin/gcc")), TOOLCHAINS),
        shared_trees=section.get("layers", fields.listed(_absolute("directory", "/usr/include")), None),
        sandbox=sandbox,
        sandbox_minimum=minimum,
        groups=groups,
        runner_socket=section.get("runner_socket", path, RUNNER_SOCKET),
        limits=section.get("limits", read_bounds, ServerLimits()),
        log_level=section.get("log_level", fields.one_of(LOG_LEVELS, "log level"), "info"),
    )


def _path(folder: Path) -> Callable[[Node], Path]:
    def read(node: Node) -> Path:
        return folder / _file_name(node)

    return read


def _file_name(node: Node) -> str:
    name = fields.text(node)
    if not name or "\0" in name:
        raise node.place.error(f"{name!a} is no path", "write the path of a file or directory")
    if name.startswith("~"):
        raise node.place.error(f"{name!a} begins with ~", "a daemon has no home: write the path out")
    return name


def _absolute(what: str, example: str) -> Callable[[Node], Path]:
    def read(node: Node) -> Path:
        name = _file_name(node)
        if not name.startswith("/"):
            raise node.place.error(f"{name!a} is no absolute path", f"write the {what}'s whole path, as {example}")
        return Path(name)

    return read


def _address(node: Node) -> str:
    return str(fields.parsed(parse_address)(node))


def _hostname(node: Node) -> str:
    """As it stands in the keytab, with its realm where that is not this machine's own."""
    name = fields.scalar(node)
    if len(name) > limits.PATH_COMPONENT or not _HOST.fullmatch(name):
        advice = "write the name that stands in the keytab: farm1.example.com, or farm1.example.com@REALM"
        raise node.place.error(f"{name[:80]!a} is no host name", advice)
    return name


def _pair(path: Callable[[Node], Path]) -> Callable[[Node], Pair]:
    def read(node: Node) -> Pair:
        section = Section(node, ("certificate", "key"))
        return Pair(
            section.need("certificate", path, "name the PEM file of the certificate and its chain"),
            section.need("key", path, "name the PEM file of its key, readable by the front alone"),
        )

    return read


def _users(node: Node, lookup: Callable[[str], User | None]) -> Users:
    section = Section(node, ("front", "runner"))

    def user(node: Node) -> User:
        name = fields.scalar(node)
        if name.isdecimal() and int(name) > _UID_MAX:
            raise node.place.error(f"{name[:80]} is no user id")
        found = lookup(name)
        if found is None:
            raise node.place.error(f"no user is called {name[:80]!a}", f"make it: useradd --system {name[:32]}")
        if found.uid == 0:
            raise node.place.error("root", "name a user of its own: the daemon gives root up at its start")
        return found

    why = "front and runner each need a user of their own"
    users = Users(section.need("front", user, why), section.need("runner", user, why))
    if users.front.uid == users.runner.uid:
        raise section.place("runner").error(f"{users.runner.name} is the front's user too", why)
    return users


def _sandbox(node: Node) -> tuple[str, tuple[str, ...], Path | None]:
    """The program, the least layers, the control groups. Who lists a program among the layers need not name it a second
    time; ``cgroup`` stands for all that control groups can do.
    """
    section = Section(node, ("program", "minimum", "groups"))
    minimum = section.get("minimum", fields.listed(fields.one_of(LAYERS, "sandbox layer")), MINIMUM)
    listed = [name for name in SANDBOXES if name in minimum]
    program = section.get("program", fields.one_of(SANDBOXES, "program"), listed[0] if listed else "")
    if set(listed) - {program}:
        why = "one program makes the sandbox"
        raise section.place("minimum").error(f"{' and '.join(listed)} beside {program}", why)
    groups = section.get("groups", _absolute("directory", "/sys/fs/cgroup/securecc"), None)
    if "cgroup" in minimum:
        minimum = (*(name for name in minimum if name != "cgroup"), *GROUP_LAYERS)
    return program, minimum, groups
