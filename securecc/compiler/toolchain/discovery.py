"""A compiler's closure: the files that it needs to run, and the digest that client and server match by.

Headers are not included: they are sent with each compile. The compiler and its loader themselves say what they need.
"""

import os
from collections.abc import Iterable
from dataclasses import replace

from securecc.compiler.toolchain import clang, gcc
from securecc.compiler.toolchain.closure import ClosureFile, Family, ToolchainClosure, digest_of
from securecc.compiler.toolchain.closure_builder import ClosureBuilder, Digests, walk
from securecc.compiler.toolchain.program_queries import include_directories, is_program, libraries
from securecc.compiler.toolchain.wrapper_scripts import wrapped_compiler
from securecc.model.manifest import Digest, Kind

__all__ = ["ClosureFile", "Digests", "ToolchainClosure", "closure_of_programs", "digest_of", "discover"]


def discover(
    compiler: bytes, search_path: bytes, digests: Digests | None = None, vouched: frozenset[Digest] = frozenset()
) -> ToolchainClosure:
    """The closure of the compiler at this absolute path; `as` and similar programs are looked for along `search_path`.

    `digests` remembers what files contain, from one call to the next; scripts whose digests are `vouched` for stand for
    the compilers that they run. Takes some 50 ms, and 1 ms for each 2 MB not yet digested.

    Raises:
        ToolchainError: there is no such compiler, it is not a program, or a library is missing.
    """
    driver = walk(compiler, {})
    if not is_program(driver):
        program = wrapped_compiler(driver, vouched)
        return replace(discover(program, search_path, digests), program=program)
    with ClosureBuilder({} if digests is None else digests) as closure:
        as_clang = clang.identify(driver)
        if as_clang is not None:
            return _clang(compiler, driver, as_clang, closure)
        as_gcc = gcc.identify(driver)
        if as_gcc is not None:
            return _gcc(compiler, driver, as_gcc, search_path, closure)
        return _other(compiler, driver, closure)


def closure_of_programs(programs: Iterable[bytes], digests: Digests | None = None) -> tuple[ClosureFile, ...]:
    """Programs at these absolute paths, with their loaders and libraries.

    Raises:
        ToolchainError: a program or a library is missing, or cannot be read.
    """
    with ClosureBuilder({} if digests is None else digests) as closure:
        for program in programs:
            _add_program(closure, program)
        return closure.listed()


def _gcc(
    compiler: bytes, driver: bytes, identity: gcc.Gcc, search_path: bytes, closure: ClosureBuilder
) -> ToolchainClosure:
    called = gcc.drivers(compiler, driver, identity)
    gcc.collect(driver, {driver, *called.values()}, search_path, closure)
    return _finish(
        name=identity.name,
        family="gcc",
        target=identity.target,
        version=identity.version,
        called={compiler, *called},
        closure=closure,
        searched=gcc.searched(driver),
        includes=include_directories(driver),
        search_path=search_path,
    )


def _clang(compiler: bytes, driver: bytes, identity: clang.Clang, closure: ClosureBuilder) -> ToolchainClosure:
    clang.collect(driver, identity, closure)
    return _finish(
        name=identity.name,
        family="clang",
        target=identity.target,
        version=identity.version,
        called={compiler, *clang.drivers(compiler, driver, identity)},
        closure=closure,
        searched=clang.searched(compiler, driver, identity),
        includes=include_directories(driver),
        search_path=os.path.dirname(driver),
    )


def _other(compiler: bytes, driver: bytes, closure: ClosureBuilder) -> ToolchainClosure:
    """Any other program, which answers neither like gcc nor like clang: itself and its libraries."""
    _add_program(closure, driver)
    return _finish(
        name=os.fsdecode(os.path.basename(compiler)),
        family="other",
        target="",
        version="",
        called={compiler, driver},
        closure=closure,
        searched=(),
        includes=(),
        search_path=os.path.dirname(compiler),
    )


def _add_program(closure: ClosureBuilder, path: bytes) -> None:
    for library in libraries(closure.add_file(path)):
        closure.add_file(library)


def _finish(
    *,
    name: str,
    family: Family,
    target: str,
    version: str,
    called: set[bytes],
    closure: ClosureBuilder,
    searched: Iterable[bytes],
    includes: Iterable[bytes],
    search_path: bytes,
) -> ToolchainClosure:
    files = closure.listed()
    calls: dict[bytes, ClosureFile] = {}
    for path in called:
        walk(path, calls)
    callable_in = {os.path.dirname(path) for path in called}
    held = {os.path.dirname(file.path) for file in (*files, *calls.values()) if file.kind is Kind.FILE}
    return ToolchainClosure(
        name=name,
        family=family,
        target=target,
        version=version,
        called_by=tuple(sorted(called)),
        files=files,
        calls=tuple(call for path, call in sorted(calls.items()) if path not in closure),
        directories=tuple(sorted({*held, *searched} - {b"/"})),
        include_directories=tuple(dict.fromkeys(includes)),
        search_path=b":".join(place for place in search_path.split(b":") if place in held | callable_in),
        digest=digest_of(files),
    )
