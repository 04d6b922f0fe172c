"""securecc.client.compile.argument_files: reads what a command line names, and nothing that would hold it up."""

import os
from pathlib import Path

import pytest

from securecc.client.compile.argument_files import expanded, without_specs
from securecc.model import limits
from securecc.model.errors import StaysLocal


def test_files_are_read_from_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a").write_bytes(b"-O2 @sub/b")
    (tmp_path / "sub/b").write_bytes(b"'x y.c'")
    assert expanded((b"gcc", b"@sub/a", b"-c"), bytes(tmp_path)) == (b"gcc", b"-O2", b"x y.c", b"-c")
    assert expanded((b"gcc", b"@" + bytes(tmp_path / "sub/b")), b"/") == (b"gcc", b"x y.c")


def test_without_any_nothing_is_read() -> None:
    assert expanded((b"gcc", b"-c", b"a.c"), b"/nowhere") == (b"gcc", b"-c", b"a.c")


def test_what_is_no_plain_file_stays_local(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large").write_bytes(b" " * (limits.RESPONSE_BYTES + 1))
    (tmp_path / "self").write_bytes(b"@self")
    for name in (b"fifo", b"large", b"self", b"nowhere", b".", b"", b"a\0b"):
        with pytest.raises(StaysLocal) as caught:
            expanded((b"gcc", b"@" + name), bytes(tmp_path))
        assert caught.value.reason == ("special" if name == b"fifo" else "response-file")


def test_a_specs_file_is_read_and_left_out(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path / "x.specs")
    (tmp_path / "x.specs").write_text("*self_spec:\n+ %{!r:%{!fPIC:-fno-PIE}}\n")
    assert without_specs((b"gcc", b"-specs=" + path, b"-c")) == ((b"gcc", b"-c", b"-fno-PIE"), True)
    assert without_specs((b"gcc", b"-c")) == ((b"gcc", b"-c"), False)
    os.mkfifo(tmp_path / "fifo")
    for name in (b"fifo", b"none", b"."):
        with pytest.raises(StaysLocal) as local:
            without_specs((b"gcc", b"-specs=" + os.fsencode(tmp_path) + b"/" + name))
        assert local.value.reason == ("special" if name == b"fifo" else "program")
