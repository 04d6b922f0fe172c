import json
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.client.ipc.frames import (
    CHUNK,
    Capture,
    Captured,
    CaptureDone,
    CommandReader,
    Commit,
    Committed,
    Data,
    Die,
    Execute,
    Exit,
    Failed,
    Frame,
    Input,
    Keepalive,
    Output,
    Print,
    Request,
    RequestReader,
    Spawn,
    Spawned,
    data_frames,
    encode,
    print_frames,
)
from securecc.model.errors import AgentError, ProtocolError
from securecc.model.limits import LAUNCHER_MESSAGE
from securecc.model.messages import Terminal

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/launcher.json").read_text())
COMMANDS = {
    made.__name__: made for made in (Execute, Capture, Spawn, Output, Data, Commit, Print, Exit, Keepalive, Die, Input)
}
REPLIES = {made.__name__: made for made in (Captured, CaptureDone, Spawned, Committed, Failed)}

word = st.integers(0, 2**32 - 1)
text = st.binary(max_size=20)
texts = st.lists(text, max_size=5).map(tuple)
environments = st.dictionaries(text.filter(lambda name: name and b"=" not in name), text, max_size=5)
terminals = st.builds(Terminal, st.booleans(), st.booleans(), word, word)
streams = st.sampled_from((1, 2))

requests = st.builds(Request, texts, text, text, word, environments, word, terminals)
replies = st.one_of(
    st.builds(Captured, streams, text),
    st.builds(CaptureDone, word, st.booleans()),
    st.builds(Spawned, word),
    st.just(Committed()),
    st.builds(Failed, word, text),
)
commands = st.one_of(
    st.builds(Execute, text, texts, texts),
    st.builds(Capture, texts, environments, st.booleans()),
    st.builds(Spawn, texts, environments),
    st.builds(Output, text, st.integers(0, 2**64 - 1), st.booleans()),
    st.builds(Data, text),
    st.just(Commit()),
    st.builds(Print, streams, text),
    st.builds(Exit, word),
    st.just(Keepalive()),
    st.builds(Die, word),
    st.just(Input()),
)


def byte_by_byte(reader: RequestReader | CommandReader, data: bytes) -> list[Frame]:
    return [frame for at in range(len(data)) for frame in reader.feed(data[at : at + 1])]


@given(requests, st.lists(replies, max_size=4))
def test_what_a_launcher_says_comes_back(request: Request, said: list[Frame]) -> None:
    data = b"".join(map(encode, [request, *said]))
    assert RequestReader().feed(data) == [request, *said]
    assert byte_by_byte(RequestReader(), data) == [request, *said]


@given(st.lists(commands, max_size=6))
def test_commands_come_back(said: list[Frame]) -> None:
    data = b"".join(map(encode, said))
    assert CommandReader().feed(data) == said
    assert byte_by_byte(CommandReader(), data) == said


def outcome(reader: RequestReader | CommandReader, pieces: list[bytes]) -> list[Frame] | str:
    frames: list[Frame] = []
    try:
        for piece in pieces:
            frames += reader.feed(piece)
    except (ProtocolError, AgentError) as error:
        return str(error)
    return frames


framed = st.lists(
    st.tuples(st.sampled_from([1, 2, 3, 4, 5, 6, 7, 0x81, 0x82, 0x83, 0x84, 0x87]), st.binary(max_size=40)), max_size=4
).map(lambda frames: b"".join(len(data).to_bytes(4, "little") + bytes([kind]) + data for kind, data in frames))


@given(framed | st.binary(max_size=60))
def test_any_bytes_are_frames_or_one_of_our_errors(data: bytes) -> None:
    apart = [data[at : at + 1] for at in range(len(data))]
    assert outcome(RequestReader(), apart) == outcome(RequestReader(), [data])
    assert outcome(CommandReader(), apart) == outcome(CommandReader(), [data])


def as_value(made: Any, described: dict[str, Any]) -> Frame:
    values: dict[str, Any] = {}
    for field in fields(made):
        value = described[field.name]
        if isinstance(value, str):
            value = value.encode()
        elif isinstance(value, list):
            value = tuple(entry.encode() for entry in value)
        elif isinstance(value, dict):
            value = {name.encode(): entry.encode() for name, entry in value.items()}
        values[field.name] = value
    return cast("Frame", made(**values))


@pytest.mark.parametrize("vector", VECTORS["commands"], ids=lambda vector: vector["name"])
def test_command_vectors(vector: dict[str, Any]) -> None:
    value = as_value(COMMANDS[vector["name"]], vector["fields"])
    assert encode(value).hex() == vector["hex"]
    assert CommandReader().feed(bytes.fromhex(vector["hex"])) == [value]


@pytest.mark.parametrize("vector", VECTORS["replies"], ids=lambda vector: vector["name"])
def test_reply_vectors(vector: dict[str, Any]) -> None:
    value = as_value(REPLIES[vector["name"]], vector["fields"])
    first = bytes.fromhex(VECTORS["request"]["hex"])
    assert encode(value).hex() == vector["hex"]
    assert RequestReader().feed(first + bytes.fromhex(vector["hex"]))[1:] == [value]


def test_vectors_name_every_frame() -> None:
    assert {vector["name"] for vector in VECTORS["commands"]} == set(COMMANDS)
    assert {vector["name"] for vector in VECTORS["replies"]} == set(REPLIES)


REQUEST = Request((b"gcc",), b"/usr/bin/gcc", b"/", 0o22, {}, 1, Terminal())


def test_request_comes_first_and_once() -> None:
    with pytest.raises(ProtocolError, match="sends one Request"):
        RequestReader().feed(encode(Committed()))
    with pytest.raises(ProtocolError, match="sends one Request"):
        RequestReader().feed(encode(REQUEST) * 2)


def test_another_version_is_told_apart_whatever_follows_it() -> None:
    with pytest.raises(AgentError, match="version 3"):
        RequestReader().feed(b"\x05\0\0\0\x01\x03\0\0\0?")


def test_length_is_judged_before_the_bytes_come() -> None:
    with pytest.raises(ProtocolError, match="over the limit"):
        RequestReader().feed((LAUNCHER_MESSAGE + 1).to_bytes(4, "little") + b"\x01")
    with pytest.raises(ProtocolError, match="over the limit"):
        encode(Data(bytes(LAUNCHER_MESSAGE + 1)))


@pytest.mark.parametrize("kind", [0x00, 0x07, 0x81, 0xFF])
def test_launchers_say_nothing_else(kind: int) -> None:
    with pytest.raises(ProtocolError, match="no frame of kind"):
        RequestReader().feed(b"\0\0\0\0" + bytes([kind]))


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1, 5 * CHUNK])
def test_content_is_cut_into_chunks(size: int) -> None:
    content = bytes(size)
    data = [frame for frame in CommandReader().feed(data_frames(content)) if isinstance(frame, Data)]
    assert b"".join(frame.data for frame in data) == content
    assert all(0 < len(frame.data) <= CHUNK for frame in data)
    printed = [frame for frame in CommandReader().feed(print_frames(2, content)) if isinstance(frame, Print)]
    assert [frame.data for frame in printed] == [frame.data for frame in data]
    assert {frame.stream for frame in printed} <= {2}


def test_environment_as_getenv_sees_it() -> None:
    data = encode(Spawn((b"x",), {b"A": b"1", b"B": b"="}))
    assert CommandReader().feed(data.replace(b"B==", b"A==")) == [Spawn((b"x",), {b"A": b"1"})]
    with pytest.raises(ProtocolError, match="no '='"):
        CommandReader().feed(data.replace(b"A=1", b"A-1"))


def test_kinds_do_not_collide() -> None:
    kinds = {(vector["name"], vector["hex"][8:10]) for vector in (*VECTORS["commands"], *VECTORS["replies"])}
    assert len({kind for _, kind in kinds}) == len({name for name, _ in kinds}) == len(kinds)
