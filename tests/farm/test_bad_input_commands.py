"""Command lines and names that make trouble: the user sees what the compiler alone would have shown."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.farm.farmside import Farm, sources, until
from tests.farm.test_bad_input_source import unread
from tests.farm.twins import Files, Ran, Twins
from tests.waiting import CEILING_S

DEEP = "d" * 250


@pytest.fixture
def twins(farm: Farm, tmp_path: Path) -> Twins:
    return Twins(farm, tmp_path / "w")


def alike(twins: Twins, files: Files, *command: str | bytes, **options: Any) -> Ran:
    """What both leave behind, which is the same."""
    alone, through = twins.both(files, *command, **options)
    assert through.seen == alone.seen
    return alone


@pytest.mark.parametrize("spread", [True, False], ids=["on-the-command-line", "in-a-file"])
def test_100000_arguments(twins: Twins, spread: bool) -> None:
    """gcc itself takes them, and hands more to the compiler proper than the kernel does."""
    options = [f"-DX{number:x}" for number in range(100_000)]
    files = {"a.c": "int a;\n", "args": "\n".join(options)}
    done = alike(twins, files, "gcc", *(options if spread else ["@args"]), "-c", "a.c")
    assert b"Argument list too long" in done.err


@pytest.mark.parametrize("name", ["new\nline.c", "tab\t.c", "\r.c", " .c", "-.c", "'\".c"])
def test_names_with_blanks_and_control_characters(twins: Twins, name: str) -> None:
    done = alike(twins, {name: "int a;\n"}, "gcc", "-g", "-MD", "-c", f"./{name}", "-o", "a.o")
    assert done.status == 0


def test_a_header_with_a_newline_in_its_directory(twins: Twins) -> None:
    files = {"a.c": "#include <x.h>\nint a = X;\n", "new\nline/x.h": "#define X 1\n"}
    assert alike(twins, files, "gcc", "-MD", "-I", "new\nline", "-c", "a.c").status == 0


@pytest.mark.parametrize("place", ["source", "output", "include", "list"])
def test_a_path_over_4096_bytes(twins: Twins, place: str) -> None:
    long = "/".join([DEEP] * 17)
    options = {
        "source": ("-c", f"{long}/a.c"),
        "output": ("-c", "a.c", "-o", f"{long}/a.o"),
        "include": ("-c", "a.c", "-I", long),
        "list": ("-c", "a.c", "-MD", "-MF", f"{long}/a.d"),
    }[place]
    done = alike(twins, {"a.c": "int a;\n"}, "gcc", *options)
    assert done.status
    assert b"File name too long" in done.err


@pytest.mark.parametrize("sink", [">/dev/full", ">&-"])
def test_standard_output_that_cannot_be_written(twins: Twins, sink: str) -> None:
    ran = []
    for launcher in ("", "securecc "):
        twins.make({"a.c": "int a;\n"})
        ran.append(twins.gcc("bash", "-c", f"{launcher}gcc -S a.c -o - {sink}"))
    assert ran[0].seen == ran[1].seen
    assert ran[0].status
    assert ran[0].err


def test_a_working_directory_deeper_than_a_path_may_be(twins: Twins) -> None:
    """It can be entered step by step, and named by nobody."""
    twins.make({"a.c": "int a;\n"})
    enter = "; ".join([f"mkdir {DEEP}; cd {DEEP}"] * 17)
    ran = []
    for launcher in ("", "securecc "):
        command = (
            f"{enter}; cp {twins.folder}/a.c . && {launcher}gcc -c a.c -o a.o; echo $?; ls; rm -rf {twins.folder}/d*"
        )
        ran.append(twins.gcc("sh", "-c", command))
    assert ran[0].seen == ran[1].seen
    assert ran[0].out.startswith(b"0\na.c\na.o\n")


def test_a_source_that_is_deleted_while_it_is_being_sent(farm: Farm, tmp_path: Path) -> None:
    other = farm.apart("deleted")
    first, second = sources(tmp_path, 2)
    assert other.compile(first).returncode == 0
    second.write_text("int value = 7777777;\n")
    os.kill(farm.server.pid, signal.SIGSTOP)
    try:
        process = other.begin("securecc", "gcc", "-c", second.name, "-o", "s1.o", cwd=tmp_path)
        until(lambda: unread(farm.server.port), what="the Ask")
        second.unlink()
    finally:
        os.kill(farm.server.pid, signal.SIGCONT)
    out, err = process.communicate(timeout=CEILING_S)
    alone = farm.run("gcc", "-c", second.name, "-o", "s1.o", cwd=tmp_path)
    assert (process.returncode, out, err) == (alone.returncode, alone.stdout, alone.stderr)
    assert not second.with_suffix(".o").exists()
    other.end_agents()
