"""Options of clang's compiler proper (-Xclang) and of LLVM (-mllvm) that may be compiled remotely, by name: a few of
thousands.

They affect code or diagnostics and name no file; those that print, count, load or write are not on the list (from what
clang 14 prints for `-cc1 --help-hidden` and `-mllvm --help-hidden`).
"""

import re
from collections.abc import Sequence
from typing import NoReturn

from securecc.compiler.command_line.options import NOT_ALLOWED, Meaning, recognise
from securecc.model.errors import StaysLocal
from securecc.model.printable import quote

_FLAGS = frozenset(
    (
        b"-disable-O0-optnone",
        b"-disable-free",
        b"-disable-lifetime-markers",
        b"-disable-llvm-optzns",
        b"-disable-llvm-passes",
        b"-disable-llvm-verifier",
        b"-fuse-ctor-homing",
        b"-mconstructor-aliases",
        b"-no-opaque-pointers",
        b"-opaque-pointers",
    )
)
_WORD = re.compile(rb"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_PAIRS = {
    b"-fdebug-compilation-dir": re.compile(rb"[^@-].*", re.DOTALL),  # is recorded, not read
    b"-target-abi": _WORD,
    b"-target-cpu": _WORD,
    b"-target-feature": re.compile(rb"[+-][a-z0-9][a-z0-9_.-]*"),
    b"-tune-cpu": _WORD,
}
_LLVM = re.compile(rb"--?([a-z0-9][A-Za-z0-9-]*)(?:=[A-Za-z0-9_.+-]+)?")
_OF_SANITIZERS = (b"asan-", b"hwasan-", b"msan-", b"sanitizer-coverage-", b"tsan-")
_PRINTS = re.compile(rb"debug|dump|file|list|path|print|stat|view|verbose")
LLVM_OPTIONS = frozenset(
    b"""align-all-blocks align-all-functions align-all-nofallthru-blocks align-loops disable-binop-extract-shuffle
    enable-dfa-jump-thread enable-gvn-hoist enable-gvn-sink enable-machine-outliner enable-newgvn
    enable-shrink-wrap enable-split-machine-functions enable-tail-merge enable-unroll-and-jam
    force-vector-interleave force-vector-width generate-type-units hot-cold-split inline-cost-full
    inline-threshold inlinecold-threshold inlinehint-threshold instcombine-lower-dbg-declare slp-threshold
    slp-vectorize-hor split-threshold-for-reg-with-hint treat-scalable-fixed-error-as-warning
    unroll-allow-partial unroll-count unroll-max-count unroll-runtime unroll-threshold vectorize-loops
    vectorize-slp x86-align-branch x86-align-branch-boundary x86-branches-within-32B-boundaries
    x86-pad-for-align""".split()
)
"""Those of -mllvm, without their dashes; LLVM's sanitizer options are listed separately."""


def check_llvm(value: bytes) -> None:
    """Checks the value of -mllvm.

    Raises:
        StaysLocal: it is not on the list.
    """
    match = _LLVM.fullmatch(value)
    name = match[1] if match else b""
    if name in LLVM_OPTIONS or (name.startswith(_OF_SANITIZERS) and not _PRINTS.search(name)):
        return
    raise StaysLocal("backend", f"-mllvm {quote(value)} {NOT_ALLOWED}")


def check(words: Sequence[bytes]) -> None:
    """Checks all that -Xclang passes to the compiler proper, in order.

    Raises:
        StaysLocal: one of them is not on the list.
    """
    rest = iter(words)
    for word in rest:
        if word == b"-mllvm":
            check_llvm(next(rest, b""))
        elif word in _PAIRS:
            if not _PAIRS[word].fullmatch(next(rest, b"")):
                _reject(word)
        elif word not in _FLAGS and not _is_plain(word):
            _reject(word)


def _is_plain(word: bytes) -> bool:
    """Whether it is one of the driver's own -W and -f options, which it passes on unchanged."""
    if not word.startswith((b"-W", b"-f")):
        return False
    try:
        option = recognise(word, "clang")
    except StaysLocal:
        return False
    return option.meaning is Meaning.PLAIN and not option.separate


def _reject(word: bytes) -> NoReturn:
    raise StaysLocal("backend", f"-Xclang {quote(word)} {NOT_ALLOWED}")
