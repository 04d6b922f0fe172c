"""securecc.client.inputs.include_scanner: all that includes can reach is found, without asking the compiler."""

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from securecc.client.inputs.caches.directory_cache import DirectoryCache
from securecc.client.inputs.include_scanner import IncludeScanner, Where
from securecc.client.inputs.include_search import SearchPath
from securecc.client.inputs.spelled_paths import under
from securecc.compiler.source.directives import Directives, scan
from securecc.model import limits
from securecc.model.errors import StaysLocal
from tests.waiting import CEILING_S


class World:
    """Files by name below one directory."""

    def __init__(self, top: Path, files: dict[str, str]) -> None:
        self.top = os.fsencode(top.resolve())
        for name, text in files.items():
            path = top / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def reached(
        self, source: str = "a.c", forced: Iterable[str] = (), quoted: Iterable[str] = (), bracketed: Iterable[str] = ()
    ) -> set[str]:
        search_path = SearchPath(
            *(tuple(under(self.top, os.fsencode(name)) for name in names) for names in (quoted, bracketed))
        )
        found = []

        def read(path: bytes) -> tuple[Directives, Where]:
            found.append(path)
            with open(path, "rb") as file:
                return scan(file.read()), (os.path.realpath(path), os.path.realpath(os.path.dirname(path)))

        scanner = IncludeScanner(search_path, DirectoryCache().listing, read)
        scanner.scan(under(self.top, os.fsencode(source)), [os.fsencode(name) for name in forced], self.top)
        assert len(found) == len(set(found))
        return {os.fsdecode(os.path.relpath(path, self.top)) for path in found}


def test_conditions_are_not_evaluated(tmp_path: Path) -> None:
    text = '#if 0\n#include "b.h"\n#elif defined X\n#include <c.h>\n#endif\n'
    world = World(tmp_path, {"a.c": text, "b.h": '#include "d.h"\n', "i/c.h": "", "d.h": "", "e.h": ""})
    assert world.reached(bracketed=["i"]) == {"a.c", "b.h", "i/c.h", "d.h"}


def test_the_first_in_the_compilers_order_is_meant(tmp_path: Path) -> None:
    files = {
        "s/a.c": '#include "x.h"\n#include <y.h>\n',
        "s/y.h": "",
        "q/x.h": "",
        "i/x.h": "",
        "i/y.h": "",
        "j/y.h": "",
    }
    world = World(tmp_path, files)
    assert world.reached("s/a.c", quoted=["q"], bracketed=["i", "j"]) == {"s/a.c", "q/x.h", "i/y.h"}
    (tmp_path / "s/x.h").write_text("")
    assert "s/x.h" in world.reached("s/a.c", quoted=["q"], bracketed=["i", "j"])


def test_a_header_looks_beside_itself_first(tmp_path: Path) -> None:
    world = World(tmp_path, {"a.c": '#include "d/b.h"\n', "d/b.h": '#include "c.h"\n', "d/c.h": "", "c.h": ""})
    assert world.reached() == {"a.c", "d/b.h", "d/c.h"}


def test_include_next_may_mean_any_that_follows(tmp_path: Path) -> None:
    files = {"a.c": "#include <x.h>\n", "i/x.h": "#include_next <x.h>\n", "j/x.h": "#include_next <x.h>\n", "k/x.h": ""}
    assert World(tmp_path, files).reached(bracketed=["i", "j", "k"]) == {"a.c", "i/x.h", "j/x.h", "k/x.h"}


def test_forced_absolute_and_dotted_names(tmp_path: Path) -> None:
    world = World(tmp_path, {"s/a.c": '#include "../b.h"\n', "b.h": "", "f.h": "", "c.h": ""})
    (tmp_path / "f.h").write_text(f'#include "{tmp_path.resolve()}/c.h"\n#include "/nosuch.h"\n')
    assert world.reached("s/a.c", forced=["f.h", "nosuch.h"]) == {"s/a.c", "b.h", "f.h", "c.h"}


def test_what_is_read_before_every_source(tmp_path: Path) -> None:
    world = World(tmp_path, {"a.c": "", "stdc-predef.h": "", "i/stdc-predef.h": "#include <x.h>\n", "i/x.h": ""})
    assert world.reached(bracketed=["i"]) == {"a.c", "i/stdc-predef.h", "i/x.h"}


def test_files_that_include_each_other(tmp_path: Path) -> None:
    assert World(tmp_path, {"a.c": '#include "b.h"\n', "b.h": '#include "a.c"\n'}).reached() == {"a.c", "b.h"}


def test_directories_that_include_each_other(tmp_path: Path) -> None:
    files = {"a.c": '#include "d/b.h"\n', "d/b.h": '#include "../e/c.h"\n', "e/c.h": '#include "../d/b.h"\n'}
    assert World(tmp_path, files).reached() == {"a.c", "d/b.h", "e/c.h"}


def test_only_the_compiler_knows_what_a_macro_names(tmp_path: Path) -> None:
    with pytest.raises(StaysLocal, match="macro"):
        World(tmp_path, {"a.c": '#include "b.h"\n', "b.h": "#include NAME\n"}).reached()


def test_no_file_has_such_a_name(tmp_path: Path) -> None:
    with pytest.raises(StaysLocal, match="NUL"):
        World(tmp_path, {"a.c": '#include "d\0/b.h"\n'}).reached()


def test_too_much_is_within_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REACHED_FILES", 3)
    files = {"a.c": "".join(f'#include "{n}.h"\n' for n in range(3))} | {f"{n}.h": "" for n in range(3)}
    with pytest.raises(StaysLocal, match="can reach more than 3 files"):
        World(tmp_path, files).reached()


NAMES = some.sampled_from(["x.h", "y.h", "d/x.h", "d/y.h", "../d/y.h", "z/../x.h"])
LINES = some.one_of(
    some.builds('#include "{}"'.format, NAMES),
    some.builds("#include <{}>".format, NAMES),
    some.builds("#include_next <{}>".format, NAMES),
    some.sampled_from(["#ifdef A", "#ifndef A", "#define A", "#else", "#endif", "#pragma once"]),
)
PLACES = some.sampled_from(["x.h", "y.h", "d/x.h", "d/y.h", "i/x.h", "i/y.h", "i/d/x.h", "j/x.h", "j/d/y.h", "z/q"])


@given(files=some.dictionaries(PLACES, some.lists(LINES, max_size=4)), source=some.lists(LINES, max_size=4))
@settings(max_examples=60)
def test_never_less_than_the_compiler_names(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, str], source: str
) -> None:
    """A world that does not preprocess says nothing. Each header is read once, for else some never end."""
    folder = tmp_path_factory.mktemp("world")
    world = World(
        folder,
        {name: "\n".join(["#pragma once", *lines, ""]) for name, lines in files.items()} | {"a.c": "\n".join(source)},
    )
    command = ["gcc", "-M", "-iquote", "i", "-I", "j", "-isystem", "d", "a.c"]
    listed = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=CEILING_S)
    reached = {os.path.normpath(name) for name in world.reached(quoted=["i"], bracketed=["j", "d"])}
    if listed.returncode == 0:
        named = listed.stdout.decode().replace("\\\n", " ").split()[1:]
        ours = {os.path.normpath(name) for name in named if not name.startswith("/usr")}
        assert ours <= reached
