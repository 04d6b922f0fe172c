import json
import re
from pathlib import Path

import pytest

import securecc
from securecc.cli import why
from securecc.cli.securecctl import main
from securecc.client.inputs import special_files
from securecc.client.state.journal import Journal, load


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "securecc" / "recent.json"


@pytest.fixture
def recorded(state: Path) -> Path:
    times = iter(range(1000, 2000))
    journal = Journal(state, clock=lambda: float(next(times)))
    journal.remote("farm1:3643", sent=2048, received=100)
    for _ in range(3):
        journal.local("no-ticket", "no Kerberos ticket\x1b[2J", [b"gcc", b"-c", b"a.c"])
    journal.local("brand-new", "never heard of", [])
    journal.disagreement("farm1:3643", [b"gcc", b"-c", b"b.c"], 1, b"b.c:1: \x1b[31merror\n")
    journal.close()
    return state


@pytest.mark.parametrize("command", ["why", "stats"])
def test_nothing_on_record(state: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main([command]) == 0
    assert capsys.readouterr().out == "no compiles on record yet\n"
    assert main([command, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["remote"] == 0


def test_why_lists_reasons_with_counts_examples_and_advice(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why"]) == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert all(line.isprintable() for line in lines)
    assert lines[0].startswith("1 compile on servers, 5 local")
    assert re.match(r"3 +\d+ d ago +no-ticket +a\.c: no Kerberos ticket", lines[3])
    assert "no-ticket: get a ticket: kinit" in lines
    assert "brand-new: see the example" in lines
    assert "    gcc -c b.c" in lines


def test_a_question_that_this_machine_answers_differently_is_named(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = Journal(state)
    question = "/usr/local/include/stdio.h is a file on this machine, and is not there on the server"
    journal.local("witness", question, [b"gcc", b"-c", b"a.c"])
    journal.close()
    assert main(["why"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].endswith(f"a.c: {question}")
    assert f"witness: {why.ADVICE['witness']}" in lines
    assert "the compiler asked for something that differs on the server" in why.ADVICE["witness"]


def test_why_as_json(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["reasons"][0]["reason"] == "no-ticket"
    assert found["reasons"][0]["count"] == 3
    assert found["reasons"][0]["last"].endswith("Z")
    assert found["reasons"][0]["examples"][0]["source"] == "a.c"
    assert found["disagreements"][0]["arguments"] == ["gcc", "-c", "b.c"]


def test_why_since(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", "--since", "1970-01-01T00:16:44Z", "--format", "json"]) == 0
    assert {item["reason"] for item in json.loads(capsys.readouterr().out)["reasons"]} == {"brand-new", "disagreement"}
    assert main(["why", "--since", "10min"]) == 0
    assert "no-ticket" not in capsys.readouterr().out
    assert main(["why", "--since", "soon"]) == 1


def test_stats(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", "-s"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"^compiles +6 +since", text, re.MULTILINE)
    assert re.search(r"^remote +1 +17 %", text, re.MULTILINE)
    assert re.search(r"^disagreements +1", text, re.MULTILINE)
    assert re.search(r"^farm1:3643 +1 +2\.0 KiB +100 B", text, re.MULTILINE)
    assert main(["stats", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["remote"], found["local"], found["sent"]) == (1, 5, 2048)
    assert found["servers"]["farm1:3643"]["count"] == 1
    assert found["reasons"]["no-ticket"] == 3


def test_stats_begin_anew(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", "-z"]) == 0
    assert capsys.readouterr().out == ""
    assert load(recorded).since == 0


def test_a_damaged_place_is_told(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state.mkdir(parents=True)
    assert main(["why"]) == 1
    assert "check its owner and permissions" in capsys.readouterr().err


def test_every_reason_in_the_sources_has_advice() -> None:
    root = Path(securecc.__file__).parent
    words = {special_files.SPECIAL, special_files.CONSUMED}
    for folder in ("client", "compiler"):
        for path in (root / folder).rglob("*.py"):
            words |= set(re.findall(r'StaysLocal\(\s*"([a-z-]+)"', path.read_text()))
    for table in (root / "compiler/command_line/tables").glob("*.tsv"):
        words |= set(re.findall(r"!([a-z-]+)", table.read_text()))
    assert words - set(why.ADVICE) == set()


def test_every_reason_that_a_file_gives_has_advice() -> None:
    from securecc.compiler.source.directives import needs_local, scan

    texts = [b"#pragma GCC dependency X", b'#pragma GCC pch_preprocess "x"']
    texts += [b"#if __has_include(X)", b"#line X", b"__TIME__"]
    assert {local.reason for text in texts if (local := needs_local(scan(text)))} - set(why.ADVICE) == set()
