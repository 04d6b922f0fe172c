"""The toolchains that a daemon offers, or an agent has met, as a file that people's tools read."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from securecc.words import limits
from securecc.words.errors import ConfigError
from securecc.words.manifest import Digest
from securecc.words.messages import Description


class Known(msgspec.Struct, frozen=True):
    """One toolchain. `called_by` are the paths of its drivers; `search_path` is the PATH that it was looked at with."""

    digest: Digest
    called_by: tuple[bytes, ...]
    description: Description
    search_path: bytes = b""


_decoder = msgspec.json.Decoder(tuple[Known, ...])


def encode(known: Sequence[Known]) -> bytes:
    """As JSON; bytes are in base64."""
    return msgspec.json.encode(tuple(known))


def decode(data: bytes, document: str) -> tuple[Known, ...]:
    """Raises ConfigError, which calls the file `document`, for what is no such list."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ConfigError(f"{document} is no list of toolchains: {error}", "remove it; it is written again") from error


def read(path: Path) -> tuple[Known, ...]:
    """The toolchains in a file; none where there is no such file. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            data = file.read(limits.TOOLCHAIN_LEDGER + 1)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", "ask as the user whose file it is, or as root") from error
    if len(data) > limits.TOOLCHAIN_LEDGER:
        raise ConfigError(f"{path}: over {limits.TOOLCHAIN_LEDGER} bytes", "remove it; it is written again")
    return decode(data, str(path))


def write(path: Path, known: Sequence[Known]) -> None:
    """Replaces the file as a whole. Raises OSError."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        new.write_bytes(encode(known))
        new.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
