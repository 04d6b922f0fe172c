"""Input that is still of its form but says something else: changes of values in a msgpack tree or a line of JSON, of
whole frames in a stream. A byte that is changed blindly breaks the form, and the reader is left at its first line.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import struct
from collections.abc import Callable

import msgspec

_NUMBERS = (
    0,
    1,
    -1,
    2,
    3,
    7,
    127,
    128,
    255,
    256,
    0o777,
    0o4755,
    65535,
    65536,
    2**31,
    2**32 - 1,
    2**32,
    2**62,
    2**63 - 1,
)
_TEXTS = (
    b"", b"/", b".", b"..", b"//", b"/..", b"/usr", b"/usr/bin", b"/usr/include", b"/usr/lib/gcc/x86_64-linux-gnu/12",
    b"/usr/lib/gcc/x86_64-linux-gnu/12/include", b"/etc", b"/lib", b"/proc", b"/dev/null", b"/.securecc/input",
    b"/home/alice", b"/home/alice/a.c", b"a.c", b"a.o", b"-", b"-o", b"-c", b"-x", b"-I", b"-MD", b"-MF", b"-include",
    b"@x", b"-Wp,", b"-fplugin=x", b"LANG", b"TZ", b"LANGUAGE", b"PWD", b"GCC_COLORS", b"\0", b"\n", b"\x1b", b"\xff",
    b"hello", b"ask", b"submit", b"supply", b"cancel", b"result", b"welcome", b"need", b"invite", bytes(32), b"x" * 300,
)  # fmt: skip
_LAUNCHER = struct.Struct("<IB")  # length, kind
_WIRE = struct.Struct("!IBBHI")  # as securecc.wire.framing.HEADER

Mutator = Callable[[bytes, random.Random], bytes]


def msgpack(data: bytes, chance: random.Random) -> bytes:
    """A few values of one msgpack document changed; the data itself where it is none."""
    try:
        tree = msgspec.msgpack.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return data
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        tree = _changed(tree, chance, _nodes(tree))
    try:
        return msgspec.msgpack.encode(tree)
    except (ValueError, OverflowError, TypeError, RecursionError):
        return data


def _nodes(tree: object) -> list[object]:
    """All values, of which one may stand in another's place."""
    found, waiting = [], [tree]
    while waiting:
        node = waiting.pop()
        found.append(node)
        if isinstance(node, list | tuple):
            waiting += node
        elif isinstance(node, dict):
            waiting += [*node.keys(), *node.values()]
    return found


def _changed(node: object, chance: random.Random, others: list[object]) -> object:
    """The node with one value somewhere in it changed."""
    if isinstance(node, dict):
        return _changed_map(node, chance, others)
    if not isinstance(node, list) or chance.random() < 0.02:
        return _value(node, chance, others)
    items = list(node)
    if not items:
        return [chance.choice(others)]
    at = chance.randrange(len(items))
    act = chance.random()
    if act < 0.7:
        items[at] = _changed(items[at], chance, others)
    elif act < 0.78:
        del items[at]
    elif act < 0.86:
        items.insert(chance.randrange(len(items) + 1), items[at])
    elif act < 0.92:
        other = chance.randrange(len(items))
        items[at], items[other] = items[other], items[at]
    elif act < 0.96:
        items.sort(key=repr)
    else:
        items.insert(at, chance.choice(others))
    return items


def _changed_map(node: dict[object, object], chance: random.Random, others: list[object]) -> object:
    rows = dict(node)
    if rows and chance.random() < 0.3:
        del rows[chance.choice(list(rows))]
    else:
        other = chance.choice(_TEXTS)
        key = chance.choice(
            [*rows, other.decode(errors="replace") if any(isinstance(key, str) for key in rows) else other]
        )
        rows[key] = _value(rows.get(key, b""), chance, others)
    return rows


def _value(node: object, chance: random.Random, others: list[object]) -> object:
    act = chance.random()
    if act < 0.1:
        return chance.choice(others)
    if isinstance(node, bool) or node is None:
        return chance.choice((True, False, None, 0))
    if isinstance(node, int | float):
        return chance.choice((*_NUMBERS, node + 1, node - 1, 0.5))
    if isinstance(node, str):
        return _text(node.encode(), chance).decode(errors="replace")
    return _text(node, chance) if isinstance(node, bytes) else chance.choice(others)


def _text(text: bytes, chance: random.Random) -> bytes:
    """A path, a word, a digest: parts taken out and put in."""
    act, at = chance.random(), chance.randrange(len(text) + 1)
    if act < 0.25:
        return chance.choice(_TEXTS)
    if act < 0.5:
        return text[:at] + chance.choice(_TEXTS) + text[at:]
    if act < 0.65:
        return text.rpartition(b"/")[0] + b"/" + chance.choice(_TEXTS).strip(b"/")
    if act < 0.75:
        return text.rpartition(b"/")[0]
    if act < 0.85:
        return text[:at]
    return text[:at] + bytes((chance.randrange(256),)) + text[at + 1 :]


def launcher(data: bytes, chance: random.Random) -> bytes:
    """Frames of docs/launcher-protocol.md: taken out, said twice, in another order, their payloads changed."""
    return _stream(data, chance, _LAUNCHER)


def wire(data: bytes, chance: random.Random) -> bytes:
    """Frames of docs/protocol.md behind the target's first byte; the same."""
    return data[:1] + _stream(data[1:], chance, _WIRE)


def _stream(data: bytes, chance: random.Random, header: struct.Struct) -> bytes:
    frames, at = [], 0
    while at + header.size <= len(data):
        length, *rest = header.unpack_from(data, at)
        payload = data[at + header.size :][:length]
        frames.append((rest, payload))
        at += header.size + len(payload)
    if not frames:
        return data
    at, act = chance.randrange(len(frames)), chance.random()
    rest, payload = frames[at]
    if act < 0.5:
        changed = msgpack(payload, chance)
        frames[at] = rest, changed if changed != payload else _fields(payload, chance)
    elif act < 0.6:
        frames[at] = [chance.choice((0, 1, 2, 3, 4, 5, 6, 0x81, 0x84, 0x86, 0x88, 0x8B, 255)), *rest[1:]], payload
    elif act < 0.7:
        frames.insert(chance.randrange(len(frames) + 1), frames[at])
    elif act < 0.8:
        del frames[at]
    else:
        chance.shuffle(frames)
    return b"".join(header.pack(len(payload), *rest) + payload for rest, payload in frames)


def _fields(payload: bytes, chance: random.Random) -> bytes:
    """One length-prefixed field longer or shorter, its length said rightly; or a number changed."""
    places = [
        (at, size)
        for at in range(len(payload) - 3)
        if 0 < (size := int.from_bytes(payload[at : at + 4], "little")) <= len(payload) - at - 4
    ]
    if places and chance.random() < 0.7:
        at, size = chance.choice(places)
        field = _text(payload[at + 4 : at + 4 + size], chance)
        return payload[:at] + len(field).to_bytes(4, "little") + field + payload[at + 4 + size :]
    at = chance.randrange(len(payload) + 1)
    return payload[:at] + (chance.choice(_NUMBERS) % 2**32).to_bytes(4, "little") + payload[at + 4 :]


def records(data: bytes, chance: random.Random) -> bytes:
    """Lines of JSON: one of them changed, said twice, taken out, in another place."""
    lines = data.splitlines(keepends=True)
    if not lines:
        return data
    at, act = chance.randrange(len(lines)), chance.random()
    if act < 0.7:
        with contextlib.suppress(ValueError, TypeError, RecursionError):
            tree = json.loads(lines[at])
            made = json.dumps(_changed(tree, chance, _nodes(tree)), default=repr, ensure_ascii=chance.random() < 0.5)
            lines[at] = made.encode("utf-8", "surrogatepass") + b"\n"
    elif act < 0.8:
        lines.insert(at, chance.choice(lines))
    elif act < 0.9:
        del lines[at]
    else:
        chance.shuffle(lines)
    return b"".join(lines)


def chained(data: bytes, chance: random.Random) -> bytes:
    """The same, and mostly chained anew (docs/audit.md), as somebody does who can write the file."""
    made = records(data, chance)
    return chain_anew(made) if chance.random() < 0.7 else made


def chain_anew(data: bytes) -> bytes:
    """Each line that is a record with the number, `prev` and `hash` of its place."""
    lines, prev = [], "0" * 64
    for number, line in enumerate(data.splitlines(keepends=True), 1):
        try:
            said = dict(json.loads(line))
            kept = {key: value for key, value in said.items() if key not in {"seq", "prev", "hash"}}
            body = json.dumps({"seq": number, "prev": prev, **kept}, separators=(",", ":"))[:-1].encode()
            made = body + b',"hash":"%s"}\n' % hashlib.sha256(body).hexdigest().encode()
        except (ValueError, TypeError, RecursionError):
            made = line
        prev = hashlib.sha256(made).hexdigest()
        lines.append(made)
    return b"".join(lines)


MUTATORS: dict[str, Mutator] = {
    "messages": msgpack,
    "manifests": msgpack,
    "submissions": msgpack,
    "conversations": msgpack,
    "launcher": launcher,
    "frames": wire,
    "audits": chained,
    "reviews": records,
}
"""By the target's name. Text is well enough served by changes of its bytes."""
