import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.model import limits
from securecc.server.connections import known_sources_file

SEEN = {"192.0.2.1": 1_800_000_000.0, "2001:db8:1:2::/64": 1_800_000_001.0}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "known"
    known_sources_file.write(path, SEEN)
    assert known_sources_file.read(path) == SEEN
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["known"]


def test_no_file_says_nothing(tmp_path: Path) -> None:
    assert known_sources_file.read(tmp_path / "known") == {}


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("192.0.2.1 1\n")
    (tmp_path / "known").symlink_to("other")
    with pytest.raises(OSError, match="symbolic"):
        known_sources_file.read(tmp_path / "known")


@pytest.mark.parametrize(
    "line",
    ["", "x 1", "192.0.2.1", "192.0.2.1 -1", "192.0.2.1 1.5", "192.0.2.1 " + "9" * 13, "10.0.0.0/8 1", "192.0.2.1 ٣"],
)
def test_what_is_no_such_line_is_left_out(line: Any) -> None:
    assert known_sources_file.parse(f"{line}\n2001:db8::/64 7\n".encode()) == {"2001:db8::/64": 7.0}


@given(st.binary(max_size=300))
def test_any_bytes_are_read(data: bytes) -> None:
    for source, at in known_sources_file.parse(data).items():
        assert source
        assert 0 <= at < 1e12


def test_a_file_is_read_as_far_as_it_may_be_long(tmp_path: Path) -> None:
    path = tmp_path / "known"
    path.write_bytes(b"192.0.2.1 1\n" + b"x" * 2 * limits.KNOWN_FILE)
    assert known_sources_file.read(path) == {"192.0.2.1": 1.0}
