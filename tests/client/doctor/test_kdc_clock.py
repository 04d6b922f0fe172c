"""The request to a KDC, its answer, and the KDC in a trace; tests/farm asks a real one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.client.doctor import kdc_clock
from securecc.client.doctor.kdc_clock import Kdc, error_time, kdc_in, read_der, request

TRACE = """\
[7] 1795273200.1: Sending request (1015 bytes) to EXAMPLE.COM
[7] 1795273200.2: Resolving hostname 127.0.0.1
[7] 1795273200.3: Sending initial UDP request to dgram 127.0.0.1:21234
[7] 1795273200.4: Received answer (150 bytes) from {answer}
[7] 1795273200.5: Response was from primary KDC
"""
SAID = 1795274055.0
ERROR = bytes.fromhex(  # pvno 5, KRB-ERROR, 2026-11-21T15:14:15Z, 123456 us, KDC_ERR_ETYPE_NOSUPP
    "7e2b3029a003020105a10302011ea411180f32303236313132313135313431355aa505020301e240a60302010e"
)


@pytest.mark.parametrize(
    ("answer", "kdc"),
    [
        ("dgram 127.0.0.1:21234", Kdc("EXAMPLE.COM", "dgram", "127.0.0.1", 21234)),
        ("stream [2001:db8::1]:88", Kdc("EXAMPLE.COM", "stream", "2001:db8::1", 88)),
    ],
)
def test_whom_the_library_asked(answer: Any, kdc: Any) -> None:
    assert kdc_in(TRACE.format(answer=answer)) == kdc


@pytest.mark.parametrize("trace", ["", "Received answer (1 bytes) from dgram 127.0.0.1:1", "nonsense\n" * 9])
def test_nobody_answered(trace: Any) -> None:
    assert kdc_in(trace) is None


def test_the_time_in_an_error() -> None:
    assert error_time(ERROR) == SAID


def test_what_is_asked_is_well_formed() -> None:
    tag, whole, rest = read_der(request("EXAMPLE.COM"))
    assert (tag, rest) == (0x6A, b"")
    assert b"EXAMPLE.COM" in whole
    tag, whole, rest = read_der(request("X" * 200))
    assert (tag, rest) == (0x6A, b"")


@given(st.one_of(st.binary(max_size=200), st.integers(0, len(ERROR)).map(lambda end: ERROR[:end])))
def test_any_bytes_are_a_time_or_none(answer: Any) -> None:
    assert error_time(answer) in (None, SAID)


@given(st.text(max_size=300))
def test_any_trace_is_somebody_or_nobody(trace: Any) -> None:
    kdc = kdc_in(trace)
    assert kdc is None or kdc.port >= 0


def test_a_kdc_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kdc_clock, "trace_of_request", lambda *_: TRACE.format(answer="stream 127.0.0.1:1"))
    assert kdc_clock.kdc_time("securecc/localhost", None) is None
    monkeypatch.setattr(kdc_clock, "trace_of_request", lambda *_: "")
    assert kdc_clock.kdc_time("securecc/localhost", None) is None
