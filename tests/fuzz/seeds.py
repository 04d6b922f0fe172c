"""Good input for each target: what is changed a little gets further than what is made of nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import zstandard

from securecc.audit.chain import Link, seal
from securecc.audit.records.daemon_events import connection
from securecc.model import manifest
from securecc.model.manifest import Entry, Manifest, Role
from securecc.model.manifest import Kind as Is
from securecc.model.messages import (
    Ask,
    Cancel,
    Description,
    Forget,
    Goodbye,
    Hello,
    Invite,
    Need,
    Output,
    Part,
    Ping,
    Pong,
    Refuse,
    Result,
    Submit,
    Supply,
    Terminal,
    Usage,
    Wait,
    Welcome,
)
from securecc.wire.framing import Kind, encode_bulk, encode_frame
from tests.fuzz.mutation import chain_anew

TOP = Path(__file__).resolve().parents[2]
VECTORS = TOP / "tests/vectors"
_FILE, _FOLDER, _LINK, _SHARED_TREE = Is.FILE, Is.DIRECTORY, Is.LINK, Is.SHARED_TREE


def _hex(value: object) -> Iterator[bytes]:
    """Every text of a vector that is hexadecimal and at least eight digits long."""
    if isinstance(value, str):
        if len(value) >= 8 and len(value) % 2 == 0 and set(value) <= set("0123456789abcdef"):
            yield bytes.fromhex(value)
    elif isinstance(value, dict):
        for part in value.values():
            yield from _hex(part)
    elif isinstance(value, list):
        for part in value:
            yield from _hex(part)


def _vectors(name: str) -> list[bytes]:
    return list(_hex(json.loads((VECTORS / f"{name}.json").read_text())))


def _log() -> bytes:
    link, lines = Link(), []
    for number in range(3):
        record = connection("allowed", peer="10.0.0.1:5", principal="alice@EXAMPLE.COM", reference=f"r{number}")
        line, link = seal(record, link, f"2026-11-21T08:00:0{number}.000000Z")
        lines.append(line)
    return b"".join(lines)


def _reviewed() -> bytes:
    """A record of each kind, as far as reviews read it; who reads them for people does not ask for the chain."""
    job: dict[str, object] = {
        "peer": "10.0.0.1:5", "principal": "alice@EXAMPLE.COM", "rule": "committers", "reference": "0a0b0c0d",
        "job": 1, "attempt": 1, "toolchain": "gcc-12", "arguments": ["/usr/bin/gcc", "-c", "a.c"], "arguments_count": 3,
        "cwd": "/", "layers_sha256": ["00"], "sandbox": ["jail", "seccomp"],
    }  # fmt: skip
    ended: dict[str, object] = {
        "outcome": "done", "exit": 0, "outputs": [{"path": "/a.o", "size": 7, "sha256": "0" * 64}], "outputs_count": 1,
        "usage": {"wall_s": 0.5, "user_s": 0.4, "system_s": 0.1, "memory": 4096, "tree_s": 0.001},
    }  # fmt: skip
    records: tuple[dict[str, object], ...] = (
        {"kind": "daemon", "event": "start", "version": "1", "policy": "0", "sandbox": ["jail"]},
        {"kind": "connection", "decision": "allowed", "peer": "[::1]:5", "principal": "alice@EXAMPLE.COM"},
        {"kind": "job-start", "decision": "allowed", **job},
        {"kind": "job-end", **job, **ended},
        {"kind": "job-refused", "decision": "denied", **job, "code": "tree", "reason": "out of order"},
        {"kind": "strangers", "source": "10.0.0.2", "minute": "2026-11-21T08:00Z", "counts": {"tls": 3}},
        {"kind": "checkpoint", "signed_seq": 1, "signed_hash": "0" * 64, "host": "farm1", "key": "k", "signature": "s"},
        {"kind": "repair", "problem": "torn", "count": 3},
    )
    return b"".join(
        json.dumps({"seq": number, "time": f"2026-11-21T08:00:0{number}.000000Z", **record}).encode() + b"\n"
        for number, record in enumerate(records, 1)
    )


_DIGEST = bytes(range(32))
_CWD = b"/home/alice/p"
_TREES: dict[str, tuple[Entry, ...]] = {
    "one file": (Entry(_CWD + b"/a.c", _FILE, _DIGEST, 3),),
    "headers": (
        Entry(b"/home/alice/inc", _LINK, b"p/inc"),
        Entry(_CWD + b"/a.c", _FILE, _DIGEST, 3, mtime_ns=10**18, inode=7),
        Entry(_CWD + b"/b.c", _FILE, _DIGEST, 3, mtime_ns=10**18, inode=7),
        Entry(_CWD + b"/build", _FOLDER, mode=0o755, role=Role.PRESENT),
        Entry(_CWD + b"/inc/a.h", _FILE, bytes(32), 14, role=Role.MAY_READ),
        Entry(_CWD + b"/inc/b.h", _LINK, b"a.h"),
        Entry(b"/usr/include/stdc-predef.h", _FILE, bytes(32), 100),
        Entry(b"/usr/lib/gcc/x86_64-linux-gnu/12/include/stddef.h", _FILE, _DIGEST, 100),
    ),
    "a shared tree": (
        Entry(_CWD + b"/a.c", _FILE, _DIGEST, 3),
        Entry(b"/usr/include", _SHARED_TREE, b"l" * 32, mode=0o755, role=Role.PRESENT),
    ),
    "input": (Entry(manifest.INPUT, _FILE, _DIGEST, 3), Entry(_CWD, _FOLDER, mode=0o755, role=Role.PRESENT)),
    "links": (
        Entry(b"/bin", _LINK, b"usr/bin", role=Role.PRESENT),
        *(Entry(_CWD + b"/l%d" % number, _LINK, b"l%d/.." % (number + 1)) for number in range(3)),
        Entry(_CWD + b"/l3", _FOLDER, mode=0o755),
        Entry(b"/lib", _LINK, b"usr/lib", role=Role.PRESENT),
    ),
    "catalogues": (
        Entry(_CWD + b"/a.c", _FILE, _DIGEST, 3),
        Entry(b"/usr/share/locale/de/LC_MESSAGES/gcc-12.mo", _FILE, b"m" * 32, 9),
    ),
    "nothing": (),
}
_COMMANDS = (
    b"-c a.c -o a.o",
    b"-std=c17 -O2 -g -Wall -Iinc -I../inc -DNAME=1 -MD -MP -MF build/a.d -MT a.o -c b.c -o build/a.o",
    b"-x c -c - -o a.o",
    b"-c a.c -o /home/alice/p/x/../a.o -fprofile-arcs -ftest-coverage -gsplit-dwarf -save-temps",
    b"-S a.c -o - -include inc/a.h -imacros inc/b.h -isystem /usr/include -fdiagnostics-color=always",
)


def _manifests() -> list[bytes]:
    return [manifest.encode(Manifest(entries)) for entries in _TREES.values()]


def _submissions() -> list[bytes]:
    """Each tree with each command, as the target reads them: a Submit and its Manifest."""
    found = []
    for entries in _TREES.values():
        for command in _COMMANDS:
            submit = Submit(
                job=1,
                toolchain=b"g" * 32,
                arguments=(b"/usr/bin/gcc", *command.split()),
                cwd=_CWD,
                environment={b"LANG": b"C", b"LANGUAGE": b"de", b"TZ": b"UTC"} if b"-g" in command else {},
                umask=0o022,
                terminal=Terminal(),
                manifest_digest=_DIGEST,
            )
            found.append(msgspec.msgpack.encode((submit, Manifest(entries))))
    return found


def _conversations() -> list[bytes]:
    """Legal ones, message after message; a chunk is [job, bytes, whether the server sends it]."""
    greeting = (Hello((1,), "x"), Welcome(1, "x", "alice@EXAMPLE.COM", "r", 4, ()))
    submit = Submit(1, b"g", (b"gcc",), b"/", {}, 0, Terminal(), b"d")
    result = Result(1, 0, "", 3, 0, (Output(b"a.o", 4, 0o644, b""),), (), Usage(), 0.1)
    asked = (*greeting, Ask(1, b"k", b"g"), Wait(1, 1), Invite(1, 250))
    whole = (*asked, submit, Need(1, True, ()), Supply(1, b"m"), Need(1, False, (0,)), Supply(1), (1, 5, False), result)
    said = (
        (*whole, (1, 3, True), (1, 4, True), Ping(1), Pong(1), Ask(2, b"k", b"g"), Refuse(2, "busy", "no")),
        (*greeting, submit, Cancel(1), result, Supply(1), (1, 5, False), Goodbye("draining", "x", "r")),
        (*asked, Forget(1), Ask(2, b"", b""), Ask(3, b"", b""), Invite(3, 1), Cancel(2), Refuse(3, "server", "no")),
    )
    return [msgspec.msgpack.encode([_plain(message) for message in each]) for each in said]


def _plain(message: object) -> object:
    """As it stands on the wire."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(message))


def _messages() -> list[bytes]:
    """Each message of the vectors by itself."""
    table = json.loads((VECTORS / "frames.json").read_text())["messages"]
    parts = tuple(Part(b"/usr/lib/%d" % number, b"%d" % number * 8) for number in range(5))
    described = Ask(1, b"k", b"g", 0, 0, Description("gcc-13", version="13.2", target="x", parts=parts))
    packed = zstandard.compress(_manifests()[1])
    submit = Submit(1, b"g", (b"gcc",), b"/", {}, 0, Terminal(), manifest.digest(_manifests()[1]), packed)
    more = map(msgspec.msgpack.encode, (described, submit, Hello((1, 2), "x")))
    return [*(bytes.fromhex(said["payload"]) for said in table), *more]


def seeds() -> dict[str, list[bytes]]:
    """By the target's name."""
    wire = [data for name in ("frames", "handshake") for data in _vectors(name)]
    bulk = encode_bulk(1, memoryview(b"int f;\n" * 900)) + encode_frame(Kind.BULK, zstandard.compress(b"x"), 1, 1)
    words = (TOP / "tests/compiler/command_line/commands.txt").read_bytes().splitlines()
    v4 = bytes.fromhex("0d0a0d0a000d0a515549540a2111000c0a0000010a00000200010002")
    return {
        "frames": [b"\xff" + bulk, *(first + data for data in wire for first in (b"\0", b"\xff"))],
        "messages": _messages() + [data[12:] for data in wire if len(data) > 12],
        "launcher": _vectors("launcher"),
        "manifests": _manifests(),
        "submissions": _submissions(),
        "conversations": _conversations(),
        "command_lines": [b"-c\0a.c\0-o\0a.o", *(line.replace(b" ", b"\0") for line in words[:200] if line)],
        "policies": [path.read_bytes() for path in sorted((TOP / "policy").glob("*.yaml"))],
        "audits": [_log(), chain_anew(_reviewed()), chain_anew(_log() + _reviewed() * 2)],
        "reviews": [_reviewed(), *(line + b"\n" for line in _reviewed().splitlines())],
        "proxies": [v4, v4[:13] + b"\x21" + v4[14:], b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n"],
    }
