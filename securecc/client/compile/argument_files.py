"""Reads files that stand for arguments: response files and specs files."""

import os

from securecc.client.inputs import special_files
from securecc.compiler.command_line import response_files, specs_files
from securecc.model import limits
from securecc.model.errors import StaysLocal


def expanded(arguments: tuple[bytes, ...], cwd: bytes) -> tuple[bytes, ...]:
    """The command line as the compiler reads it, each `@FILE` replaced by the file's content.

    Raises:
        StaysLocal: a file is missing, not regular, or too large: the compiler itself says what is wrong.
    """
    return response_files.expand(
        arguments, lambda name: _read(os.path.join(cwd, name), limits.RESPONSE_BYTES + 1, "response-file")
    )


def without_specs(arguments: tuple[bytes, ...]) -> tuple[tuple[bytes, ...], bool]:
    """The command line without its specs file, and whether it had one.

    Raises:
        StaysLocal: the file does more than options can, or cannot be read.
    """
    path = specs_files.named(arguments)
    return (specs_files.without(arguments, _read(path, limits.SPECS, "program")), True) if path else (arguments, False)


def _read(path: bytes, most: int, reason: str) -> bytes:
    try:
        special_files.refuse(os.path.realpath(path), os.stat(path).st_mode)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        with open(descriptor, "rb", buffering=0) as file:
            return file.read(most) or b""
    except (OSError, ValueError) as error:
        raise StaysLocal(reason, f"{os.fsdecode(path)}: {error}") from error
