"""securecc.compiler.command_line.option_table: how a spelling finds its row."""

import runpy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.compiler.command_line.option_table import Row, table


@pytest.mark.parametrize(
    ("argument", "name", "value"),
    [
        (b"-c", b"-c", b""),
        (b"-Idir", b"-I", b"dir"),
        (b"-isystemdir", b"-isystem", b"dir"),
        (b"-std=c++20", b"-std=c++20", b""),
        (b"-std=c++99", b"-std=", b"c++99"),
        (b"-fdebug-prefix-map=a=b", b"-fdebug-prefix-map=", b"a=b"),
        (b"--param=ssp-buffer-size=4", b"--param=ssp-buffer-size=", b"4"),
        (b"-O3", b"-O", b"3"),
        (b"-Wl,-x,y", b"-Wl,", b"-x,y"),
        (b"-g", b"-g", b""),
    ],
)
def test_rows(argument: Any, name: Any, value: Any) -> None:
    found = table("gcc").find(argument)
    assert found is not None
    row, joined = found
    assert (row.name, joined) == (name, value)


@pytest.mark.parametrize("argument", [b"-ffixed", b"--param", b"-nonsense", b"-f", b"", b"-"])
def test_what_is_none(argument: Any) -> None:
    found = table("clang").find(argument)
    assert found is None or found[0].name == argument


@pytest.mark.parametrize(
    ("value", "taken", "refused"),
    [
        ("number", b"12", b"-1"),
        ("size", b"12KiB", b"12 KiB"),
        ("word", b"a,b+c=1", b"a/b"),
        ("text", b"/a b\n", None),
        ("a|b", b"b", b"a|b"),
        ("-", b"-", b"x"),
    ],
)
def test_values(value: Any, taken: Any, refused: Any) -> None:
    row = Row(b"-x=", "joined", value, "compiler", "plain")
    assert row.takes(taken)
    assert refused is None or not row.takes(refused)


MAKER = runpy.run_path(str(Path(__file__).parents[3] / "tools/options"))


@pytest.mark.parametrize("family", ["gcc", "clang"])
def test_tables_are_as_judged(family: Any) -> None:
    assert (MAKER["TABLES"] / f"{family}.tsv").read_text() == MAKER["text"](family, MAKER["load"](family))


def _new(family: Any, asked: Any) -> Any:
    """The lines of the table as it would be made now that are not those of the table as it is."""
    made = MAKER["text"](family, {**MAKER["load"](family), **asked})
    return set(made.splitlines()) - set((MAKER["TABLES"] / f"{family}.tsv").read_text().splitlines())


@pytest.mark.parametrize("compiler", ["gcc", "aarch64-linux-gnu-gcc"])
def test_the_table_is_what_gcc_says(compiler: Any) -> None:
    asked = MAKER["gcc_rows"](compiler)
    assert len(asked) > 1500
    assert not _new("gcc", asked)


@cache
def clang_names() -> Any:
    return MAKER["clang_names"]("clang")


def test_the_table_has_what_clang_lists() -> None:
    assert len(clang_names()) > 1500
    assert not set(clang_names()) - MAKER["load"]("clang").keys()


@settings(max_examples=25)
@given(data=st.data())
def test_the_table_is_what_clang_says(data: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Of some options: each is tried twice, and clang has thousands."""
    name = data.draw(st.sampled_from(clang_names()))
    row = MAKER["clang_row"]("clang", name, str(tmp_path_factory.mktemp("tried")))
    assert not _new("clang", {name: row})


def test_the_page_is_of_these_tables() -> None:
    assert MAKER["BEGIN"] + "\n" + MAKER["page"]() + "\n" + MAKER["END"] in MAKER["PAGE"].read_text()


def test_every_judgement_is_of_an_option(tmp_path: Path) -> None:
    """A pattern that fits nothing is a mistake in the pattern, or of a compiler that nobody has asked."""
    rules, _ = MAKER["judgements"]()
    rows = {family: MAKER["load"](family).values() for family in ("gcc", "clang")}
    idle = {
        (rule.family, rule.pattern)
        for rule in rules
        if not any(rule.fits(family, row) for family in rows for row in rows[family])
    }
    assert not idle
