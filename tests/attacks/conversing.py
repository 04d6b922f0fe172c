"""A conversation of the corpus, as values, and how it is held: over TCP, over TLS, or on a channel of alice's."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import yaml
from yaml.constructor import BaseConstructor

from securecc.channel import dialer, tls
from securecc.model.errors import SecureccError
from securecc.model.messages import Ask, Goodbye, Refuse
from securecc.wire.framing import HEADER
from tests.attacks.corpus import FOLDER
from tests.attacks.raw import Raw, ending
from tests.farm.farmside import Farm
from tests.waiting import CEILING_S

_STEPS = {"bytes", "frame", "say", "ask", "asks", "invited"}


class _Loader(yaml.SafeLoader):
    """YAML with bytes that are written shortly."""


def _scalar(loader: BaseConstructor, node: yaml.Node) -> str:
    assert isinstance(node, yaml.ScalarNode)
    return str(loader.construct_scalar(node))


def _listed(loader: BaseConstructor, node: yaml.Node) -> list[Any]:
    assert isinstance(node, yaml.SequenceNode)
    return list(loader.construct_sequence(node, deep=True))


def _repeated(piece: bytes, times: int) -> bytes:
    return piece * times


_Loader.add_constructor("!b", lambda loader, node: _scalar(loader, node).encode("latin-1"))
_Loader.add_constructor("!hex", lambda loader, node: bytes.fromhex(_scalar(loader, node)))
_Loader.add_constructor("!much", lambda loader, node: _repeated(*_listed(loader, node)))
_Loader.add_constructor("!many", lambda loader, node: _listed(loader, node)[:1] * _listed(loader, node)[1])
_Loader.add_constructor("!numbers", lambda loader, node: list(range(int(_scalar(loader, node)))))


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is said, and how it may end."""

    topic: str
    name: str
    over: str
    hello: bool
    steps: tuple[Mapping[str, Any], ...]
    may: tuple[str, ...]

    @property
    def id(self) -> str:
        """As pytest shows it."""
        return f"{self.topic}: {self.name}"


def conversations(topic: str) -> Iterator[Conversation]:
    """All of one file. Raises ValueError for a step that nobody knows."""
    table = yaml.load((FOLDER / f"{topic}.yaml").read_text(), _Loader)
    for name, own in table["cases"].items():
        row = {"over": "channel", "hello": True, **table["each"], **own}
        if unknown := {key for step in row["steps"] for key in step} - _STEPS - {"times"}:
            raise ValueError(f"{topic}, {name}: unknown {sorted(unknown)}")
        yield Conversation(topic, name, row["over"], row["hello"], tuple(row["steps"]), tuple(row["may"]))


def hold(farm: Farm, said: Conversation) -> tuple[str, str]:
    """How it ended, as the corpus names it, and in which words."""
    return asyncio.run(
        {"tcp": _over_tcp, "tls": _over_tls, "channel": _on_a_channel}[said.over](farm, said),
    )


async def _over_tcp(farm: Farm, said: Conversation) -> tuple[str, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", farm.server.port, family=socket.AF_INET)
    try:
        for step in said.steps:
            writer.write(step["bytes"])
        heard = await asyncio.wait_for(_to_the_end(reader), CEILING_S)
    finally:
        writer.close()
    return ("cut" if len(heard) < 256 and b"securecc" not in heard else "told"), repr(heard)


async def _to_the_end(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:  # bytes of ours were under way when it was closed
        return b""


async def _over_tls(farm: Farm, said: Conversation) -> tuple[str, str]:
    link = await dialer.connect(tls.client_context(), "127.0.0.1", farm.server.port)
    await link.secured()
    for step in said.steps:
        link.write(step["bytes"] if "bytes" in step else _frame(**step["frame"]))
    try:
        answer = await asyncio.wait_for(link.receive(), CEILING_S)
    except SecureccError as error:
        return "cut", str(error)
    code, text, _reference = msgspec.msgpack.decode(answer[1:])
    link.finish(SecureccError("heard enough"))
    return (f"refused {code}" if answer[0] == 4 else "told"), text


def _frame(
    *, kind: int, payload: bytes = b"", job: int = 0, flags: int = 0, length: int | None = None, zero: int = 0
) -> bytes:
    return HEADER.pack(len(payload) if length is None else length, kind, flags, zero, job) + payload


async def _on_a_channel(farm: Farm, said: Conversation) -> tuple[str, str]:
    raw = Raw(farm)
    await (raw.__aenter__() if said.hello else raw.connect())
    try:
        for step in said.steps:
            for _ in range(step.get("times", 1)):
                await _take(raw, step)
        return await _how(raw)
    finally:
        await raw.__aexit__()


async def _take(raw: Raw, step: Mapping[str, Any]) -> None:
    if "frame" in step:
        raw.channel.connection.write(_frame(**step["frame"]))
    elif "say" in step:
        raw.channel.connection.write(_frame(kind=2, payload=msgspec.msgpack.encode(step["say"])))
    elif "asks" in step:
        raw.tell(*(Ask(number, b"", raw.toolchain) for number in range(1, step["asks"] + 1)))
    else:
        raw.numbers = iter([step.get("ask", step.get("invited"))])
        await raw.invited() if "invited" in step else raw.ask()


async def _how(raw: Raw) -> tuple[str, str]:
    """The first word that ends something."""
    while True:
        heard = await raw.hear()
        if isinstance(heard, Goodbye):
            return ("goodbye" if heard.code == "protocol" else f"goodbye {heard.code}"), heard.reason
        if isinstance(heard, Refuse) and heard.code != "busy":
            return f"refused {heard.code}", heard.reason
        if isinstance(heard, SecureccError):
            return "cut", ending(heard).text
