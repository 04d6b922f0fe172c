from pathlib import Path

import pytest

from securecc.audit.log import AuditLog
from securecc.audit.records import daemon_events, job_events
from securecc.model.messages import Output, Usage

SECOND = 1_000_000_000
NOON = 1_700_049_600


@pytest.fixture
def audit_log(tmp_path: Path) -> Path:
    """Six records of six kinds, a minute apart."""
    path = tmp_path / "audit.jsonl"
    times = iter(range(NOON * SECOND, NOON * SECOND + 10**12, 60 * SECOND))
    writer = AuditLog(path, clock=lambda: next(times))
    writer.append(daemon_events.daemon("start", version="0.1", policy="p1", layers=["namespaces"]))
    writer.append(
        daemon_events.connection(
            "allowed", peer="10.0.0.1:1", principal="alice@EXAMPLE.COM", rule="team", reference="r1"
        )
    )
    writer.append(
        daemon_events.connection(
            "denied", peer="10.0.0.2:2", principal="mallory@EXAMPLE.COM", reference="r2", reason="no rule matches"
        )
    )
    start = job_events.job_start(
        peer="10.0.0.1:1", principal="alice@EXAMPLE.COM", rule="team", reference="r1", job=3, attempt=1,
        toolchain="gcc-12", toolchain_digest=b"\1" * 32, arguments=[b"gcc", b"-c", b"evil\x1b[2J\nname.c"],
        cwd=b"/home/alice", manifest_digest=b"\2" * 32, layers=("namespaces",),
    )  # fmt: skip
    writer.append(start)
    made = [Output(b"/home/alice/a.o", 5, 0o644, b"\3" * 32)]
    writer.append(job_events.job_end(start, "done", status=0, outputs=made, usage=Usage(0.5)))
    writer.append(daemon_events.strangers("10.9.9.9", "2023-11-15T12:00:00.000000Z", {"acl": 4}))
    writer.close()
    return path
