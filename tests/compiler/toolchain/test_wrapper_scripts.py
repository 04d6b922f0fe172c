"""Scripts in a compiler's place."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.compiler.toolchain.wrapper_scripts import compiler_of, listed, script_digest, wrapped_compiler
from securecc.model import limits
from securecc.model.errors import ToolchainError
from securecc.model.manifest import digest


@pytest.fixture
def written(tmp_path: Path) -> Any:
    def write(*lines: Any, name: str = "gcc") -> Any:
        script = tmp_path / name
        script.write_text("\n".join(("#!/bin/sh", *lines, "")))
        script.chmod(0o755)
        return os.fsencode(script)

    return write


@pytest.mark.parametrize("program", [b"/usr/bin/gcc-12", b"/usr/bin/g++", b"/usr/lib/llvm-14/bin/clang"])
def test_the_compiler_behind_a_script(written: Any, program: Any) -> None:
    if not os.path.exists(program):
        pytest.skip("not here")
    script = written("# the site's own", "umask 022", f'exec {program.decode()} "$@"')
    assert compiler_of(script) == program
    assert wrapped_compiler(script, frozenset({script_digest(script)})) == program


def test_a_clang_for_cplusplus_is_told_from_one_for_c(written: Any) -> None:
    if not os.path.exists("/usr/lib/llvm-14/bin/clang++"):
        pytest.skip("not here")
    assert compiler_of(written('exec /usr/lib/llvm-14/bin/clang++ "$@"')) == b"/usr/lib/llvm-14/bin/clang++"


@pytest.mark.parametrize(
    "lines",
    [
        ['exec /usr/bin/gcc -O3 "$@"'],
        ['exec /usr/bin/gcc "$@" -DSITE'],
        ["export CPATH=/usr/src", 'exec /usr/bin/gcc "$@"'],
        ["export C_INCLUDE_PATH=/usr/src", 'exec /usr/bin/gcc "$@"'],
        ["export LD_LIBRARY_PATH=/usr/lib", 'exec /usr/bin/gcc "$@"'],
        ["export GCC_COLORS=", 'exec /usr/bin/gcc "$@"'],
        ['exec gcc "$@"'],
        ["exec /bin/true"],
        ["exit 1"],
        ['case "$*" in *-O2*) exec /usr/bin/gcc -g0 "$@";; esac; exec /usr/bin/gcc "$@"'],
    ],
)
def test_a_script_that_adds_something_is_no_compiler(written: Any, lines: Any) -> None:
    with pytest.raises(ToolchainError, match="does more"):
        compiler_of(written(*lines))


def test_nobody_has_vouched_for_it(written: Any) -> None:
    script = written('exec /usr/bin/gcc "$@"')
    before = frozenset({script_digest(script)})
    with pytest.raises(ToolchainError, match="toolchain add"):
        wrapped_compiler(script, frozenset({digest(b"another")}))
    written('exec /usr/bin/gcc -O3 "$@"')
    with pytest.raises(ToolchainError, match="nobody has vouched"):
        wrapped_compiler(script, before)


def test_what_is_no_script(written: Any, tmp_path: Path) -> None:
    huge = written("x" * limits.WRAPPER)
    with pytest.raises(ToolchainError, match="more than"):
        script_digest(huge)
    with pytest.raises(ToolchainError, match="cannot read"):
        script_digest(os.fsencode(tmp_path / "absent"))
    (tmp_path / "text").write_text("gcc\n")
    with pytest.raises(ToolchainError, match="neither"):
        script_digest(os.fsencode(tmp_path / "text"))


def test_a_list_is_what_sha256sum_prints() -> None:
    name = digest(b"x")
    text = f"# the site's\n\n{name.hex()}  /opt/site/bin/gcc\n{name.hex().upper()}#x\n1234  /short\n".encode()
    assert listed(text) == {name}


@given(st.lists(st.binary(min_size=32, max_size=32)), st.binary().filter(lambda junk: b"\n" not in junk))
def test_any_bytes_are_a_list(names: Any, junk: Any) -> None:
    lines = [name.hex().encode() for name in names]
    assert frozenset(names) <= listed(b"\n".join([b"#" + junk, *lines, b""]))
    assert all(len(name) == 32 for name in listed(junk))
