"""Closures: what belongs to a compiler, and that the digest says so and nothing else."""

import dataclasses
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.compiler.toolchain.closure import ClosureFile, describe, digest_of, interpreter, is_elf
from securecc.compiler.toolchain.discovery import closure_of_programs, discover
from securecc.compiler.toolchain.wrapper_scripts import script_digest
from securecc.model import limits
from securecc.model.errors import ToolchainError
from securecc.model.manifest import Kind

PATH = b"/usr/local/bin:/usr/bin:/bin"
FILES = st.lists(
    st.builds(
        ClosureFile,
        path=st.binary(min_size=1, max_size=5),
        kind=st.sampled_from([Kind.FILE, Kind.LINK]),
        blob=st.binary(max_size=4),
        mode=st.sampled_from([0o644, 0o755]),
    ),
    max_size=4,
    unique_by=lambda file: file.path,
)


@pytest.fixture(scope="module")
def gcc() -> Any:
    return discover(b"/usr/bin/gcc", PATH)


@pytest.fixture(scope="module")
def clang() -> Any:
    return discover(b"/usr/bin/clang", PATH)


def test_clang_is_known_by_its_version_and_target(clang: Any) -> None:
    said = subprocess.run(["clang", "--version"], capture_output=True, text=True, check=True).stdout
    assert f"version {clang.version}" in said
    assert f"Target: {clang.target}" in said
    assert (clang.name, clang.family) == ("clang-" + clang.version.split(".")[0], "clang")


@pytest.mark.parametrize("name", [b"/usr/bin/clang++", b"/usr/lib/llvm-14/bin/clang"])
def test_clang_is_one_program_by_whatever_name(clang: Any, name: Any) -> None:
    if not os.path.exists(name):
        pytest.skip(f"no {name}")
    assert discover(name, PATH).digest == clang.digest
    assert name in clang.called_by


def test_clang_has_its_libraries_its_lists_and_the_gcc_that_it_takes_headers_from(clang: Any) -> None:
    names = {os.path.basename(file.path) for file in clang.files}
    assert {b"clang", b"crtbegin.o", b"asan_ignorelist.txt"} <= names
    assert any(name.startswith(b"libLLVM") for name in names)
    assert not names & {b"as", b"cc1"}
    assert not any(b"/include/" in file.path for file in clang.files)
    assert {b"/usr/bin", b"/usr/include"} <= {*clang.directories, *clang.include_directories}


def test_a_cross_compiler_has_its_own_programs_and_its_target_in_its_name(gcc: Any) -> None:
    if not os.path.exists("/usr/bin/aarch64-linux-gnu-gcc"):
        pytest.skip("no cross compiler")
    cross = discover(b"/usr/bin/aarch64-linux-gnu-gcc", PATH)
    assert (cross.target, cross.family) == ("aarch64-linux-gnu", "gcc")
    assert cross.name == f"{gcc.name}-aarch64-linux-gnu"
    assert not set(cross.called_by) & set(gcc.called_by)
    own = {file.path for file in cross.files if os.path.basename(file.path) in {b"cc1", b"as", b"aarch64-linux-gnu-as"}}
    assert all(b"aarch64" in path for path in own)
    assert len(own) >= 2


def test_gcc_is_known_by_its_version_and_target(gcc: Any) -> None:
    version = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True, check=True).stdout.strip()
    assert (gcc.version, gcc.name) == (version, "gcc-" + version.split(".")[0])
    target = subprocess.run(["gcc", "-dumpmachine"], capture_output=True, text=True, check=True).stdout.strip()
    assert gcc.target == target
    assert gcc.search_path.split(b":")[0] == b"/usr/bin"


@pytest.mark.parametrize("name", [b"g++", b"cc", b"c++", b"gcc-12", b"x86_64-linux-gnu-gcc-12"])
def test_all_drivers_of_one_installation_are_one_toolchain(gcc: Any, name: Any) -> None:
    path = b"/usr/bin/" + name
    if not os.path.exists(path):
        pytest.skip(f"no {path}")
    other = discover(path, PATH)
    assert other.digest == gcc.digest
    assert path in gcc.called_by


def test_the_closure_has_programs_loader_libraries_and_no_header(gcc: Any) -> None:
    names = {os.path.basename(file.path) for file in gcc.files}
    assert {b"cc1", b"cc1plus", b"libc.so.6"} <= names
    assert any(name.startswith((b"ld-linux", b"ld64")) for name in names)
    assert any(name.endswith(b"-as") for name in names)
    assert not any(b"/include/" in file.path or file.path.endswith(b".h") for file in gcc.files)
    assert {b"collect2", b"liblto_plugin.so", b"gconv-modules.cache", b"ISO8859-1.so"} <= names


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_every_link_on_the_way_is_there(compiler: Any, request: Any) -> None:
    gcc = request.getfixturevalue(compiler)
    listed = {file.path: file for file in (*gcc.files, *gcc.calls)}
    for path, file in listed.items():
        if file.kind is Kind.LINK:
            assert os.readlink(path) == file.blob
            assert os.path.realpath(path) in listed or os.path.isdir(path)
        else:
            assert os.path.realpath(path) == path
    for called in gcc.called_by:
        assert called in listed or os.path.islink(os.path.dirname(called))


def test_directories_to_keep_clients_out_of(gcc: Any) -> None:
    held = {os.path.dirname(file.path) for file in gcc.files if file.kind is Kind.FILE}
    assert held <= set(gcc.directories)
    assert {b"/usr/bin", b"/usr/lib", b"/usr/share/locale"} <= set(gcc.directories)
    assert b"/" not in gcc.directories
    assert b"/usr/include" in gcc.include_directories
    assert any(b"c++" in path for path in gcc.include_directories)


def test_contents_are_digested_once(gcc: Any) -> None:
    digests: dict[Any, bytes] = {}
    first = discover(b"/usr/bin/gcc", PATH, digests)
    marked = {key: bytes(32) for key in digests}
    assert first.digest == gcc.digest
    assert {file.blob for file in discover(b"/usr/bin/gcc", PATH, marked).files if file.kind is Kind.FILE} == {
        bytes(32)
    }


@pytest.fixture
def noop(tmp_path: Path) -> Any:
    source = tmp_path / "noop.c"
    source.write_text("int main(void) { return 0; }\n")
    program = tmp_path / "fakecc"
    subprocess.run(["gcc", "-static", "-o", program, source], check=True)
    return program


def test_a_program_that_does_nothing_is_a_toolchain_too(noop: Any) -> None:
    path = os.fsencode(noop)
    closure = discover(path, PATH)
    assert (closure.name, closure.target, closure.called_by) == ("fakecc", "", (path,))
    assert [file.path for file in closure.files] == [path]
    assert closure.search_path == os.path.dirname(path)
    assert closure.include_directories == ()


def test_a_link_to_a_compiler_elsewhere(tmp_path: Path, gcc: Any) -> None:
    link = tmp_path / "gcc"
    link.symlink_to("/usr/bin/gcc")
    closure = discover(os.fsencode(link), PATH)
    assert closure.digest == gcc.digest
    assert os.fsencode(link) in closure.called_by


@pytest.mark.parametrize(
    ("content", "said"), [(b'#!/bin/sh\nexec gcc "$@"\n', "vouched"), (b"", "neither"), (b"\x7fEL", "neither")]
)
def test_scripts_are_no_compilers(tmp_path: Path, content: Any, said: Any) -> None:
    script = tmp_path / "gcc"
    script.write_bytes(content)
    script.chmod(0o755)
    with pytest.raises(ToolchainError, match=said):
        discover(os.fsencode(script), PATH)


def test_a_script_that_is_vouched_for_is_the_compiler_that_it_runs(tmp_path: Path, gcc: Any) -> None:
    script = tmp_path / "gcc"
    script.write_bytes(b'#!/bin/sh\nexec /usr/bin/gcc-12 "$@"\n')
    script.chmod(0o755)
    closure = discover(os.fsencode(script), PATH, None, frozenset({script_digest(os.fsencode(script))}))
    assert (closure.digest, closure.program) == (gcc.digest, b"/usr/bin/gcc-12")
    assert gcc.program == b""


def test_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for path in (b"/nonexistent/gcc", os.fsencode(tmp_path / "loop"), b"gcc", os.fsencode(tmp_path)):
        with pytest.raises(ToolchainError):
            discover(path, PATH)


def test_an_assembler_elsewhere_on_the_path_is_another_toolchain(tmp_path: Path, gcc: Any) -> None:
    """gcc asks PATH for `as` where its own directories have none: it belongs to what makes the object."""
    shutil.copy("/usr/bin/true", tmp_path / "as")
    other = discover(b"/usr/bin/gcc", os.fsencode(tmp_path) + b":" + PATH)
    assert other.digest != gcc.digest
    assert other.search_path.startswith(os.fsencode(tmp_path) + b":")


def test_a_description_is_short_and_shows_each_difference(gcc: Any) -> None:
    told = describe(gcc)
    assert (told.name, told.family, told.version, told.target) == (gcc.name, "gcc", gcc.version, gcc.target)
    paths = {part.path for part in told.parts}
    assert any(path.endswith(b"/cc1") for path in paths)
    assert any(path.endswith(b"/gconv/") for path in paths)
    assert len(paths) < 60
    changed = tuple(dataclasses.replace(f, blob=b"x" * 32) if f.path.endswith(b".so") else f for f in gcc.files)
    assert describe(dataclasses.replace(gcc, files=changed)).parts != told.parts


def test_a_description_has_a_limit(gcc: Any) -> None:
    many = tuple(ClosureFile(b"/%d/f" % number, Kind.FILE, bytes(32)) for number in range(2 * limits.TOOLCHAIN_PARTS))
    assert len(describe(dataclasses.replace(gcc, files=many)).parts) == limits.TOOLCHAIN_PARTS


def test_programs_with_their_libraries() -> None:
    names = {os.path.basename(file.path) for file in closure_of_programs([b"/usr/bin/as"])}
    assert b"libc.so.6" in names


@given(FILES)
def test_the_order_of_files_is_no_part_of_the_digest(files: Any) -> None:
    assert digest_of(files) == digest_of(files[::-1])


@given(FILES, FILES)
def test_other_files_have_another_digest(one: Any, other: Any) -> None:
    def essence(files: Any) -> Any:
        return {(file.path, file.kind, file.blob, bool(file.mode & 0o111)) for file in files}

    assert (digest_of(one) == digest_of(other)) == (essence(one) == essence(other))


def test_moving_a_byte_between_fields_changes_the_digest() -> None:
    one = ClosureFile(b"/ab", Kind.FILE, b"c")
    assert digest_of([one]) != digest_of([dataclasses.replace(one, path=b"/a", blob=b"bc")])


@given(st.binary(max_size=200))
def test_any_bytes_are_an_elf_header_or_not(head: Any) -> None:
    assert isinstance(interpreter(b"\x7fELF\x02" + head), bytes)
    assert interpreter(b"x" + head) == b""
    assert is_elf(b"\x7fELF" + head)


def test_the_loader_that_a_program_asks_for() -> None:
    with open("/usr/bin/as", "rb") as file:
        assert interpreter(file.read(4096)).startswith(b"/lib")
