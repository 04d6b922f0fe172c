import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from securecc.audit.records import job_events
from securecc.audit.settings import AuditSettings
from securecc.audit.signed_log import SignedAuditLog
from securecc.cli.securecctl import main
from securecc.model.messages import Output

OBJECT = b"\x7fELF what a compiler made"


def compile_on(trail: SignedAuditLog, content: bytes, number: int, principal: str = "alice@EXAMPLE.COM") -> None:
    start = job_events.job_start(
        peer="10.0.0.1:5", principal=principal, rule="team", reference="r7", job=number, attempt=1,
        toolchain="gcc-12", toolchain_digest=b"\1" * 32, arguments=[b"gcc", b"-c", b"a\x1b.c"], cwd=b"/home/alice",
        manifest_digest=b"\2" * 32, layers=("jail", "seccomp"), trees=[b"\3" * 32],
    )  # fmt: skip
    trail.append(start)
    made = [Output(b"/home/alice/a.o", len(content), 0o644, hashlib.sha256(content).digest())]
    trail.append(job_events.job_end(start, "done", status=0, outputs=made))


@pytest.fixture
def farm(tmp_path: Path) -> list[Path]:
    """Two servers' logs, the first rotated and packed; both made the object, and others."""
    logs = []
    for host in ("farm1", "farm2"):
        folder = tmp_path / host
        folder.mkdir()
        trail = SignedAuditLog(AuditSettings(folder / "audit.jsonl"), folder, host=host)
        compile_on(trail, b"other", 1)
        compile_on(trail, OBJECT, 2, principal=f"{host}@EXAMPLE.COM")
        if host == "farm1":
            old = trail.rotate()
            old.with_name("audit.jsonl.2.gz").write_bytes(gzip.compress(old.read_bytes()))
            old.unlink()
        trail.close()
        logs.append(folder / "audit.jsonl")
    return logs


def traced(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[Any, ...]:
    status = main(["audit", "trace", *map(str, arguments)])
    return status, capsys.readouterr().out


def test_who_made_it_when_from_what_by_what_and_where(
    farm: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.o").write_bytes(OBJECT)
    status, out = traced(capsys, tmp_path / "a.o", *farm)
    assert status == 0
    assert out.count("  who ") == 2
    assert hashlib.sha256(OBJECT).hexdigest() in out
    for said in (
        "farm1@EXAMPLE.COM from 10.0.0.1:5 by rule team", f"/home/alice/a.o, {len(OBJECT)} B", "gcc -c a\\x1b.c",
        f"input {'02' * 32} {'03' * 32}", f"gcc-12, toolchain {'01' * 32}", "farm1, sandbox jail seccomp",
        "farm2, sandbox jail seccomp", "audit.jsonl.2.gz:5), job 2 of connection r7",
    ):  # fmt: skip
        assert said in out


def test_by_its_digest_and_as_json(farm: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    digest = hashlib.sha256(b"other").hexdigest()
    status, out = traced(capsys, digest, farm[1], "--format", "json")
    [record] = [json.loads(line) for line in out.splitlines()]
    assert (status, record["job"], record["server"], record["line"]) == (0, 1, "farm2", 3)


def test_what_no_job_made(farm: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.o").write_bytes(OBJECT + b"stripped")
    status, out = traced(capsys, tmp_path / "a.o", *farm)
    assert (status, "no recorded job made it" in out) == (1, True)


def test_a_digest_elsewhere_on_a_record_is_no_output(farm: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert traced(capsys, "02" * 32, *farm)[0] == 1


def test_an_object_that_cannot_be_read(farm: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "trace", str(tmp_path / "none\x1b"), str(farm[0])]) == 1
    err = capsys.readouterr().err
    assert "No such file" in err
    assert err.rstrip("\n").isprintable()
    assert main(["audit", "trace", str(tmp_path), str(farm[0])]) == 1
