"""compiler.command_line.options: what may leave is harmless, and each option that a compiler lists has been judged."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.compiler.command_line import options
from securecc.compiler.command_line.option_table import table
from securecc.compiler.command_line.options import Meaning, Option, check_separate, recognise
from securecc.model.errors import StaysLocal
from securecc.model.printable import quote
from tests.waiting import CEILING_S

FAMILIES = ["gcc", "clang"]
LEAVES = re.compile(rb"[a-z]")


def rows(family: Any) -> Any:
    known = table(family)
    return {row.name: row for row in (*known.exact.values(), *known.joined.values(), *known.prefixes)}.values()


def outcome(argument: Any, family: Any) -> Any:
    try:
        return recognise(argument, family).meaning
    except StaysLocal as error:
        return error.reason


DANGEROUS = (
    b"plugin-arg fplugin -fdump -mdump specs= --wrapper save-temps mapper auto-profile opt-info aux-info self-test "
    b"compare-debug offload include-pch fmodule ivfsoverlay mllvm Xclang --config -serialize- emit-ast dumpbase"
).split()


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_dangerous_leaves(family: Any) -> None:
    for row in rows(family):
        if row.meaning.startswith(("!", "frontend")) or row.name.startswith((b"-fno-", b"-fno_")):
            continue
        assert not any(word in row.name for word in DANGEROUS), row


@pytest.mark.parametrize("family", FAMILIES)
def test_tables_hold_together(family: Any) -> None:
    meanings = {meaning.value for meaning in Meaning}
    for row in rows(family):
        assert row.meaning.startswith("!") or row.meaning.partition(".")[0] in meanings, row
        assert row.value != "?" or row.meaning.startswith("!"), row
        assert row.needed in {"driver", "preprocessor", "compiler", "assembler", "linker"}, row
        assert row.value.isascii()


@pytest.mark.parametrize("family", FAMILIES)
def test_text_is_for_what_is_compared_or_quoted(family: Any) -> None:
    """Of all values that may leave, these alone may hold a slash. Nothing opens them as a file, but for a directory
    where clang writes after a crash: that is inside the walls, and the compile is done again at home.
    """
    texts = {row.name for row in rows(family) if row.value == "text" and row.meaning == "plain"}
    harmless = re.compile(
        rb"-f[a-z-]*prefix-map=|-frandom-seed=|-finstrument-functions-exclude-.*|-R.*|-fmemory-profile="
        rb"|-fprofile-(filter|exclude)-files=|-f(file|debug|coverage)-compilation-dir=?|-f(cs-)?profile-(instr-)?generate="
        rb"|-fprofile-dir=|-fcrash-diagnostics-dir="
    )
    assert not [name for name in texts if not harmless.fullmatch(name)]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("value", [b"", b"/etc/passwd", b"../x", b"a b", b"@x", b"|id", b"a\nb"])
def test_no_value_is_a_path(family: Any, value: Any) -> None:
    for row in rows(family):
        if row.form == "joined" and row.name.endswith(b"=") and row.meaning == "plain" and row.value != "text":
            assert outcome(row.name + value, family) == "option", row


@pytest.mark.parametrize("family", FAMILIES)
def test_what_leaves_is_recognised_alone_and_undone(family: Any) -> None:
    for row in rows(family):
        if row.form == "flag" and row.meaning == "plain":
            assert outcome(row.name, family) is Meaning.PLAIN, row
            if row.name.startswith((b"-f", b"-m", b"-W")) and b"no-" not in row.name:
                assert outcome(row.name[:2] + b"no-" + row.name[2:], family) is not Meaning.EFFECT


@pytest.mark.parametrize(
    ("argument", "option"),
    [
        (b"-Ix", Option(b"-I", Meaning.SEARCH, b"x")),
        (b"-I", Option(b"-I", Meaning.SEARCH, separate=True)),
        (b"-isystemx", Option(b"-isystem", Meaning.SEARCH, b"x")),
        (b"-MFx", Option(b"-MF", Meaning.DEPENDENCY_FILE, b"x")),
        (b"-MD", Option(b"-MD", Meaning.DEPENDENCIES)),
        (b"--sysroot=x", Option(b"--sysroot", Meaning.SEARCH, b"x")),
        (b"-Wl,a,b", Option(b"-Wl,", Meaning.LINK, b"a,b")),
        (b"-Wp,-MD,x", Option(b"-Wp,-MD", Meaning.DEPENDENCIES, b"x")),
        (b"-Wp,-I,x", Option(b"-Wp,", Meaning.PREPROCESSOR, b"-I,x")),
        (b"-D" + b"x" * 5000, Option(b"-D", Meaning.MACRO, b"x" * 5000)),
        (b"-gsplit-dwarf", Option(b"-gsplit-dwarf", Meaning.EFFECT, suffix=b".dwo")),
        (b"-fno-stack-usage", Option(b"-fstack-usage", Meaning.EFFECT, suffix=b".su", off=True)),
        (b"-march=native", Option(b"-march=", Meaning.NATIVE, b"native")),
    ],
)
@pytest.mark.parametrize("family", FAMILIES)
def test_joined_and_separate(argument: Any, option: Option, family: Any) -> None:
    assert recognise(argument, family) == option


@pytest.mark.parametrize(
    ("family", "argument", "suffix", "off"),
    [
        ("gcc", b"-fcallgraph-info=su,da", b".ci", False),
        ("gcc", b"-gno-split-dwarf", b".dwo", True),
        ("clang", b"-gno-split-dwarf", b".dwo", True),
        ("clang", b"-ftime-trace", b".json", False),
        ("clang", b"-fno-test-coverage", b".gcno", True),
    ],
)
def test_effects(family: Any, argument: Any, suffix: Any, off: Any) -> None:
    option = recognise(argument, family)
    assert (option.meaning, option.suffix, option.off) == (Meaning.EFFECT, suffix, off)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        (b"-fplugin=x.so", "program"),
        (b"-specs=x", "program"),
        (b"-B/x", "program"),
        (b"-fdump-tree-all", "dump"),
        (b"-save-temps=obj", "dump"),
        (b"-E", "preprocess-only"),
        (b"-fsyntax-only", "syntax-only"),
        (b"-###", "information"),
        (b"-fno-such-option", "option"),
        (b"-Wa,-a=x", "assembler"),
        (b"-Wp,-MD,-fplugin=x", "option"),
        (b"-fno-plugin", "option"),
        (b"-flto=/x", "option"),
        (b"-I-", "search"),
    ],
)
def test_what_stays_and_why(family: Any, argument: Any, reason: str) -> None:
    assert outcome(argument, family) == reason


def test_long_arguments_are_not_remembered() -> None:
    before = options.recognise_short.cache_info().currsize
    recognise(b"-D" + b"y" * 1000)
    assert options.recognise_short.cache_info().currsize == before


@given(st.binary(max_size=20), st.sampled_from(FAMILIES))
def test_anything_is_known_or_stays_local(tail: Any, family: Any) -> None:
    for argument in (b"-" + tail, b"-f" + tail, b"-W" + tail, b"-m" + tail, b"--param=" + tail, b"-Wa," + tail):
        assert outcome(argument, family)


@pytest.mark.parametrize("value", [b"", b"=", b"x", b"x=1", b"ssp-buffer-size=", b"ssp-buffer-size=-1", b"@x=1"])
def test_parameters(value: Any) -> None:
    with pytest.raises(StaysLocal):
        check_separate(recognise(b"--param"), value)
    check_separate(recognise(b"--param"), b"ssp-buffer-size=4")


def test_show_is_one_printable_line() -> None:
    assert quote(b"\x1b\n\xff" + b"x" * 1000).isprintable()
    assert len(quote(b"x" * 1000)) < 220


def printed(*command: Any) -> Any:
    done = subprocess.run(
        command, capture_output=True, check=False, timeout=CEILING_S, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}
    )
    return done.stdout


def gcc_lists() -> Any:
    listed = set()
    for name in ("optimizers", "warnings", "target", "params", "common", "c", "c++", "objc", "objc++"):
        for match in re.finditer(rb"^  (-[^\s<\[]+)", printed("gcc", f"--help={name}"), re.MULTILINE):
            listed.add(match[1])
    return listed


def clang_lists() -> Any:
    return {line.partition(b"\t")[0] for line in printed("clang", "--autocomplete=-").splitlines() if line[:1] == b"-"}


@pytest.mark.parametrize(("family", "lists", "least"), [("gcc", gcc_lists, 1500), ("clang", clang_lists, 3000)])
def test_whatever_the_compiler_lists_has_been_judged(family: Any, lists: Any, least: Any) -> None:
    """Each is in the table, as something that leaves or with the reason why it stays."""
    listed = lists()
    assert len(listed) > least
    known = table(family)
    lacking = [name for name in listed if known.find(name.rstrip(b".").partition(b"=filename")[0]) is None]
    unnamed = [name for name in lacking if known.find(re.sub(rb"=.*", b"=", name) + b"1") is None]
    unnamed = [name for name in unnamed if known.find(name + b"1") is None]
    assert not unnamed


def test_gcc_knows_most_of_what_leaves(tmp_path: Path) -> None:
    """A table that gcc does not know would be a table of something else; a few names are other versions'."""
    (tmp_path / "a.cc").write_text("")
    flags = [
        row.name for row in rows("gcc") if row.form == "flag" and row.meaning == "plain" and row.name[1:2] in b"fW"
    ]
    command = ["gcc", "-M", *(option.decode() for option in sorted(flags)), "a.cc"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=CEILING_S)
    assert done.stderr.count(b"unrecognized") < len(flags) / 10
    assert {path.name for path in tmp_path.iterdir()} == {"a.cc"}
