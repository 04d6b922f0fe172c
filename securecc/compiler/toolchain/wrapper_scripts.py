"""Wrapper scripts: one that a user has vouched for stands for the one compiler that it runs.

The list of them is what sha256sum(1) prints: a digest in hex, then anything; ``#`` begins a comment. A listed script
and the compiler that it runs are asked the same questions, and must answer alike: a script that adds options is
refused.
"""

import os
import re
import tempfile
from collections.abc import Iterator

from securecc.compiler.toolchain.program_queries import head, stderr_of
from securecc.model import limits
from securecc.model.errors import ToolchainError
from securecc.model.manifest import Digest, digest

_DIGEST = re.compile(rb"[0-9a-fA-F]{64}")
_COLLECT = re.compile(rb"^COLLECT_GCC=(.+)$", re.MULTILINE)
_CC1 = re.compile(rb'^ *"(/[^"]+)" "-cc1"', re.MULTILINE)
_SHELLS_OWN = (b"_=", b"SHLVL=", b"PWD=", b"OLDPWD=")
_CLANGS = (b"clang", b"clang++")


def listed(data: bytes) -> frozenset[Digest]:
    """The digests of a list. Lines without one are ignored."""
    words = (line.partition(b"#")[0].split() for line in data.splitlines())
    return frozenset(bytes.fromhex(word[0].decode()) for word in words if word and _DIGEST.fullmatch(word[0]))


def script_digest(path: bytes) -> Digest:
    """The digest of a script.

    Raises:
        ToolchainError: it is not a script, or cannot be read.
    """
    content = _content(path)
    if not content.startswith(b"#!"):
        raise ToolchainError(
            f"{os.fsdecode(path)} is neither an ELF program nor a script", "give the path of the compiler itself"
        )
    return digest(content)


def wrapped_compiler(script: bytes, vouched: frozenset[Digest]) -> bytes:
    """The compiler that a script runs.

    Raises:
        ToolchainError: no one has vouched for the script, or it does more than run one compiler.
    """
    if script_digest(script) not in vouched:
        raise ToolchainError(
            f"{os.fsdecode(script)} is a script that nobody has vouched for",
            "if it only runs a compiler, list it: securecctl toolchain add " + os.fsdecode(script),
        )
    return compiler_of(script)


def compiler_of(script: bytes) -> bytes:
    """The path of the compiler that answers as this script does.

    Raises:
        ToolchainError: there is none.
    """
    with tempfile.TemporaryDirectory(prefix="securecc-") as folder:
        probes = tuple(_probes(os.fsencode(folder)))
        said = [stderr_of(script, *probe) for probe in probes]
        for program in _candidates(said):
            if list(map(_essence, (stderr_of(program, *probe) for probe in probes))) == list(map(_essence, said)):
                return program
    raise ToolchainError(
        f"{os.fsdecode(script)} does more than run one compiler by an absolute path",
        "a script that adds options or variables cannot be used remotely",
    )


def _probes(folder: bytes) -> Iterator[tuple[bytes, ...]]:
    """Questions whose answers show every option and gcc's environment, and nothing that changes from run to run."""
    for name in (b"a.c", b"a.cpp"):
        with open(folder + b"/" + name, "wb"):
            pass
        place = (folder + b"/" + name, b"-o", folder + b"/a.o")
        yield (b"-###", b"-pipe", b"-g", b"-O2", b"-c", *place)
        yield (b"-###", b"-pipe", b"-c", *place)
    yield (b"-wrapper", b"sh,-c,env >&2", b"-S", *place)
    yield (b"-v", b"-E", b"-xc", os.fsencode(os.devnull))
    yield (b"-v", b"-E", b"-xc++", os.fsencode(os.devnull))


def _essence(said: bytes) -> list[bytes]:
    """An answer without the variables that a shell always sets."""
    return [line for line in said.splitlines() if not line.startswith(_SHELLS_OWN)]


def _candidates(said: list[bytes]) -> Iterator[bytes]:
    """Programs that may have given this answer."""
    for answer in said:
        for pattern in (_COLLECT, _CC1):
            match = pattern.search(answer)
            if match and match[1].startswith(b"/"):
                yield match[1]
                if pattern is _CC1:
                    yield from (os.path.join(os.path.dirname(match[1]), name) for name in _CLANGS)


def _content(path: bytes) -> bytes:
    head(path)  # says what is wrong with it
    with open(path, "rb") as file:
        content = file.read(limits.WRAPPER + 1)
    if len(content) > limits.WRAPPER:
        raise ToolchainError(f"{os.fsdecode(path)} is a script of more than {limits.WRAPPER} bytes")
    return content
