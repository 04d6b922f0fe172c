"""A working directory with a.c and a.h, and all parts of an agent that one compile goes through."""

import asyncio
import os
from collections.abc import Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from securecc.client.compile.invocation import Invocation
from securecc.client.compile.prepare import Preparer
from securecc.client.compile.resolve_inputs import InputResolver
from securecc.client.execution.executor import Compile, Outcome
from securecc.client.execution.placed import Placed
from securecc.client.execution.retried import Retried
from securecc.client.farm.farm import Farm
from securecc.client.farm.received_result import ReceivedOutput, ReceivedResult
from securecc.client.inputs.caches.dependency_cache import DependencyCache
from securecc.client.inputs.caches.directory_cache import DirectoryCache
from securecc.client.inputs.caches.file_cache import FileCache
from securecc.client.inputs.compile_inputs import Inputs
from securecc.client.inputs.manifest_builder import ManifestBuilder
from securecc.client.ipc.frames import Request
from securecc.client.spool import Content
from securecc.client.state.settings import Settings
from securecc.compiler.command_line.environment import EffectiveLocale
from securecc.compiler.toolchain.discovery import ToolchainClosure
from securecc.model.manifest import Kind, Role, digest
from securecc.model.messages import Output, Result, SharedTree, Submit
from tests.client.farm_stub import GCC, SETTINGS, GoodServer, NotingLauncher, ServerChannel, farm_of, request, result

_T = TypeVar("_T")

CLOSURE = ToolchainClosure(
    name=GCC.name,
    target=GCC.target,
    version="12",
    called_by=(b"/usr/bin/gcc",),
    files=(),
    calls=(),
    directories=(b"/usr/bin",),
    include_directories=(b"/usr/include",),
    search_path=b"/usr/bin",
    digest=GCC.digest,
)


class Catalogues:
    """Messages in the languages of `spoken`, beside the sources."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spoken = EffectiveLocale(b"C")

    def locale(self, closure: ToolchainClosure, variables: Mapping[bytes, bytes]) -> EffectiveLocale:
        return self.spoken

    def files(self, closure: ToolchainClosure, locale: EffectiveLocale) -> tuple[bytes, ...]:
        return tuple(os.fsencode(self.folder) + b"/" + language + b".mo" for language in locale.languages)


class Rig:
    """All parts of a compile; `executor` places and retries, and neither accepts nor judges."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "a.c").write_text('#include "a.h"\nint a;\n')
        (folder / "a.h").write_text("extern int a;\n")
        for name in ("a.c", "a.h"):
            os.utime(folder / name, (1, 1))
        self.farm = farm_of()
        self.server = GoodServer()
        self.channel = ServerChannel()
        self.shared_trees: list[SharedTree] = []
        self.closure = CLOSURE
        self.catalogues = Catalogues(folder)
        files, directories = FileCache(), DirectoryCache()
        self.resolver = InputResolver(ManifestBuilder(files, directories), DependencyCache(files, directories))
        self.preparer = Preparer(self._toolchain, self._farm, self.catalogues, self._standing)
        self.executor = Retried(Placed(self._farm), self.resolver, self.doubt)

    @property
    def object(self) -> bytes:
        return os.fsencode(os.path.realpath(self.folder)) + b"/a.o"

    @property
    def launcher(self) -> NotingLauncher:
        """A new one, whose compiler names both files when it is asked."""
        return NotingLauncher(listed=b"a.o: a.c a.h\n")

    async def prepare(self, *arguments: str, settings: Settings = SETTINGS, **changes: Any) -> Invocation:
        (invocation,) = await self.preparer.prepare(request(self.folder, *arguments, **changes), settings)
        return invocation

    async def resolve(self, invocation: Invocation | None = None, launcher: NotingLauncher | None = None) -> Inputs:
        return await self.resolver.resolve(launcher or self.launcher, invocation or await self.prepare())

    async def run(self, invocation: Invocation, inputs: Inputs, launcher: NotingLauncher | None = None) -> Outcome:
        return await self.executor.run(Compile(launcher or self.launcher, invocation, inputs))

    async def compile(self) -> tuple[Invocation, Inputs, Outcome]:
        """From the request to the outcome."""
        invocation = await self.prepare()
        inputs = await self.resolve(invocation)
        return invocation, inputs, await self.run(invocation, inputs)

    def name_by_macro(self) -> None:
        """From now on only the compiler knows what is read."""
        (self.folder / "a.c").write_text('#define A "a.h"\n#include A\nint a;\n')
        os.utime(self.folder / "a.c", (1, 1))

    def roles(self, inputs: Inputs) -> dict[bytes, Role]:
        """Of the files in the folder, by name."""
        files = [entry for entry in inputs.entries if entry.kind is Kind.FILE]
        start = os.fsencode(self.folder) + b"/"
        return {entry.path[len(start) :]: entry.role for entry in files if entry.path.startswith(start)}

    def answers(self, *answers: Any, need: list[tuple[int, int]] | None = None) -> None:
        """From now on there is one server, which gives these results."""
        self.server = GoodServer(*answers, need=need)
        self.channel = ServerChannel(answer=self.server)
        self.farm = farm_of(self.channel)

    def good(self, content: bytes = b"object", **changes: Any) -> Any:
        """A result with an object of this content."""

        def answer(job: int, submit: Submit) -> tuple[Result, bytes]:
            output = Output(self.object, len(content), 0o644, digest(content))
            return result(job, 3, 2, [output], **changes), b"outer" + content

        return answer

    async def _toolchain(self, compiler: bytes, search_path: bytes) -> ToolchainClosure:
        return self.closure

    def _farm(self, settings: Settings, said: Request) -> Farm:
        return self.farm

    def _standing(self, offered: Iterable[SharedTree]) -> tuple[SharedTree, ...]:
        return tuple(self.shared_trees)

    def doubt(self, path: bytes) -> None:
        self.shared_trees = [tree for tree in self.shared_trees if tree.path != path]


def run(body: Coroutine[Any, Any, _T]) -> _T:
    return asyncio.run(body)


def received(*outputs: bytes, stdout: bytes = b"", stderr: bytes = b"", **changes: Any) -> ReceivedResult:
    """A result with an output of one byte at each of these paths."""
    listed = [Output(path, 1, 0o644, digest(b"x")) for path in outputs]
    return ReceivedResult(
        result(1, len(stdout), len(stderr), listed, **changes),
        Content.of(stdout),
        Content.of(stderr),
        tuple(ReceivedOutput(output, Content.of(b"x"), digest(b"x")) for output in listed),
    )


STDIN = ("gcc", "-x", "c", "-c", "-", "-o", "a.o")


def with_shared_tree(rig: Rig) -> Coroutine[Any, Any, Invocation]:
    """A compile that includes from the folder ``inc``, which is a shared tree."""
    (rig.folder / "inc").mkdir()
    (rig.folder / "inc/c.h").write_text("int c;\n")
    (rig.folder / "a.c").write_text('#include "a.h"\n#include <c.h>\n')
    rig.shared_trees = [SharedTree(os.path.realpath(os.fsencode(rig.folder / "inc")), b"d" * 32)]
    return rig.prepare("gcc", "-Iinc", "-c", "a.c", "-o", "a.o")
