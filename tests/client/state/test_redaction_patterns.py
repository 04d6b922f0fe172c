import os
from pathlib import Path
from typing import Any

import pytest

from securecc.client.state.redaction_patterns import read_patterns
from securecc.model import limits


@pytest.fixture
def path(tmp_path: Path) -> Any:
    return tmp_path / "redact"


def test_one_pattern_a_line(path: Any) -> None:
    path.write_text("# secrets\n\n-DTOKEN=(.*)\nAKIA[0-9A-Z]{16}\n")
    redaction, trouble = read_patterns(path)
    assert trouble == ""
    assert list(redaction([b"-DTOKEN=x", b"-DA=AKIAABCDEFGHIJKLMNOP"])) == [b"-DTOKEN=[redacted]", b"-DA=[redacted]"]


def test_no_file_redacts_nothing(path: Any) -> None:
    redaction, trouble = read_patterns(path)
    assert (list(redaction([b"-DTOKEN=x"])), trouble) == ([b"-DTOKEN=x"], "")


@pytest.mark.parametrize("content", [b"(", b"\n".join([b"a"] * 65), b"a" * 2000, b"#" * (limits.SETTINGS_FILE + 1)])
def test_what_cannot_be_understood_redacts_everything(path: Any, content: Any) -> None:
    path.write_bytes(content)
    redaction, trouble = read_patterns(path)
    assert list(redaction([b"-DX=1", b""])) == [b"[redacted]", b""]
    assert str(path) in trouble
    assert "nothing of commands is recorded" in trouble


def test_what_cannot_be_read_redacts_everything(path: Any) -> None:
    path.mkdir()
    redaction, trouble = read_patterns(path)
    assert list(redaction([b"x"])) == [b"[redacted]"]
    assert "Is a directory" in trouble


def test_a_fifo_holds_nobody_up(path: Any) -> None:
    os.mkfifo(path)
    assert read_patterns(path)[1] == ""
