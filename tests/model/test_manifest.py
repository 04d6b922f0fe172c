"""securecc.model.manifest: one encoding, and PathError for everything that is none."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.model import limits
from securecc.model.errors import PathError
from securecc.model.manifest import Entry, Kind, Manifest, Role, decode, digest, encode

ENTRIES = st.builds(
    Entry,
    path=st.binary(max_size=20),
    kind=st.sampled_from(list(Kind)),
    blob=st.binary(max_size=32),
    size=st.integers(0, 1 << 40),
    mode=st.integers(0, 0o777),
    mtime_ns=st.integers(-(1 << 62), 1 << 62),
    inode=st.integers(0, 1 << 40),
    role=st.sampled_from(list(Role)),
)


@given(st.lists(ENTRIES, max_size=5))
def test_round_trip(entries: Any) -> None:
    manifest = Manifest(tuple(entries))
    assert decode(encode(manifest)) == manifest
    assert encode(decode(encode(manifest))) == encode(manifest)


def test_encoding_is_positional() -> None:
    manifest = Manifest((Entry(b"/a.c", Kind.FILE, b"x", 1, 0o644, 7, 0, Role.MAY_READ),))
    assert msgspec.msgpack.decode(encode(manifest)) == [[[b"/a.c", 1, b"x", 1, 0o644, 7, 0, 2]]]


@given(st.binary(max_size=60))
def test_anything_is_a_manifest_or_path_error(data: Any) -> None:
    try:
        manifest = decode(data)
    except PathError:
        return
    assert isinstance(manifest, Manifest)


@pytest.mark.parametrize(
    "value",
    [
        [],
        [[["text", 1]]],
        [[[b"/a", 4]]],
        [[[b"/a", 1, b"", 0, 0o644, 0, 0, 9]]],
        [[[b"/a", 1, b"", "1"]]],
        [[[b"/a", 1, b"", 1.5]]],
        [None],
        {"entries": []},
        1,
    ],
)
def test_other_shapes_are_refused(value: Any) -> None:
    with pytest.raises(PathError):
        decode(msgspec.msgpack.encode(value))


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\x91" * 100_000, b"\xdd\xff\xff\xff\xff", encode(Manifest(())) + b"x"]
)
def test_bytes_that_are_no_message(data: Any) -> None:
    with pytest.raises(PathError):
        decode(data)


def test_the_number_of_entries_is_bounded() -> None:
    with pytest.raises(PathError, match="at most"):
        decode(encode(Manifest((Entry(b"/a", Kind.FILE),) * (limits.MANIFEST_ENTRIES + 1))))


def test_digest_is_sha256() -> None:
    assert digest(b"").hex().startswith("e3b0c442")
    assert len(digest(b"a")) == 32
