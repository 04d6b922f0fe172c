"""securecc.client.inputs.file_cache: a digest is remembered exactly as long as the file cannot have changed."""

import hashlib
import os
import time

import pytest

from securecc.client.inputs import file_cache
from securecc.client.inputs.file_cache import FileCache
from securecc.model import limits
from securecc.model.errors import StaysLocal

REST_NS = int((limits.RACY_STAT_S + 1) * 1e9)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "f.h"
    path.write_text('#include "x.h"\n')
    return path


@pytest.fixture
def later(monkeypatch):
    real = time.time_ns
    monkeypatch.setattr(file_cache.time, "time_ns", lambda: real() + REST_NS)


def test_what_is_seen(file):
    file.chmod(0o640)
    seen = FileCache().look(os.fsencode(file))
    assert seen.digest == hashlib.sha256(file.read_bytes()).digest()
    assert (seen.mode, seen.links, seen.stamp[2]) == (0o640, 1, file.stat().st_size)


def test_directives_come_with_it(file):
    fingerprints = FileCache()
    found = fingerprints.directives(fingerprints.look(os.fsencode(file)))
    assert [name.spelled for name in found.includes] == [b"x.h"]


def test_what_rested_is_not_read_again(file, later, monkeypatch):
    fingerprints = FileCache()
    first = fingerprints.look(os.fsencode(file))
    assert not first.racy
    monkeypatch.setattr(file_cache.os, "open", lambda *_: pytest.fail("read again"))
    assert fingerprints.look(os.fsencode(file)) is first


def test_what_has_just_changed_is_read_again(file, monkeypatch):
    """As where the file system's clock ticks slowly: the content changes, the stamp does not."""
    fingerprints = FileCache()
    first = fingerprints.look(os.fsencode(file))
    assert first.racy
    file.write_text('#include "y.h"\n')
    monkeypatch.setattr(file_cache, "stat_key", lambda _: first.stamp)
    second = fingerprints.look(os.fsencode(file))
    assert second.stamp == first.stamp
    assert second.digest != first.digest


def test_once_it_has_rested_it_is_trusted(file, monkeypatch):
    fingerprints = FileCache()
    assert fingerprints.look(os.fsencode(file)).racy
    real = time.time_ns
    monkeypatch.setattr(file_cache.time, "time_ns", lambda: real() + REST_NS)
    assert not fingerprints.look(os.fsencode(file)).racy


def test_a_file_set_back_in_time_has_not_rested(file):
    """Its mtime is old; its ctime is not."""
    os.utime(file, ns=(1, 1))
    assert FileCache().look(os.fsencode(file)).racy


@pytest.mark.parametrize(
    "change", [lambda path: path.write_text("longer than it was\n"), lambda path: os.utime(path, ns=(1, 1))]
)
def test_a_change_is_seen(file, later, change):
    fingerprints = FileCache()
    first = fingerprints.look(os.fsencode(file))
    change(file)
    assert fingerprints.look(os.fsencode(file)).stamp != first.stamp


@pytest.mark.parametrize("kind", ["nothing", "directory", "symlink", "fifo"])
def test_what_is_no_regular_file_stays_local(tmp_path, kind):
    path = tmp_path / kind
    if kind == "directory":
        path.mkdir()
    elif kind == "symlink":
        path.symlink_to("nowhere")
    elif kind == "fifo":
        os.mkfifo(path)
    with pytest.raises(StaysLocal) as caught:
        FileCache().look(os.fsencode(path))
    assert caught.value.reason == ("special" if kind == "fifo" else "input")


def test_a_file_over_the_limit_stays_local(tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(limits.BLOB + 1)
    with pytest.raises(StaysLocal, match="larger than"):
        FileCache().look(os.fsencode(path))


@pytest.mark.parametrize("content", [b"short", b"much longer than stat said it would be"])
def test_a_file_that_changes_while_it_is_read_stays_local(file, monkeypatch, content):
    monkeypatch.setattr(file_cache, "_content", lambda *_: content)
    with pytest.raises(StaysLocal, match="changes while"):
        FileCache().look(os.fsencode(file))


def test_short_reads_are_put_together(file, monkeypatch):
    real = os.read
    monkeypatch.setattr(file_cache.os, "read", lambda descriptor, size: real(descriptor, min(size, 3)))
    assert FileCache().look(os.fsencode(file)).digest == hashlib.sha256(file.read_bytes()).digest()
