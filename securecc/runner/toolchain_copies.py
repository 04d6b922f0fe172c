"""Toolchains as the sandbox shows them: copies on the runner's tmpfs, mounted read-only.

A copy is made once; each set of mountpoints for clients' directories gets a tree of hard links to that copy, made when
first needed.
"""

import os
import shutil
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from securecc.compiler.toolchain.closure import ClosureFile, ToolchainClosure, describe, whole_digest
from securecc.model import limits
from securecc.model.errors import SandboxError, ToolchainError
from securecc.model.manifest import Kind, digest
from securecc.runner_protocol.messages import Offer
from securecc.sandbox import landlock, namespaces
from securecc.sandbox.mount_plan import ToolchainTree, ancestors, toolchain_tree

_ADVICE = "list fewer under `toolchains` in config.yaml"


@dataclass(slots=True)
class _Variant:
    root: bytes
    users: int = 0


class ToolchainCopy:
    """One toolchain. `take` returns a read-only tree with some mountpoints; `give_back` releases it.

    `witnessed` says whether its programs load the witness, as far as is known.
    """

    def __init__(self, closure: ToolchainClosure, store: bytes, witness: bytes = b"") -> None:
        """Copies the closure, and the library `witness` unless it is empty, below the directory `store`.

        Raises:
            ToolchainError: a file cannot be read, or has changed.
            SandboxError: there is no room.
            PathError: the toolchain has a file in the root directory.
        """
        self.closure = closure
        self.tree: ToolchainTree = toolchain_tree(closure)
        self._store = store
        self._variants: OrderedDict[tuple[bytes, ...], _Variant] = OrderedDict()
        self._made = 0
        self._programs = -1
        self.witnessed = bool(witness)
        self._own = (self.tree.witness,) if witness else ()
        os.makedirs(store + b"/copy")
        copy_files(self.tree.files, store + b"/copy")
        if witness:
            _copy_witness(witness, store + b"/copy" + self.tree.witness)

    @property
    def offer(self) -> Offer:
        """What the front is told of it."""
        closure = self.closure
        return Offer(
            name=closure.name,
            digest=closure.digest,
            target=closure.target,
            called_by=closure.called_by,
            directories=closure.directories,
            include_directories=closure.include_directories,
            description=describe(closure),
            catalogues=tuple((file.path, file.blob) for file in closure.catalogues),
            whole=whole_digest(closure),
            witnessed=self.witnessed,
        )

    def move(self, store: bytes) -> None:
        """Sets the store's path, which changes when the runner changes its root."""
        self._store = store

    @property
    def programs(self) -> int:
        """The descriptor of the Landlock ruleset that lets its programs run, and no others.

        Raises:
            SandboxError: the kernel refuses.
        """
        if self._programs < 0:
            files = [file for file in self.tree.files if file.kind is Kind.FILE and file.mode & 0o111]
            self._programs = landlock.programs(self._store + b"/copy" + file.path for file in files)
        return self._programs

    def take(self, mountpoints: tuple[bytes, ...]) -> bytes:
        """The path of the tree with these mountpoints.

        Raises:
            SandboxError: the tmpfs is full, or too many trees are in use.
        """
        variant = self._variants.get(mountpoints)
        if variant is None:
            self._make_room()
            variant = self._variants[mountpoints] = _Variant(self._assemble(mountpoints))
        self._variants.move_to_end(mountpoints)
        variant.users += 1
        return variant.root

    def give_back(self, mountpoints: tuple[bytes, ...]) -> None:
        """Releases the tree with these mountpoints."""
        self._variants[mountpoints].users -= 1

    def _make_room(self) -> None:
        """Drops the tree least recently used, if it is not in use.

        Raises:
            SandboxError: all are in use.
        """
        if len(self._variants) < limits.TREE_VARIANTS:
            return
        for mountpoints, variant in self._variants.items():
            if variant.users == 0:
                del self._variants[mountpoints]
                _drop(variant.root)
                return
        raise SandboxError("too many different trees of one toolchain are in use")

    def _assemble(self, mountpoints: tuple[bytes, ...]) -> bytes:
        self._made += 1
        root = self._store + b"/%d" % self._made
        try:
            for folder in (*self.tree.folders, *mountpoints):
                os.makedirs(root + folder, exist_ok=True)
            for file in self.tree.files:
                if file.kind is Kind.LINK:
                    os.symlink(file.blob, root + file.path)
                else:
                    os.link(self._store + b"/copy" + file.path, root + file.path)
            for path in self._own:
                os.link(self._store + b"/copy" + path, root + path)
        except OSError as error:
            shutil.rmtree(root, ignore_errors=True)
            raise SandboxError(f"no room for a toolchain's tree: {error.strerror}", _ADVICE) from error
        namespaces.bind_read_only(root, root)
        return root


def _drop(root: bytes) -> None:
    namespaces.unmount(root)
    shutil.rmtree(root)


def copy_files(files: Iterable[ClosureFile], root: bytes) -> None:
    """Copies a closure's files and links below `root`, each checked against its digest.

    Raises:
        ToolchainError: a file cannot be read, or has changed.
        SandboxError: there is no room.
    """
    try:
        for file in files:
            for folder in ancestors(file.path):
                os.makedirs(root + folder, exist_ok=True)
            if file.kind is Kind.LINK:
                os.symlink(file.blob, root + file.path)
                continue
            mode = 0o555 if file.mode & 0o111 else 0o444
            to = os.open(root + file.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(to, "wb") as copy:
                copy.write(_content(file))
    except OSError as error:
        raise SandboxError(f"no room for a copy of a toolchain: {error.strerror}", _ADVICE) from error


def _copy_witness(source: bytes, to: bytes) -> None:
    """Copies a library, which needs no mode that lets it be executed.

    Raises:
        SandboxError: it cannot be read, or there is no room.
    """
    try:
        shutil.copyfile(source, to)
        os.chmod(to, 0o444)
    except OSError as error:
        raise SandboxError(f"cannot copy {os.fsdecode(source)}: {error.strerror}", _ADVICE) from error


def _content(file: ClosureFile) -> bytes:
    try:
        with open(file.path, "rb") as source:
            content = source.read()
    except OSError as error:
        raise ToolchainError(f"cannot read {os.fsdecode(file.path)}: {error.strerror}") from error
    if digest(content) != file.blob:
        raise ToolchainError(f"{os.fsdecode(file.path)} changed while it was copied", "start again")
    return content
