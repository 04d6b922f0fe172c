"""Standard input that makes trouble: whatever a server does not get, the compiler here reads from its beginning."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.farm.farmside import Farm, until
from tests.waiting import CEILING_S

COMPILE = ("securecc", "gcc", "-x", "c", "-Wall", "-c", "-", "-o", "a.o")
SOURCE = b"static int unused;\nint f(void) { return 3; }\n"
LARGE = SOURCE + b"// " + b"x" * (5 * 1024 * 1024) + b"\nint last = 4;\n"


def alone(folder: Path, content: bytes) -> tuple[int, bytes, bytes]:
    """What the compiler alone says and makes."""
    done = subprocess.run(COMPILE[1:], cwd=folder, input=content, capture_output=True, check=False)
    made = folder / "a.o"
    object_ = made.read_bytes() if made.exists() else b""
    made.unlink(missing_ok=True)
    return done.returncode, done.stderr, object_


def through(farm: Farm, folder: Path, **given: Any) -> tuple[int, bytes, bytes]:
    done = subprocess.run(
        COMPILE, cwd=folder, env={**farm.env, "LC_ALL": "C.UTF-8"}, capture_output=True, check=False, **given
    )
    made = folder / "a.o"
    return done.returncode, done.stderr, made.read_bytes() if made.exists() else b""


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (SOURCE, ""),
        (LARGE, "standard-input"),
        (b"#pragma once\n" + SOURCE, "standard-input"),
        (b"#define H <stddef.h>\n#include H\n" + SOURCE, "reach"),
        (b"int f(void) { return x; }\n", ""),
        (b"", ""),
    ],
    ids=["plain", "large", "once", "macro", "wrong", "empty"],
)
def test_the_same_wherever_it_is_compiled(
    farm: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, reason: str
) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    before = len(farm.audit(kind="job-start"))
    farm.forget()
    assert through(farm, tmp_path, input=content) == alone(tmp_path, content)
    if reason:
        farm.counts(reason)
    assert (len(farm.audit(kind="job-start")) > before) == (not reason)


def test_the_rest_of_a_file_is_the_compilers(farm: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    (tmp_path / "source").write_bytes(b"no C at all\n" + SOURCE)
    with (tmp_path / "source").open("rb", buffering=0) as source:
        source.readline()
        status, said, made = through(farm, tmp_path, stdin=source)
    assert (status, made) == (alone(tmp_path, SOURCE)[0], alone(tmp_path, SOURCE)[2])
    assert b"shorter than expected" in said  # as gcc says of what it is given so


def test_input_that_never_ends_is_waited_for_until_somebody_ends_it(farm: Farm, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    try:
        started = subprocess.Popen(COMPILE, cwd=tmp_path, env=farm.env, stdin=reader, stderr=subprocess.PIPE)
        os.close(reader)
        os.write(writer, SOURCE)
        until(lambda: waits_for_input(started.pid), what="the launcher to have read it")
        started.send_signal(signal.SIGINT)
        _, said = started.communicate(timeout=CEILING_S)
    finally:
        os.close(writer)
    assert (started.returncode, said) == (-signal.SIGINT, b"")
    assert through(farm, tmp_path, input=SOURCE)[0] == 0


def waits_for_input(process: int) -> bool:
    """Whether it keeps what it has read of its standard input, in a memfd."""
    folder = f"/proc/{process}/fd"
    return any(os.readlink(f"{folder}/{name}").startswith("/memfd:input") for name in os.listdir(folder))
