"""Options of clang's compiler proper (-Xclang) and of LLVM (-mllvm) that may leave: a few of thousands, by their names.

They choose code or words and name no file; those that print, count, load or write are none of them (what clang 14 says
to `-cc1 --help-hidden` and `-mllvm --help-hidden`).
"""

import re
from collections.abc import Sequence

from securecc.compiler.command_line.options import Meaning, recognise
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
    b"-fdebug-compilation-dir": re.compile(rb"[^@-].*", re.DOTALL),  # is recorded, not looked at
    b"-target-abi": _WORD,
    b"-target-cpu": _WORD,
    b"-target-feature": re.compile(rb"[+-][a-z0-9][a-z0-9_.-]*"),
    b"-tune-cpu": _WORD,
}
_LLVM = re.compile(rb"--?([a-z0-9][A-Za-z0-9-]*)(?:=[A-Za-z0-9_.+-]+)?")
_OF_SANITIZERS = (b"asan-", b"hwasan-", b"msan-", b"sanitizer-coverage-", b"tsan-")
_PRINTS = re.compile(rb"debug|dump|file|list|path|print|stat|view|verbose")
_CHOOSES = frozenset(
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


def check_llvm(value: bytes) -> None:
    """The value of -mllvm. Raises StaysLocal unless it may leave."""
    match = _LLVM.fullmatch(value)
    name = match[1] if match else b""
    if name in _CHOOSES or (name.startswith(_OF_SANITIZERS) and not _PRINTS.search(name)):
        return
    raise StaysLocal("backend", f"-mllvm {quote(value)} is not known to be safe elsewhere")


def check(words: Sequence[bytes]) -> None:
    """All that -Xclang hands to the compiler proper, in one row. Raises StaysLocal unless all of it may leave."""
    rest = iter(words)
    for word in rest:
        if word == b"-mllvm":
            check_llvm(next(rest, b""))
        elif word in _PAIRS:
            if not _PAIRS[word].fullmatch(next(rest, b"")):
                raise _unknown(word)
        elif word not in _FLAGS and not _is_plain(word):
            raise _unknown(word)


def _is_plain(word: bytes) -> bool:
    """Warnings and choices of code are the driver's own options, which it hands on as they are."""
    if not word.startswith((b"-W", b"-f")):
        return False
    try:
        option = recognise(word, "clang")
    except StaysLocal:
        return False
    return option.meaning is Meaning.PLAIN and not option.separate


def _unknown(word: bytes) -> StaysLocal:
    return StaysLocal("backend", f"-Xclang {quote(word)} is not known to be safe elsewhere")
