"""securecc.compiler.dependencies, by itself and against what gcc prints for odd names."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.compiler.dependencies import marked, parse
from securecc.words.errors import StaysLocal


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
def test_names(output, names):
    assert list(parse(output)) == names


@pytest.mark.parametrize(
    "output",
    [b"", b"\n", b"a.o a.c\n", b"a.o: a.c", b"a.o: a.c\nb.h:\n", b"a.o: a\nb.c\n", b"a.o: a.c b.h\\\n", b"a.o:\n"],
)
def test_anything_else_stays_local(output):
    with pytest.raises(StaysLocal) as caught:
        parse(output)
    assert caught.value.reason == "dependencies"


@given(st.binary(max_size=60))
def test_parses_or_stays_local(body):
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


def test_odd_names_as_gcc_writes_them(tmp_path):
    for name in ODD:
        (tmp_path / name).write_text("")
    (tmp_path / "an odd$ #source.c").write_text("".join(f'#include "{name}"\n' for name in ODD))
    command = ["gcc", "-M", "an odd$ #source.c"]
    output = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, timeout=30).stdout
    # /usr/include/stdc-predef.h follows the source
    assert [name for name in parse(output) if b"stdc-predef" not in name] == [
        b"an odd$ #source.c",
        *(name.encode() for name in ODD),
    ]


@pytest.mark.parametrize("name", ["new\nline.h", "\nleading.h", "trailing\n"])
def test_newlines_stay_local(tmp_path, name):
    (tmp_path / name).write_text("")
    (tmp_path / "a.c").write_text("")
    command = ["gcc", "-M", "-include", name, "a.c"]
    output = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, timeout=30).stdout
    with pytest.raises(StaysLocal):
        parse(output)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("name", ["q.y", "sp ace", 'quo"te', "back\\slash", "ü", "a/b"])
def test_what_linemarkers_name(tmp_path, compiler, name):
    spelled = name.replace("\\", "\\\\").replace('"', '\\"')
    (tmp_path / "a.c").write_text(f'#define L "{spelled}"\n#line 7 L\nint a; char *s = "# 1 \\"x\\"";\n')
    done = subprocess.run([compiler, "-E", "a.c"], cwd=tmp_path, capture_output=True, check=True, timeout=30)
    assert {b"a.c", name.encode()} <= set(marked(done.stdout))
    assert b"x" not in marked(done.stdout)


@given(st.binary(max_size=200) | st.text(alphabet='# 1"\\x0\n', max_size=60).map(str.encode))
def test_any_text_has_linemarkers_or_none(text):
    assert all(b"\n" not in name or b"\\" in text for name in marked(text))
