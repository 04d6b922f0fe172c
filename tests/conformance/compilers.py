"""A farm that has every compiler of the table."""

import contextlib
from collections.abc import Iterator

from tests.farm import farmside
from tests.farm.farmside import Farm

ALL = ("/usr/bin/gcc", "/usr/bin/clang", "/usr/bin/aarch64-linux-gnu-gcc")


@contextlib.contextmanager
def some_farm() -> Iterator[Farm]:
    """One server with two slots, and alice with a ticket."""
    with farmside.some_realms() as realms, farmside.some_farm(realms) as made:
        made.server.configure(toolchains=f"[{', '.join(ALL)}]")
        made.server.restart()
        yield made
