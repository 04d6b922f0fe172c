"""What is said of a toolchain that a server does not have."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.compiler.toolchain.closest_match import explain_missing
from securecc.model.messages import Description, Part

GCC = Description(
    "gcc-12", "gcc", "12.2.0", "x86_64-linux-gnu", (Part(b"/usr/bin/as", b"1"), Part(b"/usr/lib/cc1", b"2"))
)
CROSS = Description("gcc-12-aarch64-linux-gnu", "gcc", "12.2.0", "aarch64-linux-gnu")
OLD = Description("gcc-11", "gcc", "11.4.0", "x86_64-linux-gnu")
CLANG = Description("clang-14", "clang", "14.0.6", "x86_64-pc-linux-gnu")
DESCRIPTIONS = st.builds(
    Description,
    name=st.text(max_size=100),
    family=st.sampled_from(["gcc", "clang", "other"]),
    version=st.text(max_size=5),
    target=st.text(max_size=5),
    parts=st.lists(st.builds(Part, st.binary(max_size=300), st.binary(max_size=2)), max_size=8).map(tuple),
)


def with_parts(*parts: Any) -> Any:
    return Description(GCC.name, GCC.family, GCC.version, GCC.target, tuple(Part(*part) for part in parts))


def test_nothing_is_known_of_either() -> None:
    assert explain_missing(None, [GCC]) == "no such toolchain here"
    assert explain_missing(GCC, []) == "no such toolchain here: gcc-12 12.2.0 for x86_64-linux-gnu"


@pytest.mark.parametrize(
    ("offered", "nearest"),
    [([CLANG, CROSS, OLD], "gcc-11 11.4.0"), ([CLANG, CROSS], "gcc-12-aarch64"), ([CLANG], "clang-14 14.0.6")],
)
def test_family_then_target_then_version(offered: Any, nearest: Any) -> None:
    assert f"; nearest is {nearest}" in explain_missing(GCC, offered)


def test_what_differs_is_named() -> None:
    here = with_parts((b"/usr/bin/as", b"9"), (b"/usr/lib/plugin", b"2"))
    assert explain_missing(GCC, [OLD, here]).endswith(
        "nearest is gcc-12 12.2.0 for x86_64-linux-gnu, other contents: /usr/bin/as; not there: /usr/lib/cc1;"
        " only there: /usr/lib/plugin"
    )
    assert explain_missing(GCC, [GCC]).endswith("which differs in links only")


def test_many_differences_are_counted() -> None:
    assert "not there: /0, /1, /2 and 7 more" in explain_missing(
        with_parts(*((b"/%d" % n, b"") for n in range(10))), [OLD]
    )


@given(st.none() | DESCRIPTIONS, st.lists(DESCRIPTIONS, max_size=3))
def test_whatever_a_client_says_it_is_one_short_printable_line(wanted: Any, offered: Any) -> None:
    said = explain_missing(wanted, offered)
    assert said.isprintable()
    assert len(said) <= 2048
