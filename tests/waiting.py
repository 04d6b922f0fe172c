"""How tests wait: for what happens, however long a busy machine takes over it."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

CEILING_S = 300.0  # only what never happens takes this long; below pytest's limit, so that the test says what failed


def until(true: Callable[[], T], what: str = "it") -> T:
    """The first true value of `true()`; fails when none comes at all."""
    deadline = time.monotonic() + CEILING_S
    while not (value := true()):
        assert time.monotonic() < deadline, f"{what} did not come within {CEILING_S:g} s"
        time.sleep(0.005)
    return value


async def until_async(true: Callable[[], T], what: str = "it") -> T:
    """As `until`, for what this event loop has to do itself."""
    deadline = time.monotonic() + CEILING_S
    while not (value := true()):
        assert time.monotonic() < deadline, f"{what} did not come within {CEILING_S:g} s"
        await asyncio.sleep(0.002)
    return value
