"""securecc.compiler.command_line.arguments: operands stay operands, and what is kept for -M is what decides."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.compiler.command_line.arguments import Argument, ParsedArguments, SearchOption
from securecc.compiler.command_line.options import recognise
from securecc.model.errors import StaysLocal

TAKES_ONE = [b"-I", b"-isystem", b"-iquote", b"-idirafter", b"-isysroot", b"--sysroot", b"-include", b"-imacros"]
TAKES_ONE += [b"-D", b"-U", b"-o", b"-MF", b"-MT", b"-MQ", b"-L", b"-l", b"-Xlinker", b"-T", b"-z", b"-u", b"-e"]
FAMILIES = st.sampled_from(["gcc", "clang"])


def read(*words: Any, family: Any = "gcc") -> Any:
    arguments = ParsedArguments(family)
    arguments.parse(words)
    return arguments


def words_of(arguments: Iterable[Argument]) -> list[bytes]:
    return [word for argument in arguments for word in argument.words]


@pytest.mark.parametrize("option", TAKES_ONE)
@pytest.mark.parametrize("family", ["gcc", "clang"])
def test_an_operand_is_no_option(option: bytes, family: Any) -> None:
    """Whatever stands behind an option that takes a value is its value, not an option or a source of its own."""
    for operand in (b"-fplugin=x.so", b"--param", b"x.c", b"-c"):
        seen = read(option, operand, b"a.c", family=family)
        assert words_of(seen.sources) == [b"a.c"]
        assert seen.modes == set()


@pytest.mark.parametrize("option", TAKES_ONE)
def test_no_operand_is_a_response_file(option: bytes) -> None:
    for words in ((option, b"@x", b"a.c"), (option + b"@x", b"a.c")):
        if recognise(option).separate and not option.startswith(b"--") and option not in {b"-z", b"-Xlinker"}:
            with pytest.raises(StaysLocal):
                read(*words)


@pytest.mark.parametrize("option", TAKES_ONE)
def test_a_missing_operand_stays_local(option: bytes) -> None:
    with pytest.raises(StaysLocal) as caught:
        read(b"a.c", option)
    assert caught.value.reason == "option-value"


def test_kept_is_what_decides_what_is_read() -> None:
    seen = read(
        *b"-O2 -MD -o x -Ii a.c -D X=1 -l m -march=haswell --param ssp-buffer-size=4 -fprofile-use=p -w".split()
    )
    assert (
        words_of(argument for argument in seen.arguments if argument.affects_input)
        == b"-O2 -Ii a.c -D X=1 -march=haswell --param ssp-buffer-size=4 -fprofile-use=p -w".split()
    )
    assert (
        words_of(argument for argument in seen.arguments if argument.chooses_processor)
        == b"-march=haswell --param ssp-buffer-size=4".split()
    )
    assert seen.search_options == [SearchOption(b"-I", b"i")]
    assert (seen.uses_profile, seen.profile_path, seen.macros) == (True, b"p", [b"DX=1"])


@given(
    st.lists(st.sampled_from([*TAKES_ONE, b"-O2", b"-w", b"a.c", b"-MD", b"-m64", b"-x", b"c"]), max_size=10), FAMILIES
)
def test_each_argument_is_told_apart_once(words: Any, family: Any) -> None:
    try:
        seen = read(*words, family=family)
    except StaysLocal:
        return
    assert words_of(seen.arguments) == words
    assert seen.sources == [argument for argument in seen.arguments if argument.meaning is None]


@given(st.lists(st.binary(max_size=10), max_size=8), FAMILIES)
def test_anything_is_understood_or_stays_local(words: Any, family: Any) -> None:
    try:
        read(*words, family=family)
    except StaysLocal as error:
        assert error.reason  # noqa: PT017 - either outcome will do, but no other


def test_the_last_word_counts() -> None:
    assert read(b"-fstack-usage", b"-fno-stack-usage").output_options.effects == {b".su": False}
    assert read(b"-gno-split-dwarf", b"-gsplit-dwarf").output_options.effects == {b".dwo": True}
    assert read(b"-gsplit-dwarf=single", family="clang").output_options.effects == {b".dwo": False}
    assert read(b"-fbranch-probabilities", b"-fno-profile-use").uses_profile
    assert not read(b"-fno-profile-use").uses_profile
    assert read(b"-march=native", b"-mtune=native", b"-w").native_option == b"-mtune=native"


def test_files_that_are_read_and_include_none() -> None:
    assert read(b"-fsanitize-ignorelist=a", b"-fprofile-list=b", family="clang").option_files == [b"a", b"b"]
    assert read(b"-Xpreprocessor", b"-DX=1").macros == [b"DX=1"]


def test_directories_that_are_put_together() -> None:
    seen = read(*b"-iprefix a/ -iwithprefix b -iprefix c -iwithprefixbefore d -I e".split())
    assert seen.search_options == [
        SearchOption(b"-idirafter", b"a/b"),
        SearchOption(b"-I", b"cd"),
        SearchOption(b"-I", b"e"),
    ]
    with pytest.raises(StaysLocal):
        read(b"-iwithprefix", b"b")
