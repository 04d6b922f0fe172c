"""securecc.client.inputs.special_files: what nobody but the compiler may open."""

import stat

import pytest

from securecc.client.inputs import special_files
from securecc.model.errors import StaysLocal


@pytest.mark.parametrize(
    ("place", "mode"),
    [
        (b"/w/f", stat.S_IFIFO),
        (b"/w/f", stat.S_IFSOCK),
        (b"/w/f", stat.S_IFCHR),
        (b"/w/f", stat.S_IFBLK),
        (b"/dev/fd/63", stat.S_IFREG),
        (b"/dev/stdin", 0),
        (b"/dev", stat.S_IFDIR),
        (b"/proc/7/fd/3", 0),
    ],
)
def test_what_is_refused(place: bytes, mode: int) -> None:
    with pytest.raises(StaysLocal) as refused:
        special_files.refuse(place, mode)
    assert refused.value.reason == special_files.SPECIAL


@pytest.mark.parametrize(
    ("place", "mode"),
    [
        (b"/w/a.c", stat.S_IFREG | 0o644),
        (b"/w", stat.S_IFDIR),
        (b"/", stat.S_IFDIR),
        (b"/w/nothing", 0),
        (b"/w/link", stat.S_IFLNK),
        (b"/device/a.c", stat.S_IFREG),
        (special_files.DEV_NULL, stat.S_IFCHR),
    ],
)
def test_what_is_not(place: bytes, mode: int) -> None:
    special_files.refuse(place, mode)
