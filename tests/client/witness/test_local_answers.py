"""This machine's answers are those of its own file system."""

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from securecc.client.inputs.caches.directory_cache import DirectoryCache
from securecc.client.witness.local_answers import LocalAnswers
from securecc.compiler.questions import Answer, names_checksum


def test_what_a_path_is(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "broken").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    answers = LocalAnswers(DirectoryCache(), os.fsencode(tmp_path))
    assert [answers.name(name) for name in (b"file", b"folder", b"link", b"broken", b"fifo", b"none")] == [
        Answer.REGULAR,
        Answer.FOLDER,
        Answer.REGULAR,
        Answer.ABSENT,
        Answer.SPECIAL,
        Answer.ABSENT,
    ]
    assert answers.link(b"link") is Answer.SYMLINK
    assert answers.name(b"file/below") is Answer.ABSENT
    assert answers.name(b"folder/../file") is Answer.REGULAR
    assert answers.name(b"none/../file") is Answer.ABSENT
    assert answers.name(b"a" * 300) is Answer.ABSENT
    assert answers.allowed(b"file", os.R_OK) is Answer.PRESENT
    assert answers.allowed(b"none", os.R_OK) is Answer.REFUSED


def test_a_directory_s_names_in_any_order(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).touch()
    answers = LocalAnswers(DirectoryCache(), b"/")
    assert answers.checksum(os.fsencode(tmp_path)) == names_checksum([b"a", b"b"])
    assert answers.names(os.fsencode(tmp_path / "none")) == frozenset()


@given(path=st.binary(max_size=60).filter(lambda path: b"\0" not in path))
def test_any_path_has_the_kernel_s_answer(tmp_path: Path, path: bytes) -> None:
    answers = LocalAnswers(DirectoryCache(), os.fsencode(tmp_path))
    whole = os.path.join(os.fsencode(tmp_path), path) if path else b""
    assert (answers.name(path) is Answer.ABSENT) == (not os.path.exists(whole))
    assert (answers.link(path) is Answer.ABSENT) == (not os.path.lexists(whole))
