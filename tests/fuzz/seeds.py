"""Good input for each target: what is changed a little gets further than what is made of nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import zstandard

from securecc.audit.chain import Link, seal
from securecc.audit.events import connection
from securecc.wire.framing import Kind, encode_bulk, encode_frame
from securecc.words import manifest
from securecc.words.manifest import Entry, Manifest

TOP = Path(__file__).resolve().parents[2]
VECTORS = TOP / "tests/vectors"


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
    job = {
        "peer": "10.0.0.1:5", "principal": "alice@EXAMPLE.COM", "rule": "committers", "reference": "0a0b0c0d",
        "job": 1, "attempt": 1, "toolchain": "gcc-12", "arguments": ["/usr/bin/gcc", "-c", "a.c"], "arguments_count": 3,
        "cwd": "/", "layers_sha256": ["00"], "sandbox": ["jail", "seccomp"],
    }  # fmt: skip
    ended = {
        "outcome": "done", "exit": 0, "outputs": [{"path": "/a.o", "size": 7, "sha256": "0" * 64}], "outputs_count": 1,
        "usage": {"wall_s": 0.5, "user_s": 0.4, "system_s": 0.1, "memory": 4096, "tree_s": 0.001},
    }  # fmt: skip
    records = (
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


def _manifests() -> list[bytes]:
    entries = (
        Entry(b"/a.c", manifest.Kind.FILE, blob=bytes(32), size=3),
        Entry(b"/b", manifest.Kind.LINK, blob=b"a.c"),
    )
    return [manifest.encode(Manifest(entries)), manifest.encode(Manifest(()))]


def seeds() -> dict[str, list[bytes]]:
    """By the target's name."""
    wire = [data for name in ("frames", "handshake") for data in _vectors(name)]
    bulk = encode_bulk(1, memoryview(b"int f;\n" * 900)) + encode_frame(Kind.BULK, zstandard.compress(b"x"), 1, 1)
    words = (TOP / "tests/compiler/commands.txt").read_bytes().splitlines()
    v4 = bytes.fromhex("0d0a0d0a000d0a515549540a2111000c0a0000010a00000200010002")
    return {
        "frames": [b"\xff" + bulk, *(first + data for data in wire for first in (b"\0", b"\xff"))],
        "messages": [data[12:] for data in wire if len(data) > 12] + wire,
        "launcher": _vectors("launcher"),
        "manifests": _manifests(),
        "command_lines": [b"-c\0a.c\0-o\0a.o", *(line.replace(b" ", b"\0") for line in words[:200] if line)],
        "policies": [path.read_bytes() for path in sorted((TOP / "policy").glob("*.yaml"))],
        "audits": [_log()],
        "reviews": [_reviewed(), *(line + b"\n" for line in _reviewed().splitlines())],
        "proxies": [v4, v4[:13] + b"\x21" + v4[14:], b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n"],
    }
