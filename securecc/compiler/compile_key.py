"""The complete name of one compile: equal keys mean equal results.

Pure, and the same on both sides: a client names a compile by it when it asks for a slot; a server computes it again
from what was submitted, and trusts only that.
"""

from collections.abc import Mapping, Sequence

from securecc.model.digest import sha256
from securecc.model.manifest import Digest
from securecc.model.messages import Terminal

_FORM = b"securecc compile key 1"


def compile_key(
    *,
    toolchain: Digest,
    arguments: Sequence[bytes],
    cwd: bytes,
    environment: Mapping[bytes, bytes],
    umask: int,
    terminal: Terminal,
    manifest: Digest,
) -> Digest:
    """SHA-256 over everything that determines what a compile prints and makes, each part as in its Submit.

    `toolchain` and `manifest` are digests: every file of the compiler, and every file that the compile may read. The
    command's own name counts, since diagnostics contain it. Each list is preceded by its length, each field by its size
    in bytes (4 bytes, big-endian); variables are sorted by name. So no two compiles share an encoding.
    """
    variables = [part for pair in sorted(environment.items()) for part in pair]
    shown = (terminal.input, terminal.error, terminal.columns, terminal.rows)
    fields = (
        _FORM,
        toolchain,
        manifest,
        cwd,
        *(b"%d" % number for number in (umask, *shown, len(arguments), len(environment))),
        *arguments,
        *variables,
    )
    return sha256(b"".join(len(field).to_bytes(4, "big") + field for field in fields))
