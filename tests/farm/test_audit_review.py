"""What a security officer asks of the audit of a server that compiles, and what shows when it was changed."""

import datetime as dt
import hashlib
import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.farm.farmside import Farm, FarmMaker, sources, until


@pytest.fixture
def reviewed(some_farm: FarmMaker, tmp_path: Path) -> Iterator[tuple[Farm, socket.socket]]:
    """A farm whose server signs every 5 records, sends its checkpoints to a collector of the test's and has patterns of
    secrets; and the collector.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as collector, some_farm() as farm:
        server = farm.server
        server.stop()
        where = server.folder / "dev-log"
        collector.bind(str(where))
        os.chmod(where, 0o666)
        server.configure(
            audit=f"{{file: audit.jsonl, send: [{where}], checkpoint: {{records: 5}}, redact: ['-D\\w*TOKEN=(.*)']}}"
        )
        server.start()
        yield farm, collector


def securecctl(farm: Farm, *words: object, status: int = 0) -> str:
    config = farm.server.folder / "config.yaml"
    done = farm.run("securecctl", "audit", *words, "--config", config, cwd=farm.folder)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def collected(collector: socket.socket) -> list[str]:
    collector.setblocking(False)
    lines = []
    while True:
        try:
            lines.append(collector.recv(4096).decode())
        except BlockingIOError:
            return lines


def test_an_officer_s_day(reviewed: tuple[Farm, socket.socket], tmp_path: Path) -> None:
    farm, collector = reviewed
    server = farm.server
    first, second = sources(tmp_path, 2)
    assert farm.compile(first, "-DMY_TOKEN=hunter2").returncode == 0
    until(lambda: farm.audit(kind="job-end", outcome="done"), what="the first job's record")
    os.rename(server.folder / "audit.jsonl", server.folder / "audit.jsonl-20261121")
    os.kill(server.pid, signal.SIGHUP)
    until((server.folder / "audit.jsonl").exists, what="the new file")
    assert farm.compile(second).returncode == 0
    until(lambda: farm.audit(kind="job-end", outcome="done"), what="the second job's record")

    traced = securecctl(farm, "trace", first.with_suffix(".o"))
    for said in ("alice@EXAMPLE.COM", str(tmp_path), "-DMY_TOKEN=[redacted]", "gcc-", "audit.jsonl-20261121"):
        assert said in traced
    assert "audit.jsonl:" in securecctl(farm, "trace", second.with_suffix(".o"))
    (tmp_path / "local.o").write_bytes(b"compiled elsewhere")
    assert "no recorded job made it" in securecctl(farm, "trace", tmp_path / "local.o", status=1)

    summary = securecctl(farm, "summary")
    assert "alice@EXAMPLE.COM" in summary
    assert "alice@EXAMPLE.COM" in securecctl(farm, "export", "--rotated", "--format", "csv")

    server.stop()
    key = securecctl(farm, "key").strip()
    anchors = tmp_path / "anchors"
    anchors.write_text("".join(f"{line}\n" for line in collected(collector)))
    said = securecctl(farm, "verify", "--key", key, "--anchor", anchors)
    assert "with the given key" in said
    assert "anchored up to record" in said
    whole = (server.folder / "audit.jsonl").read_text() + (server.folder / "audit.jsonl-20261121").read_text()
    assert "hunter2" not in whole + server.log()

    # The tail cut, and the head with it: the log alone is none the wiser.
    log, head = server.folder / "audit.jsonl", server.folder / "audit.jsonl.head"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:2]))
    head.unlink()
    securecctl(farm, "verify", "--key", key)
    assert "cut off the end (line" in securecctl(farm, "verify", "--key", key, "--anchor", anchors, status=1)
    server.start()
    assert "were missing at start" in securecctl(farm, "verify", status=1)
    server.stop()


HEX = re.compile("[0-9a-f]{64}")


def of(farm: Farm, **wanted: object) -> dict[str, Any]:
    """The last such record."""
    return until(lambda: farm.audit(**wanted), what=str(wanted))[-1]


def test_a_job_s_records_say_all_of_it(farm: Farm, tmp_path: Path) -> None:
    """Who, from where, by which rule; what ran, on what, with which compiler; what it made and took, and behind which
    walls.
    """
    (source,) = sources(tmp_path, 1)
    assert farm.compile(source, "-O1", "-DX=a b").returncode == 0
    judged, start, end = (of(farm, kind=kind) for kind in ("connection", "job-start", "job-end"))
    for record in (judged, start, end):
        age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(record["time"])
        assert dt.timedelta(0) <= age < dt.timedelta(minutes=2)
        assert record["peer"].startswith("127.0.0.1:")
        assert (record["principal"], record["rule"]) == ("alice@EXAMPLE.COM", "committers")
        assert record.get("decision", "allowed") == "allowed"  # how a job ended is its `outcome`
        assert HEX.fullmatch(record["prev"])
        assert record["reference"] == judged["reference"]
    assert judged["policy"]
    for record in (start, end):
        assert record["arguments"][0].endswith("gcc")
        assert record["arguments"][1:] == ["-c", source.name, "-o", "s0.o", "-O1", "-DX=a b"]
        assert record["cwd"] == str(tmp_path)
        assert record["toolchain"].startswith("gcc-")
        for digest in ("arguments_sha256", "input_sha256", "toolchain_sha256"):
            assert HEX.fullmatch(record[digest]), digest
        assert {"userns", "mountns", "pidns", "netns", "rlimits", "seccomp"} <= set(record["sandbox"])
    assert (end["job"], end["exit"], end["signal"], end["outcome"]) == (start["job"], 0, None, "done")
    (made,) = end["outputs"]
    content = source.with_suffix(".o").read_bytes()
    assert made == {
        "path": str(source.with_suffix(".o")),
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    assert end["usage"]["wall_s"] > 0
    assert end["usage"]["user_s"] + end["usage"]["system_s"] > 0
    assert end["usage"]["memory"] > 1 << 20


def compiled(farm: Farm, source: Path) -> dict[str, Any]:
    """The record of its end."""
    before = len(farm.audit(kind="job-end"))
    farm.compile(source)
    until(lambda: len(farm.audit(kind="job-end")) > before, what="the record")
    return farm.audit(kind="job-end")[-1]


def test_another_input_is_another_digest_and_a_failure_has_its_status(farm: Farm, tmp_path: Path) -> None:
    (source,) = sources(tmp_path, 1)
    digests = []
    for text in ("int a;\n", "int b;\n", "int b;\n", "no C\n"):
        source.write_text(text)
        os.utime(source, (1_500_000_000, 1_500_000_000))
        digests.append(compiled(farm, source)["input_sha256"])
    assert len(set(digests)) == 3
    assert digests[1] == digests[2]
    assert of(farm, kind="job-end")["exit"] == 1


def test_the_show_of_one_person_s_denials(farm: Farm, tmp_path: Path) -> None:
    """The filters by principal, time and decision, as JSON, on the log that the server writes."""
    (source,) = sources(tmp_path, 1)
    mallory = farm.as_principal("mallory", own_agent=True)
    assert mallory.compile(source).returncode == 0
    assert farm.compile(source).returncode == 0
    mallory.end_agents()

    def shown(*filters: str) -> list[dict[str, Any]]:
        path = farm.server.folder / "audit.jsonl"
        done = farm.run("securecctl", "audit", "show", path, "--format", "json", *filters, cwd=tmp_path)
        assert done.returncode == 0
        return [json.loads(line) for line in done.stdout.splitlines()]

    denied = until(lambda: shown("--principal", "mallory@EXAMPLE.COM", "--decision", "denied"))
    assert {(record["kind"], record["principal"]) for record in denied} == {("connection", "mallory@EXAMPLE.COM")}
    assert shown("--principal", "mallory@EXAMPLE.COM", "--decision", "allowed") == []
    assert {record["principal"] for record in shown("--decision", "allowed")} == {"alice@EXAMPLE.COM"}
    assert shown("--since", "2999-01-01") == shown("--until", "2001-01-01") == []
    recent = shown("--since", "1h", "--decision", "denied")
    assert [record for record in recent if record["principal"] == "mallory@EXAMPLE.COM"] == denied
