"""securecc.client.spool: what a result's bytes are kept in."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.client.spool import CHUNK, IN_MEMORY, Content, Spool
from securecc.model.errors import AgentError


@given(st.lists(st.binary(max_size=50)), st.booleans(), st.data())
def test_what_is_written_is_read(parts: list[bytes], on_disk: bool, data: st.DataObject) -> None:
    whole = b"".join(parts)
    spool = Spool(len(whole), in_memory=-1 if on_disk else len(whole))
    for part in parts:
        spool.append(part)
    at = data.draw(st.integers(0, len(whole)))
    size = data.draw(st.integers(0, len(whole) - at))
    content = Content(spool, at, size)
    assert spool.on_disk is on_disk
    assert content.read() == b"".join(content.chunks()) == whole[at : at + size]


def test_few_bytes_stay_in_memory_and_many_do_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert not Spool(IN_MEMORY).on_disk
    large = Spool(IN_MEMORY + 1)
    assert large.on_disk
    assert list(tmp_path.iterdir()) == []


def test_a_content_is_given_out_in_pieces() -> None:
    content = Content.of(bytes(2 * CHUNK + 1))
    assert [len(chunk) for chunk in content.chunks()] == [CHUNK, CHUNK, 1]


def test_a_file_lives_as_long_as_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    def files() -> list[str]:
        links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
        return [os.readlink(link) for link in links if os.path.islink(link)]

    def ours() -> int:
        return sum(path.startswith(str(tmp_path)) for path in files())

    spool = Spool(1, in_memory=0)
    content = Content(spool, 0, 1)
    del spool
    assert ours() == 1
    del content
    assert ours() == 0


def test_a_file_system_without_nameless_files_will_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = os.open

    def without(path: str, flags: int, *rest: int, **more: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "not supported")
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", without)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    spool = Spool(3, in_memory=0)
    spool.append(b"abc")
    assert spool.read(1, 2) == b"bc"
    assert list(tmp_path.iterdir()) == []


def test_where_there_is_no_room_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    with pytest.raises(AgentError, match=r"cannot keep a large result in .*/missing: No such file.*; free some"):
        Spool(1, in_memory=0)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    spool = Spool(1, in_memory=0)

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(AgentError, match="No space left"):
        spool.append(b"x")
