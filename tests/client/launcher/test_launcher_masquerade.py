"""Which compiler the launcher runs when links to it, or to others of its kind, stand under compilers' names."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from securecc.client.ipc.frames import Exit
from tests.client.launcher.launcher_rig import Agent, Rig, finish


@pytest.fixture
def places(rig: Rig, tmp_path: Path) -> Callable[..., None]:
    """Directories in which a program stands under the name gcc; `path` puts some of them into PATH, in this order."""

    def place(name: str, program: Path) -> None:
        (tmp_path / name).mkdir()
        (tmp_path / name / "gcc").symlink_to(program)

    (tmp_path / "programs").mkdir()
    for stand_in in ("ccache", "securecc"):
        rig.script(tmp_path / "programs" / stand_in, "echo stand-in; exit 9")
    place("ours", rig.launcher)
    place("ours2", rig.launcher)
    place("caches", tmp_path / "programs/ccache")
    place("another", tmp_path / "programs/securecc")
    place("real", rig.script(tmp_path / "programs/gcc-12", 'echo "compiled $0 $*"'))

    def path(*names: str) -> None:
        rig.environment["PATH"] = ":".join(name if "/" in name or not name else str(tmp_path / name) for name in names)

    return path


@pytest.mark.parametrize(
    "path",
    [
        ("ours", "real"),
        ("ours", "ours2", "real"),
        ("ours", "caches", "real"),
        ("caches", "ours", "real"),
        ("ours", "caches", "ours2", "another", "real"),
        ("/nowhere", "ours", "", "real"),
    ],
    ids=":".join,
)
@pytest.mark.parametrize("masquerade", [True, False])
def test_the_next_compiler_of_that_name(
    agent: Agent, places: Callable[..., None], tmp_path: Path, path: tuple[str, ...], masquerade: bool
) -> None:
    places(*path)
    command = [tmp_path / "ours/gcc"] if masquerade else [(tmp_path / "ours/gcc").resolve(), "gcc"]
    process, request = agent.serve(*command[1:], "-c", command=command[0])
    agent.command(Exit(0))
    assert finish(process).returncode == 0
    assert (request.compiler, *request.arguments) == (*[os.fsencode(tmp_path / "real/gcc")] * 2, b"-c")


def test_a_masquerade_looks_behind_itself_only(
    rig: Rig, agent: Agent, places: Callable[..., None], tmp_path: Path
) -> None:
    places("real", "ours", str(rig.bin))
    process, request = agent.serve("-c", command=tmp_path / "ours/gcc")
    agent.command(Exit(0))
    finish(process)
    assert request.compiler == os.fsencode(rig.bin / "gcc")


@pytest.mark.parametrize("path", [("ours",), ("ours", "ours2"), ("ours", "another"), ("ours", "caches"), ("/nowhere",)])
@pytest.mark.parametrize("masquerade", [True, False])
def test_nothing_but_stand_ins(
    rig: Rig, places: Callable[..., None], tmp_path: Path, path: tuple[str, ...], masquerade: bool
) -> None:
    """An empty end of PATH is the working directory, and the end of PATH is not empty."""
    rig.script(rig.cwd / "gcc", "echo never")
    places(*path)
    result = rig.run("-c", command=tmp_path / "ours/gcc") if masquerade else rig.run("gcc", "-c")
    assert (result.returncode, result.stdout) == (110, b"")
    assert b"no compiler named gcc found" in result.stderr
    assert (b"besides" in result.stderr) == (masquerade or path != ("/nowhere",))


def test_a_wrapper_that_calls_itself_again_ends(rig: Rig, places: Callable[..., None], tmp_path: Path) -> None:
    """A script that is no known stand-in, in front of the compiler: the guard counts how often we came by."""
    places("ours", str(rig.bin), "real")
    rig.script(rig.bin / "gcc", f'echo round >>{tmp_path}/rounds; exec gcc "$@"')
    rig.environment["SECURECC_RECURSION"] = "1"
    result = rig.run("-c", command=tmp_path / "ours/gcc")
    assert result.returncode == 111
    assert b"SECURECC_RECURSION" in result.stderr
    assert (tmp_path / "rounds").read_text() == "round\n" * 3
