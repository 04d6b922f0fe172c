import json
from pathlib import Path
from typing import Any

import pytest

from securecc.cli.securecctl import main


def summed(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[Any, ...]:
    status = main(["audit", "summary", *map(str, arguments)])
    return status, capsys.readouterr().out


def test_the_parts_of_a_summary(audit_log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out = summed(capsys, audit_log, "--since", "2023-11-15", "--zone", "UTC", "--hours", "13:00-14:00")
    assert status == 0
    text = out.splitlines()
    assert text[0] == "6 records, 2023-11-15T12:00:00.000000Z to 2023-11-15T12:05:00.000000Z"
    assert text[1] == "daemon: start 1"
    [alice] = [line.split() for line in text if line.startswith("alice@")]
    assert alice == ["alice@EXAMPLE.COM", "1", "1", "0", "0", "0.0", "s", "5", "B", "10.0.0.1"]
    assert "DENIALS (1)" in out
    assert "1      mallory@EXAMPLE.COM  connection  no rule matches" in out
    assert "4      10.9.9.9  acl" in out
    assert "out-of-hours  alice@EXAMPLE.COM  a connection at Wed 12:01 UTC" in out
    assert "no older records" in out


def test_history_is_not_added_up_but_compared_with(audit_log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [audit_log, "--since", "2023-11-15T12:02:00Z", "--zone", "UTC"]
    _, out = summed(capsys, *arguments, "--format", "json")
    found = json.loads(out)
    assert (found["records"], found["history"], found["unusual"]) == (4, True, [])
    assert found["principals"]["alice@EXAMPLE.COM"]["jobs"] == 1
    assert found["denials"] == [
        {"principal": "mallory@EXAMPLE.COM", "code": "connection", "reason": "no rule matches", "count": 1}
    ]


def test_rotated_parts_are_looked_at_as_well(audit_log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = audit_log.read_bytes().splitlines(keepends=True)
    audit_log.with_name("audit.jsonl.1-3").write_bytes(b"".join(lines[:3]))
    audit_log.write_bytes(b"".join(lines[3:]))
    assert "6 records" in summed(capsys, audit_log, "--since", "2023-11-15")[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--hours", "6-22"], "write 06:00-22:00"),
        (["--hours", "25:00-26:00"], "write 06:00-22:00"),
        (["--days", "mo-fr"], "write mon-fri"),
        (["--zone", "Mars/Olympus"], "no such time zone"),
        (["--zone", "../../etc/passwd"], "no such time zone"),
        (["--burst-jobs", "many"], "not a rate"),
        (["--burst-jobs", "5/1parsec"], "unknown unit"),
        (["--since", "yesterday"], "is not a time"),
    ],
)
def test_a_rule_that_cannot_be_understood_is_told(
    audit_log: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["audit", "summary", str(audit_log), *arguments]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("days", "found"), [("mon-fri", {0, 1, 2, 3, 4}), ("sat-mon", {5, 6, 0}), ("wed", {2}), ("mon,SUN", {0, 6})]
)
def test_days(days: str, found: set[int]) -> None:
    from securecc.cli.audit.summary import _days

    assert _days(days) == found


def test_long_tables_are_cut_and_say_so(audit_log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = json.loads(audit_log.read_bytes().splitlines()[2])
    lines = [json.dumps({**record, "principal": f"p{number}@EXAMPLE.COM"}) for number in range(60)]
    audit_log.write_text("\n".join(lines) + "\n")
    _, out = summed(capsys, audit_log, "--since", "2023-11-15")
    assert out.count("and 10 more (--format json has all)") == 2
