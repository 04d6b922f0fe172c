"""Equal keys mean equal compiles: every field counts, and no two compiles share an encoding."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.compiler.compile_key import compile_key
from securecc.model.messages import Terminal

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "frames.json").read_text())["keys"]
COMPILE: dict[str, Any] = {
    "toolchain": b"t" * 32,
    "arguments": (b"/usr/bin/gcc", b"-c", b"a.c"),
    "cwd": b"/home/alice/p",
    "environment": {b"LC_ALL": b"C", b"TZ": b"UTC"},
    "umask": 0o22,
    "terminal": Terminal(),
    "manifest": b"m" * 32,
}


def key(**changes: Any) -> bytes:
    return compile_key(**{**COMPILE, **changes})


@pytest.mark.parametrize("vector", VECTORS)
def test_vectors(vector: dict[str, Any]) -> None:
    found = key(
        toolchain=bytes.fromhex(vector["toolchain"]),
        manifest=bytes.fromhex(vector["manifest"]),
        cwd=bytes.fromhex(vector["cwd"]),
        umask=vector["umask"],
        terminal=Terminal(*vector["terminal"]),
        arguments=[bytes.fromhex(argument) for argument in vector["arguments"]],
        environment={bytes.fromhex(name): bytes.fromhex(value) for name, value in reversed(vector["environment"])},
    )
    assert found.hex() == vector["key"]


@pytest.mark.parametrize(
    "change",
    [
        {"toolchain": b"T" * 32},
        {"arguments": (b"/usr/bin/cc", b"-c", b"a.c")},
        {"arguments": (b"/usr/bin/gcc", b"a.c", b"-c")},
        {"arguments": (b"/usr/bin/gcc", b"-ca.c")},
        {"arguments": (b"/usr/bin/gcc", b"-c", b"a.c", b"")},
        {"cwd": b"/home/alice"},
        {"environment": {b"LC_ALL": b"C"}},
        {"environment": {b"LC_ALL": b"UTC", b"TZ": b"C"}},
        {"umask": 0o77},
        {"terminal": Terminal(error=True)},
        {"terminal": Terminal(input=True)},
        {"terminal": Terminal(columns=80)},
        {"terminal": Terminal(rows=80)},
        {"manifest": b"M" * 32},
    ],
    ids=repr,
)
def test_every_field_counts(change: dict[str, Any]) -> None:
    assert key(**change) != key()


def test_the_order_of_variables_does_not_count() -> None:
    assert key(environment={b"TZ": b"UTC", b"LC_ALL": b"C"}) == key()


texts = st.lists(st.binary(max_size=3), max_size=4)


@given(texts, texts, texts, texts)
def test_arguments_and_variables_never_run_into_one_another(
    one: list[bytes], other: list[bytes], some: list[bytes], more: list[bytes]
) -> None:
    keys = [
        key(arguments=arguments, environment=dict.fromkeys(names, b"1"))
        for arguments, names in ((one, some), (other, more))
    ]
    assert (keys[0] == keys[1]) == (one == other and set(some) == set(more))
