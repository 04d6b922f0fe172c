import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.cli.securecctl import main

SECOND = 1_000_000_000
NOON = 1_700_049_600


def shown(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[Any, ...]:
    status = main(["audit", "show", *map(str, arguments), "--format", "json"])
    return status, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("filters", "seqs"),
    [
        ([], [1, 2, 3, 4, 5, 6]),
        (["--principal", "alice@EXAMPLE.COM"], [2, 4, 5]),
        (["--decision", "denied"], [3, 6]),
        (["--decision", "allowed"], [2, 4]),
        (["--kind", "job-end"], [5]),
        (["--job", "3"], [4, 5]),
        (["--reference", "r2"], [3]),
        (["--since", "2023-11-15T12:02:00Z"], [3, 4, 5, 6]),
        (["--until", "2023-11-15T12:02:00"], [1, 2]),
        (["--since", "2023-11-15T13:03:00+01:00", "--principal", "alice@EXAMPLE.COM"], [4, 5]),
        (["--since", "10min"], []),
        (["--until", "2023-11-16"], [1, 2, 3, 4, 5, 6]),
    ],
)
def test_filters(audit_log: Path, capsys: pytest.CaptureFixture[str], filters: list[Any], seqs: list[Any]) -> None:
    status, records = shown(capsys, audit_log, *filters)
    assert (status, [item["seq"] for item in records]) == (0, seqs)


def test_text_is_in_columns_without_control_characters(audit_log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "show", str(audit_log)]) == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert len(lines) == 7
    assert all(line.isprintable() for line in lines)
    assert "2023-11-15T12:02:00.000000Z  3" in lines[3]
    assert "denied" in lines[3]
    assert "mallory@EXAMPLE.COM" in lines[3]
    assert "ref=r2 no rule matches" in lines[3]
    assert "evil\\x1b[2J\\x0aname.c" in lines[4]
    assert "exit=0 wall=0.500s /home/alice/a.o=030303030303" in lines[5]
    assert "from=10.9.9.9" in lines[6]
    assert "acl=4" in lines[6]


def test_a_hostile_log_cannot_reach_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "log"
    path.write_bytes(
        b'{"kind":"connection","time":"\\u001b[31m","peer":"\x7f\xc2\x9b","reason":["\\u202e"],"seq":{"a":1}}\n'
        b'\x1b[2J\n{"kind":"job-end","outputs":[1,{}],"usage":{"wall_s":"x"},"arguments":"\\u0007","exit":null}\n'
        b'{"kind":"strangers","counts":{"\\u001b":1}}\n{"kind":[]}\n[]\n1\n'
    )
    for form in ("text", "json"):
        assert main(["audit", "show", str(path), "--format", form]) == 1
        out, err = capsys.readouterr()
        assert all(line.isprintable() for line in (out + err).splitlines())
        assert err.count("not a record") == 4


def test_a_bad_time_is_told(audit_log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "show", str(audit_log), "--since", "yesterday"]) == 1
    assert "'yesterday' is not a time; write 10min" in capsys.readouterr().err


def test_what_cannot_be_read_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "verify", str(tmp_path / "none")]) == 1
    assert "No such file" in capsys.readouterr().err
    assert main(["audit", "show", str(tmp_path)]) == 1
    assert "securecctl:" in capsys.readouterr().err


@settings(max_examples=60)
@given(st.binary(max_size=300))
def test_any_bytes_get_a_verdict_and_no_exception(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    path = tmp_path / "log"
    path.write_bytes(data)
    assert main(["audit", "verify", str(path)]) == (1 if data else 0)
    assert main(["audit", "show", str(path)]) in (0, 1)
    capsys.readouterr()
