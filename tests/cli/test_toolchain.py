"""What people see of toolchains, and what they change."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from securecc.cli import toolchain
from securecc.cli.securecctl import main
from securecc.compiler.toolchain import toolchain_list
from securecc.compiler.toolchain.closure import ToolchainClosure, describe
from securecc.compiler.toolchain.discovery import discover
from securecc.compiler.toolchain.toolchain_list import KnownToolchain
from securecc.compiler.toolchain.wrapper_scripts import script_digest
from tests.waiting import CEILING_S

PATH = b"/usr/bin:/bin"
CONFIG = "keytab: k\npolicy: p\naudit: a\nstate: state\nscratch: c\ntoolchains: [/usr/bin/gcc]  # ours\n"


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: Any) -> Path:
    """A program in a compiler's place that can be replaced."""
    folder = Path(tmp_path_factory.mktemp("compiler"))
    shutil.copy("/usr/bin/true", folder / "cc")
    return folder / "cc"


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiler: Path) -> ToolchainClosure:
    """An agent's record of one compiler."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(toolchain, "CONFIG", tmp_path / "absent")
    monkeypatch.setattr("securecc.client.state.settings.SITE", tmp_path / "site")
    closure = discover(os.fsencode(compiler), PATH)
    record = tmp_path / "state" / "securecc" / toolchain_list.NAME
    record.parent.mkdir(parents=True)
    toolchain_list.write(record, [KnownToolchain(closure.digest, (os.fsencode(compiler),), describe(closure), PATH)])
    return closure


@pytest.fixture
def server(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir(exist_ok=True)
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    config.chmod(0o640)
    return config


def test_nothing_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["toolchain", "list", "--config", str(server)]) == 0
    assert capsys.readouterr().out == "no toolchains are known yet\n"
    assert main(["toolchain", "verify", "--config", str(server)]) == 1
    assert "no toolchains are known yet" in capsys.readouterr().err


def test_what_was_met_is_listed_and_shown(
    client: ToolchainClosure, compiler: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["toolchain", "list"]) == 0
    listed = capsys.readouterr().out
    assert listed.splitlines()[0].split() == ["NAME", "VERSION", "TARGET", "DIGEST", "CALLED", "BY"]
    assert client.digest.hex()[:16] in listed
    assert main(["toolchain", "list", "--format", "json"]) == 0
    [one] = json.loads(capsys.readouterr().out)
    assert (one["name"], one["digest"], one["called_by"]) == ("cc", client.digest.hex(), [str(compiler)])
    for which in ("cc", client.digest.hex()[:6]):
        assert main(["toolchain", "show", which]) == 0
        assert client.digest.hex() in capsys.readouterr().out
    assert main(["toolchain", "show", "gcc-99"]) == 1
    assert "gcc-99" in capsys.readouterr().err


def test_what_a_daemon_offers_says_whether_it_is_witnessed(
    client: ToolchainClosure, server: Path, compiler: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    called_by = (os.fsencode(compiler),)
    known = [
        KnownToolchain(client.digest, called_by, describe(client), witnessed=witnessed) for witnessed in (True, False)
    ]
    toolchain_list.write(server.parent / "state" / toolchain_list.NAME, known)
    assert main(["toolchain", "list", "--config", str(server)]) == 0
    heading, *rows = (line.split() for line in capsys.readouterr().out.splitlines())
    column = heading.index("WITNESS")
    assert [row[-2] for row in rows] == ["yes", "no"]
    assert column == len(heading) - 3  # before CALLED BY
    assert main(["toolchain", "list", "--format", "json", "--config", str(server)]) == 0
    assert [one["witnessed"] for one in json.loads(capsys.readouterr().out)] == [True, False]
    assert main(["toolchain", "show", "cc", "--config", str(server)]) == 0
    assert "witness    no: its programs do not load it" in capsys.readouterr().out


def test_a_path_is_shown_as_it_is_here(
    client: ToolchainClosure, compiler: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["toolchain", "show", str(compiler)]) == 0
    assert f"digest     {client.digest.hex()}" in capsys.readouterr().out
    assert main(["toolchain", "show", str(compiler), "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert str(compiler) in shown["files"]


def test_verify_names_the_files_that_differ(
    client: ToolchainClosure, compiler: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["toolchain", "verify"]) == 0
    assert "unchanged" in capsys.readouterr().out
    shutil.copy("/usr/bin/false", compiler)
    try:
        assert main(["toolchain", "verify", "cc"]) == toolchain.DIFFERS_STATUS
        assert f"other contents: {compiler}" in capsys.readouterr().out
        compiler.unlink()
        assert main(["toolchain", "verify"]) == toolchain.DIFFERS_STATUS
        assert "installed" in capsys.readouterr().out
    finally:
        shutil.copy("/usr/bin/true", compiler)


def test_a_script_is_vouched_for(client: ToolchainClosure, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "gcc"
    script.write_text('#!/bin/sh\nexec /usr/bin/gcc "$@"\n')
    script.chmod(0o755)
    listing = tmp_path / "config" / "securecc" / "wrappers"
    assert main(["toolchain", "add", "--print", str(script)]) == 0
    assert script_digest(os.fsencode(script)).hex() in capsys.readouterr().out
    assert not listing.exists()
    for _ in range(2):
        assert main(["toolchain", "add", str(script)]) == 0
    assert listing.read_text() == f"{script_digest(os.fsencode(script)).hex()}  {script}\n"
    assert main(["toolchain", "show", str(script)]) == 0
    assert "\nruns " in capsys.readouterr().out
    assert main(["toolchain", "add", "/usr/bin/gcc"]) == 1
    assert "on each" in capsys.readouterr().err
    script.write_text('#!/bin/sh\nexec /usr/bin/gcc -O3 "$@"\n')
    assert main(["toolchain", "add", str(script)]) == 1
    assert "does more" in capsys.readouterr().err


def test_a_daemon_offers_one_more_and_is_told(server: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    daemon = subprocess.Popen(
        [sys.executable, "-c", "import signal; print(1, flush=True); signal.pause()", "secureccd"],
        stdout=subprocess.PIPE,
    )
    with daemon:
        assert daemon.stdout is not None
        daemon.stdout.read(1)
        record = tmp_path / "state" / toolchain_list.NAME
        record.write_bytes(toolchain_list.encode(toolchain_list.ToolchainList((), daemon.pid)))
        assert main(["toolchain", "add", "--print", "--config", str(server), "/usr/bin/gcc"]) == 0
        assert capsys.readouterr().out.endswith(CONFIG)
        assert main(["toolchain", "add", "--config", str(server), "/usr/bin/g++"]) == 0
        assert f"process {daemon.pid}" in capsys.readouterr().out
        assert daemon.wait(CEILING_S) == -signal.SIGHUP
    assert server.read_text() == CONFIG.replace("gcc]", "gcc, /usr/bin/g++]")
    assert server.stat().st_mode & 0o777 == 0o640
    assert main(["toolchain", "add", "--config", str(server), "/usr/bin/g++"]) == 0
    assert "systemctl reload" in capsys.readouterr().out


def test_what_no_daemon_can_offer(
    server: Path, compiler: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["toolchain", "add", "--config", str(server), str(compiler)]) == 1
    assert "neither a gcc nor a clang" in capsys.readouterr().err
    assert main(["toolchain", "add", "--config", str(server), str(tmp_path / "absent")]) == 1
    assert main(["toolchain", "add", "--config", str(tmp_path / "absent"), "/usr/bin/gcc"]) == 1
    assert server.read_text() == CONFIG
