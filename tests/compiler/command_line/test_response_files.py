"""securecc.compiler.command_line.response_files: what `@FILE` stands for, as gcc and clang read it."""

import subprocess
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.compiler.command_line.response_files import expand, split
from securecc.model import limits
from securecc.model.errors import StaysLocal
from tests.waiting import CEILING_S

FILES = {
    b"a": b"-O2 '-DX=a b'\n@b\n",
    b"b": b"-c a\\ b.c",
    b"self": b"-c @self",
    b"ping": b"@pong",
    b"pong": b"@ping",
    b"none": b" \n\t ",
}


def read(name: Any) -> Any:
    try:
        return FILES[name]
    except KeyError:
        raise StaysLocal("response-file", "not there") from None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", []),
        (b" \r\n\t", []),
        (b"a b\tc\nd\re", [b"a", b"b", b"c", b"d", b"e"]),
        (b"'a b' \"c d\"", [b"a b", b"c d"]),
        (b'-DX=\'"q"\' -DY="it\'s"', [b'-DX="q"', b"-DY=it's"]),
        (b"a\\ b a\\\\b \\n \\\nc", [b"a b", b"a\\b", b"n", b"\nc"]),
        (b"'a\\'b' \"a\\nb\"", [b"a'b", b"anb"]),
        (b"'' \"\" x''y", [b"", b"", b"xy"]),
        (b"\xff\xfe"[::-1][1:] + b"x", [b"\xffx"]),
    ],
)
def test_words(content: Any, words: Any) -> None:
    assert list(split(content)) == words


@pytest.mark.parametrize(
    "content",
    [b"'a", b'a"', b"a\\", b"a\vb", b"a\fb", b"a\0b", b"\xff\xfea\0", b"\xfe\xff\0a", b"\xef\xbb\xbfa", b"'a\\"],
)
def test_what_compilers_read_differently_stays_local(content: Any) -> None:
    with pytest.raises(StaysLocal) as caught:
        list(split(content))
    assert caught.value.reason == "response-file"


def test_files_stand_where_they_are_named() -> None:
    assert expand((b"gcc", b"-g", b"@a", b"-Wall"), read) == (
        *(b"gcc", b"-g", b"-O2", b"-DX=a b", b"-c", b"a b.c", b"-Wall"),
    )
    assert expand((b"gcc", b"-o", b"@none", b"x"), read) == (b"gcc", b"-o", b"x")
    assert expand((b"@a", b"-c"), read) == (b"@a", b"-c")


@pytest.mark.parametrize("name", [b"self", b"ping", b"nowhere"])
def test_what_has_no_end_or_is_not_there_stays_local(name: Any) -> None:
    with pytest.raises(StaysLocal):
        expand((b"gcc", b"@" + name), read)


def test_sizes_are_bounded() -> None:
    with pytest.raises(StaysLocal):
        expand((b"gcc", b"@x", b"@x"), lambda _: b" " * (limits.RESPONSE_BYTES // 2 + 1))


@given(st.lists(st.binary(max_size=8).filter(lambda word: not set(word) & set(b"\0\v\f")), max_size=6))
def test_quoted_words_come_back(words: Any) -> None:
    quoted = b" ".join(b"'" + word.replace(b"\\", b"\\\\").replace(b"'", b"\\'") + b"'" for word in words)
    assert list(split(quoted)) == words


@given(st.binary(max_size=40))
def test_anything_is_words_or_stays_local(content: Any) -> None:
    try:
        words = list(split(content))
    except StaysLocal:
        return
    assert sum(map(len, words)) <= len(content)


@settings(max_examples=25)
@given(st.text("ab \n\t'\"\\=", max_size=14))
def test_compilers_agree(tmp_path_factory: pytest.TempPathFactory, text: Any) -> None:
    """gcc and clang define the very macros that we think they do."""
    folder = tmp_path_factory.mktemp("response")
    (folder / "rsp").write_text(f"-DV={text}")
    (folder / "a.c").write_text("V\n")
    try:
        words = list(split(f"-DV={text}".encode()))
    except StaysLocal:
        return
    for compiler in ("gcc", "clang"):
        ours, theirs = (
            subprocess.run(
                [compiler, "-E", "-P", "a.c", *end], cwd=folder, capture_output=True, check=False, timeout=CEILING_S
            )
            for end in (words, ["@rsp"])
        )
        assert (theirs.returncode, theirs.stdout) == (ours.returncode, ours.stdout)
