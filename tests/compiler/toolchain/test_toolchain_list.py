"""The file that lists toolchains."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.compiler.toolchain.toolchain_list import KnownToolchain, ToolchainList, decode, encode, read, write
from securecc.model import limits
from securecc.model.errors import ConfigError
from securecc.model.messages import Description, Part

GCC = KnownToolchain(
    b"\xff" * 32, (b"/usr/bin/gcc\xff",), Description("gcc-12", parts=(Part(b"/usr/bin/as", b"12345678"),))
)
KNOWN = st.lists(
    st.builds(
        KnownToolchain,
        st.binary(),
        st.lists(st.binary()).map(tuple),
        st.from_type(Description),
        witnessed=st.none() | st.booleans(),
    ),
    max_size=3,
)


@given(KNOWN, st.integers(0, 2**22))
def test_what_is_written_is_read(known: Any, pid: Any) -> None:
    ledger = ToolchainList(tuple(known), pid)
    assert decode(encode(ledger), "toolchains.json") == ledger


def test_a_list_of_an_earlier_version_says_nothing_of_witnesses() -> None:
    earlier = encode(ToolchainList((GCC,))).replace(b',"witnessed":null', b"")
    assert b"witnessed" not in earlier
    assert decode(earlier, "toolchains.json") == ToolchainList((GCC,))


@given(st.binary(max_size=40) | st.sampled_from([b"[1]", b"[]", b'{"toolchains": [{"digest": 1}]}', b"[" * 100_000]))
def test_anything_else_is_refused_by_name(data: Any) -> None:
    with pytest.raises(ConfigError, match=r"toolchains\.json"):
        decode(data, "toolchains.json")


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "toolchains.json"
    assert read(path) == ToolchainList()
    write(path, [GCC])
    write(path, [GCC, GCC])
    assert read(path) == ToolchainList((GCC, GCC), os.getpid())
    assert [file.name for file in tmp_path.iterdir()] == ["toolchains.json"]


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "full").touch()
    with pytest.raises(OSError, match="taken"):
        write(tmp_path / "taken", [GCC])
    assert [file.name for file in tmp_path.iterdir()] == ["taken"]


def test_files_that_are_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="as root"):
        read(tmp_path)
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(limits.TOOLCHAIN_LEDGER + 1)
    with pytest.raises(ConfigError, match="over"):
        read(huge)
