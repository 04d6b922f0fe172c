"""A site's tree of releases that client and server both have: named by one digest, by its files where they differ."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.farm.farmside import Farm, FarmMaker, until

HEADERS = 40
SOURCE = (
    '#include "all.h"\n#if __has_include("new.h")\n#include "new.h"\n#endif\n#ifndef NEW\n#define NEW 0\n#endif\n'
    "int v = H0 + NEW;\n"
)


@pytest.fixture
def release() -> Iterator[Path]:
    """Where a server's users can read it."""
    with tempfile.TemporaryDirectory() as shared:
        Path(shared).chmod(0o755)
        yield headers(Path(shared) / "release/1.2/include")


def headers(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder.parent / "other.h").write_text("#define NEW 6\n")
    for number in range(HEADERS):
        (folder / f"h{number}.h").write_text(f"#define H{number} {number + 7}\n" + "/* text */\n" * 200)
    (folder / "all.h").write_text("".join(f'#include "h{number}.h"\n' for number in range(HEADERS)))
    return folder


@pytest.fixture
def site(some_farm: FarmMaker, tmp_path: Path, release: Path) -> Iterator[Site]:
    (tmp_path / "w").mkdir()
    with some_farm(servers=1) as farm:
        farm.server.configure(layers=f"[{release.parents[1]}]")
        farm.server.restart()
        yield Site(farm, tmp_path / "w", release)


class Site:
    """Compiles, each of another source: on the server, with the bytes of the compiler alone."""

    def __init__(self, farm: Farm, folder: Path, release: Path) -> None:
        self.farm = farm
        self.folder = folder
        self.release = release
        self.numbers = itertools.count()

    def compile(self) -> bool:
        """Whether the tree stood for its files."""
        before = len(self.farm.audit(kind="job-start"))
        (self.folder / "a.c").write_text(SOURCE + f"int n = {next(self.numbers)};\n")
        command = ["gcc", "-g", "-MD", "-I", str(self.release), "-c", "a.c", "-o", "a.o"]
        made = []
        for words in (command, ["securecc", *command]):
            done = self.farm.run(*words, cwd=self.folder)
            assert (done.returncode, done.stderr) == (0, "")
            made.append([(self.folder / name).read_bytes() for name in ("a.o", "a.d")])
        assert made[0] == made[1]
        records = self.farm.audit(kind="job-start")[before:]
        assert len(records) == 1
        return bool(records[0]["layers_sha256"])

    def until_it_stands(self) -> None:
        until(self.compile, what="the tree to stand for its files")


def test_an_equal_tree_stands_for_its_files(site: Site) -> None:
    assert not site.compile()
    site.until_it_stands()
    assert site.compile()


@pytest.mark.parametrize(
    "change",
    [
        lambda release: (release / "h0.h").write_text("#define H0 3\n"),
        lambda release: (release / "new.h").write_text("#define NEW 5\n"),
        lambda release: (release / "new.h").symlink_to("../other.h"),
    ],
    ids=["content", "new", "link"],
)
def test_a_tree_that_changes_falls_back_to_its_files_at_once(site: Site, change: Callable[[Path], object]) -> None:
    site.until_it_stands()
    change(site.release)
    assert not site.compile()


def test_trees_that_differ_never_stand(site: Site) -> None:
    """The server has read its own before."""
    (site.release / "h3.h").write_text("#define H3 4444\n")
    assert not any(site.compile() for _ in range(15))


def test_a_server_that_reads_it_again_offers_it_again(site: Site) -> None:
    (site.release / "h3.h").write_text("#define H3 4444\n")
    assert not site.compile()
    site.farm.server.restart()
    site.until_it_stands()
