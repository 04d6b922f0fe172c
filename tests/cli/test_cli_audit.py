import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from securecc.audit import events, jobs
from securecc.audit.log import AuditLog
from securecc.cli import audit as audit_module
from securecc.cli.securecctl import main
from securecc.words import limits
from securecc.words.messages import Output, Usage

SECOND = 1_000_000_000
NOON = 1_700_049_600


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "audit.jsonl"
    times = iter(range(NOON * SECOND, NOON * SECOND + 10**12, 60 * SECOND))
    writer = AuditLog(path, clock=lambda: next(times))
    writer.append(events.daemon("start", version="0.1", policy="p1", layers=["namespaces"]))
    writer.append(
        events.connection("allowed", peer="10.0.0.1:1", principal="alice@EXAMPLE.COM", rule="team", reference="r1")
    )
    writer.append(
        events.connection(
            "denied", peer="10.0.0.2:2", principal="mallory@EXAMPLE.COM", reference="r2", reason="no rule matches"
        )
    )
    start = jobs.job_start(
        peer="10.0.0.1:1", principal="alice@EXAMPLE.COM", rule="team", reference="r1", job=3, attempt=1,
        toolchain="gcc-12", toolchain_digest=b"\1" * 32, arguments=[b"gcc", b"-c", b"evil\x1b[2J\nname.c"],
        cwd=b"/home/alice", manifest_digest=b"\2" * 32, layers=("namespaces",),
    )  # fmt: skip
    writer.append(start)
    made = [Output(b"/home/alice/a.o", 5, 0o644, b"\3" * 32)]
    writer.append(jobs.job_end(start, "done", status=0, outputs=made, usage=Usage(0.5)))
    writer.append(events.strangers("10.9.9.9", "2023-11-15T12:00:00.000000Z", {"acl": 4}))
    writer.close()
    return path


def shown(capsys, *arguments):
    status = main(["audit", "show", *map(str, arguments), "--format", "json"])
    return status, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("filters", "seqs"),
    [
        ([], [1, 2, 3, 4, 5, 6]),
        (["--principal", "alice@EXAMPLE.COM"], [2, 4, 5]),
        (["--principal", "alice"], []),
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
def test_filters(log, capsys, filters, seqs):
    status, records = shown(capsys, log, *filters)
    assert (status, [item["seq"] for item in records]) == (0, seqs)


def test_text_is_in_columns_without_control_characters(log, capsys):
    assert main(["audit", "show", str(log)]) == 0
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


def test_a_hostile_log_cannot_reach_the_terminal(tmp_path, capsys):
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
        assert err.count("no record") == 4


def test_a_bad_time_is_told(log, capsys):
    assert main(["audit", "show", str(log), "--since", "yesterday"]) == 1
    assert "'yesterday' is no time; write 10min" in capsys.readouterr().err


def test_verify_says_what_stands(log, capsys):
    assert main(["audit", "verify", str(log)]) == 0
    assert capsys.readouterr().out.startswith("verified: 6 records, the last is 6:")


def test_verify_names_the_first_bad_line(log, capsys):
    log.write_bytes(log.read_bytes().replace(b"no rule matches", b"as it should"))
    assert main(["audit", "verify", str(log)]) == 1
    out = capsys.readouterr().out
    assert f"{log}:3: record 3 was edited" in out
    assert "2 records before it in order" in out


def test_verify_misses_no_removed_end(log, capsys):
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:-1]))
    assert main(["audit", "verify", str(log)]) == 1
    assert f"{log}:6: record 6 is cut off the end" in capsys.readouterr().out


def test_verify_a_rotated_log(log, capsys):
    lines = log.read_bytes().splitlines(keepends=True)
    old = log.with_name("audit.jsonl.1")
    old.write_bytes(b"".join(lines[:4]))
    log.write_bytes(b"".join(lines[4:]))
    assert main(["audit", "verify", str(old), str(log)]) == 0
    assert main(["audit", "verify", str(old)]) == 0
    last = capsys.readouterr().out.split()[-1]
    assert main(["audit", "verify", str(log), "--after", last]) == 0
    assert main(["audit", "verify", str(log)]) == 1
    assert "name the older parts first" in capsys.readouterr().out
    assert main(["audit", "verify", str(log), "--after", "x"]) == 1
    assert "not SEQ:HASH" in capsys.readouterr().err


def test_verify_waits_for_a_line_that_is_being_written(log, capsys, monkeypatch):
    whole = log.read_bytes()
    log.write_bytes(whole[:-30])

    def finish(_seconds):
        with log.open("ab") as file:
            file.write(whole[-30:])

    monkeypatch.setattr(audit_module.time, "sleep", finish)
    assert main(["audit", "verify", str(log)]) == 0


def test_a_torn_end_is_told(log, capsys):
    log.write_bytes(log.read_bytes()[:-30])
    assert main(["audit", "verify", str(log)]) == 1
    assert f"{log}:6: is torn" in capsys.readouterr().out


def test_repairs_are_told(log, capsys):
    with log.open("ab") as file:
        file.write(b'{"seq":7,')
    AuditLog(log).close()
    writer = AuditLog(log)
    writer.append(events.daemon("start"))
    writer.close()
    assert main(["audit", "verify", str(log)]) == 0


def test_what_cannot_be_read_is_told(tmp_path, capsys):
    assert main(["audit", "verify", str(tmp_path / "none")]) == 1
    assert "No such file" in capsys.readouterr().err
    assert main(["audit", "show", str(tmp_path)]) == 1
    assert "securecctl:" in capsys.readouterr().err


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_any_bytes_get_a_verdict_and_no_exception(tmp_path, capsys, monkeypatch, data):
    monkeypatch.setattr(audit_module.time, "sleep", lambda _: None)
    path = tmp_path / "log"
    path.write_bytes(data)
    assert main(["audit", "verify", str(path)]) == (1 if data else 0)
    assert main(["audit", "show", str(path)]) in (0, 1)
    capsys.readouterr()


def test_a_line_without_end_needs_no_memory(tmp_path, capsys):
    path = tmp_path / "log"
    path.write_bytes(b"x" * (3 * limits.AUDIT_RECORD))
    assert main(["audit", "verify", str(path)]) == 1
    assert "longer than any record" in capsys.readouterr().out
