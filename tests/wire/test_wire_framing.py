import json
import struct
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.model import limits, messages
from securecc.model.errors import FrameError
from securecc.wire import framing
from securecc.wire.framing import (
    COMPRESSED,
    Frame,
    FrameReader,
    Kind,
    decode_bulk,
    decode_from_client,
    decode_from_server,
    encode_bulk,
    encode_control,
    encode_frame,
)

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "frames.json").read_text())


def opened() -> Any:
    reader = FrameReader()
    reader.open()
    return reader


def header(length: Any, kind: Any, flags: int = 0, zero: int = 0, job: int = 0) -> Any:
    return struct.pack(">IBBHI", length, kind, flags, zero, job)


@pytest.mark.parametrize("vector", VECTORS["frames"], ids=lambda vector: vector["name"])
def test_vectors_of_frames(vector: Any) -> None:
    reader = FrameReader()
    if vector["authenticated"]:
        reader.open()
    data = bytes.fromhex(vector["bytes"])
    if vector.get("error"):
        with pytest.raises(FrameError):
            reader.feed(data)
        return
    frame = Frame(vector["kind"], vector["flags"], vector["job"], bytes.fromhex(vector["payload"]))
    assert reader.feed(data) == [frame]
    assert encode_frame(frame.kind, frame.payload, frame.job, frame.flags) == data
    if "content" in vector:
        assert decode_bulk(frame) == bytes.fromhex(vector["content"])


@pytest.mark.parametrize("vector", VECTORS["messages"], ids=lambda vector: vector["name"])
def test_vectors_of_messages(vector: Any) -> None:
    payload = bytes.fromhex(vector["payload"])
    decode = decode_from_client if vector["from"] == "client" else decode_from_server
    message = decode(payload)
    assert type(message).__name__ == vector["name"]
    assert encode_control(message) == header(len(payload), 2) + payload
    fields = msgspec.to_builtins(message, builtin_types=(bytes,))[1:]
    assert _plain(fields) == vector["fields"]


@pytest.mark.parametrize("vector", VECTORS["earlier"], ids=lambda vector: vector["name"])
def test_a_message_of_the_version_before_has_the_defaults(vector: Any) -> None:
    decode = decode_from_client if vector["from"] == "client" else decode_from_server
    message = decode(bytes.fromhex(vector["payload"]))
    assert type(message).__name__ == vector["name"]
    assert _plain(msgspec.to_builtins(message, builtin_types=(bytes,))[1:]) == vector["fields"]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    return value


def test_every_message_has_a_vector() -> None:
    known = {kind.__name__ for union in (messages.FromClient, messages.FromServer) for kind in union.__args__}
    assert {vector["name"] for vector in VECTORS["messages"]} == known


frames = st.one_of(
    st.builds(Frame, st.just(2), st.just(0), st.just(0), st.binary(max_size=200)),
    st.builds(Frame, st.just(3), st.integers(0, 1), st.integers(1, 2**32 - 1), st.binary(max_size=200)),
)


def wire(some: Any) -> Any:
    return b"".join(encode_frame(frame.kind, frame.payload, frame.job, frame.flags) for frame in some)


@settings(max_examples=60)
@given(st.lists(frames, max_size=6), st.lists(st.integers(1, 60), min_size=1))
def test_frames_come_out_as_they_went_in_however_they_are_cut(some: Any, cuts: Any) -> None:
    data, reader, got, index = wire(some), opened(), [], 0
    while data:
        cut = cuts[index % len(cuts)]
        got += reader.feed(data[:cut])
        data, index = data[cut:], index + 1
    assert got == some
    assert reader.held == 0


def outcome(pieces: Any, *, authenticated: Any) -> Any:
    reader = opened() if authenticated else FrameReader()
    got: list[Frame] = []
    try:
        for piece in pieces:
            got += reader.feed(piece)
        while not authenticated and (more := reader.feed(b"")):
            got += more
    except FrameError:
        return got, True
    return got, False


@settings(max_examples=80)
@given(st.binary(max_size=120) | st.lists(frames, max_size=3).map(wire), st.booleans())
def test_any_bytes_parse_or_are_a_frame_error_whole_and_byte_by_byte(data: bytes, authenticated: Any) -> None:
    whole = outcome([data], authenticated=authenticated)
    single = outcome([bytes((byte,)) for byte in data], authenticated=authenticated)
    assert whole[1] == single[1]
    if not whole[1]:
        assert whole[0] == single[0]


@pytest.mark.parametrize(
    "bad",
    [
        header(1, 0),
        header(1, 1),
        header(1, 4),
        header(limits.FRAME_CONTROL + 1, 2),
        header(limits.FRAME_BULK + 1, 3, job=1),
        header(2**32 - 1, 2),
        header(1, 2, zero=1),
        header(1, 2, job=1),
        header(1, 2, flags=1),
        header(1, 3, job=0),
        header(1, 3, job=1, flags=2),
    ],
)
def test_a_header_is_judged_before_its_payload_has_come(bad: Any) -> None:
    with pytest.raises(FrameError):
        opened().feed(bad)


@pytest.mark.parametrize("bad", [header(1, 2), header(1, 3, job=1), header(limits.PREAUTH_FRAME + 1, 1)])
def test_before_authentication_only_handshake_frames(bad: Any) -> None:
    with pytest.raises(FrameError):
        FrameReader().feed(bad)


def test_before_authentication_all_bytes_count() -> None:
    reader = FrameReader()
    frame = encode_frame(1, bytes(limits.PREAUTH_FRAME))
    for _ in range(3):
        assert reader.feed(frame)
    with pytest.raises(FrameError, match="before authentication"):
        reader.feed(frame)


def test_what_follows_the_last_handshake_frame_is_judged_when_open() -> None:
    reader = FrameReader()
    data = encode_frame(1, b"last") + encode_frame(2, b"first") + encode_frame(3, b"x", job=7)
    assert [frame.payload for frame in reader.feed(data)] == [b"last"]
    reader.open()
    assert [frame.payload for frame in reader.feed(b"")] == [b"first", b"x"]


def test_large_frames_cost_linear_work() -> None:
    frame = encode_frame(2, bytes(limits.FRAME_CONTROL))
    reader, copied = opened(), 0
    for start in range(0, len(frame), 16384):
        got = reader.feed(frame[start : start + 16384])
        copied += reader.held if got else 0
    assert len(got) == 1
    assert copied == 0


@settings(max_examples=100)
@given(st.binary(max_size=60))
def test_any_payload_is_a_message_or_a_frame_error(data: bytes) -> None:
    for decode in (decode_from_client, decode_from_server):
        try:
            decode(data)
        except FrameError:
            continue


@pytest.mark.parametrize(
    "payload",
    [
        msgspec.msgpack.encode(["refuse", 1, "busy", "no"]),  # the server's words in a client's mouth
        msgspec.msgpack.encode(["ask", 1]),
        msgspec.msgpack.encode(["ask", "1", b"", b""]),
        msgspec.msgpack.encode({"t": "ping", "number": 1}),
        msgspec.msgpack.encode(["ping", 1]) + b"\x00",
        b"\x91" * 100_000,  # nested arrays
        b"\xdd\xff\xff\xff\xff",
        b"",
    ],
)
def test_what_is_no_message_of_a_clients(payload: Any) -> None:
    with pytest.raises(FrameError):
        decode_from_client(payload)


def test_a_message_with_fields_of_a_later_version_is_understood() -> None:
    assert decode_from_client(msgspec.msgpack.encode(["ping", 1, "later"])) == messages.Ping(1)


def test_a_message_over_the_limit_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FRAME_CONTROL", 100)
    with pytest.raises(FrameError):
        encode_control(messages.Supply(1, bytes(100)))


@settings(max_examples=30)
@given(st.binary(min_size=1, max_size=4000), st.integers(1, 300))
def test_chunks_come_out_as_they_went_in(data: bytes, times: Any) -> None:
    chunk = (data * times)[: limits.FRAME_BULK]
    (frame,) = opened().feed(encode_bulk(9, memoryview(chunk)))
    assert frame.job == 9
    assert decode_bulk(frame) == chunk


def test_compression_only_where_it_pays() -> None:
    assert encode_bulk(1, b"a" * 255) == encode_frame(3, b"a" * 255, job=1)
    assert encode_bulk(1, b"a" * 256)[5] == COMPRESSED
    noise = bytes((i * i * 31 + i // 3) % 251 for i in range(300))
    assert len(encode_bulk(1, noise)) <= len(noise) + framing.HEADER_SIZE


def packed(payload: Any) -> Any:
    return Frame(Kind.BULK, COMPRESSED, 1, payload)


def big_window() -> Any:
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=27)
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    return compressor.compress(bytes(limits.FRAME_BULK + 1))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"not zstd",
        zstandard.ZstdCompressor().compress(bytes(limits.FRAME_BULK + 1)),
        zstandard.ZstdCompressor().compress(bytes(100 * limits.MIB)),  # a bomb
        zstandard.ZstdCompressor(write_content_size=False).compress(bytes(1000)),
        zstandard.ZstdCompressor().compress(bytes(1000)) + b"tail",
        zstandard.ZstdCompressor().compress(bytes(1000))[:-1],
        zstandard.ZstdCompressor().compress(b""),
        big_window(),
    ],
)
def test_chunks_that_are_no_chunks(payload: Any) -> None:
    with pytest.raises(FrameError):
        decode_bulk(packed(payload))


def test_an_empty_chunk_is_no_chunk() -> None:
    with pytest.raises(FrameError, match="empty"):
        decode_bulk(Frame(Kind.BULK, 0, 1, b""))


@settings(max_examples=60)
@given(st.binary(max_size=200).map(lambda tail: b"\x28\xb5\x2f\xfd" + tail))
def test_any_compressed_bytes_are_a_chunk_or_a_frame_error(payload: Any) -> None:
    try:
        assert 0 < len(decode_bulk(packed(payload))) <= limits.FRAME_BULK
    except FrameError:
        return
