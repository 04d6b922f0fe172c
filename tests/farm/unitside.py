"""Recreates what a unit takes away from its service, and becomes a command: as root,

    python unitside.py UNIT UID WRITABLE HIDDEN -- COMMAND...

WRITABLE and HIDDEN are paths apart by colons, in the place of the unit's own directories and InaccessiblePaths. What it
knows of systemd.exec(5) is what securecc's units use; a directive that it does not know ends it, so that no unit is
tested with less than it says. Of PrivateTmp only /var/tmp is made: the test bed lives in the other.
"""

import ctypes
import errno
import os
import resource
import struct
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyseccomp as seccomp

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
MOUNT_SETATTR, AT_RECURSIVE, AT_FDCWD, RDONLY = 442, 0x8000, -100, 1
MS_BIND, MS_REC, MS_PRIVATE, MS_NOSUID, MS_NOEXEC = 4096, 16384, 1 << 18, 2, 8
NEWNS, NEWUTS, NEWIPC, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x40000000
ANY_NAMESPACE = 0x7E020080
PROT_WRITE, PROT_EXEC = 2, 4
MASKED, EQUAL = seccomp.MASKED_EQ, seccomp.EQ
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
ELSEWHERE = {  # what the service manager does before or beside the process, or what the arguments stand for
    "Type", "User", "Group", "ExecStart", "ExecReload", "TimeoutStartSec", "TimeoutStopSec", "WatchdogSec", "Restart",
    "RestartSec", "StateDirectory", "StateDirectoryMode", "LogsDirectory", "LogsDirectoryMode", "RuntimeDirectory",
    "RuntimeDirectoryMode", "Delegate", "AppArmorProfile", "InaccessiblePaths", "IPAddressDeny", "DevicePolicy",
    "KeyringMode", "RemoveIPC", "PrivateUsers", "ProtectProc", "ProcSubset", "SystemCallErrorNumber",
    "AmbientCapabilities", "ProtectClock", "ProtectKernelModules", "ProtectKernelLogs",
}  # fmt: skip


def directives(unit: str) -> list[tuple[str, str]]:
    """[(name, value)] of the unit's section Service."""
    section, found = "", []
    for line in Path(unit).read_text().splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.append((name, value))
    return found


def checked(result: int, what: str) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), what)


def mount(
    source: str | Path | None, target: str | Path, kind: str | None, flags: int, data: bytes | None = None
) -> None:
    words = [os.fsencode(str(word)) if word is not None else None for word in (source, target, kind)]
    checked(LIBC.mount(*words, ctypes.c_ulong(flags), data), f"mount {target}")


def attributes(path: str, on: int, off: int, *, below: bool = True) -> None:
    given = struct.pack("=QQQQ", on, off, 0, 0)
    flags = AT_RECURSIVE if below else 0
    place = os.fsencode(path)
    checked(LIBC.syscall(MOUNT_SETATTR, AT_FDCWD, place, flags, given, len(given)), f"mount_setattr {path}")


def see_less(said: Mapping[str, str], writable: list[str], hidden: list[str]) -> None:
    """Mounts: the file system read-only, devices, homes, what is hidden."""
    checked(LIBC.unshare(NEWNS), "unshare")
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    for path in writable:
        mount(path, path, None, MS_BIND | MS_REC)
    assert said["ProtectSystem"] == "strict"
    attributes("/", RDONLY, 0)
    kernels = ["/proc"] if said.get("ProtectKernelTunables") == "yes" else ["/proc", "/sys"]
    for path in (*kernels, "/dev", *writable):
        attributes(path, 0, RDONLY)
    if said.get("ProtectKernelTunables") == "yes":
        mount("/proc/sys", "/proc/sys", None, MS_BIND | MS_REC)
        attributes("/proc/sys", RDONLY, 0)
    assert said["ProtectHome"] == said["PrivateDevices"] == "yes"
    here = os.path.realpath(sys.prefix)
    for home in ("/home", "/root", "/run/user"):
        if os.path.isdir(home) and not here.startswith(home + "/"):
            mount("tmpfs", home, "tmpfs", 0, b"mode=000,size=4k")
    if said.get("PrivateTmp") == "yes":
        mount("tmpfs", "/var/tmp", "tmpfs", 0, b"mode=1777,size=1m")
    for path in hidden:
        if os.path.isdir(path):
            mount("tmpfs", path, "tmpfs", 0, b"mode=000,size=4k")
        elif os.path.exists(path):
            mount("/dev/null", path, None, MS_BIND)
    devices()


def devices() -> None:
    held = {name: os.open(f"/dev/{name}", os.O_PATH) for name in DEVICES}
    terminals = os.open("/dev/pts", os.O_PATH) if os.path.isdir("/dev/pts") else -1
    mount("tmpfs", "/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, b"mode=755,size=64k")
    for name, descriptor in held.items():
        Path(f"/dev/{name}").touch()
        mount(f"/proc/self/fd/{descriptor}", f"/dev/{name}", None, MS_BIND)
    if terminals >= 0:
        Path("/dev/pts").mkdir()
        mount(f"/proc/self/fd/{terminals}", "/dev/pts", None, MS_BIND)


def names(words: Iterable[str]) -> set[str]:
    """System calls of a filter's words, sets (@name) resolved by systemd-analyze(1)."""
    found = set()
    for word in words:
        if word.startswith("@"):
            said = subprocess.run(
                ["systemd-analyze", "syscall-filter", word], capture_output=True, text=True, check=True
            )
            inside = [line.strip() for line in said.stdout.splitlines()[1:]]
            found |= names(line for line in inside if line and not line.startswith("#"))
        else:
            found.add(word)
    return found


def calls(values: Iterable[str]) -> seccomp.SyscallFilter:
    """The allow-list of SystemCallFilter=."""
    allowed = names(["@default"])
    for value in values:
        some = names(value.removeprefix("~").split())
        allowed = allowed - some if value.startswith("~") else allowed | some
    made = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    for name in sorted(allowed):
        if seccomp.resolve_syscall(seccomp.Arch.NATIVE, name) >= 0:
            made.add_rule(seccomp.ALLOW, name)
    return made


FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}
NO, GONE = seccomp.ERRNO(errno.EPERM), seccomp.ERRNO(errno.ENOSYS)
BOTH = PROT_WRITE | PROT_EXEC
# Of each directive that is "yes": [(answer, system call, arguments)].
RULES: dict[str, list[tuple[Any, str, list[tuple[Any, ...]]]]] = {
    "MemoryDenyWriteExecute": [
        (NO, "mmap", [(2, MASKED, BOTH, BOTH)]),
        (NO, "mprotect", [(2, MASKED, PROT_EXEC, PROT_EXEC)]),
        (NO, "pkey_mprotect", [(2, MASKED, PROT_EXEC, PROT_EXEC)]),
    ],
    "RestrictNamespaces": [
        (GONE, "clone3", []),
        (NO, "setns", []),
        *(
            (NO, call, [(0, MASKED, 1 << bit, 1 << bit)])
            for call in ("unshare", "clone")
            for bit in range(32)
            if ANY_NAMESPACE >> bit & 1
        ),
    ],
    "RestrictSUIDSGID": [
        (GONE, "openat2", []),
        *(
            (NO, call, [(at, MASKED, bit, bit)])
            for call, at in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2))
            for bit in (0o4000, 0o2000)
        ),
    ],
    "RestrictRealtime": [(NO, "sched_setscheduler", [(1, EQUAL, policy)]) for policy in (1, 2, 6)],
    "LockPersonality": [(NO, "personality", [(0, EQUAL, asked)]) for asked in (0x0040000, 0x0020000, 0x0008)],
}


def denied(said: Mapping[str, str]) -> seccomp.SyscallFilter:
    """What the single directives refuse."""
    made = seccomp.SyscallFilter(seccomp.ALLOW)
    kept = {FAMILIES[word] for word in said["RestrictAddressFamilies"].split()}
    for family in set(range(46)) - kept:
        made.add_rule(seccomp.ERRNO(errno.EAFNOSUPPORT), "socket", seccomp.Arg(0, EQUAL, family))
    for name, rules in RULES.items():
        for answer, call, arguments in rules if said.get(name) == "yes" else ():
            made.add_rule(answer, call, *(seccomp.Arg(*argument) for argument in arguments))
    return made


def drop(uid: int) -> None:
    assert "CapabilityBoundingSet" in dict(DIRECTIVES)
    for which in range(64):
        LIBC.prctl(24, ctypes.c_ulong(which), *[ctypes.c_ulong(0)] * 3)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    checked(LIBC.prctl(38, ctypes.c_ulong(1), *[ctypes.c_ulong(0)] * 3), "no_new_privs")


def main(uid: int, writable: list[str], hidden: list[str], command: list[str]) -> None:
    said = dict(DIRECTIVES)
    known = ELSEWHERE | {
        "LimitNOFILE", "UMask", "NoNewPrivileges", "CapabilityBoundingSet", "ProtectSystem", "ProtectHome",
        "PrivateDevices", "PrivateTmp", "PrivateNetwork", "PrivateIPC", "ProtectHostname", "ProtectKernelTunables",
        "ProtectControlGroups", "RestrictAddressFamilies", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID",
        "LockPersonality", "MemoryDenyWriteExecute", "SystemCallArchitectures", "SystemCallFilter",
    }  # fmt: skip
    assert set(said) <= known, set(said) - known
    filters = [denied(said), calls([value for name, value in DIRECTIVES if name == "SystemCallFilter"])]
    apart = {"PrivateNetwork": NEWNET, "PrivateIPC": NEWIPC, "ProtectHostname": NEWUTS}
    checked(LIBC.unshare(sum(flag for name, flag in apart.items() if said.get(name) == "yes")), "unshare")
    see_less(said, writable, hidden)
    most = min(int(said["LimitNOFILE"]), resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    os.umask(int(said["UMask"], 8))
    drop(uid)
    for made in filters:
        made.load()
    os.execv(command[0], command)


if __name__ == "__main__":
    end = sys.argv.index("--")
    unit, user, may_write, may_not_see = sys.argv[1:end]
    DIRECTIVES = directives(unit)
    main(int(user), may_write.split(":"), may_not_see.split(":"), sys.argv[end + 1 :])
