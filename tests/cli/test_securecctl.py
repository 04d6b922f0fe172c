import subprocess
import sys
from pathlib import Path

import pytest

from securecc import __version__
from securecc.cli import securecctl
from securecc.model.errors import ConfigError
from tests.waiting import CEILING_S


def test_help_lists_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        securecctl.main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for name in securecctl.present():
        assert f"    {name}" in text
    assert {"audit", "why", "stats"} <= set(securecctl.present())


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        securecctl.main(["--version"])
    assert capsys.readouterr().out == f"securecc {__version__}\n"


@pytest.mark.parametrize("arguments", [["nonsense"], ["audit"], ["audit", "trace"], ["why", "--colour"]])
def test_a_wrong_command_line_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        securecctl.main(arguments)
    assert caught.value.code == 2
    assert "usage: securecctl" in capsys.readouterr().err


def test_no_command_prints_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert securecctl.main([]) == 2
    assert "commands:" in capsys.readouterr().err


def test_an_error_is_one_line_and_status_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(_: list[str]) -> None:
        raise ConfigError("x.yaml:1:1: wrong", "write it right")

    monkeypatch.setattr(securecctl, "_run", broken)
    assert securecctl.main(["why"]) == 1
    assert capsys.readouterr().err == "securecctl: x.yaml:1:1: wrong; write it right\n"


def test_control_c_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(_: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(securecctl, "_run", stopped)
    assert securecctl.main(["why"]) == 130


def test_a_closed_pipe_is_silent(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b'{"kind":"daemon"}\n' * 20000)
    command = [sys.executable, "-m", "securecc.cli.securecctl", "audit", "show", str(log)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=CEILING_S) == 0
    assert process.stderr.read() == b""
    process.stderr.close()


def test_only_what_is_asked_for_is_imported() -> None:
    code = (
        "import sys; from securecc.cli.securecctl import main; main(['why'])\n"
        "assert not {m for m in sys.modules if m.startswith(('gssapi', 'OpenSSL', 'securecc.server', 'asyncio'))}"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, env={"XDG_STATE_HOME": "/nonexistent"}
    )
