"""The root directory that a runner's jobs are made in: what it holds, and how the runner moves to it from the host's
files.
"""

import os
from dataclasses import dataclass, replace

from securecc.compiler.toolchain import catalogue_files
from securecc.compiler.toolchain.closure import ClosureFile, ToolchainClosure, whole_digest
from securecc.compiler.toolchain.discovery import closure_of_programs, discover
from securecc.model.errors import ConfigError, SandboxError, SecureccError
from securecc.model.messages import SharedTree
from securecc.runner.config import RunnerConfig
from securecc.runner.job import JobContext
from securecc.runner.log import log
from securecc.runner.toolchain_copies import ToolchainCopy, copy_files
from securecc.runner.tree_copies import copy_trees, directories_to_share
from securecc.sandbox import cgroup, landlock, namespaces, selection, witness_library
from securecc.sandbox.selection import SandboxProgram

_STORE, _SHARED_TREES, _JOBS, _FILTER = b"/toolchains", b"/shared-trees", b"/jobs", b"/seccomp"
_DEVICES = (b"/dev/null", b"/dev/urandom")
_BASES = (b"/mnt", b"/media", b"/srv", b"/run", b"/tmp", b"/var/tmp")
_PAGE = 4096
_SPARE = 16  # this part of the store is kept free for jobs


@dataclass(frozen=True)
class _Inventory:
    ways: tuple[SandboxProgram, ...]
    programs: tuple[ClosureFile, ...]
    toolchains: tuple[ToolchainClosure, ...]
    filter: bytes
    shared_trees: tuple[bytes, ...]
    witness: bytes


def prepare(config: RunnerConfig) -> list[JobContext]:
    """Leaves the host's files for a root of our own. The contexts differ only in the program that makes the sandbox;
    there are none if another runner already has exactly the toolchains that were found.

    Raises:
        SandboxError: the system refuses, or the runner would run as root.
    """
    os.umask(0)
    if os.getuid() == 0:
        if not (config.uid and config.gid):
            raise SandboxError("the runner would run compilers as root", "give it its own user (runner.user)")
        namespaces.switch_user(config.uid, config.gid)
    namespaces.harden()
    namespaces.become_subreaper()
    found = _find(config)
    groups = cgroup.JobGroups(config.groups) if config.groups else None
    namespaces.enter()
    base = _base(config.base, found)
    namespaces.mount_tmpfs(base, config.store, programs=True)
    shared_trees = _copy_shared_trees(found, base, config.store)
    same = {whole_digest(closure).hex() for closure in found.toolchains} == set(config.have)
    if same and set(shared_trees) == set(config.trees):
        return []
    _furnish(base, found)
    copies = _copy_toolchains(base, found)
    namespaces.change_root(base)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    version = 0 if "landlock" in config.without else landlock.abi()
    return [
        JobContext(way, copies, _JOBS, config.job, null, shared_trees, version if way.confines else 0, groups)
        for way in found.ways
    ]


def _furnish(base: bytes, found: _Inventory) -> None:
    """Everything below our root but toolchains and shared trees."""
    copy_files(found.programs, base)
    for folder in (_STORE, _JOBS, b"/tmp", b"/proc", b"/dev/pts"):
        os.makedirs(base + folder, exist_ok=True)
    for device in _DEVICES:
        os.close(os.open(base + device, os.O_WRONLY | os.O_CREAT, 0o600))
    with open(base + _FILTER, "wb") as file:
        file.write(found.filter)
    namespaces.bind(b"/proc", base + b"/proc", recursive=True)
    for device in _DEVICES:
        namespaces.bind(device, base + device)
    namespaces.mount_terminals(base + b"/dev/pts")


def _copy_toolchains(base: bytes, found: _Inventory) -> dict[bytes, ToolchainCopy]:
    """The toolchains by digest, at their paths below our root."""
    copies = {}
    for number, closure in enumerate(found.toolchains):
        toolchain = ToolchainCopy(closure, base + _STORE + b"/%d" % number, found.witness)
        toolchain.move(_STORE + b"/%d" % number)
        copies[closure.digest] = toolchain
    return copies


def _find(config: RunnerConfig) -> _Inventory:
    """The programs that make sandboxes, and the compilers; the log names those that cannot be used.

    Raises:
        ConfigError: none of the compilers can be used.
    """
    toolchains = {}
    for compiler in config.compilers:
        try:
            closure = discover(os.fsencode(compiler), os.fsencode(config.search_path))
            toolchains[closure.digest] = replace(closure, catalogues=catalogue_files.standing(closure))
        except SecureccError as error:
            log(f"compiler {compiler} is not offered: {error}")
    if not toolchains:
        raise ConfigError(f"none of the compilers can be used: {', '.join(config.compilers)}", "apt install gcc g++")
    filtering = b"" if "seccomp" in config.without else selection.syscall_filter(log)
    ways = selection.installed(config.sandbox, _FILTER if filtering else b"", log)
    programs = closure_of_programs([program for way in ways for program in way.programs])
    wanted = None if config.shared_trees is None else list(map(os.fsencode, config.shared_trees))
    shared_trees = directories_to_share(wanted, tuple(toolchains.values()), log)
    witness = b"" if "witness" in config.without else witness_library.find()
    return _Inventory(ways, programs, tuple(toolchains.values()), filtering, shared_trees, witness)


def _copy_shared_trees(found: _Inventory, base: bytes, store: int) -> dict[SharedTree, bytes]:
    """The shared trees, and where they will be below our root. The toolchains come first and need their own room."""
    copied = sum(file.size + _PAGE for closure in found.toolchains for file in closure.files)
    shared_trees = copy_trees(found.shared_trees, base + _SHARED_TREES, store - copied - store // _SPARE, log)
    return {tree: path.removeprefix(base) for tree, path in shared_trees.items()}


def _base(wanted: str, found: _Inventory) -> bytes:
    """A directory that can be mounted over without hiding anything still to be copied.

    Raises:
        ConfigError: there is none.
    """
    needed = [file.path for closure in found.toolchains for file in closure.files]
    needed += (
        [file.path for file in found.programs] + [b"/proc/", b"/dev/"] + [path + b"/" for path in found.shared_trees]
    )
    for place in dict.fromkeys((os.fsencode(wanted), *_BASES)):
        if os.path.isdir(place) and not any(path.startswith(place.rstrip(b"/") + b"/") for path in needed):
            return place
    raise ConfigError(
        f"{wanted} cannot be the runner's base", "name a directory that no toolchain lies in (runner.base)"
    )
