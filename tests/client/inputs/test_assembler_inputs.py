"""securecc.client.inputs.assembler_inputs: what is read beside all includes, by any name that it could have."""

import os
from pathlib import Path

import pytest

from securecc.client.inputs.assembler_inputs import AssemblerInputs, AssemblerScanner
from securecc.client.inputs.caches.directory_cache import DirectoryCache
from securecc.client.inputs.caches.file_cache import FileCache
from securecc.client.inputs.caches.interning import Interner
from securecc.client.inputs.input_set import InputSet
from securecc.client.inputs.name_watch import NameWatchBuilder
from securecc.model import limits
from securecc.model.errors import StaysLocal


class World:
    """Files below one directory, which is the working directory; a.c is read, `inc` is searched."""

    def __init__(self, top: Path) -> None:
        self.top = top.resolve()
        (top / "inc/deep").mkdir(parents=True)

    def put(self, **texts: str) -> None:
        for name, text in texts.items():
            path = self.top / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def scan(self, *macros: bytes, source: str = "a.c", assembly: bool = False) -> AssemblerInputs:
        files = FileCache()
        here = os.fsencode(self.top)
        self.inputs = InputSet(files)
        self.inputs.add_read(here + b"/" + source.encode())
        watches = NameWatchBuilder(DirectoryCache(), Interner())
        directories = (here, here, here + b"/inc", here + b"/nowhere")
        return AssemblerScanner(self.inputs, watches, files, directories).scan(macros, is_assembly=assembly)

    @property
    def found(self) -> set[str]:
        return {os.path.relpath(path, os.fsencode(self.top)).decode() for path in self.inputs.files}

    @property
    def embedded(self) -> set[str]:
        return {os.path.relpath(path, os.fsencode(self.top)).decode() for path in self.inputs.embedded}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_name_is_looked_for_everywhere(world: World) -> None:
    world.put(a_c='asm(".incbin \\"d.bin\\"");\n', d_bin="1", inc__d_bin="2", inc__deep__d_bin="3")
    assembled = world.scan()
    assert world.embedded == {"d.bin", "inc/d.bin"}
    assert assembled.names == {b"d.bin"}
    assert not assembled.incomplete


def test_what_is_included_may_include(world: World) -> None:
    world.put(
        a_c='asm(".include \\"m.inc\\"");\n', inc__m_inc='.include "n.inc"\n.include "m.inc"\n', n_inc='.incbin "d"'
    )
    world.put(d="1")
    assert world.scan().names == {b"m.inc", b"n.inc", b"d"}
    assert world.found == {"a.c", "inc/m.inc", "n.inc", "d"}
    assert world.embedded == {"d"}


def test_bytes_that_are_embedded_say_nothing(world: World) -> None:
    world.put(a_c="#embed <d.bin>\n", inc__d_bin='.include "m.inc"\n', m_inc="1")
    world.scan()
    assert world.found == {"a.c", "inc/d.bin"}


@pytest.mark.parametrize(
    "text",
    [
        '#include "incbin.h"\nINCBIN("deep/d.bin");\nasm(".incbin \\"" X "\\"");\n',
        "asm(STR(.incbin deep/d.bin));\n",
        'asm(".inc" "bin \\"deep/d.bin\\"");\n',
        'asm(".macro m f\\n.incbin \\"\\\\f\\"\\n.endm\\nm deep/d.bin\\n");\n',
    ],
)
def test_where_a_name_is_put_together_any_word_may_be_it(world: World, text: str) -> None:
    world.put(a_c=text, inc__deep__d_bin="1", deep__d_bin="2", unnamed_bin="3")
    assembled = world.scan()
    assert assembled.incomplete
    assert {"deep/d.bin", "inc/deep/d.bin"} <= world.embedded
    assert b"deep/d.bin" in assembled.names
    assert "unnamed.bin" not in world.found


def test_a_word_of_the_command_line(world: World) -> None:
    world.put(a_S=".incbin F\n", d_bin="1")
    world.scan(b'DF="d.bin"', source="a.S", assembly=True)
    assert world.found == {"a.S", "d.bin"}


def test_a_word_that_is_a_whole_path(world: World) -> None:
    world.put(a_s=f'.macro m f\n.incbin "\\f"\n.endm\nm {world.top}/x__y\nm /dev/null\n', x__y="1")
    (world.top / "x__y").write_text("1")
    world.scan(source="a.s", assembly=True)
    assert world.found == {"a.s", "x__y"}


def test_macros_of_assembly_are_no_names_in_c_and_the_other_way_round(world: World) -> None:
    world.put(a_c='.macro m f\n.\\f "x"\n.endm\n', a_s='.macro m f\n.\\f "x"\n.endm\n')
    assert world.scan(source="a.s", assembly=True).incomplete
    world.put(b_s='nop # ".rept"\n')
    assert not world.scan(source="b.s", assembly=True).incomplete


@pytest.mark.parametrize("text", ['asm(".incbin \\"" NAME "\\"");', 'asm(".incbin \\"" "../" "a.c" "\\"");'])
def test_a_name_that_cannot_be_guessed_stays_local(world: World, text: str) -> None:
    world.put(a_c=text)
    with pytest.raises(StaysLocal) as caught:
        world.scan()
    assert caught.value.reason == "assembler"


def test_macros_that_put_no_name_together_need_no_file(world: World) -> None:
    world.put(a_s=".macro m f\n\\f\\()q eax\n.endm\n")
    assert world.scan(source="a.s", assembly=True).incomplete
    assert world.found == {"a.s"}


def test_too_many_names(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REACHED_FILES", 3)
    world.put(a_c='asm(".inc" "bin " N); int a, b, c, d;', a="", b="", c="", d="")
    with pytest.raises(StaysLocal, match="more than 3 files"):
        world.scan()


def test_what_is_no_file_is_none(world: World) -> None:
    world.put(a_c='asm(".inc" "bin \\"inc\\""); char *s = "fifo";', x="")
    os.mkfifo(world.top / "fifo")
    with pytest.raises(StaysLocal):  # nothing else is there to be read
        world.scan()
