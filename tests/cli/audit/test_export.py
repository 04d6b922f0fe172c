import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.cli.audit.export import COLUMNS, cell
from securecc.cli.securecctl import main


def exported(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[Any, ...]:
    status = main(["audit", "export", *map(str, arguments)])
    return status, capsys.readouterr().out


def test_a_table(audit_log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out = exported(capsys, audit_log, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert (status, len(rows), tuple(rows[0])) == (0, 6, COLUMNS)
    end = rows[4]
    assert (end["kind"], end["exit"], end["wall_s"], end["principal"]) == ("job-end", "0", "0.5", "alice@EXAMPLE.COM")
    assert end["arguments"] == "gcc -c 'evil\\x1b[2J\\x0aname.c'"
    assert end["outputs"] == "/home/alice/a.o=" + "03" * 32
    assert rows[5]["counts"] == '{"acl": 4}'
    assert rows[0]["exit"] == ""


def test_a_document(audit_log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out = exported(capsys, audit_log, "--format", "json", "--principal", "alice@EXAMPLE.COM")
    assert (status, [record["seq"] for record in json.loads(out)]) == (0, [2, 4, 5])
    assert json.loads(exported(capsys, audit_log, "--format", "json", "--job", "77")[1]) == []


def test_rotated_parts_when_asked_for(audit_log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = audit_log.read_bytes().splitlines(keepends=True)
    audit_log.with_name("audit.jsonl.1-3").write_bytes(b"".join(lines[:3]))
    audit_log.write_bytes(b"".join(lines[3:]))
    assert len(json.loads(exported(capsys, audit_log, "--format", "json")[1])) == 3
    assert len(json.loads(exported(capsys, audit_log, "--format", "json", "--rotated")[1])) == 6


def test_what_is_no_record_is_told(audit_log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audit_log.write_bytes(b"nothing\n")
    assert main(["audit", "export", str(audit_log), "--format", "csv"]) == 1
    assert "not a record" in capsys.readouterr().err


def begins_formula(text: str) -> bool:
    """As a spreadsheet strips and looks: after white space and quotes."""
    return text.lstrip(" \"'")[:1] in set("=+-@\uff1d\uff0b\uff0d\uff20") and not text.lstrip(' "').startswith("'")


@given(st.text(alphabet=st.sampled_from("=+-@;,'\" \t\r\nax\uff1d\x1b"), max_size=12))
def test_no_cell_is_a_formula_or_has_a_control_character(text: str) -> None:
    shown = cell(text)
    assert shown.isprintable()
    assert not any(begins_formula(part) for part in shown.split(";"))


@given(st.text(max_size=30).filter(lambda text: not set(text) & set("=+-@\uff1d\uff0b\uff0d\uff20")))
def test_all_else_is_as_it_was(text: str) -> None:
    assert cell(text) == (text if text.isprintable() else cell(text))


def test_a_hostile_name_is_no_formula(audit_log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = json.loads(audit_log.read_bytes().splitlines()[2])
    evil = {"principal": '=HYPERLINK("http://example.com")', "reason": "x;=1+1", "rule": "@SUM(1)", "peer": "\tx"}
    audit_log.write_text(json.dumps({**record, **evil}) + "\n")
    _, out = exported(capsys, audit_log, "--format", "csv")
    [row] = csv.DictReader(io.StringIO(out))
    assert row["principal"] == '\'=HYPERLINK("http://example.com")'
    assert (row["reason"], row["rule"], row["peer"]) == ("x;'=1+1", "'@SUM(1)", "\\x09x")
