"""The frames between launcher and agent (docs/launcher-protocol.md is normative).

Pure: bytes in, values out. A frame is a u32 length of the payload, a u8 kind and the payload, little-endian. Each
frame is one frozen value here; `encode` turns any of them into bytes, and a reader turns bytes into values.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

from securecc.client.ipc.fields import (
    BOOL,
    BYTE,
    ENVIRONMENT,
    LIST,
    LONG,
    REST,
    STRING,
    TERM,
    WORD,
    Field,
    Payload,
    take_u32,
)
from securecc.model.errors import AgentError, ProtocolError
from securecc.model.limits import LAUNCHER_MESSAGE
from securecc.model.messages import Terminal

VERSION = 2
CHUNK = 256 * 1024  # of one Data or Print frame; `data_frames` keeps to it

_HEADER = struct.Struct("<IB")


# --- launcher to agent ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Request:
    """First frame of a launcher: one compile, as the user asked for it.

    `arguments[0]` is the name to call the compiler by, `compiler` the path that the launcher found for it and would
    itself execute. `cwd` is empty if no path leads to the working directory. `environment` holds the variables that the
    protocol lists, `others` the names of all that are set besides, each followed by ``=``. `parent` is the launcher's
    parent process id (make's). `terminal` has the size of descriptor 0, or of 2 if 0 is not a terminal.
    """

    arguments: tuple[bytes, ...]
    compiler: bytes
    cwd: bytes
    umask: int
    environment: Mapping[bytes, bytes]
    parent: int
    terminal: Terminal
    version: int = VERSION
    others: bytes = b""


@dataclass(frozen=True, slots=True)
class Captured:
    """Some bytes that a `Capture` child wrote to descriptor `stream` (1 or 2)."""

    stream: int
    data: bytes


@dataclass(frozen=True, slots=True)
class CaptureDone:
    """The `Capture` child has ended and all its output has been sent. `status` is as from waitpid(2).

    `truncated` means that it wrote more than 64 MiB and was killed.
    """

    status: int
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Spawned:
    """The `Spawn` child has ended. `status` is as from waitpid(2)."""

    status: int


@dataclass(frozen=True, slots=True)
class Committed:
    """All outputs have their final names."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A command could not be carried out; `error` is the errno.

    For outputs: no temporary file is left, and every Output, Data and Commit that follows is ignored. For Capture and
    Spawn: the child could not be started.
    """

    error: int
    path: bytes


# --- agent to launcher ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Execute:
    """Become `path`, with these arguments, in the user's environment without the names of `unset`."""

    path: bytes
    arguments: Sequence[bytes]
    unset: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True)
class Capture:
    """Run `arguments` (the first is an absolute path) with no input and send what it writes.

    `environment` is set on top of the user's. With `errors` standard error is sent as well, otherwise dropped.
    """

    arguments: Sequence[bytes]
    environment: Mapping[bytes, bytes] = field(default_factory=dict)
    errors: bool = False


@dataclass(frozen=True, slots=True)
class Spawn:
    """Run `arguments` with the user's own descriptors, report how it ended, and wait for another command."""

    arguments: Sequence[bytes]
    environment: Mapping[bytes, bytes] = field(default_factory=dict)


class Keep(IntEnum):
    """Whether an existing file is truncated, so that it keeps its mode and links are followed, or replaced."""

    IF_EMPTY = 0  # as GNU as and objcopy do
    ALWAYS = 1  # as all other writers do
    NEVER = 2  # as clang does with what it compiles


@dataclass(frozen=True, slots=True)
class Output:
    """A file of the result, whose `size` bytes follow in Data frames.

    `keep` says what happens to an existing one.
    """

    path: bytes
    size: int
    keep: int = 0


@dataclass(frozen=True, slots=True)
class Data:
    """The next bytes of the last Output."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Commit:
    """Every Output is complete: give all of them their final names. Answered by Committed or Failed."""


@dataclass(frozen=True, slots=True)
class Print:
    """Write to descriptor `stream` (1 or 2)."""

    stream: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Exit:
    """End with this exit status."""

    status: int


@dataclass(frozen=True, slots=True)
class Keepalive:
    """The agent is still working."""


@dataclass(frozen=True, slots=True)
class Die:
    """End by this signal, as the compiler did."""

    signal: int


@dataclass(frozen=True, slots=True)
class Input:
    """Send all of standard input, as Captured frames of stream 0 and CaptureDone, and keep it for commands run later.
    `truncated` means that it exceeds 4 MiB, Failed that it is a terminal, a device or partly read.
    """


FromLauncher = Request | Captured | CaptureDone | Spawned | Committed | Failed
FromAgent = Execute | Capture | Spawn | Output | Data | Commit | Print | Exit | Keepalive | Die | Input
Frame = FromLauncher | FromAgent


# --- frames and bytes -------------------------------------------------------------------------------------------

_REQUEST, _REINSTALL = 0x01, "reinstall securecc"


class _Layout(NamedTuple):
    kind: int
    made: Callable[..., Frame]
    fields: dict[str, Field]


_FROM_LAUNCHER = (
    _Layout(
        _REQUEST,
        Request,
        {
            "version": WORD,
            "umask": WORD,
            "parent": WORD,
            "terminal": TERM,
            "cwd": STRING,
            "compiler": STRING,
            "arguments": LIST,
            "environment": ENVIRONMENT,
            "others": STRING,
        },
    ),
    _Layout(0x02, Captured, {"stream": BYTE, "data": REST}),
    _Layout(0x03, CaptureDone, {"status": WORD, "truncated": BOOL}),
    _Layout(0x04, Spawned, {"status": WORD}),
    _Layout(0x05, Committed, {}),
    _Layout(0x06, Failed, {"error": WORD, "path": STRING}),
)
_FROM_AGENT = (
    _Layout(0x81, Execute, {"path": STRING, "arguments": LIST, "unset": LIST}),
    _Layout(0x82, Capture, {"errors": BOOL, "arguments": LIST, "environment": ENVIRONMENT}),
    _Layout(0x83, Spawn, {"arguments": LIST, "environment": ENVIRONMENT}),
    _Layout(0x84, Output, {"keep": BYTE, "size": LONG, "path": STRING}),
    _Layout(0x85, Data, {"data": REST}),
    _Layout(0x86, Commit, {}),
    _Layout(0x87, Print, {"stream": BYTE, "data": REST}),
    _Layout(0x88, Exit, {"status": WORD}),
    _Layout(0x89, Keepalive, {}),
    _Layout(0x8A, Die, {"signal": WORD}),
    _Layout(0x8B, Input, {}),
)
_BY_TYPE: dict[Any, _Layout] = {layout.made: layout for layout in _FROM_LAUNCHER + _FROM_AGENT}


def encode(frame: Frame) -> bytes:
    """The bytes of one frame.

    Raises:
        ProtocolError: its payload is over LAUNCHER_MESSAGE bytes.
    """
    layout = _BY_TYPE[type(frame)]
    payload = b"".join(made.put(getattr(frame, name)) for name, made in layout.fields.items())
    if len(payload) > LAUNCHER_MESSAGE:
        raise ProtocolError(f"a frame of {len(payload)} bytes is over the limit of {LAUNCHER_MESSAGE}")
    return _HEADER.pack(len(payload), layout.kind) + payload


def data_frames(content: bytes) -> bytes:
    """The Data frames of one output's content."""
    return b"".join(encode(Data(content[at : at + CHUNK])) for at in range(0, len(content), CHUNK))


def print_frames(stream: int, content: bytes) -> bytes:
    """The Print frames that write `content` to descriptor `stream` (1 or 2)."""
    return b"".join(encode(Print(stream, content[at : at + CHUNK])) for at in range(0, len(content), CHUNK))


class _Reader:
    """Frames from a stream of bytes, in any pieces. After an error nothing more can be read."""

    def __init__(self, layouts: tuple[_Layout, ...]) -> None:
        self._layouts = {layout.kind: layout for layout in layouts}
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes.

        Raises:
            ProtocolError: the bytes are not a frame that is allowed here.
            AgentError: the launcher has another version.
        """
        self._buffer += data
        frames: list[Frame] = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def _next(self) -> Frame | None:
        if len(self._buffer) < _HEADER.size:
            return None
        size, kind = _HEADER.unpack_from(self._buffer)
        self._check(size, kind)
        end = _HEADER.size + size
        if len(self._buffer) < end:
            return None
        payload = bytes(self._buffer[_HEADER.size : end])
        del self._buffer[:end]
        return self._decode(kind, payload)

    def _check(self, size: int, kind: int) -> None:
        if kind not in self._layouts:
            raise ProtocolError(f"no frame of kind 0x{kind:02x} is expected here")
        if size > LAUNCHER_MESSAGE:
            raise ProtocolError(f"a frame of {size} bytes is over the limit of {LAUNCHER_MESSAGE}")

    def _decode(self, kind: int, data: bytes) -> Frame:
        layout = self._layouts[kind]
        payload = Payload(data)
        values = {name: made.take(payload) for name, made in layout.fields.items()}
        if payload.left:
            raise ProtocolError(f"a frame of kind 0x{kind:02x} has {payload.left} bytes too many")
        return layout.made(**values)


class RequestReader(_Reader):
    """What an agent reads: one Request first, then replies."""

    def __init__(self) -> None:
        super().__init__(_FROM_LAUNCHER)
        self._requested = False

    def _check(self, size: int, kind: int) -> None:
        super()._check(size, kind)
        if (kind == _REQUEST) == self._requested:
            raise ProtocolError("a launcher sends one Request, and sends it first")

    def _decode(self, kind: int, data: bytes) -> Frame:
        if kind == _REQUEST:
            self._requested = True
            if (version := take_u32(Payload(data))) != VERSION:
                raise AgentError(f"the launcher speaks protocol version {version}, this agent {VERSION}", _REINSTALL)
        return super()._decode(kind, data)


class CommandReader(_Reader):
    """What a launcher reads: commands. The launcher itself is in C; tests use this to stand in for it."""

    def __init__(self) -> None:
        super().__init__(_FROM_AGENT)
