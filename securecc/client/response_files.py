"""Reads the response files that a command line names."""

import os
import stat

from securecc.compiler import response
from securecc.words import limits
from securecc.words.errors import StaysLocal


def expanded(arguments: tuple[bytes, ...], cwd: bytes) -> tuple[bytes, ...]:
    """The command line as the compiler reads it, each `@FILE` replaced by what the file holds.

    Raises StaysLocal for a file that is not there, no plain file, or too large: the compiler alone knows what then.
    """
    return response.expand(arguments, lambda name: _read(os.path.join(cwd, name)))


def _read(path: bytes) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        with open(descriptor, "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise StaysLocal("response-file", f"{os.fsdecode(path)} is no regular file")
            return file.read(limits.RESPONSE_BYTES + 1) or b""
    except (OSError, ValueError) as error:
        raise StaysLocal("response-file", f"{os.fsdecode(path)}: {error}") from error
