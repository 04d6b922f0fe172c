"""Landlock (landlock(7)): what a job may run, read and write, decided by the files themselves and not by mounts; no
TCP; no signals to processes outside. Uses system calls that no library wraps yet.

A ruleset is a descriptor. A process restricted by two of them may do what both allow
(`securecc/sandbox/jail/confine.c`).
"""

import ctypes
import os
import struct
from collections.abc import Iterable

from securecc.model.errors import SandboxError

_CREATE, _ADD = 444, 445  # numbers of the system calls, the same on every architecture but alpha
_VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION
_PATH_BENEATH = 1  # LANDLOCK_RULE_PATH_BENEATH
_RULESET = struct.Struct("=QQQ")  # struct landlock_ruleset_attr: files, network, scopes
_BENEATH = struct.Struct("=Qi")  # struct landlock_path_beneath_attr, packed

# LANDLOCK_ACCESS_FS_*
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_TRUNCATE = 1 << 14
_READ = _READ_FILE | _READ_DIR
_WRITE = _WRITE_FILE | _TRUNCATE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG

_FILES_OF_ABI = (0, 13, 14, 15, 15, 16)
"""How many rights over files each ABI has: from the second on to link across directories, from the third to truncate a
file, from the fifth for ioctl on a device.
"""
_NETWORK_ABI, _NETWORK = 4, 0b11  # to bind and connect TCP sockets
_SCOPE_ABI, _SCOPES = 6, 0b11  # to reach abstract unix sockets and processes outside

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_syscall = _libc.syscall


def abi() -> int:
    """The Landlock ABI version of this kernel; 0 if it has none, or was booted without it."""
    return max(0, int(_syscall(ctypes.c_long(_CREATE), None, ctypes.c_size_t(0), ctypes.c_uint(_VERSION))))


def programs(files: Iterable[bytes]) -> int:
    """The ruleset that lets these files be run, under any name, and no others. Otherwise it restricts only links across
    directories, which every ruleset forbids unless it allows them. The caller closes it.

    Raises:
        SandboxError: the kernel refuses, or a file is missing.
    """
    ruleset = _create(_EXECUTE, 0, 0)
    try:
        for file in files:
            _allow(ruleset, file, _EXECUTE)
    except BaseException:
        os.close(ruleset)
        raise
    return ruleset


def tree(version: int, root: int, writable: Iterable[bytes], devices: Iterable[bytes]) -> int:
    """The ruleset of one job, for a kernel with Landlock `version`: everything below the directory open as `root` can
    be read, the directories `writable` changed, and `devices` written to. Nothing else can be changed, and no special
    file or symlink made; there is no TCP, and no signal to processes outside. The caller closes it.

    Raises:
        SandboxError: the kernel refuses, or a path is missing.
    """
    handled = (1 << _FILES_OF_ABI[min(version, len(_FILES_OF_ABI) - 1)]) - 1 & ~_EXECUTE
    network = _NETWORK if version >= _NETWORK_ABI else 0
    ruleset = _create(handled, network, _SCOPES if version >= _SCOPE_ABI else 0)
    try:
        _add(ruleset, root, _READ)
        for folder in writable:
            _allow(ruleset, folder, (_READ | _WRITE) & handled)
        for device in devices:
            _allow(ruleset, device, _WRITE_FILE)
    except BaseException:
        os.close(ruleset)
        raise
    return ruleset


def _create(files: int, network: int, scopes: int) -> int:
    """An older kernel takes a longer structure than it knows, if the rest of it is zero.

    Raises:
        SandboxError: the kernel refuses.
    """
    attributes = _RULESET.pack(files, network, scopes)
    made = _syscall(ctypes.c_long(_CREATE), attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint(0))
    if made < 0:
        raise SandboxError(f"no Landlock ruleset: {_reason()}")
    return int(made)


def _allow(ruleset: int, path: bytes, rights: int) -> None:
    try:
        file = os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise SandboxError(f"no Landlock rule for {os.fsdecode(path)!a}: {error.strerror}") from error
    try:
        _add(ruleset, file, rights)
    finally:
        os.close(file)


def _add(ruleset: int, file: int, rights: int) -> None:
    rule = _BENEATH.pack(rights, file)
    if _syscall(ctypes.c_long(_ADD), ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint(0)):
        raise SandboxError(f"no Landlock rule: {_reason()}")


def _reason() -> str:
    return os.strerror(ctypes.get_errno())
