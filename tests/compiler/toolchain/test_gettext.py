"""securecc.compiler.toolchain.gettext: languages as gettext(3) spells them."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.compiler.toolchain.gettext import is_language, spellings
from tests.waiting import CEILING_S


@pytest.mark.parametrize(
    ("language", "spelled"),
    [
        (b"de", {b"de"}),
        (b"pt_BR", {b"pt_BR", b"pt"}),
        (b"de_AT.UTF-8", {b"de_AT.UTF-8", b"de_AT.utf8", b"de_AT", b"de.UTF-8", b"de.utf8", b"de"}),
        (b"ca@valencia", {b"ca@valencia", b"ca"}),
        (b"zh.8859-1", {b"zh.8859-1", b"zh.iso88591", b"zh"}),
        (b"C.UTF-8", {b"C.UTF-8"}),
        (b"../x", {b"../x"}),
    ],
)
def test_spellings(language: Any, spelled: Any) -> None:
    assert set(spellings(language)) == spelled


@given(st.text(alphabet="abXY_.@/-8", max_size=12).map(str.encode) | st.binary(max_size=8))
def test_a_language_is_no_path(name: Any) -> None:
    if is_language(name):
        assert b"/" not in name
        assert not name.startswith(b".")


@pytest.mark.parametrize("language", ["de_AT.UTF-8@euro", "pt_BR", "fr.ISO-8859-15"])
def test_where_gcc_itself_looks(tmp_path: Path, language: Any) -> None:
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "LANGUAGE": language}
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-e", "trace=openat", "-o", str(trace), "gcc", "-c", "none.c"]
    subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, check=False, timeout=CEILING_S)
    opened = {part for part in trace.read_text().split('"') if part.endswith("/LC_MESSAGES/gcc-12.mo")}
    looked = {path.split("/")[-3].encode() for path in opened}
    assert looked <= set(spellings(language.encode()))
    assert language.encode() in looked or opened
