"""The doctor's checks one by one; tests/farm runs all of them against a real realm."""

import asyncio
import dataclasses
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from securecc.channel import kerberos
from securecc.client.doctor import checks
from securecc.client.ipc import agent_socket
from securecc.client.state.host_list import Host
from securecc.client.state.settings import Settings
from securecc.compiler.toolchain.closure import ClosureFile, ToolchainClosure
from securecc.model.errors import (
    AuthenticationError,
    ChannelError,
    CredentialError,
    Denied,
    KdcError,
    ProtocolError,
    SkewError,
)
from securecc.model.finding import Finding
from securecc.model.manifest import Kind

HOST = Host("farm1")
ASKED = "securecc/farm1"
SKEWED = "clocks differ: the server's says 2001-01-01 00:00:00Z"


def refused(error: Any) -> Any:
    return [(finding.subject, finding.state) for finding in checks.explain_failure(HOST, ASKED, error)]


@pytest.mark.parametrize(
    ("error", "states"),
    [
        (ChannelError("refused"), {"server": "bad"}),
        (ProtocolError("nonsense"), {"server": "bad"}),
        (KdcError("not found"), {"server": "ok", "service": "bad"}),
        (CredentialError("no ticket"), {"server": "ok", "service": "note"}),
        (AuthenticationError("did not prove"), {"server": "ok", "service": "bad"}),
        (
            AuthenticationError("clocks differ: the server's says 2001-01-01 00:00:00Z"),
            {"server": "ok", "clock": "bad"},
        ),
        (Denied("not admitted", "reference 1"), {"server": "ok", "service": "ok", "policy": "bad"}),
    ],
)
def test_how_far_it_came(error: Any, states: Any) -> None:
    assert refused(error) == [(f"farm1 {subject}", state) for subject, state in states.items()]


def test_what_is_asked_for_is_shown_as_kerberos_writes_it() -> None:
    assert checks.kerberos_name("securecc@farm1") == ASKED
    assert checks.kerberos_name("securecc/farm1@EXAMPLE.COM") == "securecc/farm1@EXAMPLE.COM"


FAR = [(300, 149, "ok"), (300, 151, "note"), (300, -301, "bad"), (10, 0, "ok"), (10, 6, "note"), (10, 11, "bad")]


@pytest.mark.parametrize(("bears", "apart", "state"), FAR)
def test_how_far_clocks_are_apart(monkeypatch: pytest.MonkeyPatch, bears: Any, apart: Any, state: Any) -> None:
    monkeypatch.setattr(kerberos, "clock_skew", lambda: float(bears))
    finding = checks.compare_clocks(HOST, 1e9 + apart, 1e9)
    assert finding.state == state
    assert f"{abs(apart)} s apart" in finding.says
    assert bool(finding.advice) == (state != "ok")


def test_a_kdc_that_does_not_tell_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "kdc_time", lambda *_: None)
    findings = asyncio.run(checks.explain_skew(HOST, ASKED, None, SkewError("Clock skew too great")))
    assert [finding.says for finding in findings] == ["it answers", "Clock skew too great"]
    monkeypatch.setattr(checks, "kdc_time", lambda *_: time.time() - 900)
    findings = asyncio.run(checks.explain_skew(HOST, ASKED, None, SkewError("Clock skew too great")))
    assert "the KDC's" in findings[1].says


@pytest.mark.parametrize(
    ("names", "state"),
    [(["farm1.example.com"], "ok"), (["farm1"], "ok"), (["other.example.com"], "note"), ([], "note")],
)
def test_the_way_back(monkeypatch: pytest.MonkeyPatch, names: Any, state: Any) -> None:
    monkeypatch.setattr(checks, "resolve_both_ways", lambda *_: (["192.0.2.1"], names))
    finding = asyncio.run(checks.check_name(HOST))
    assert finding.state == state
    if state == "note":
        assert "name as configured" in finding.advice


def test_the_agent_s_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    tmp_path.chmod(0o700)
    assert checks.check_agent() == Finding("agent", "ok", f"its socket is in {tmp_path}/securecc")
    mark = agent_socket.failure_mark(agent_socket.socket_path())
    mark.touch()
    said = checks.check_agent()
    assert (said.state, f"rm {mark}" in said.advice) == ("bad", True)
    os.utime(mark, (1, 1))
    assert checks.check_agent().state == "ok"
    (tmp_path / "securecc").chmod(0o755)
    assert checks.check_agent().state == "bad"


def test_a_ticket_that_ends_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kerberos, "credentials", lambda _: (b"alice@EXAMPLE.COM", 300.0))
    finding = asyncio.run(checks.check_ticket(None))
    assert (finding.state, finding.says) == ("note", "alice@EXAMPLE.COM, for 0:05:00")


def test_nothing_to_look_at() -> None:
    findings = asyncio.run(checks.examine(Settings(troubles=("a slip",)), (), "FILE:/nonexistent"))
    assert [(finding.subject, finding.state) for finding in findings] == [
        ("agent", "ok"),
        ("settings", "note"),
        ("servers", "bad"),
        ("ticket", "bad"),
        ("environment", "ok"),
    ]


GCC = ToolchainClosure(
    "gcc-12", "", "", (), (ClosureFile(b"/usr/lib/libmpfr.so.6", Kind.FILE, b""),), (), (), (), b"", b"d"
)


def kept(cwd: Path, **environment: str) -> list[Finding]:
    variables = {name.encode(): value.encode() for name, value in environment.items()}
    compilers = (GCC, dataclasses.replace(GCC, name="gcc-13"))
    return list(checks.check_environment({b"PATH": b"/usr/bin", **variables}, os.fsencode(cwd), compilers))


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LD_PRELOAD": "libfakeroot-sysv.so", "LD_LIBRARY_PATH": "/nowhere", "LD_AUDIT": "", "COMPILER_PATH": ""},
        {"GCC_VERSION": "12", "CPATH": "/x", "SOURCE_DATE_EPOCH": "1"},
    ],
)
def test_an_environment_that_may_leave(tmp_path: Path, environment: dict[str, str]) -> None:
    assert [finding.state for finding in kept(tmp_path, **environment)] == ["ok"]


def test_each_variable_that_keeps_compiles_here_is_named_once(tmp_path: Path) -> None:
    (tmp_path / "libmpfr.so.6").touch()
    (tmp_path / "as").touch()
    environment = {
        "COMPILER_PATH": "/x",
        "GCC_EXEC_PREFIX": "/x/",
        "LD_PRELOAD": "x.so",
        "LD_LIBRARY_PATH": str(tmp_path),
        "LD_AUDIT": "x.so",
        "SOURCE_DATE_EPOCH": "now",
        "PATH": ":/usr/bin",
    }
    found = kept(tmp_path, **environment)
    assert [finding.state for finding in found] == ["bad"] * len(environment)
    for name in environment:
        assert len([finding for finding in found if re.search(rf"\b{name}\b", finding.says)]) == 1


def test_what_the_doctor_says_of_the_user_s_own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPILER_PATH", "/x")
    findings = asyncio.run(checks.examine(Settings(), (), "FILE:/nonexistent"))
    assert [finding.state for finding in findings if finding.subject == "environment"] == ["bad"]
