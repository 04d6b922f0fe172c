"""The fields of the launcher protocol's frames: how each kind is encoded and decoded.

Pure, little-endian (docs/launcher-protocol.md). Anything malformed is a ProtocolError.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from securecc.model.errors import ProtocolError
from securecc.model.messages import Terminal

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_TERMINAL = struct.Struct("<III")


class Payload:
    """The bytes of one payload, taken from the front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        """The next `size` bytes.

        Raises:
            ProtocolError: fewer are left.
        """
        end = self._at + size
        if end > len(self._data):
            raise ProtocolError(f"a field of {size} bytes runs over the end of its frame")
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(self.left)

    @property
    def left(self) -> int:
        """How many bytes have not been taken."""
        return len(self._data) - self._at


class Field(NamedTuple):
    """One kind of field: value to bytes, and payload to value."""

    put: Callable[[Any], bytes]
    take: Callable[[Payload], Any]


def _take_u8(payload: Payload) -> int:
    return payload.take(1)[0]


def take_u32(payload: Payload) -> int:
    """The next u32.

    Raises:
        ProtocolError: fewer than four bytes are left.
    """
    return int.from_bytes(payload.take(4), "little")


def _take_u64(payload: Payload) -> int:
    return int.from_bytes(payload.take(8), "little")


def _take_bool(payload: Payload) -> bool:
    value = _take_u8(payload)
    if value > 1:
        raise ProtocolError(f"a bool is 0 or 1, not {value}")
    return value == 1


def _put_string(value: bytes) -> bytes:
    return _U32.pack(len(value)) + value


def _take_string(payload: Payload) -> bytes:
    return payload.take(take_u32(payload))


def _put_list(values: Sequence[bytes]) -> bytes:
    return _U32.pack(len(values)) + b"".join(map(_put_string, values))


def _take_list(payload: Payload) -> tuple[bytes, ...]:
    count = take_u32(payload)
    if count * _U32.size > payload.left:
        raise ProtocolError(f"a list of {count} strings cannot be in the {payload.left} bytes left of its frame")
    return tuple(_take_string(payload) for _ in range(count))


def _put_environment(values: Mapping[bytes, bytes]) -> bytes:
    return _put_list([name + b"=" + value for name, value in values.items()])


def _take_environment(payload: Payload) -> dict[bytes, bytes]:
    values: dict[bytes, bytes] = {}
    for entry in _take_list(payload):
        name, equals, value = entry.partition(b"=")
        if not equals:
            raise ProtocolError("an environment entry has no '='")
        values.setdefault(name, value)  # getenv(3) finds the first
    return values


def _put_terminal(value: Terminal) -> bytes:
    return _TERMINAL.pack(value.input | value.error << 1, value.columns, value.rows)


def _take_terminal(payload: Payload) -> Terminal:
    flags, columns, rows = _TERMINAL.unpack(payload.take(_TERMINAL.size))
    return Terminal(bool(flags & 1), bool(flags & 2), columns, rows)


BYTE = Field(lambda value: bytes((value,)), _take_u8)
BOOL = Field(lambda value: b"\1" if value else b"\0", _take_bool)
WORD = Field(_U32.pack, take_u32)
LONG = Field(_U64.pack, _take_u64)
STRING = Field(_put_string, _take_string)
LIST = Field(_put_list, _take_list)
ENVIRONMENT = Field(_put_environment, _take_environment)
TERM = Field(_put_terminal, _take_terminal)
REST = Field(bytes, Payload.rest)
