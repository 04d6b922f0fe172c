"""One person is one principal in everything that reads a log, however Kerberos spells the name."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from securecc.audit.log import AuditLog
from securecc.audit.records import daemon_events, job_events
from securecc.cli.securecctl import main
from securecc.model.messages import Output, Usage
from securecc.model.principal import Principal
from securecc.policy.decision import decide
from securecc.policy.model import Policy, Rule
from securecc.policy.network import Network, parse_address

NAMES = {
    rb"a\ b@EXAMPLE.COM": "a b@EXAMPLE.COM",
    b"a b@EXAMPLE.COM": "a b@EXAMPLE.COM",
    rb"a\/b/c@EXAMPLE.COM": r"a\/b/c@EXAMPLE.COM",
    b"j\xf6rg@EXAMPLE.COM": r"j\xf6rg@EXAMPLE.COM",
    "j\u00f6rg@EXAMPLE.COM".encode(): "j\u00f6rg@EXAMPLE.COM",
    "gro.\u202ecom@EXAMPLE.COM".encode(): r"gro.\xe2\x80\xaecom@EXAMPLE.COM",
}


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> bytes:
    return bytes(request.param)


@pytest.fixture
def log(tmp_path: Path, name: bytes) -> Any:
    """A log of alice's refusal, and of all that one person can cause: let in, a refused job, a job, a refusal."""
    policy = Policy(document="p", network=Network(), rules=(Rule("all", "allow"),), groups={}, revision="r1")
    grant = decide(policy, Principal.parse(name), parse_address("10.0.0.1"), (), {}).grant
    assert grant is not None
    who: dict[str, Any] = {"peer": "10.0.0.1:1", "principal": grant.principal, "rule": "all", "reference": "r1"}
    path = tmp_path / "audit.jsonl"
    writer = AuditLog(path)
    writer.append(daemon_events.connection("denied", peer="10.0.0.1:2", principal="alice@EXAMPLE.COM", reference="r0"))
    writer.append(daemon_events.connection("allowed", **who))
    writer.append(job_events.job_refused(**who, job=1, code="option", reason="no"))
    start = job_events.job_start(
        **who, job=2, attempt=1, toolchain="gcc", toolchain_digest=b"\1" * 32, arguments=[b"gcc"], cwd=b"/w",
        manifest_digest=b"\2" * 32, layers=(),
    )  # fmt: skip
    writer.append(start)
    writer.append(job_events.job_end(start, "done", outputs=[Output(b"/a.o", 5, 0o644, b"\3" * 32)], usage=Usage()))
    writer.append(
        daemon_events.connection("denied", peer="10.0.0.1:1", principal=Principal.display(name), reference="r1")
    )
    writer.close()
    return path


def out(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["audit", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_show_finds_all_records_of_a_person_by_the_name_that_it_shows(
    log: Path, name: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = NAMES[name]
    for typed in (shown, name.decode("utf-8", "surrogateescape")):
        records = map(json.loads, out(capsys, "show", log, "--principal", typed, "--format", "json").splitlines())
        assert [(record["seq"], record["principal"]) for record in records] == [(seq, shown) for seq in range(2, 7)]
    assert out(capsys, "show", log, "--principal", shown).count(f" {shown} ") == 5


def test_summary_has_one_row_for_a_person(log: Path, name: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    people = json.loads(out(capsys, "summary", log, "--format", "json"))["principals"]
    assert set(people) == {"alice@EXAMPLE.COM", NAMES[name]}
    person = people[NAMES[name]]
    assert (person["connections"], person["jobs"], person["denials"]) == (1, 1, 2)


def test_export_has_one_spelling_of_a_person(log: Path, name: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    rows = csv.DictReader(io.StringIO(out(capsys, "export", log, "--principal", NAMES[name], "--format", "csv")))
    assert [row["principal"] for row in rows] == [NAMES[name]] * 5


def test_a_name_without_realm_is_asked_about(audit_log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "show", str(audit_log), "--principal", "mallory"]) == 1
    assert "--principal: no realm in 'mallory'; did you mean mallory@EXAMPLE.COM?" in capsys.readouterr().err
    assert main(["audit", "show", str(audit_log), "--principal", "nobody"]) == 1
    assert "no realm in 'nobody'; write the whole name, as the log shows it" in capsys.readouterr().err


def test_a_name_that_is_no_principal_is_found_as_it_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, shown = tmp_path / "log", Principal.display(b"a@B@C")
    writer = AuditLog(path)
    writer.append(daemon_events.connection("denied", peer="p", principal=shown, reference="r"))
    writer.close()
    assert shown == r"a\x40B\x40C"
    assert out(capsys, "show", path, "--principal", shown).count(shown) == 1
    assert main(["audit", "show", str(path), "--principal", "a@B@C"]) == 1
    assert "has an unescaped @ in its realm" in capsys.readouterr().err
