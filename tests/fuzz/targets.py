"""What a stranger's bytes meet, one function for each reader: it parses, or it raises its one error; anything else that
leaves a target is a defect. Streams are read whole and byte by byte, and both must come to the same.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from securecc.audit.verification import ChainVerifier
from securecc.cli.securecctl import main
from securecc.client.ipc.frames import CommandReader, RequestReader
from securecc.compiler.command_line.compile_plan import dependency_command, parse
from securecc.compiler.toolchain.closest_match import explain_missing
from securecc.compiler.tree import manifest_check
from securecc.model import limits, manifest
from securecc.model.errors import AgentError, FrameError, PathError, PolicyError, ProtocolError, Refused, StaysLocal
from securecc.model.messages import (
    PROTOCOL_VERSIONS,
    Ask,
    Description,
    Hello,
    Part,
    Result,
    SharedTree,
    Submit,
    Terminal,
    Welcome,
)
from securecc.policy.document.policy_document import read_policy
from securecc.policy.member_list import read_members
from securecc.runner_protocol.messages import Offer
from securecc.server.jobs import validation
from securecc.wire.framing import Frame, FrameReader, Kind, decode_bulk, decode_from_client, decode_from_server
from securecc.wire.proxy_protocol import read_proxy_header
from securecc.wire.session import Session, agree

Target = Callable[[bytes], None]


def _read(feed: Callable[[bytes], list[Any]], pieces: Iterable[bytes], errors: tuple[type[Exception], ...]) -> object:
    """All that came out, and the error that ended it; after an error nothing is read."""
    got: list[object] = []
    try:
        for piece in pieces:
            got += feed(piece)
    except errors as error:
        return str(error)
    return got


def _singly(data: bytes) -> Iterable[bytes]:
    return (data[at : at + 1] for at in range(len(data)))


def _drained(reader: FrameReader) -> Callable[[bytes], list[Any]]:
    """Before the verdict a reader gives one frame at a time, and more when it is asked."""

    def feed(data: bytes) -> list[Any]:
        got = found = reader.feed(data)
        while found:
            found = reader.feed(b"")
            got = got + found
        return got

    return feed


def frames(data: bytes) -> None:
    """The first byte: whether the peer has proven itself."""
    readers = FrameReader(), FrameReader()
    if data[:1] > b"\x7f":
        for reader in readers:
            reader.open()
    whole = _read(_drained(readers[0]), [data[1:]], (FrameError,))
    assert _read(_drained(readers[1]), _singly(data[1:]), (FrameError,)) == whole
    for frame in whole if isinstance(whole, list) else ():
        if frame.kind == Kind.BULK:
            _bulk(frame)


def _bulk(frame: Frame) -> None:
    try:
        decode_bulk(frame)
    except FrameError:
        return


def messages(data: bytes) -> None:
    """A control frame's payload, as either side hears it, and what is made of some of them at once."""
    for decode in (decode_from_client, decode_from_server):
        try:
            message = decode(data)
        except FrameError:
            continue
        with contextlib.suppress(ProtocolError, PathError, Refused):
            _taken(message)


def _taken(message: object) -> None:
    """Raises the one error of what takes it."""
    if isinstance(message, Hello):
        assert agree(message.versions) in PROTOCOL_VERSIONS
    elif isinstance(message, Ask):
        said = explain_missing(
            message.description, (Description("gcc-12", version="12", parts=(Part(b"/a", b"1" * 8),)),)
        )
        assert said.isprintable()
        assert len(said) <= _REASON
    elif isinstance(message, Submit):
        validation.ManifestCache().put(message.manifest_digest, message.manifest)
    elif isinstance(message, Result):
        session = Session(server=False)
        for each in (Hello((1,), "x"), Welcome(1, "x", "p", "r", 1, ()), replace(_SUBMIT, job=max(1, message.job))):
            session.passed(each)
        session.received(message)


_REASON = 2048  # characters
_SUBMIT = Submit(1, b"g", (b"gcc",), b"/", {}, 0, Terminal(), b"d")


def launcher(data: bytes) -> None:
    """What a launcher says to its agent, and what it hears."""
    for reader in (RequestReader, CommandReader):
        errors = (ProtocolError, AgentError)
        assert _read(reader().feed, [data], errors) == _read(reader().feed, _singly(data), errors)


def manifests(data: bytes) -> None:
    """What was read is written the same again, or at least read the same again; and it may be built, or not."""
    try:
        read = manifest.decode(data)
    except PathError:
        return
    assert manifest.decode(manifest.encode(read)) == read
    with contextlib.suppress(PathError):
        checked = manifest_check.check_manifest(read, _TOOLS, _HEADERS, b"/home/alice/p", [b"/home/alice/p/a.o"])
        for path in (*checked.directories, *(entry.path for entry in checked.entries)):
            assert path.startswith(b"/")
            assert b".." not in path.split(b"/")
            assert b"\0" not in path
            assert path not in _TOOLS or path in checked.directories
        assert not any(entry.mode & 0o111 for entry in checked.entries if entry.kind is manifest.Kind.FILE)


class _Submitted(msgspec.Struct, frozen=True, array_like=True):
    """A Submit and the manifest that it names, which has been sent."""

    submit: Submit
    sent: manifest.Manifest


_submitted = msgspec.msgpack.Decoder(_Submitted)
_TOOLS = frozenset((b"/usr/bin", b"/usr/lib/gcc/x86_64-linux-gnu/12"))
_HEADERS = frozenset((b"/usr/include", b"/usr/lib/gcc/x86_64-linux-gnu/12/include"))
_OFFER = Offer(
    name="gcc-12",
    digest=b"g" * 32,
    target="x86_64-linux-gnu",
    called_by=(b"/usr/bin/gcc",),
    directories=tuple(_TOOLS),
    include_directories=tuple(_HEADERS),
    catalogues=((b"/usr/share/locale/de/LC_MESSAGES/gcc-12.mo", b"m" * 32),),
)
_SHARED_TREES = (SharedTree(b"/usr/include", b"l" * 32),)


def submissions(data: bytes) -> None:
    """A compile as the server reads it: command, environment, tree, all together."""
    try:
        said = _submitted.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError):  # messages and manifests are targets of their own
        return
    try:
        read = validation.validate(said.submit, _OFFER, said.sent, _SHARED_TREES)
    except Refused as refused:
        if refused.code not in {"option", "tree", "layer"} or not refused.message:
            raise
        return
    assert read.submit.arguments[0] in _OFFER.called_by
    assert not any(word.startswith(b"@") for word in dependency_command(read.plan))


_conversation = msgspec.msgpack.Decoder(list[msgspec.Raw])
_chunk = msgspec.msgpack.Decoder(tuple[int, int, bool])


def conversations(data: bytes) -> None:
    """What both sides say, one after the other, as either end takes it; an illegal word ends it."""
    try:
        said = _conversation.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return
    for server in (True, False):
        session = Session(server=server)
        with contextlib.suppress(ProtocolError):
            for each in said[:4096]:
                _hear(session, bytes(each), server=server)
                assert 0 <= session.jobs <= limits.JOBS_PER_CHANNEL


def _hear(session: Session, data: bytes, *, server: bool) -> None:
    """A message of either side's, or a chunk. Raises ProtocolError."""
    with contextlib.suppress(msgspec.DecodeError, ValueError):
        job, size, from_server = _chunk.decode(data)
        (session.sent_bulk if from_server == server else session.received_bulk)(job, max(0, size))
        return
    try:
        session.passed(decode_from_client(data))
    except FrameError:
        session.passed(decode_from_server(data))


def command_lines(data: bytes) -> None:
    """Words that are separated as in /proc/PID/cmdline."""
    for driver in (b"gcc", b"clang++"):
        try:
            plan = parse((driver, *data.split(b"\0")))
        except StaysLocal:
            continue
        assert not any(word.startswith(b"@") for word in dependency_command(plan))


def policies(data: bytes) -> None:
    """The document, and a file of members."""
    for read in (read_policy, read_members):
        try:
            read(data, "policy.yaml")
        except PolicyError:
            continue


def audits(data: bytes) -> None:
    """The reader of the log has no error: it has a verdict on any bytes."""
    chain = ChainVerifier()
    lines = io.BytesIO(data).readlines()
    for line in lines:
        if not chain.feed(line):
            break
    verdict = chain.verdict()
    assert verdict.problem or verdict.records == len(lines)


def reviews(data: bytes) -> None:
    """What reviews a log makes something of any bytes, for a terminal as well. The last line has its end: for that the
    readers wait.
    """
    log = os.memfd_create("log")
    try:
        os.write(log, data + b"\n")
        for action, *more in (["show"], ["summary"], ["export", "--format", "csv"], ["trace", "0" * 64]):
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                status = main(["audit", action, *more, f"/proc/self/fd/{log}"])
            assert status in (0, 1)
            assert all(character.isprintable() for character in printed.getvalue() if character not in "\r\n")
    finally:
        os.close(log)


def proxies(data: bytes) -> None:
    """The header of the PROXY protocol: as more comes, it is only ever lacking, then an origin or an error."""
    for end in range(len(data) + 1):
        try:
            if read_proxy_header(data[:end]) is not None:
                return
        except ProtocolError:
            return


TARGETS: Mapping[str, Target] = {
    made.__name__: made
    for made in (
        frames,
        messages,
        launcher,
        manifests,
        submissions,
        conversations,
        command_lines,
        policies,
        audits,
        reviews,
        proxies,
    )
}
