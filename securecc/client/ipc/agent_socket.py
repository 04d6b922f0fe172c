"""Where the agent of one user and one world listens, and who may connect to it.

The launcher (client/launcher/agent/agent_socket.c) uses the same name. A world is a mount namespace, a root directory,
the rights to read files there (groups and capabilities) and a Kerberos configuration: a container with other files at
the same paths gets its own agent, and so does a shell that has left a group.
"""

import functools
import os
import re
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from securecc.client.ipc.frames import VERSION
from securecc.model.errors import AgentError
from securecc.system.peer_credentials import peer_credentials

FOLDER_PATH = 76  # bytes: with the socket's name it fits into sun_path, 108 bytes (unix(7))
_PRIVATE = 0o700
_FNV_OFFSET = 0xCBF29CE484222325
_FNV_PRIME = 0x100000001B3


@dataclass(frozen=True, slots=True)
class Rights:
    """What lets a process read files besides its uid: effective capabilities (capabilities(7), as a number), effective
    and supplementary groups.
    """

    capabilities: int
    group: int
    groups: tuple[int, ...]


def _fnv1a(data: bytes) -> int:
    value = _FNV_OFFSET
    for byte in data:
        value = ((value ^ byte) * _FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return value


def socket_name(mounts: int, device: int, root: int, rights: Rights, kerberos: bytes) -> str:
    """The name of the world with these inode numbers (mount namespace, root directory), rights and KRB5_CONFIG."""
    groups = b"".join(b",%d" % group for group in rights.groups)
    text = b"%d %d %d %016x %d%s %s" % (mounts, device, root, rights.capabilities, rights.group, groups, kerberos)
    return f"agent-{VERSION}-{_fnv1a(text):016x}.sock"


def own_rights() -> Rights:
    """Those of this process.

    Raises:
        OSError: /proc does not show them.
    """
    effective = re.search(r"^CapEff:\s*([0-9a-f]+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
    if effective is None:
        raise OSError("/proc/self/status shows no capabilities")
    return Rights(int(effective[1], 16), os.getegid(), tuple(os.getgroups()))


def folder() -> Path:
    """The folder for the sockets of this user, not yet checked: below XDG_RUNTIME_DIR if that is absolute, private
    and short enough, else /tmp/securecc-UID.
    """
    runtime = os.environb.get(b"XDG_RUNTIME_DIR", b"")
    path = runtime + b"/securecc"
    if runtime.startswith(b"/") and len(path) <= FOLDER_PATH and _is_private(os.fsdecode(runtime)):
        return Path(os.fsdecode(path))
    return Path(f"/tmp/securecc-{os.getuid()}")  # noqa: S108 - its owner and mode are checked before use


def _is_private(path: str | Path) -> bool:
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return (
        stat.S_ISDIR(status.st_mode)
        and status.st_uid == os.getuid()
        and stat.S_IMODE(status.st_mode) & 0o777 == _PRIVATE
    )


def check_folder(path: Path) -> None:
    """Makes sure that `path` is this user's directory, with mode 0700 and not a link; makes it if there is none.

    Raises:
        AgentError: it is something else, or cannot be made: someone may be trying to impersonate the agent.
    """
    if _is_private(path):
        return
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise AgentError(f"cannot create {path}: {error.strerror}", "set XDG_RUNTIME_DIR") from error
    if not _is_private(path):
        raise AgentError(f"{path} is not private", "it must be your own directory with mode 0700, and no link")


def socket_path() -> Path:
    """The agent's socket in this process's world.

    Raises:
        AgentError: the folder is not private, or /proc does not say which world this is.
    """
    try:
        mounts = os.stat("/proc/self/ns/mnt").st_ino
        root = os.stat("/")
        rights = own_rights()
    except OSError as error:
        raise AgentError(f"cannot identify this mount namespace: {error}", "mount /proc") from error
    where = folder()
    check_folder(where)
    return where / socket_name(mounts, root.st_dev, root.st_ino, rights, os.environb.get(b"KRB5_CONFIG", b""))


def failure_mark(path: Path) -> Path:
    """The file whose recent mtime keeps launchers from starting, or waiting for, the agent of the socket `path`."""
    return path.with_name(path.name + ".failed")


def peer(connection: socket.socket) -> tuple[int, int]:
    """(process id, user id) of the other end of a Unix socket, from when it connected.

    Raises:
        AgentError: the kernel does not say.
    """
    try:
        credentials = peer_credentials(connection)
    except OSError as error:
        raise AgentError(f"cannot identify the launcher: {error.strerror}") from error
    return credentials.pid, credentials.uid


def same_world(process: int) -> bool:
    """Whether that process has our mount namespace and our root. False if it has ended or is hidden."""
    try:
        return all(os.path.samestat(os.stat(f"/proc/{process}/{name}"), status) for name, status in _our_world())
    except OSError:
        return False


@functools.cache
def _our_world() -> tuple[tuple[str, os.stat_result], ...]:
    """Ours does not change: nothing here calls setns(2) or chroot(2)."""
    return tuple((name, os.stat(f"/proc/self/{name}")) for name in ("ns/mnt", "root"))
