"""The document config.yaml: its sections and keys. docs/settings.md explains them."""

import re
from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, UnsetType

from securecc.audit.settings import AuditSection
from securecc.config_file.json_schema import json_schema
from securecc.config_file.section import Section
from securecc.config_file.words import FilePath, Name, absolute, word
from securecc.daemon.limits_section import ServerLimitsSection
from securecc.model import limits
from securecc.model.errors import ConfigError
from securecc.model.service import PORT, SERVICE
from securecc.policy.document.words import HostAddress

Program = Literal["jail", "bubblewrap"]
Layer = Literal[
    "jail", "bubblewrap", "userns", "mountns", "pidns", "netns", "rlimits", "ipcns", "utsns", "noexec", "no-new-privs",
    "seccomp", "landlock", "cgroup", "cgroup-memory", "cgroup-pids", "cgroup-cpu", "cgroup-kill",
]  # fmt: skip

LISTEN: Final = ("0.0.0.0", "::")  # noqa: S104 - a server is for others; the policy's network list comes first
TOOLCHAINS: Final = ("/usr/bin/gcc",)
SANDBOXES: Final[tuple[Program, ...]] = ("jail", "bubblewrap")
MINIMUM: Final[tuple[Layer, ...]] = ("userns", "mountns", "pidns", "netns", "rlimits")
GROUP_LAYERS: Final = ("cgroup-memory", "cgroup-pids", "cgroup-cpu", "cgroup-kill")
RUNNER_SOCKET: Final = "/run/securecc/runner"

_HOST = re.compile(r"[A-Za-z0-9.:-]+(@[A-Za-z0-9._-]+)?")
_UID_MAX: Final = 2**31 - 1

LogLevel = Literal["error", "warning", "info", "debug"]


def _host(text: str) -> str:
    if len(text) > limits.PATH_COMPONENT or not _HOST.fullmatch(text):
        advice = "write the name that is in the keytab: farm1.example.com, or farm1.example.com@REALM"
        raise ConfigError(f"{text[:80]!a} is not a host name", advice)
    return text


def _user(text: str) -> str:
    if "\0" in text or len(text) > limits.PATH_COMPONENT:
        raise ConfigError(f"{text[:80]!a} is not a user name")
    if text.isdecimal() and not (text.isascii() and int(text) <= _UID_MAX):
        raise ConfigError(f"{text[:80]!a} is not a user id")
    return text


Compiler = Annotated[str, absolute("/usr/bin/gcc")]
Directory = Annotated[str, absolute("/usr/include")]
HostName = Annotated[str, word(_host, "^[A-Za-z0-9.:-]+(@[A-Za-z0-9._-]+)?$")]
UserName = Annotated[str, word(_user, ".", "A user of the system, by name or number; not root")]


class TlsSection(Section, frozen=True):
    """The site's own certificate."""

    certificate: Annotated[FilePath, Meta(description="the PEM file of the certificate and its chain")]
    key: Annotated[FilePath, Meta(description="the PEM file of its key, readable by the front only")]


class UsersSection(Section, frozen=True):
    """The users that the processes switch to when the daemon is started as root."""

    front: UserName
    runner: UserName


class SandboxSection(Section, frozen=True):
    """How jobs are confined."""

    program: Annotated[Program | UnsetType, Meta(description="If omitted: the jail, where it works")] = UNSET
    minimum: Annotated[tuple[Layer, ...], Meta(description="Layers without which no job may run")] = MINIMUM
    groups: Annotated[str, absolute("/sys/fs/cgroup/securecc"), Meta(description="Control groups for jobs")] = ""


class ConfigDocument(Section, frozen=True):
    """For editors. What the daemon itself checks at its start is authoritative."""

    keytab: Annotated[FilePath, Meta(description="the file of the service's keys, readable by the front only")]
    policy: Annotated[FilePath, Meta(description="the file that says who may compile")]
    audit: Annotated[FilePath | AuditSection, Meta(description="the file of the audit log, or a map of its settings")]
    state: Annotated[FilePath, Meta(description="a directory of the front's own, for files on their way to compilers")]
    scratch: Annotated[FilePath, Meta(description="a directory of the runner's own, where job trees are mounted")]
    listen: Annotated[tuple[HostAddress, ...], Meta(min_length=1, description="Addresses")] | UnsetType = UNSET
    port: Annotated[int, Meta(ge=0, le=65535)] = PORT
    service: Annotated[Name, Meta(description="First component of the daemon's principal")] = SERVICE
    hostname: Annotated[HostName, Meta(description="Second component: tickets for other names are refused")] = ""
    tls: TlsSection | UnsetType = UNSET
    users: UsersSection | UnsetType = UNSET
    slots: Annotated[int, Meta(ge=1, le=4096, description="Simultaneous jobs")] | UnsetType = UNSET
    toolchains: Annotated[tuple[Compiler, ...], Meta(min_length=1, description="Compilers")] = TOOLCHAINS
    layers: Annotated[tuple[Directory, ...], Meta(description="Directories that jobs may use whole")] | UnsetType = (
        UNSET
    )
    sandbox: SandboxSection = SandboxSection()
    runner_socket: FilePath = RUNNER_SOCKET
    limits: ServerLimitsSection = ServerLimitsSection()
    log_level: LogLevel = "info"


def config_schema() -> str:
    """The JSON schema of config.yaml, as text."""
    return json_schema(ConfigDocument, "securecc config.yaml")
