import hashlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.audit.chain import Link, seal, stamp
from securecc.audit.records import job_events
from securecc.audit.records.job_events import JobRefused, JobStart
from securecc.model import limits
from securecc.model.messages import Output, Usage
from securecc.model.printable import quote
from securecc.model.redaction import Redaction


def start(arguments: Any = (b"gcc", b"-c", b"a.c"), **others: Any) -> JobStart:
    fields = {
        "peer": "10.2.3.4:5", "principal": "alice@EXAMPLE.COM", "rule": "committers", "reference": "r-1", "job": 7,
        "attempt": 1, "toolchain": "gcc-12", "toolchain_digest": b"\x01" * 32, "arguments": arguments,
        "cwd": b"/home/alice", "manifest_digest": b"\x02" * 32, "layers": ("namespaces", "rlimits"),
        "trees": [b"\x04" * 32],
    }  # fmt: skip
    return job_events.job_start(**(fields | others))


def test_a_job_s_start() -> None:
    found = msgspec.to_builtins(start())
    assert found["kind"] == "job-start"
    assert found["decision"] == "allowed"
    assert found["arguments"] == ("gcc", "-c", "a.c")
    assert found["arguments_sha256"] == hashlib.sha256(b"gcc\0-c\0a.c\0").hexdigest()
    assert found["toolchain_sha256"] == "01" * 32
    assert found["input_sha256"] == "02" * 32
    assert found["layers_sha256"] == ("04" * 32,)
    assert found["sandbox"] == ("namespaces", "rlimits")


def test_arguments_are_capped_but_all_digested() -> None:
    arguments = [b"x" * 1000] * 100
    shown = start(arguments)
    assert sum(map(len, shown.arguments)) < limits.AUDIT_ARGUMENTS + 20
    assert shown.arguments_count == 100
    assert shown.arguments_sha256 == hashlib.sha256(b"".join(item + b"\0" for item in arguments)).hexdigest()
    assert shown.arguments_sha256 != start([*arguments, b""]).arguments_sha256


def test_a_job_s_end_repeats_its_start() -> None:
    made = [Output(b"/home/alice/a.o", 10, 0o644, b"\x03" * 32)]
    end = job_events.job_end(start(), "done", status=0, outputs=made, usage=Usage(1.5, 1.0, 0.5, 1000, 0.25))
    assert (end.principal, end.arguments, end.exit, end.signal) == ("alice@EXAMPLE.COM", ("gcc", "-c", "a.c"), 0, None)
    assert end.outputs == (job_events.Made("/home/alice/a.o", 10, "03" * 32),)
    assert end.usage == job_events.Used(1.5, 1.0, 0.5, 1000, 0.25)


def test_signals_limits_and_neither() -> None:
    assert (job_events.job_end(start(), "done", status=-9, limit="wall").signal) == 9
    end = job_events.job_end(start(), "cancelled")
    assert (end.exit, end.signal, end.outputs_count) == (None, None, 0)


def test_outputs_are_capped_but_all_digested() -> None:
    made = [Output(b"/%03d" % number + b"x" * 4000, 1, 0o644, b"\x03" * 32) for number in range(200)]
    end = job_events.job_end(start(), "done", status=0, outputs=made)
    assert len(end.outputs) == 200  # each by its digest, so that any of them can be traced
    assert sum(len(made.path) for made in end.outputs) < limits.AUDIT_OUTPUTS + 200 * 10
    assert {made.sha256 for made in end.outputs} == {"03" * 32}
    assert end.outputs_count == 200
    assert end.outputs_sha256 != job_events.job_end(start(), "done", outputs=made[:-1]).outputs_sha256


def test_the_worst_record_fits_its_limit() -> None:
    worst = b"\x01" * 5000
    begin = start(
        [b"\x01" * 200] * 4096,
        peer="\x01" * 5000,
        principal="\x01" * 5000,
        rule="\\" * 5000,
        cwd=worst,
        trees=[b"l" * 32] * 64,
    )
    made = [Output(b"\x01", 1 << 60, 0o644, b"\xff" * 32)] * 200
    end = job_events.job_end(
        begin, "failed", outputs=made, reason="\x01" * 5000, usage=Usage(1e300, 1e300, 1e300, 1 << 62)
    )
    assert len(seal(end, Link(10**16, "f" * 64), stamp(0))[0]) < limits.AUDIT_RECORD
    end = job_events.job_end(start([b""] * 5000), "done", outputs=[Output(b"\x01" * 4096, 1, 0, b"\xff" * 32)] * 200)
    assert len(seal(end, Link(), stamp(0))[0]) < limits.AUDIT_RECORD


def test_a_refused_job() -> None:
    refused = job_events.job_refused(
        peer="p", principal="a@B", rule="r", reference="x", job=1, code="option", reason="-fplugin=x is refused"
    )
    assert msgspec.to_builtins(refused)["kind"] == "job-refused"
    assert refused.decision == "denied"


# Secrets that the site has named.

REDACT = Redaction([r"^-D\w*TOKEN=(.*)", r"s3cr3t"])


def refusal(reason: str, *arguments: Any) -> JobRefused:
    return job_events.job_refused(
        redact=REDACT, peer="p", principal="a@B", rule="r", reference="x", job=1, code="option", reason=reason,
        arguments=arguments,
    )  # fmt: skip


def test_no_secret_of_a_job_is_on_record() -> None:
    begin = start([b"gcc", b"-DTOKEN=hunter2", b"-c", b"a.c"], cwd=b"/home/s3cr3t", redact=REDACT)
    assert begin.arguments == ("gcc", "-DTOKEN=[redacted]", "-c", "a.c")
    assert begin.cwd == "/home/[redacted]"
    made = [Output(b"/home/s3cr3t/a.o", 10, 0o644, b"\x03" * 32)]
    end = job_events.job_end(begin, "failed", outputs=made, reason="no s3cr3t here", redact=REDACT)
    whole = msgspec.json.encode(end)
    assert not any(secret in whole for secret in (b"hunter2", b"s3cr3t"))


def test_the_digest_of_arguments_tells_nothing_of_a_secret() -> None:
    """Who guesses a short secret cannot see from the digest that the guess is right."""
    guesses = [start([b"gcc", b"-DTOKEN=%04d" % guess], redact=REDACT) for guess in range(50)]
    assert len({guess.arguments_sha256 for guess in guesses}) == 1
    assert guesses[0].arguments_sha256 == hashlib.sha256(b"gcc\0-DTOKEN=[redacted]\0").hexdigest()


@pytest.mark.parametrize(
    "reason",
    [
        "-DTOKEN=hunter2 is refused",
        "'-DTOKEN=hunter2' is refused",
        "hunter2 is no value",
        "a s3cr3t file",
    ],
)
def test_no_reason_quotes_a_secret(reason: str) -> None:
    said = refusal(reason, b"gcc", b"-DTOKEN=hunter2").reason
    assert "hunter2" not in said
    assert "s3cr3t" not in said
    assert "[redacted]" in said


@given(st.binary(min_size=3, max_size=300).filter(lambda secret: len(set(secret)) > 2 and secret not in b"[redacted]"))
def test_no_reason_quotes_a_secret_as_messages_quote(secret: bytes) -> None:
    argument = b"-DTOKEN=" + secret
    said = refusal(f"{quote(argument)} is refused", b"gcc", argument).reason
    assert said.replace("...", "")[1:] in {f"-DTOKEN=[redacted]{quote} is refused" for quote in "'\""}


def test_reasons_without_secrets_stay() -> None:
    assert refusal("-fplugin=x is refused", b"gcc", b"-fplugin=x").reason == "-fplugin=x is refused"
    assert refusal("", b"-DTOKEN=hunter2").reason == ""
