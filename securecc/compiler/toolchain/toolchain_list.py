"""The toolchains that a daemon offers, or an agent has seen, as a file for commands to read."""

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from securecc.model import limits
from securecc.model.errors import ConfigError
from securecc.model.manifest import Digest
from securecc.model.messages import Description
from securecc.system.atomic_file import replace_file

NAME = "toolchains.json"
"""The file below the daemon's `state`, or beside the agent's journal."""


class KnownToolchain(msgspec.Struct, frozen=True):
    """One toolchain. `called_by` are the paths of its drivers; `search_path` is the PATH that it was examined with.
    `witnessed` says whether its programs load the witness, None if nobody has tried.
    """

    digest: Digest
    called_by: tuple[bytes, ...]
    description: Description
    search_path: bytes = b""
    witnessed: bool | None = None


class ToolchainList(msgspec.Struct, frozen=True):
    """What one process knows. `pid` is its process id, 0 if there is none."""

    toolchains: tuple[KnownToolchain, ...] = ()
    pid: int = 0


_decoder = msgspec.json.Decoder(ToolchainList)


def encode(ledger: ToolchainList) -> bytes:
    """As JSON; bytes are in base64."""
    return msgspec.json.encode(ledger)


def decode(data: bytes, document: str) -> ToolchainList:
    """Reads what `encode` wrote. `document` is the file's name in messages.

    Raises:
        ConfigError: it is not such a list.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"{document} is not a list of toolchains: {error}", "remove it; it is written again"
        ) from error


def read(path: Path) -> ToolchainList:
    """The toolchains in a file; none if there is no such file.

    Raises:
        ConfigError: the file cannot be read, or is not such a list.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limits.TOOLCHAIN_LEDGER + 1)
    except FileNotFoundError:
        return ToolchainList()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", "run this as the user who owns the file, or as root") from error
    if len(data) > limits.TOOLCHAIN_LEDGER:
        raise ConfigError(f"{path}: over {limits.TOOLCHAIN_LEDGER} bytes", "remove it; it is written again")
    return decode(data, str(path))


def write(path: Path, known: Sequence[KnownToolchain]) -> None:
    """Replaces the whole file; its `pid` is this process.

    Raises:
        OSError: it cannot be written.
    """
    replace_file(path, encode(ToolchainList(tuple(known), os.getpid())), mode=0o666)
