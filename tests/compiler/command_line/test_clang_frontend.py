"""securecc.compiler.command_line.clang_frontend: what clang's compiler proper and LLVM may be given."""

import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.compiler.command_line import clang_frontend
from securecc.model.errors import StaysLocal
from tests.waiting import CEILING_S

GOOD = [
    "-disable-O0-optnone",
    "-fdebug-compilation-dir .",
    "-target-feature +avx2 -tune-cpu generic",
    "-Wno-unused -fno-signed-char",
    "-mllvm -inline-threshold=100 -disable-llvm-passes",
    "",
]
BAD = [
    "-load x.so",
    "-plugin x",
    "-add-plugin x",
    "-plugin-arg-x y",
    "-ast-dump",
    "-o x",
    "-emit-obj",
    "-include x",
    "-I x",
    "-fplugin=x.so",
    "-fmodule-file=x",
    "-dependency-file x",
    "-opt-record-file x",
    "-fdebug-compilation-dir",
    "-fdebug-compilation-dir @x",
    "-target-feature",
    "-target-feature /x",
    "-target-cpu -o",
    "-mllvm",
    "-mllvm -load=x.so",
    "a.c",
    "@x",
    "-Wp,-MD,x",
]


@pytest.mark.parametrize("words", GOOD)
def test_what_may_leave(words: Any) -> None:
    clang_frontend.check(words.encode().split())


@pytest.mark.parametrize("words", BAD)
def test_what_stays(words: Any) -> None:
    with pytest.raises(StaysLocal) as local:
        clang_frontend.check(words.encode().split())
    assert local.value.reason == "backend"


@pytest.mark.parametrize(
    "value",
    [
        "-asan-stack=1",
        "--asan-mapping-offset=0xdffffc0000000000",
        "-hot-cold-split=true",
        "-unroll-threshold=5",
        "-asan-memory-access-callback-prefix=__x",
        "-sanitizer-coverage-prune-blocks=1",
        "-vectorize-loops",
    ],
)
def test_what_llvm_may_be_told(value: Any) -> None:
    clang_frontend.check_llvm(value.encode())


@pytest.mark.parametrize(
    "value",
    [
        "-load=x.so",
        "-print-after-all",
        "-stats",
        "-asan-debug=1",
        "-msan-dump-strict-instructions",
        "-o=x",
        "x",
        "",
        "-pass-remarks-output=x",
        "-asan-stack=/x",
        "-asan-stack=@x",
        "-time-passes",
        "-profile-file=x",
        "-asan-stack ",
    ],
)
def test_what_llvm_may_not_be_told(value: Any) -> None:
    with pytest.raises(StaysLocal) as local:
        clang_frontend.check_llvm(value.encode())
    assert local.value.reason == "backend"


def test_every_name_is_one_of_llvms() -> None:
    """But for some that are younger than 14."""
    command = ["clang", "-mllvm", "--help-hidden", "-c", "-x", "c", "/dev/null"]
    said = subprocess.run(command, capture_output=True, check=False, timeout=CEILING_S).stdout
    names = {line.split(b"=")[0].split()[0].lstrip(b"-") for line in said.splitlines() if line.lstrip()[:1] == b"-"}
    assert len(names) > 1000
    assert clang_frontend.LLVM_OPTIONS - names <= {b"split-threshold-for-reg-with-hint"}


@given(st.lists(st.sampled_from([*" ".join(GOOD + BAD).split(), ""]) | st.text(max_size=8), max_size=6))
def test_any_words_may_leave_or_stay(words: Any) -> None:
    try:
        clang_frontend.check([word.encode() for word in words])
    except StaysLocal as error:
        assert error.reason == "backend"  # noqa: PT017 - either way is right
    else:
        assert not {"-load", "-plugin", "-o", "-include"} & set(words) or "-fdebug-compilation-dir" in words
