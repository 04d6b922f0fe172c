"""Where the pages of the documentation are, for messages that name one."""

import sys
from typing import Final

_INSTALLED: Final = "/lib/securecc"  # below PREFIX, as packaging/install has it


def page(name: str, interpreter: str = sys.prefix) -> str:
    """The path of a page such as ``sandbox.md``: where `packaging/install` puts it, or else in the source tree.
    `interpreter` is the prefix of the Python that runs.
    """
    prefix = interpreter.removesuffix(_INSTALLED)
    return f"docs/{name}" if prefix == interpreter else f"{prefix}/share/doc/securecc/{name}"
