"""Only what works in the sandbox is offered."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from securecc.compiler.toolchain.closure import Family, ToolchainClosure
from securecc.runner.toolchain_probe import _commands
from tests.runnerside import Runner


def closure(family: Family, *paths: bytes) -> ToolchainClosure:
    files = tuple(type("File", (), {"path": path})() for path in paths)
    return ToolchainClosure("gcc-12", "", "", (b"/usr/bin/gcc",), files, (), (), (), b"", b"", family)


@pytest.mark.parametrize(
    ("known", "languages"),
    [
        (closure("gcc", b"/usr/lib/cc1"), [b"cpp-output"]),
        (closure("gcc", b"/usr/lib/cc1", b"/usr/lib/cc1plus"), [b"cpp-output", b"c++-cpp-output"]),
        (closure("clang"), [b"cpp-output", b"c++-cpp-output"]),
        (closure("other"), []),
    ],
)
def test_each_language_is_tried(known: ToolchainClosure, languages: list[bytes]) -> None:
    first, *commands = _commands(known)
    assert first == (b"/usr/bin/gcc", b"-v")
    assert [command[2] for command in commands] == languages


def test_a_compiler_that_starts_and_makes_nothing_is_not_offered(reachable: Path) -> None:
    """A script in cc1's place is no part of a closure that ELF programs make, so it fails where it matters."""
    broken = reachable / "gcc-broken"
    broken.symlink_to("/usr/bin/false")

    async def body() -> None:
        async with Runner(compilers=[str(broken), "/usr/bin/gcc"]) as runner:
            assert [offer.name for offer in runner.ready.toolchains] == ["gcc-12"]
            assert "gcc-broken does not work in the sandbox" in runner.said()

    asyncio.run(body())
    assert os.path.exists("/usr/bin/false")


def test_a_compiler_that_cannot_load_the_witness_is_offered_and_not_witnessed(reachable: Path) -> None:
    """Statically linked, as some sites build theirs: nothing stands in front of its libc."""
    source = Path(__file__).parents[1] / "intruder.c"
    subprocess.run(["gcc", "-static", "-O1", "-o", reachable / "static", source], check=True)
    subprocess.run(["gcc", "-O1", "-o", reachable / "dynamic", source], check=True)

    async def body() -> None:
        async with Runner(compilers=[str(reachable / name) for name in ("static", "dynamic")]) as runner:
            witnessed = {offer.called_by[0]: offer.witnessed for offer in runner.ready.toolchains}
            assert witnessed == {
                os.fsencode(reachable / "static"): False,
                os.fsencode(reachable / "dynamic"): True,
            }
            for offer in runner.ready.toolchains:
                words = [offer.called_by[0], b"read", b"/x"]
                outcome = await runner.run(words, toolchain=offer.digest, questions=b"")
                assert (outcome.report.failure, outcome.report.status) == ("", 0)
                assert bool(outcome.report.witness) == bool(outcome.questions) == offer.witnessed

    asyncio.run(body())
