"""client.inputs.caches.dependency_cache: what is remembered holds exactly as long as everything that it rests on."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from securecc.client.inputs.caches import file_cache
from securecc.client.inputs.caches.dependency_cache import DependencyCache
from securecc.client.inputs.caches.directory_cache import DirectoryCache
from securecc.client.inputs.caches.file_cache import FileCache
from securecc.client.inputs.compile_inputs import Inputs
from securecc.client.inputs.include_search import IncludeSearch
from securecc.client.inputs.manifest_builder import ManifestBuilder
from securecc.model import limits

KEY = ("gcc", "-c", "a.c")


class Memory:
    """One compile of ``a.c`` that includes <c.h> and was found in i2, remembered."""

    def __init__(self, top: Path) -> None:
        self.top = top
        for name, text in (("a.c", "#include <c.h>\n"), ("i2/c.h", "#define V 2\n"), ("i1/x", ""), ("i2/y", "")):
            self.put(name, text)
        (top / "link").symlink_to("i2")
        self.files, self.directories = FileCache(), DirectoryCache()
        self.cache = DependencyCache(self.files, self.directories, most=2)
        self.remember()

    def put(self, name: str, text: str) -> Path:
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def remember(self) -> None:
        base = os.fsencode(self.top)
        search = IncludeSearch(cwd=base, directories=(base + b"/i1", base + b"/link", base + b"/late"))
        inputs = ManifestBuilder(self.files, self.directories).from_list([b"a.c", b"link/c.h"], search)
        self.cache.keep(KEY, inputs)

    def recall(self) -> Inputs | None:
        return self.cache.recall(KEY)

    def known(self) -> Inputs:
        inputs = self.recall()
        assert inputs is not None
        return inputs


@pytest.fixture(params=[0, limits.RACY_STAT_S + 1], ids=["just made", "rested"])
def memory(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Memory:
    real = time.time_ns
    monkeypatch.setattr("time.time_ns", lambda: real() + int(request.param * 1e9))
    return Memory(tmp_path.resolve())


def test_it_holds(memory: Memory) -> None:
    first = memory.recall()
    assert first is not None
    assert memory.recall() is not None
    assert first.digest == memory.known().digest


def test_nothing_is_known_at_first(memory: Memory) -> None:
    assert memory.cache.recall(("another",)) is None


def test_unrelated_names_come_and_go(memory: Memory) -> None:
    memory.put("i1/a.o", "")
    assert memory.recall() is not None
    (memory.top / "i1/a.o").unlink()
    (memory.top / "i2/y").unlink()
    assert memory.recall() is not None
    assert memory.recall() is not None


def test_a_directory_is_made_anew(memory: Memory) -> None:
    for _ in range(2):
        (memory.top / "i1").rename(memory.top / f"old{len(list(memory.top.iterdir()))}")
        memory.put("i1/y", "")
        first = memory.recall()
        assert first is not None
        assert memory.known().directories is first.directories


def test_two_directories_have_become_one(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by a bind mount; the compiler takes them for one, so the compile is another."""
    real = os.lstat

    def lstat(path: Any) -> Any:
        return real(os.fsencode(memory.top) + b"/i2") if path == os.fsencode(memory.top) + b"/i1" else real(path)

    assert memory.recall() is not None
    monkeypatch.setattr("os.lstat", lstat)
    assert memory.recall() is None


def retarget(memory: Memory) -> None:
    memory.put("i3/c.h", "#define V 2\n")
    (memory.top / "link").unlink()
    (memory.top / "link").symlink_to("i3")


def copy_over(memory: Memory) -> None:
    status = (memory.top / "i2/c.h").stat()
    new = memory.put("new", "#define V 2\n")
    os.utime(new, ns=(status.st_mtime_ns, status.st_mtime_ns))
    new.rename(memory.top / "i2/c.h")


def replace_by_link(memory: Memory) -> None:
    (memory.top / "i2").rename(memory.top / "i3")
    (memory.top / "i2").symlink_to("i3")


CHANGES: dict[str, Callable[[Memory], object]] = {
    "a file": lambda memory: memory.put("i2/c.h", "#define V 3\n"),
    "a file's time": lambda memory: os.utime(memory.top / "i2/c.h", ns=(1, 1)),
    "a file's inode": copy_over,
    "a file is gone": lambda memory: (memory.top / "i2/c.h").unlink(),
    "a shadow": lambda memory: memory.put("i1/c.h", ""),
    "a shadow of what nobody includes": lambda memory: memory.put("i1/stdc-predef.h", ""),
    "a precompiled header": lambda memory: memory.put("i2/c.h.gch", ""),
    "a precompiled header of nothing": lambda memory: memory.put("i1/c.h.gch", ""),
    "a directory comes": lambda memory: memory.put("late/x", ""),
    "a link": retarget,
    "a link is gone": lambda memory: (memory.top / "link").unlink(),
    "a directory is a link": replace_by_link,
    "a source": lambda memory: memory.put("a.c", "#include <d.h>\n"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_it_does_not_hold_any_more(memory: Memory, change: str) -> None:
    assert memory.recall() is not None
    CHANGES[change](memory)
    assert memory.recall() is None
    assert len(memory.cache) == 0


@pytest.mark.parametrize("blocking", ["i1/c.h", "late"])
def test_a_name_that_is_no_file_becomes_one(memory: Memory, blocking: str) -> None:
    path = memory.top / blocking
    path.symlink_to(memory.top / "target")
    memory.remember()
    assert memory.recall() is not None
    (memory.top / "target").mkdir() if blocking == "late" else memory.put("target", "")
    assert memory.recall() is None


def test_a_change_that_no_stat_key_shows_is_seen_while_the_file_is_young(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory(tmp_path.resolve())
    stamps = {inputs.path: inputs.stat_key for inputs in memory.known().files}
    path = memory.top / "i2/c.h"
    path.write_text("#define V 9\n")

    def lstat(name: str) -> Any:
        """As a file system whose clock does not tick meanwhile would have it."""
        return Frozen(stamps[os.fsencode(name)]) if os.fsencode(name) in stamps else os_lstat(name)

    os_lstat = os.lstat
    monkeypatch.setattr("os.lstat", lstat)
    monkeypatch.setattr(file_cache, "stat_key", lambda _: stamps[os.fsencode(path)])
    assert memory.recall() is None


class Frozen:
    """A stat result with these stamps."""

    def __init__(self, stamp: Any) -> None:
        self.st_dev, self.st_ino, self.st_size, self.st_mtime_ns, self.st_ctime_ns = stamp
        self.st_mode = 0o100644


def test_a_directory_that_may_not_be_listed_any_more(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.put("i1/new", "")

    def refuse(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.listdir", refuse)
    assert memory.recall() is None


def test_forgetting(memory: Memory) -> None:
    memory.cache.forget(KEY)
    memory.cache.forget(KEY)
    assert memory.recall() is None


def test_the_least_recently_used_goes_first(memory: Memory) -> None:
    inputs = memory.known()
    memory.cache.keep(("second",), inputs)
    memory.recall()
    memory.cache.keep(("third",), inputs)
    assert memory.cache.recall(("second",)) is None
    assert memory.recall() is not None


def test_what_has_settled_is_no_longer_read(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time_ns
    monkeypatch.setattr("time.time_ns", lambda: real() + int((limits.RACY_STAT_S + 1) * 1e9))
    assert memory.recall() is not None
    assert not any(file.racy for file in memory.known().files)
    monkeypatch.setattr("os.open", lambda *_: pytest.fail("read again"))
    assert memory.recall() is not None


def test_a_vouched_compile_depends_on_its_files_contents_alone(memory: Memory) -> None:
    memory.put("i1/c.h", "")
    assert memory.cache.recall(KEY, vouched=True) is not None
    memory.put("i2/c.h", "#define V 3\n")
    assert memory.cache.recall(KEY, vouched=True) is None
