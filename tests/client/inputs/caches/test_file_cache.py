"""securecc.client.inputs.caches.file_cache: a digest is remembered exactly as long as the file cannot have changed."""

import hashlib
import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from securecc.client.inputs.caches import file_cache
from securecc.client.inputs.caches.file_cache import FileCache
from securecc.model import limits
from securecc.model.errors import StaysLocal

REST_NS = int((limits.RACY_STAT_S + 1) * 1e9)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "f.h"
    path.write_text('#include "x.h"\n')
    return path


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time_ns
    monkeypatch.setattr("time.time_ns", lambda: real() + REST_NS)


def test_what_is_seen(file: Path) -> None:
    file.chmod(0o640)
    seen = FileCache().facts(os.fsencode(file))
    assert seen.digest == hashlib.sha256(file.read_bytes()).digest()
    assert (seen.mode, seen.links, seen.stat_key.size) == (0o640, 1, file.stat().st_size)


def test_directives_come_with_it(file: Path) -> None:
    files = FileCache()
    found = files.directives(files.facts(os.fsencode(file)))
    assert [name.spelled for name in found.includes] == [b"x.h"]


def test_what_rested_is_not_read_again(file: Path, later: None, monkeypatch: pytest.MonkeyPatch) -> None:
    files = FileCache()
    first = files.facts(os.fsencode(file))
    assert not first.racy
    monkeypatch.setattr("os.open", lambda *_: pytest.fail("read again"))
    assert files.facts(os.fsencode(file)) is first


def test_what_has_just_changed_is_read_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the file system's clock ticks slowly: the content changes, the stamp does not."""
    files = FileCache()
    first = files.facts(os.fsencode(file))
    assert first.racy
    file.write_text('#include "y.h"\n')
    monkeypatch.setattr(file_cache, "stat_key", lambda _: first.stat_key)
    second = files.facts(os.fsencode(file))
    assert second.stat_key == first.stat_key
    assert second.digest != first.digest


def test_once_it_has_rested_it_is_trusted(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = FileCache()
    assert files.facts(os.fsencode(file)).racy
    real = time.time_ns
    monkeypatch.setattr("time.time_ns", lambda: real() + REST_NS)
    assert not files.facts(os.fsencode(file)).racy


@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed"])
def test_what_is_mapped_for_writing_rests_longer(file: Path, monkeypatch: pytest.MonkeyPatch, closed: bool) -> None:
    real = time.time_ns
    with file.open("r+b") as stream, mmap.mmap(stream.fileno(), 0):
        if closed:
            stream.close()
        monkeypatch.setattr("time.time_ns", lambda: real() + REST_NS)
        assert FileCache().facts(os.fsencode(file)).racy
        monkeypatch.setattr("time.time_ns", lambda: real() + int((limits.SETTLED_S + 1) * 1e9))
        assert not FileCache().facts(os.fsencode(file)).racy
    monkeypatch.setattr("time.time_ns", lambda: real() + REST_NS)
    assert not FileCache().facts(os.fsencode(file)).racy


def test_a_file_that_is_being_read_can_be_written(file: Path) -> None:
    FileCache().facts(os.fsencode(file))
    os.close(os.open(file, os.O_WRONLY | os.O_NONBLOCK))


def test_a_file_set_back_in_time_has_not_rested(file: Path) -> None:
    """Its mtime is old; its ctime is not."""
    os.utime(file, ns=(1, 1))
    assert FileCache().facts(os.fsencode(file)).racy


@pytest.mark.parametrize(
    "change", [lambda path: path.write_text("longer than it was\n"), lambda path: os.utime(path, ns=(1, 1))]
)
def test_a_change_is_seen(file: Path, later: None, change: Callable[[Path], object]) -> None:
    files = FileCache()
    first = files.facts(os.fsencode(file))
    change(file)
    assert files.facts(os.fsencode(file)).stat_key != first.stat_key


@pytest.mark.parametrize("kind", ["nothing", "directory", "symlink", "fifo"])
def test_what_is_no_regular_file_stays_local(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "directory":
        path.mkdir()
    elif kind == "symlink":
        path.symlink_to("nowhere")
    elif kind == "fifo":
        os.mkfifo(path)
    with pytest.raises(StaysLocal) as caught:
        FileCache().facts(os.fsencode(path))
    assert caught.value.reason == ("special" if kind == "fifo" else "input")


def test_a_file_over_the_limit_stays_local(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(limits.BLOB + 1)
    with pytest.raises(StaysLocal, match="larger than"):
        FileCache().facts(os.fsencode(path))


@pytest.mark.parametrize("content", [b"short", b"much longer than stat said it would be"])
def test_a_file_that_changes_while_it_is_read_stays_local(
    file: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    parts = [content]
    monkeypatch.setattr("os.read", lambda *_: parts.pop() if parts else b"")
    with pytest.raises(StaysLocal, match="changed while"):
        FileCache().facts(os.fsencode(file))


def test_short_reads_are_put_together(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.read
    monkeypatch.setattr("os.read", lambda descriptor, size: real(descriptor, min(size, 3)))
    assert FileCache().facts(os.fsencode(file)).digest == hashlib.sha256(file.read_bytes()).digest()


def test_directives_that_were_forgotten_are_found_again(file: Path, tmp_path: Path) -> None:
    files = FileCache(most=2)
    facts = files.facts(os.fsencode(file))
    for number in range(4):
        (tmp_path / f"{number}.h").write_text(f"int i{number};\n")
        files.facts(os.fsencode(tmp_path / f"{number}.h"))
    assert len(files) <= 2
    assert [name.spelled for name in files.directives(facts).includes] == [b"x.h"]
    for number in range(4):
        files.facts(os.fsencode(tmp_path / f"{number}.h"))
    file.write_text("something else\n")
    with pytest.raises(StaysLocal, match="changed while"):
        files.directives(facts)
