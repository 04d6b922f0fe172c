"""Whether two equal headers are one file is asked of their inodes by clang: a tree in which equal files are linked, or
linked files are not, gives another object, exit status 0. The tree that travels does not.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.farm import farmside
from tests.farm.farmside import Farm, Realms
from tests.farm.twins import OLD_NS, Twins, put

FILES = {"a.c": 'int a = 0\n#include "x/h.h"\n#include "y/h.h"\n;\n', "x/h.h": "#pragma once\n+ 1\n"}
COMMAND = ("clang", "-c", "a.c")


@pytest.fixture(scope="module")
def farm(realms: Realms) -> Iterator[Farm]:
    """A server that has clang as well."""
    with farmside.some_farm(realms) as made:
        made.server.configure(toolchains="[/usr/bin/gcc, /usr/bin/clang]")
        made.server.restart()
        yield made


@pytest.fixture
def twins(farm: Farm, tmp_path: Path) -> Twins:
    return Twins(farm, tmp_path / "w")


def pair(folder: Path, link: bool) -> None:
    put(folder, FILES)
    (folder / "y").mkdir()
    if link:
        os.link(folder / "x/h.h", folder / "y/h.h")
    else:
        put(folder, {"y/h.h": FILES["x/h.h"]})


def one_blob(source: Path, place: Path) -> None:
    """As a store of blobs would place it: equal files are names of one inode."""
    other = place.parents[1] / "x/h.h"
    if place.name == "h.h" and place != other and other.exists():
        os.link(other, place)
    else:
        own_inode(source, place)


def own_inode(source: Path, place: Path) -> None:
    shutil.copyfile(source, place)
    os.utime(place, ns=(OLD_NS, OLD_NS))


@pytest.mark.parametrize(("link", "copy"), [(True, own_inode), (False, one_blob)], ids=["linked", "two files"])
def test_clang_looks_at_the_inode(twins: Twins, link: bool, copy: Callable[[Path, Path], None]) -> None:
    twins.folder.mkdir()
    pair(twins.folder, link)
    listed = [twins.folder / name for name in ("a.c", "x/h.h", "y/h.h")]
    status, wrong = twins.naive(listed, *COMMAND, output="a.o", copy=copy)
    alone = twins.same(lambda folder: pair(folder, link), *COMMAND)
    assert status == 0
    assert wrong != alone.files[b"a.o"][-1]


@pytest.mark.parametrize(
    ("options", "text", "remote"),
    [
        (("-g",), ".long 1\n", False),
        (("-g",), ".text\nnop\n", True),
        (("-g", "-gz"), ".text\nnop\n", False),
        ((), ".long 1\n", True),
    ],
)
def test_clang_names_its_temporary_file_in_debug_information_of_assembly_without_code(
    twins: Twins, options: tuple[str, ...], text: str, remote: bool
) -> None:
    alone, through = twins.both({"a.S": text}, "clang", *options, "-c", "a.S")
    assert through.seen == alone.seen
    assert through.remote is remote
