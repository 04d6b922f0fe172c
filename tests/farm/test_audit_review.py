"""What a security officer asks of the audit of a server that compiles, and what shows when it was changed."""

import os
import signal
import socket

import pytest
from farmside import Farm, sources, until


@pytest.fixture
def reviewed(some_farm, tmp_path):
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


def collected(collector) -> list[str]:
    collector.setblocking(False)
    lines = []
    while True:
        try:
            lines.append(collector.recv(4096).decode())
        except BlockingIOError:
            return lines


def test_an_officer_s_day(reviewed, tmp_path):
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
    assert "no job on record" in securecctl(farm, "trace", tmp_path / "local.o", status=1)

    summary = securecctl(farm, "summary")
    assert "alice@EXAMPLE.COM" in summary
    assert "alice@EXAMPLE.COM" in securecctl(farm, "export", "--rotated", "--format", "csv")

    server.stop()
    key = securecctl(farm, "key").strip()
    anchors = tmp_path / "anchors"
    anchors.write_text("".join(f"{line}\n" for line in collected(collector)))
    said = securecctl(farm, "verify", "--key", key, "--anchor", anchors)
    assert "by the key given" in said
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
    assert "were gone at start" in securecctl(farm, "verify", status=1)
    server.stop()
