"""The messages as bytes: every one comes back, none is taken for another."""

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from securecc.model import messages
from securecc.model.errors import ProtocolError
from securecc.model.messages import FromClient, FromServer, Message, RefuseCode
from securecc.wire.framing import decode_from_client, decode_from_server

CLIENT, SERVER = get_args(FromClient), get_args(FromServer)
ALL = tuple(dict.fromkeys((*CLIENT, *SERVER)))


def drawn(data: Any, kind: Any) -> Any:
    """A message's bytes. Numbers are the wire's, of 64 bits."""
    message = data.draw(st.from_type(kind))
    try:
        encoded = msgspec.msgpack.encode(message)
    except OverflowError:
        encoded = b""
    assume(encoded)
    return encoded


def test_every_message_has_a_direction_and_a_tag_of_its_own() -> None:
    known = {value for value in vars(messages).values() if isinstance(value, type) and issubclass(value, Message)}
    assert known - {Message} == set(ALL)
    tags = [kind.__struct_config__.tag for kind in ALL]
    assert len(set(tags)) == len(tags)
    assert all(tag == tag.lower() for tag in tags)


@pytest.mark.parametrize("kind", ALL)
def test_values_are_frozen(kind: Any) -> None:
    assert kind.__struct_config__.frozen
    assert kind.__struct_config__.array_like


@pytest.mark.parametrize("kind", CLIENT)
@settings(max_examples=10)
@given(st.data())
def test_what_a_client_says_comes_back(kind: Any, data: Any) -> None:
    encoded = drawn(data, kind)
    message = decode_from_client(encoded)
    assert (type(message), msgspec.msgpack.encode(message)) == (kind, encoded)


@pytest.mark.parametrize("kind", SERVER)
@settings(max_examples=10)
@given(st.data())
def test_what_a_server_says_comes_back(kind: Any, data: Any) -> None:
    encoded = drawn(data, kind)
    message = decode_from_server(encoded)
    assert (type(message), msgspec.msgpack.encode(message)) == (kind, encoded)


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind not in CLIENT or kind not in SERVER])
@settings(max_examples=5)
@given(st.data())
def test_nobody_says_the_others_words(kind: Any, data: Any) -> None:
    encoded = drawn(data, kind)
    with pytest.raises(ProtocolError):
        (decode_from_client if kind in SERVER else decode_from_server)(encoded)


def test_the_codes_of_a_refusal_are_short_words() -> None:
    assert all(code.isalpha() and code.islower() for code in get_args(RefuseCode))
