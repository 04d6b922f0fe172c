"""securecc.compiler.source.dependency_output, by itself and against what gcc prints for odd names."""

import contextlib
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.compiler.source.dependency_output import line_names, parse, searched, selected
from securecc.model.errors import StaysLocal
from tests.waiting import CEILING_S


@pytest.mark.parametrize(
    ("output", "names"),
    [
        (b"a.o: a.c\n", [b"a.c"]),
        (b"a.o: a.c /usr/include/x.h \\\n y.h\n", [b"a.c", b"/usr/include/x.h", b"y.h"]),
        (b"a.o: \\\n a.c \\\n b.h\n", [b"a.c", b"b.h"]),
        (b"a.o: a.c b.h b.h a.c\n", [b"a.c", b"b.h"]),
        (b"a.o: a\\ b.c c$$d.h e\\#f.h g\\h.h\n", [b"a b.c", b"c$d.h", b"e#f.h", b"g\\h.h"]),
        (b"a.o: a\\\\\\ b.c x\\\\y.h\n", [b"a\\ b.c", b"x\\\\y.h"]),
        (b"a.o: a\\\tb.c\n", [b"a\tb.c"]),
        (b"a\\ b.o: a\\ b.c\n", [b"a b.c"]),
        (b"a:b.o: a:b.c\n", [b"a:b.c"]),
        (b"a.o: \xff\xc3.c\n", [b"\xff\xc3.c"]),
    ],
)
def test_names(output: Any, names: Any) -> None:
    assert list(parse(output)) == names


@pytest.mark.parametrize(
    "output",
    [b"", b"\n", b"a.o a.c\n", b"a.o: a.c", b"a.o: a.c\nb.h:\n", b"a.o: a\nb.c\n", b"a.o: a.c b.h\\\n", b"a.o:\n"],
)
def test_anything_else_stays_local(output: Any) -> None:
    with pytest.raises(StaysLocal) as caught:
        parse(output)
    assert caught.value.reason == "dependencies"


@given(st.binary(max_size=60))
def test_parses_or_stays_local(body: Any) -> None:
    for output in (body, b"a.o: " + body + b"\n"):
        try:
            names = parse(output)
        except StaysLocal:
            continue
        assert all(names)


ODD = [
    "plain.h",
    "with blank.h",
    "two  blanks.h",
    "tab\there.h",
    "dol$lar.h",
    "ha#sh.h",
    "back\\slash.h",
    "é.h",
    "c:d.h",
]


def test_odd_names_as_gcc_writes_them(tmp_path: Path) -> None:
    for name in ODD:
        (tmp_path / name).write_text("")
    (tmp_path / "an odd$ #source.c").write_text("".join(f'#include "{name}"\n' for name in ODD))
    command = ["gcc", "-M", "an odd$ #source.c"]
    output = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, timeout=CEILING_S).stdout
    # /usr/include/stdc-predef.h follows the source
    assert [name for name in parse(output) if b"stdc-predef" not in name] == [
        b"an odd$ #source.c",
        *(name.encode() for name in ODD),
    ]


@pytest.mark.parametrize("name", ["new\nline.h", "\nleading.h", "trailing\n"])
def test_newlines_stay_local(tmp_path: Path, name: Any) -> None:
    (tmp_path / name).write_text("")
    (tmp_path / "a.c").write_text("")
    command = ["gcc", "-M", "-include", name, "a.c"]
    output = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, timeout=CEILING_S).stdout
    with pytest.raises(StaysLocal):
        parse(output)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("name", ["q.y", "sp ace", 'quo"te', "back\\slash", "ü", "a/b"])
def test_what_linemarkers_name(tmp_path: Path, compiler: Any, name: Any) -> None:
    spelled = name.replace("\\", "\\\\").replace('"', '\\"')
    (tmp_path / "a.c").write_text(f'#define L "{spelled}"\n#line 7 L\nint a; char *s = "# 1 \\"x\\"";\n')
    done = subprocess.run([compiler, "-E", "a.c"], cwd=tmp_path, capture_output=True, check=True, timeout=CEILING_S)
    assert {b"a.c", name.encode()} <= set(line_names(done.stdout))
    assert b"x" not in line_names(done.stdout)


@given(st.binary(max_size=200) | st.text(alphabet='# 1"\\x0\n', max_size=60).map(str.encode))
def test_any_text_has_linemarkers_or_none(text: Any) -> None:
    assert all(b"\n" not in name or b"\\" in text for name in line_names(text))


@pytest.mark.parametrize("command", [("gcc",), ("g++", "-m32"), ("clang",), ("clang++", "--target=aarch64-linux-gnu")])
def test_where_a_compiler_looks(tmp_path: Path, command: str) -> None:
    (tmp_path / "a.c").write_text("#include <stddef.h>\n")
    options = ["-M", "-v", "-I", str(tmp_path / "none"), "a.c"]
    done = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, check=True, timeout=CEILING_S)
    directories = searched(done.stderr)
    assert {b"/usr/include", bytes(tmp_path / "none")} <= set(directories)
    header = next(path for path in parse(done.stdout) if path.endswith(b"/stddef.h"))
    assert header.removesuffix(b"/stddef.h") in directories
    assert all((gcc + b"/").startswith(b"/") for gcc in selected(done.stderr))


def test_a_compiler_that_does_not_say_where_it_looks() -> None:
    with pytest.raises(StaysLocal):
        searched(b"#include <...> search starts here:\n /usr/include\n")


def test_which_gcc_a_clang_takes() -> None:
    said = b"Found candidate GCC installation: /a\nSelected GCC installation: /g/12\nSelected multilib: %s;@m32\n"
    assert selected(said % b"32") == (b"/g/12", b"/g/12/32")
    assert selected(said % b".") == (b"/g/12", b"/g/12/.")
    assert selected(b"Found candidate GCC installation: /a\n") == ()


@given(st.binary(max_size=200))
def test_what_a_compiler_says_is_read_or_refused(said: Any) -> None:
    with contextlib.suppress(StaysLocal):
        assert all(path.startswith(b"/") for path in searched(said))
    assert all(path.startswith(b"/") for path in selected(said))
