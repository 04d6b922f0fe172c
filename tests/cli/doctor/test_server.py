"""`securecctl doctor --server`: each thing that can be wrong with a server, and a server where nothing is."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from securecc.cli.doctor import server
from securecc.cli.securecctl import main
from securecc.daemon.settings import read_settings
from securecc.model.finding import Finding, healthy
from securecc.sandbox import machine_advice

NOBODY = 64987
CONFIG = """\
keytab: {folder}/keytab
policy: {folder}/policy.yaml
audit: {folder}/audit.jsonl
state: {folder}/state
scratch: {folder}/scratch
toolchains: [/usr/bin/as]
layers: []
port: 1
listen: [127.0.0.1]
"""


@pytest.fixture
def config(reachable: Path, realm: Any) -> Path:
    tmp_path = reachable
    shutil.copy(realm.keytab, tmp_path / "keytab")
    (tmp_path / "keytab").chmod(0o400)
    (tmp_path / "policy.yaml").write_text('version: 1\nrules: [{name: all, who: ["*@EXAMPLE.COM"]}]\n')
    (tmp_path / "policy.yaml").chmod(0o600)
    if os.getuid() == 0:
        for name in ("keytab", "policy.yaml"):
            os.chown(tmp_path / name, NOBODY + 1, NOBODY + 1)
    path = tmp_path / "config.yaml"
    users = f"users: {{front: {NOBODY + 1}, runner: {NOBODY}}}\n" if os.getuid() == 0 else ""
    path.write_text(CONFIG.format(folder=tmp_path) + users)
    return path


def found(config: Path) -> dict[str, Finding]:
    return {finding.subject: finding for finding in server.examine(config)}


def amended(config: Path, what: str, by: str) -> Path:
    config.write_text(re.sub(what, by, config.read_text()))
    return config


def test_a_server_that_is_well(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--server", "--config", str(config), "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    by_subject = {row["subject"]: row for row in rows}
    assert {row["state"] for row in rows} <= {"ok", "note"}
    assert by_subject["compilers"]["says"] == "as"
    assert "seccomp" in by_subject["layers in force"]["says"]
    for subject in ("configuration", "policy", "keytab", "user namespaces", "system calls", "the jail"):
        assert by_subject[subject]["state"] == "ok", by_subject[subject]
    assert by_subject["daemon"]["says"] == "it has never started"


def test_it_is_told_in_lines_with_advice(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (config.parent / "keytab").unlink()
    assert main(["doctor", "--server", "--config", str(config)]) == 1
    lines = capsys.readouterr().out.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("BAD   keytab"))
    assert "-> make it with `kadmin ktadd" in lines[at + 1]
    assert any(line.startswith("ok    policy") for line in lines)


def test_no_configuration_still_leaves_the_machine_to_look_at(tmp_path: Path) -> None:
    findings = server.examine(tmp_path / "none.yaml")
    assert (findings[0].subject, findings[0].state) == ("configuration", "bad")
    assert "user namespaces" in {finding.subject for finding in findings}


@pytest.mark.skipif(os.getuid() != 0, reason="whoever is not root sees for himself what he cannot read")
def test_what_root_can_read_and_the_daemon_cannot(config: Path) -> None:
    """As `kadmin ktadd` and an editor leave it."""
    assert found(config)["access"].state == "ok"
    keytab, policy = config.parent / "keytab", config.parent / "policy.yaml"
    os.chown(keytab, 0, 0)
    said = found(config)["access"]
    assert (said.state, said.says) == ("bad", f"user {NOBODY + 1} cannot read {keytab}")
    assert f"chown {NOBODY + 1} {keytab}" in said.advice
    keytab.unlink()
    assert "access" not in found(config), "nothing is said of what is not there"
    os.chown(policy, 0, 0)
    assert f"chmod g+r {policy}" in found(config)["access"].advice


def test_a_keytab_for_another_host(config: Path) -> None:
    config.write_text(config.read_text() + "hostname: farm9.example.com\n")
    said = found(config)["keytab"]
    assert said.state == "bad"
    assert "securecc/farm9.example.com" in said.says
    assert f"kadmin ktadd -k {config.parent}/keytab securecc/farm9.example.com" in said.advice


def test_a_policy_that_is_none(config: Path) -> None:
    (config.parent / "policy.yaml").write_text("version: 7")
    assert found(config)["policy"].state == "bad"


@pytest.mark.parametrize("name", ["keytab", "audit.jsonl", "state"])
def test_what_others_can_write(config: Path, name: str) -> None:
    path = config.parent / name
    path.mkdir() if name == "state" else path.touch()
    assert found(config)["files"].state == "ok"
    path.chmod(0o722)
    said = found(config)["files"]
    assert (said.state, f"chmod go-w {path}" in f"{said.says} {said.advice}") == ("bad", True)


def test_a_compiler_that_is_not_there(config: Path) -> None:
    amended(config, "/usr/bin/as", "/nonexistent/gcc")
    said = found(config)["compilers"]
    assert (said.state, "layers in force" in found(config)) == ("bad", False)


def test_layers_that_this_machine_does_not_have(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text(config.read_text() + "sandbox: {minimum: [seccomp, landlock, cgroup]}\n")
    monkeypatch.setattr(machine_advice, "layers", lambda found, minimum, by: Finding("least", "ok", " ".join(minimum)))
    assert found(config)["least"].says == "seccomp landlock", "what only a service gets is not asked of this process"


@pytest.mark.skipif(os.getuid() != 0, reason="only root could be refused for being root")
def test_a_daemon_that_would_be_root(config: Path) -> None:
    amended(config, "users: .*\n", "")
    assert found(config)["compilers"].says == "the daemon would run as root"


WITHOUT = """
import ctypes, os, sys
made, mapped = os.pipe(), os.pipe()
if not (child := os.fork()):
    assert ctypes.CDLL(None).unshare(0x10000000) == 0
    os.write(made[1], b"x")
    os.read(mapped[0], 1)
    with open("/proc/sys/user/max_user_namespaces", "w") as file:
        file.write("0")
    os.execv(sys.argv[1], sys.argv[1:])
os.read(made[0], 1)
for name in ("uid_map", "gid_map"):
    with open(f"/proc/{child}/{name}", "w") as file:
        file.write("0 0 4294967295\\n")
os.write(mapped[1], b"x")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
"""Runs a command where user.max_user_namespaces is 0, in a user namespace in which everybody is whom he is outside."""


@pytest.mark.skipif(os.getuid() != 0, reason="only root maps all users")
def test_a_machine_whose_user_namespaces_are_switched_off(config: Path) -> None:
    doctor = [sys.executable, "-m", "securecc.cli.securecctl", "doctor", "--server", "--config", str(config)]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *doctor, "--format", "json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    rows = {row["subject"]: row for row in json.loads(done.stdout)}
    assert rows["user namespaces"]["state"] == "bad"
    assert "sysctl -w user.max_user_namespaces=65536" in rows["user namespaces"]["advice"]
    assert (rows["compilers"]["state"], rows["compilers"]["advice"]) == ("bad", "see the lines above")


RECORD = {"kind": "daemon", "event": "start", "time": "2026-11-21T08:00:00Z", "sandbox": ["jail", "seccomp"]}


def test_the_daemon_by_its_own_record(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = {"kind": "daemon", "event": "reload", "time": "later"}
    lines = ["not json", json.dumps(RECORD), "[]", json.dumps(other), '{"torn']
    (config.parent / "audit.jsonl").write_text("\n".join(lines))
    said = found(config)["daemon"]
    assert (said.state, said.says) == (
        "note",
        "it does not answer; it last started 2026-11-21T08:00:00Z, with jail seccomp",
    )
    monkeypatch.setattr(server, "is_listening", lambda _: True)
    assert found(config)["daemon"].state == "ok"
    (config.parent / "audit.jsonl").unlink()
    (config.parent / "audit.jsonl").mkdir()
    assert "run it as root" in found(config)["daemon"].advice


def test_whether_somebodyis_listening(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read_settings(config)
    assert not server.is_listening(settings)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        amended(config, "port: 1", f"port: {listening.getsockname()[1]}")
        assert server.is_listening(read_settings(config))


def test_healthy() -> None:
    assert healthy([Finding("a", "ok", ""), Finding("b", "note", "")])
    assert not healthy([Finding("a", "bad", "")])
