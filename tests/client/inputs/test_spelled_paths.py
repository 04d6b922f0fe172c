"""Paths stay as they are spelled."""

import pytest

from securecc.client.inputs.spelled_paths import absolute, under, without_dots


@pytest.mark.parametrize(
    ("directory", "name", "path"),
    [
        (b"/a", b"b", b"/a/b"),
        (b"/", b"b", b"/b"),
        (b"/a", b"/b", b"/b"),
        (b"/a", b"", b"/a"),
        (b"/a", b"../b", b"/a/../b"),
    ],
)
def test_under(directory: bytes, name: bytes, path: bytes) -> None:
    assert under(directory, name) == path


def test_absolute() -> None:
    assert absolute(b"/x", b"/c") == b"/x"
    assert absolute(b"../x", b"/c") == b"/c/../x"


def test_components_that_mean_nothing() -> None:
    assert without_dots(b"//a/./../b/") == b"/a/../b"
