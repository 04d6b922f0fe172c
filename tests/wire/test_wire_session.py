"""The table of what may be said when, applied by both ends."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.model import limits
from securecc.model.errors import ProtocolError
from securecc.model.messages import (
    Ask,
    Cancel,
    Forget,
    FromClient,
    FromServer,
    Goodbye,
    Hello,
    Invite,
    Need,
    Output,
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
from securecc.wire.framing import FrameReader, Kind, decode_from_client, decode_from_server
from securecc.wire.session import TRANSITIONS, Session, State, agree

HELLO = Hello((1,), "test")
VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "frames.json").read_text())
WELCOME = Welcome(1, "test", "alice@EXAMPLE.COM", "ref", 1, ())


def message(kind: Any, job: int = 1, size: int = 0) -> FromClient | FromServer:
    made: dict[Any, Callable[[], FromClient | FromServer]] = {
        Ask: lambda: Ask(job, b"k", b"t"),
        Invite: lambda: Invite(job, 250),
        Wait: lambda: Wait(job, 1),
        Refuse: lambda: Refuse(job, "busy", "no"),
        Submit: lambda: Submit(job, b"t", (b"gcc",), b"/", {}, 0o22, Terminal(), b"m"),
        Need: lambda: Need(job, False, (0,)),
        Supply: lambda: Supply(job),
        Result: lambda: Result(job, 0, "", size, 0, (), (), Usage(), 0.0),
        Forget: lambda: Forget(job),
        Cancel: lambda: Cancel(job),
    }
    return made[kind]()


FROM_SERVER = {Invite, Wait, Refuse, Need, Result}
ROUTE: dict[State, list[Any]] = {
    State.ASKED: [Ask],
    State.WAITING: [Ask, Wait],
    State.INVITED: [Ask, Invite],
    State.SUBMITTED: [Ask, Invite, Submit],
    State.NEEDING: [Ask, Invite, Submit, Need],
    State.SUPPLIED: [Ask, Invite, Submit, Need, Supply],
    State.DELIVERING: [Ask, Invite, Submit, Result],
}


def greeted(*, server: bool = True) -> Session:
    session = Session(server=server)
    assert session.passed(HELLO)
    assert session.passed(WELCOME)
    return session


def brought_to(state: State, *, server: bool = True) -> Session:
    session = greeted(server=server)
    for kind in ROUTE[state]:
        assert session.passed(message(kind, size=10))
    assert session.state(1) is state
    return session


@pytest.mark.parametrize("state", ROUTE, ids=lambda state: state.name)
@pytest.mark.parametrize("kind", [Invite, Wait, Refuse, Submit, Need, Supply, Result, Forget, Cancel])
def test_every_message_in_every_state(state: Any, kind: Any) -> None:
    session = brought_to(state)
    following = TRANSITIONS.get((state, kind))
    if following is None:
        with pytest.raises(ProtocolError, match=state.name.lower()):
            session.passed(message(kind))
        return
    assert session.passed(message(kind, size=10))
    assert session.state(1) is following
    assert session.jobs == (following is not State.DONE)


def test_forget_is_for_jobs_that_went_elsewhere_and_cancel_for_all() -> None:
    assert {state for state, kind in TRANSITIONS if kind is Cancel} == set(ROUTE)
    assert {state for state, kind in TRANSITIONS if kind is Forget} == {
        State.ASKED,
        State.WAITING,
        State.INVITED,
        State.DELIVERING,
    }


@pytest.mark.parametrize("route", [(Ask,), (Ask, Wait)], ids=["asked", "waiting"])
@pytest.mark.parametrize("server", [True, False])
def test_a_result_may_answer_an_ask(route: tuple[type, ...], server: bool) -> None:
    session = greeted(server=server)
    for kind in (*route, Result):
        assert session.passed(message(kind, size=10))
    assert session.state(1) is State.DELIVERING
    assert (session.sent_bulk if server else session.received_bulk)(1, 10)
    assert session.jobs == 0


def test_an_invitation_is_answered_before_a_result() -> None:
    session = brought_to(State.INVITED)
    with pytest.raises(ProtocolError, match="Result for job 1, which is invited"):
        session.passed(message(Result))


def test_an_ask_that_went_elsewhere_may_cross_its_result() -> None:
    session = greeted()
    for kind in (Ask, Result, Forget):
        assert session.passed(message(kind, size=10))
    assert session.jobs == 0
    assert session.sent_bulk(1, 10) is False


@pytest.mark.parametrize("kind", [Invite, Submit, Supply, Result, Cancel, Forget, Refuse, Need, Wait])
def test_messages_for_an_ended_job_are_dropped_and_for_an_unknown_one_illegal(kind: Any) -> None:
    session = greeted()
    session.passed(message(Ask, 5))
    session.passed(message(Cancel, 5))
    assert session.passed(message(kind, 5)) is False
    assert session.passed(message(kind, 3)) is False
    for job in (6, 0, -1, 2**32):
        if kind is Submit and job == 6:
            continue  # it begins one
        with pytest.raises(ProtocolError, match=r"never|grow"):
            session.passed(message(kind, job))


def test_a_job_may_begin_with_its_submission() -> None:
    session = greeted()
    assert session.passed(message(Submit, 3))
    assert session.state(3) is State.SUBMITTED
    for kind in (Invite, Wait, Submit):
        with pytest.raises(ProtocolError, match="submitted"):
            session.passed(message(kind, 3))
    assert session.passed(message(Submit, 2)) is False
    with pytest.raises(ProtocolError, match="grow"):
        session.passed(message(Ask, 3))


@pytest.mark.parametrize("vector", VECTORS["conversations"], ids=lambda vector: vector["name"])
@pytest.mark.parametrize("server", [True, False])
def test_vectors_of_conversations(vector: Any, server: Any) -> None:
    session = greeted(server=server)
    if vector.get("error"):
        with pytest.raises(ProtocolError):
            converse(session, vector["frames"])
        return
    converse(session, vector["frames"])
    assert session.state(9).name == vector["ends"]


def converse(session: Session, frames: Any) -> None:
    for sender, data in frames:
        reader = FrameReader()
        reader.open()
        [frame] = reader.feed(bytes.fromhex(data))
        if frame.kind == Kind.BULK:
            (session.sent_bulk if session.server else session.received_bulk)(frame.job, len(frame.payload))
        else:
            session.passed((decode_from_client if sender == "client" else decode_from_server)(frame.payload))


@pytest.mark.parametrize("job", [5, 4, 0, -1, 2**32])
def test_numbers_grow(job: int) -> None:
    session = greeted()
    session.passed(message(Ask, 5))
    with pytest.raises(ProtocolError, match="grow"):
        session.passed(message(Ask, job))


def test_greetings_come_first_and_once() -> None:
    with pytest.raises(ProtocolError):
        Session(server=True).passed(message(Ask))
    with pytest.raises(ProtocolError):
        Session(server=True).passed(WELCOME)
    session = Session(server=True)
    session.passed(HELLO)
    with pytest.raises(ProtocolError):
        session.passed(message(Ask))
    with pytest.raises(ProtocolError):
        session.passed(HELLO)
    with pytest.raises(ProtocolError, match="version 9"):
        session.passed(Welcome(9, "test", "a", "r", 1, ()))
    session.passed(WELCOME)
    with pytest.raises(ProtocolError):
        session.passed(WELCOME)


def test_signs_of_life_are_legal_at_any_time() -> None:
    for some in (Ping(1), Pong(1), Goodbye("draining", "r", "ref")):
        assert Session(server=False).passed(some)


def test_versions() -> None:
    assert agree([0, 1, 2]) == 1
    with pytest.raises(ProtocolError, match=r"theirs 2 3, ours 1; upgrade"):
        agree([3, 2])
    with pytest.raises(ProtocolError, match="theirs none"):
        agree([])


def test_jobs_have_a_limit() -> None:
    session = greeted()
    for job in range(1, limits.JOBS_PER_CHANNEL + 1):
        session.passed(message(Ask, job))
    with pytest.raises(ProtocolError, match="jobs"):
        session.passed(message(Ask, limits.JOBS_PER_CHANNEL + 1))
    session.passed(message(Cancel, 1))
    assert session.passed(message(Ask, limits.JOBS_PER_CHANNEL + 1))


def test_bulk_to_the_server_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "JOB_SOURCE", 100)
    session = brought_to(State.NEEDING)
    with pytest.raises(ProtocolError, match="needing"):
        session.received_bulk(1, 1)
    session.passed(message(Supply))
    assert session.received_bulk(1, 60)
    with pytest.raises(ProtocolError, match="of which 40"):
        session.received_bulk(1, 41)
    assert session.received_bulk(1, 40)
    with pytest.raises(ProtocolError):
        session.received_bulk(1, 1)
    with pytest.raises(ProtocolError, match="supplied"):
        session.sent_bulk(1, 1)


def test_bulk_without_an_expectation_is_bounded_by_the_jobs_source() -> None:
    session = brought_to(State.SUPPLIED)
    assert session.received_bulk(1, limits.JOB_SOURCE)
    with pytest.raises(ProtocolError):
        session.received_bulk(1, 1)


def test_bulk_that_crosses_a_result_is_dropped() -> None:
    for server in (True, False):
        session = brought_to(State.DELIVERING, server=server)
        assert (session.received_bulk if server else session.sent_bulk)(1, 5) is False


@pytest.mark.parametrize("server", [True, False])
def test_a_job_ends_with_its_last_byte(server: Any) -> None:
    session = brought_to(State.DELIVERING, server=server)
    bulk = session.sent_bulk if server else session.received_bulk
    assert bulk(1, 4)
    assert session.jobs == 1
    assert bulk(1, 6)
    assert session.jobs == 0
    assert bulk(1, 1) is False
    with pytest.raises(ProtocolError, match="never"):
        bulk(2, 1)


def test_a_result_without_bytes_ends_the_job() -> None:
    session = brought_to(State.SUBMITTED)
    session.passed(message(Result))
    assert session.jobs == 0


@pytest.mark.parametrize("sizes", [(-1, 5), (0, limits.RESULT + 1)])
def test_a_result_announces_what_a_client_can_bear(sizes: Any) -> None:
    session = brought_to(State.SUBMITTED, server=False)
    outputs = (Output(b"/a.o", sizes[1], 0o644, b"d"),)
    with pytest.raises(ProtocolError, match="announces"):
        session.passed(Result(1, 0, "", sizes[0], 0, outputs, (), Usage(), 0.0))


kinds = st.sampled_from([Ask, Invite, Wait, Refuse, Submit, Need, Supply, Result, Forget, Cancel])


@settings(max_examples=150)
@given(st.lists(st.tuples(kinds, st.integers(1, 3), st.integers(0, 5)), max_size=30))
def test_two_ends_that_hear_the_same_hold_the_same(script: Any) -> None:
    client, server = greeted(server=False), greeted(server=True)
    for kind, job, size in script:
        verdicts: list[bool | None] = []
        for session in (client, server):
            try:
                verdicts.append(session.passed(message(kind, job, size)))
            except ProtocolError:
                verdicts.append(None)
        assert verdicts[0] == verdicts[1]
        assert {job: client.state(job) for job in range(4)} == {job: server.state(job) for job in range(4)}
        assert client.jobs == server.jobs <= 3
