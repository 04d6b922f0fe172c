"""securecc.client.inputs.manifest_builder: a manifest of all that a compile can find, and what it rests on."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from securecc.client.inputs.caches.directory_cache import DirectoryCache
from securecc.client.inputs.caches.file_cache import FileCache
from securecc.client.inputs.compile_inputs import Inputs, compressed_manifest
from securecc.client.inputs.include_search import IncludeSearch, SearchPath
from securecc.client.inputs.manifest_builder import ManifestBuilder
from securecc.model import limits, manifest
from securecc.model.errors import StaysLocal
from securecc.model.manifest import Kind, Role


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return tmp_path.resolve()


def put(top: Path, **files: str) -> None:
    for name, text in files.items():
        path = top / name.replace("__", "/").replace("_h", ".h").replace("_c", ".c")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, ns=(10**18, 10**18))


def gather(top: Path, *listed: str, directories: Iterable[str] = (), **search: Any) -> Inputs:
    base = os.fsencode(top)
    where = tuple(base + b"/" + directory.encode() for directory in directories)
    return ManifestBuilder(FileCache(), DirectoryCache()).from_list(
        [name.encode() for name in listed], IncludeSearch(cwd=base, directories=where, **search)
    )


def roles(top: Path, inputs: Inputs) -> dict[str, Role]:
    """Files below the working directory, by name."""
    start = len(os.fsencode(top)) + 1
    return {entry.path[start:].decode(): entry.role for entry in inputs.entries if entry.kind is Kind.FILE}


def names(top: Path, inputs: Inputs, kind: Any) -> set[str]:
    start = len(os.fsencode(top)) + 1
    return {e.path[start:].decode() for e in inputs.entries if e.kind is kind and len(e.path) > start}


def test_files_and_the_way_to_them(top: Path) -> None:
    put(top, a_c="", gen__x="", inc__c_h="#define V 1\n", unread_h="")
    (top / "link").symlink_to("inc")
    inputs = gather(top, "a.c", "gen/../link/c.h", directories=["gen/../link", "nowhere"])
    assert roles(top, inputs) == {"a.c": Role.READ, "inc/c.h": Role.READ}
    assert names(top, inputs, Kind.DIRECTORY) == {"gen", "inc"}
    assert names(top, inputs, Kind.LINK) == {"link"}
    assert inputs.size == len("#define V 1\n")


def test_the_manifest_is_what_its_digest_says(top: Path) -> None:
    put(top, a_c="int a;\n")
    inputs = gather(top, "a.c")
    encoded = zstandard.decompress(compressed_manifest(inputs))
    assert manifest.digest(encoded) == inputs.digest
    assert manifest.decode(encoded).entries == inputs.entries
    assert [entry.path for entry in inputs.entries] == sorted(entry.path for entry in inputs.entries)


def test_times_modes_and_digests_are_each_files_own(top: Path) -> None:
    put(top, a_c="int a;\n")
    (top / "a.c").chmod(0o755)
    (entry,) = (entry for entry in gather(top, "a.c").entries if entry.kind is Kind.FILE)
    assert (entry.mtime_ns, entry.mode, entry.size) == (10**18, 0o644, 7)
    assert entry.blob == manifest.digest(b"int a;\n")


def test_hard_links_share_a_number_and_others_do_not(top: Path) -> None:
    put(top, a_c="", x_h="1\n", z_h="1\n")
    os.link(top / "x.h", top / "y.h")
    numbers = {e.path[-3:]: e.inode for e in gather(top, "a.c", "x.h", "y.h", "z.h").entries if e.kind is Kind.FILE}
    assert numbers[b"x.h"] == numbers[b"y.h"] != 0
    assert numbers[b"z.h"] == 0


def test_one_directory_in_two_places_stays_local(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a bind mount makes it; gcc knows directories by device and inode."""
    put(top, a_c="", i1__x="", i2__x="")
    real = os.lstat

    def lstat(path: Any) -> os.stat_result:
        return real(os.fsencode(path).replace(b"/i2", b"/i1"))

    monkeypatch.setattr("securecc.client.inputs.path_walk.os.lstat", lstat)
    with pytest.raises(StaysLocal, match="two places"):
        gather(top, "a.c", directories=["i1", "i2"])


@pytest.mark.parametrize("name", ["opt.h", "sub/opt.h"])
def test_what_is_asked_for_is_there_and_must_not_be_read(top: Path, name: str) -> None:
    put(top, a_c=f'#if __has_include("{name}")\n#endif\n', i1__opt_h="1", i1__sub__opt_h="2")
    assert roles(top, gather(top, "a.c", directories=["i1"]))[f"i1/{name}"] is Role.PRESENT


def test_another_file_of_the_same_name_is_there_and_must_not_be_read(top: Path) -> None:
    put(top, a_c="#include <c.h>\n", i1__c_h="1\n", i2__c_h="2\n")
    assert roles(top, gather(top, "a.c", "i1/c.h", directories=["i1", "i2"]))["i2/c.h"] is Role.PRESENT


def test_a_copy_may_be_read(top: Path) -> None:
    """#pragma once reads it to see that it is one."""
    put(top, a_c='#include "x.h"\n#include "y.h"\n', x_h="#pragma once\n", y_h="#pragma once\n")
    assert roles(top, gather(top, "a.c", "x.h"))["y.h"] is Role.MAY_READ
    os.utime(top / "y.h", ns=(10**17, 10**17))
    assert "y.h" not in roles(top, gather(top, "a.c", "x.h"))


def test_a_name_that_is_included_under_a_condition_only_does_not_travel(top: Path) -> None:
    put(top, a_c='#ifdef _WIN32\n#include "w.h"\n#endif\n', w_h="1\n")
    inputs = gather(top, "a.c")
    assert roles(top, inputs) == {"a.c": Role.READ}
    assert any(b"w.h" in watch.present for watch in inputs.watches)


def test_what_line_names_may_be_read(top: Path) -> None:
    put(top, a_c='#line 1 "g.y"\n#line 2 "gone.y"\n#line 3 "i1"\n', i1__x="")
    (top / "g.y").write_text("x")
    inputs = gather(top, "a.c", directories=["i1"])
    assert roles(top, inputs)["g.y"] is Role.MAY_READ
    assert any(b"gone.y" in watch.names for watch in inputs.watches)


def test_a_fifo_that_line_names_stays_local(top: Path) -> None:
    put(top, a_c='#line 1 "fifo"\n')
    os.mkfifo(top / "fifo")
    with pytest.raises(StaysLocal) as caught:
        gather(top, "a.c")
    assert caught.value.reason == "line"


def test_a_file_elsewhere_that_line_names_is_not_sent(top: Path) -> None:
    put(top, a_c='#line 1 "/etc/passwd"\n#line 2 "/dev/null"\n')
    entries = [entry.path for entry in gather(top, "a.c").entries]
    assert b"/etc/passwd" not in entries
    assert b"/dev/null" not in entries


@pytest.mark.parametrize("kind", ["directory", "broken"])
def test_what_is_no_file_is_watched_by_what_it_is(top: Path, kind: Any) -> None:
    put(top, a_c="#include <c.h>\n", i2__c_h="2\n", i1__x="")
    (top / "i1/c.h").mkdir() if kind == "directory" else (top / "i1/c.h").symlink_to("nowhere")
    inputs = gather(top, "a.c", "i2/c.h", directories=["i1", "i2"])
    assert [path for path, _ in inputs.file_types] == [os.fsencode(top / "i1/c.h")]


def test_what_blocks_a_way_is_watched_by_what_it_is(top: Path) -> None:
    put(top, a_c="#include <s/c.h>\n", i1__s="a file", i2__s__c_h="2\n")
    inputs = gather(top, "a.c", "i2/s/c.h", directories=["i1", "i2"])
    assert os.fsencode(top / "i1/s") in dict(inputs.file_types)


def test_a_special_file_that_could_be_included_stays_local(top: Path) -> None:
    put(top, a_c="#include <c.h>\n", i2__c_h="2\n", i1__x="")
    os.mkfifo(top / "i1/c.h")
    with pytest.raises(StaysLocal, match="not a regular file"):
        gather(top, "a.c", "i2/c.h", directories=["i1", "i2"])


def test_an_include_directory_that_is_a_file_is_there_and_must_not_be_read(top: Path) -> None:
    put(top, a_c="", x_h="")
    inputs = gather(top, "a.c", directories=["a.c", "x.h"])
    assert roles(top, inputs) == {"a.c": Role.READ, "x.h": Role.PRESENT}
    assert {path for path, _ in inputs.file_types} == {os.fsencode(top / name) for name in ("a.c", "x.h")}


def test_an_include_directory_that_is_a_device_stays_local(top: Path) -> None:
    put(top, a_c="")
    os.mkfifo(top / "fifo")
    with pytest.raises(StaysLocal, match="not a regular file"):
        gather(top, "a.c", directories=["fifo"])


def test_nothing_may_be_included(top: Path) -> None:
    put(top, a_c="")
    inputs = gather(top, "a.c", "/dev/null", forced_includes=(b"/dev/null",))
    assert roles(top, inputs) == {"a.c": Role.READ}
    assert not any(b"null" in watch.names for watch in inputs.watches)


def test_a_file_that_is_gone_stays_local(top: Path) -> None:
    put(top, a_c="")
    with pytest.raises(StaysLocal):
        gather(top, "a.c", "gone.h")


@pytest.mark.parametrize(
    ("text", "macros", "reason"),
    [
        ("const char *t = __TIME__;", (), "time"),
        ("", (b"DT=__DATE__",), "time"),
        ("#define T(x) x##STAMP__\nchar *t = T(__TIME);", (), "time"),
        ('asm(".inc" "bin \\"x\\"");', (), "assembler"),
        ("#pragma GCC dependency X", (), "dependency-pragma"),
        ('#include "a\0b.h"', (), "input"),
    ],
)
def test_what_a_file_or_macro_says_may_stay_local(top: Path, text: str, macros: tuple[bytes, ...], reason: str) -> None:
    put(top, a_c=text)
    with pytest.raises(StaysLocal) as caught:
        gather(top, "a.c", macros=macros)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("text", "macros", "unforeseen"),
    [
        ('#if __has_include("x.h")\n#endif\n', (), ""),
        ("#define H __has_include", (), "a macro names a file for __has_include"),
        ("", (b"DH=__has_include",), "a macro names a file for __has_include"),
    ],
)
def test_what_a_macro_asks_for_is_said_to_be_unforeseen(
    top: Path, text: str, macros: tuple[bytes, ...], unforeseen: str
) -> None:
    put(top, a_c=text)
    assert gather(top, "a.c", macros=macros).unforeseen == unforeseen


def test_a_time_that_the_command_line_redefines_is_none(top: Path) -> None:
    put(top, a_c="const char *t = __TIME__ __TIMESTAMP__;")
    inputs = gather(top, "a.c", macros=(b'D__TIME__="redacted"', b"U__TIMESTAMP__"))
    assert not inputs.uses_time
    for macros in (
        (b'D__TIME__="x"', b"DX=__DATE__", b"U__TIMESTAMP__"),
        (b"D__TIMESTAMP__X=1",),
    ):
        with pytest.raises(StaysLocal):
            gather(top, "a.c", macros=macros)


def test_a_given_date_travels(top: Path) -> None:
    put(top, a_c="const char *t = __TIME__;")
    assert gather(top, "a.c", knows_time=True)


@pytest.mark.parametrize(
    ("text", "macros", "stamped"),
    [
        ("char *t = __TIMESTAMP__;", (), (10**9, 1700000000)),
        ("char *t = T;", (b"DT=__TIMESTAMP__",), (10**9, 1700000000)),
        ("char *t = __TIMESTAMP__;", (b"D__TIMESTAMP__=1",), ()),
        ("char *t; // __TIMESTAMP__", (), ()),
    ],
)
def test_where_a_file_says_its_own_time_those_of_all_texts_count(
    top: Path, text: str, macros: tuple[bytes, ...], stamped: tuple[int, ...]
) -> None:
    put(top, a_c='#include "a.h"\n' + text, a_h="")
    os.utime(top / "a.h", (1700000000, 1700000000))
    inputs = gather(top, "a.c", "a.h", macros=macros)
    assert (inputs.timestamps, inputs.uses_time) == (stamped, False)


def test_names_that_macros_make_are_watched(top: Path) -> None:
    put(top, a_c="#define H <s/c.h>\n#include H\n", i2__s__c_h="2\n", i1__x="")
    inputs = gather(top, "a.c", "./i2//s/c.h", directories=["i1/.", "./i2/"])
    assert any(b"s" in watch.names and watch.listing.path.endswith(b"/i1/.") for watch in inputs.watches)


def test_forced_files_are_watched(top: Path) -> None:
    put(top, a_c="", f_h="1\n", i1__x="")
    inputs = gather(top, "a.c", "f.h", directories=["i1"], forced_includes=(b"f.h",))
    assert any(b"f.h" in watch.names for watch in inputs.watches if watch.listing.path.endswith(b"/i1"))


def test_output_directories_and_other_ways_are_crossed(top: Path) -> None:
    put(top, a_c="", out__x="")
    (top / "alias").symlink_to(".")
    base = os.fsencode(top)
    inputs = gather(top, "a.c", other_directories=(base + b"/out", base + b"/alias"))
    assert "out" in names(top, inputs, Kind.DIRECTORY)
    assert "alias" in names(top, inputs, Kind.LINK)


def test_too_many_files_stay_local(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(top, a_c="", x_h="", y_h="")
    monkeypatch.setattr(limits, "MANIFEST_ENTRIES", 2)
    with pytest.raises(StaysLocal, match="more than 2 files"):
        gather(top, "a.c", "x.h", "y.h")


def test_a_file_that_is_listed_twice_is_there_once(top: Path) -> None:
    put(top, a_c="", x_h="1\n")
    assert roles(top, gather(top, "a.c", "x.h", "./x.h")) == {"a.c": Role.READ, "x.h": Role.READ}


def test_files_that_the_assembler_reads_travel_and_their_absence_is_watched(top: Path) -> None:
    put(top, a_c='asm(".include \\"m.h\\"");\n', i__m_h='.incbin "blob_h"\n', i__blob_h="1")
    (top / "i/blob_h").write_bytes(b"1")
    inputs = gather(top, "a.c", directories=["i"], search_path=SearchPath((), (os.fsencode(top / "i"),)))
    assert roles(top, inputs) == {"a.c": Role.READ, "i/m.h": Role.MAY_READ, "i/blob_h": Role.MAY_READ}
    watched = {name for watch in inputs.watches for name in watch.names if watch.listing.path == os.fsencode(top)}
    assert {b"m.h", b"blob_h"} <= watched


def given(top: Path, content: bytes, **search: Any) -> Inputs:
    base = os.fsencode(top)
    search_path = SearchPath(bracketed=(base + b"/inc",))
    where = IncludeSearch(cwd=base, directories=(base + b"/inc",), search_path=search_path, **search)
    return ManifestBuilder(FileCache(), DirectoryCache()).from_standard_input(content, where)


def test_standard_input_and_what_it_includes(top: Path) -> None:
    put(top, a_h="#define A\n", inc__b_h="#define B\n", unread_h="")
    content = b'#include "a.h"\n#include <b.h>\n'
    inputs = given(top, content)
    source = next(entry for entry in inputs.entries if entry.path == manifest.INPUT)
    assert (source.blob, source.size, source.role) == (manifest.digest(content), len(content), Role.READ)
    assert inputs.standard_input == content
    assert {e.path.rpartition(b"/")[2]: e.role for e in inputs.entries if e.kind is Kind.FILE and e is not source} == {
        b"a.h": Role.MAY_READ,
        b"b.h": Role.MAY_READ,
    }
    assert not any(entry.path == b"/.securecc" for entry in inputs.entries)


def test_a_file_that_bears_the_name_of_standard_input_is_quoted_by_gcc(top: Path) -> None:
    (top / "<stdin>").write_text("quoted\n")
    assert roles(top, given(top, b"int a;\n"))["<stdin>"] is Role.MAY_READ


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"#pragma once\n", "standard-input"),
        (b'#import "a.h"\n', "standard-input"),
        (b'asm(".incbin " X);\n', "standard-input"),
        (b"#include X\n", "reach"),
        (b"char *t = __TIMESTAMP__;\n", "standard-input"),
    ],
)
def test_standard_input_that_may_do_more_stays(top: Path, content: bytes, reason: str) -> None:
    put(top, a_h="")
    with pytest.raises(StaysLocal) as local:
        given(top, content)
    assert local.value.reason == reason
