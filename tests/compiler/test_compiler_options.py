"""securecc.compiler.options: the tables hold together, and are GCC's own."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.compiler import options
from securecc.compiler import options_gcc as gcc
from securecc.compiler.options import Meaning, Option, check_parameter, recognise, show
from securecc.words.errors import StaysLocal


def spelled():
    for name in gcc.FLAGS:
        yield from (b"-f" + name, b"-fno-" + name)
    for name in gcc.MACHINE:
        yield from (b"-m" + name, b"-mno-" + name)
    for name in gcc.WARNINGS:
        yield from (b"-W" + name, b"-Wno-" + name, b"-Werror=" + name, b"-Wno-error=" + name)
    yield from (b"-" + name for name in gcc.PLAIN)
    yield from (b"-std=" + name for name in gcc.STANDARDS)
    yield from (b"-Wa," + name for name in gcc.ASSEMBLER)
    yield from (b"--param=" + name + b"=1" for name in gcc.PARAMETERS)
    for choices, form in ((gcc.FLAG_CHOICES, b"-f%s=%s"), (gcc.PARAMETER_CHOICES, b"--param=%s=%s")):
        for name, values in choices.items():
            yield from (form % (name, value) for value in values.split(b"|"))


def test_tables_are_recognised():
    assert {recognise(option).meaning for option in spelled()} == {Meaning.PLAIN}


DANGEROUS = (
    b"plugin -fdump -mdump specs= wrapper save-temps mapper callgraph auto-profile profile-use opt-info aux self-test"
).split()


def test_tables_name_nothing_dangerous():
    for option in spelled():
        assert not any(word in option for word in DANGEROUS), option


def test_types_do_not_overlap():
    tables = (gcc.FLAG_NUMBERS, gcc.FLAG_WORDS, gcc.FLAG_TEXTS, frozenset(gcc.FLAG_CHOICES))
    assert sum(map(len, tables)) == len(frozenset().union(*tables))
    assert not gcc.MACHINE_NUMBERS & gcc.MACHINE_WORDS


@pytest.mark.parametrize("name", sorted(gcc.FLAG_WORDS | gcc.FLAG_NUMBERS | frozenset(gcc.FLAG_CHOICES)))
@pytest.mark.parametrize("value", [b"", b"/etc/passwd", b"../x", b"a b", b"@x", b"|id", b"a\nb"])
def test_no_value_is_a_path(name, value):
    with pytest.raises(StaysLocal):
        recognise(b"-f" + name + b"=" + value)


@pytest.mark.parametrize("name", sorted(gcc.MACHINE_WORDS | gcc.MACHINE_NUMBERS))
@pytest.mark.parametrize("value", [b"", b"native", b"/x", b"|id", b"@x"])
def test_no_machine_value_is_a_path(name, value):
    with pytest.raises(StaysLocal):
        recognise(b"-m" + name + b"=" + value)


@pytest.mark.parametrize(
    ("argument", "option"),
    [
        (b"-Ix", Option(b"-I", Meaning.SEARCH, b"x")),
        (b"-I", Option(b"-I", Meaning.SEARCH, separate=True)),
        (b"-isystemx", Option(b"-isystem", Meaning.SEARCH, b"x")),
        (b"-MFx", Option(b"-MF", Meaning.DEPENDENCY_FILE, b"x")),
        (b"-MD", Option(b"-MD", Meaning.DEPENDENCIES)),
        (b"--sysroot=x", Option(b"--sysroot", Meaning.SEARCH, b"x")),
        (b"-Wl,a,b", Option(b"-Wl,", Meaning.LINK)),
        (b"-Wp,-MD,x", Option(b"-Wp,-MD", Meaning.DEPENDENCIES, b"x")),
        (b"-D" + b"x" * 5000, Option(b"-D", Meaning.MACRO, b"x" * 5000)),
    ],
)
def test_joined_and_separate(argument, option):
    assert recognise(argument) == option


def test_long_arguments_are_not_remembered():
    before = options._recognise_known.cache_info().currsize
    recognise(b"-D" + b"y" * 1000)
    assert options._recognise_known.cache_info().currsize == before


@given(st.binary(max_size=20))
def test_anything_is_known_or_stays_local(tail):
    for argument in (b"-" + tail, b"-f" + tail, b"-W" + tail, b"-m" + tail, b"--param=" + tail):
        try:
            recognise(argument)
        except StaysLocal as error:
            assert error.reason  # noqa: PT017 - either outcome will do, but no other


@pytest.mark.parametrize("value", [b"", b"=", b"x", b"x=1", b"ssp-buffer-size=", b"ssp-buffer-size=-1", b"vrp1-mode=x"])
def test_parameters(value):
    with pytest.raises(StaysLocal):
        check_parameter(value)


def test_show_is_one_printable_line():
    assert show(b"\x1b\n\xff" + b"x" * 1000).isprintable()
    assert len(show(b"x" * 1000)) < 220


@pytest.mark.parametrize(
    "family", [[b"-W" + name for name in gcc.WARNINGS], [b"-f" + name for name in gcc.FLAGS]], ids=["warnings", "flags"]
)
def test_gcc_knows_most_of_them(tmp_path, family):
    """A table that gcc does not know would be a table of something else; a few names are other versions'."""
    (tmp_path / "a.cc").write_text("")
    command = ["gcc", "-M", *(option.decode() for option in sorted(family)), "a.cc"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=60)
    assert done.stderr.count(b"unrecognized") < len(family) / 25
    assert {path.name for path in tmp_path.iterdir()} == {"a.cc"}
