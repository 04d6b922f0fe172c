"""securecc.compiler.option_table: how a spelling finds its row."""

import runpy
from pathlib import Path

import pytest

from securecc.compiler.option_table import Row, table


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
def test_rows(argument, name, value):
    row, joined = table("gcc").find(argument)
    assert (row.name, joined) == (name, value)


@pytest.mark.parametrize("argument", [b"-ffixed", b"--param", b"-nonsense", b"-f", b"", b"-"])
def test_what_is_none(argument):
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
def test_values(value, taken, refused):
    row = Row(b"-x=", "joined", value, "compiler", "plain")
    assert row.takes(taken)
    assert refused is None or not row.takes(refused)


MAKER = runpy.run_path(str(Path(__file__).parents[2] / "tools/options"))


@pytest.mark.parametrize("family", ["gcc", "clang"])
def test_tables_are_as_judged(family):
    assert (MAKER["TABLES"] / f"{family}.tsv").read_text() == MAKER["text"](family, MAKER["load"](family))


def test_the_page_is_of_these_tables():
    assert MAKER["BEGIN"] + "\n" + MAKER["page"]() + "\n" + MAKER["END"] in MAKER["PAGE"].read_text()


def test_every_judgement_is_of_an_option(tmp_path):
    """A pattern that fits nothing is a mistake in the pattern, or of a compiler that nobody has asked."""
    rules, _ = MAKER["judgements"]()
    rows = {family: MAKER["load"](family).values() for family in ("gcc", "clang")}
    idle = {
        (rule.family, rule.pattern)
        for rule in rules
        if not any(rule.fits(family, row) for family in rows for row in rows[family])
    }
    assert not idle
