"""`securecctl doctor` for a user: whose compilers are looked at; tests/farm has its states."""

import json
from typing import Any

import pytest

from securecc.cli.doctor import client
from securecc.cli.securecctl import main
from securecc.client.state.settings import Settings
from securecc.model.finding import Finding


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    seen = []

    async def diagnose(settings: Settings, compilers: tuple[str, ...]) -> Any:
        seen.append(compilers)
        return [Finding("servers", "ok", "farm1"), Finding("ticket", "bad", "no\x1b[31m ticket", "run kinit")]

    monkeypatch.setattr(client, "diagnose", diagnose)
    for name in ("CC", "CXX"):
        monkeypatch.delenv(name, raising=False)
    return seen


@pytest.mark.parametrize(
    ("arguments", "environment", "compilers"),
    [
        ([], {}, ("gcc",)),
        ([], {"CC": "securecc gcc -m32", "CXX": "ccache /usr/bin/g++"}, ("gcc", "/usr/bin/g++")),
        ([], {"CC": "securecc"}, ("gcc",)),
        (["clang", "clang"], {"CC": "gcc"}, ("clang",)),
    ],
)
def test_whose_compilers(
    asked: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[Any],
    environment: dict[Any, Any],
    compilers: tuple[str, ...],
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main(["doctor", *arguments]) == 1
    assert asked == [compilers]


def test_lines_hold_nothing_that_a_terminal_obeys(asked: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor"])
    said = capsys.readouterr().out
    assert said.splitlines()[0] == "ok    servers  farm1"
    assert "\x1b" not in said
    assert "-> run kinit" in said


def test_json(asked: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--format", "json"])
    rows = json.loads(capsys.readouterr().out)
    assert rows[0] == {"subject": "servers", "state": "ok", "says": "farm1", "advice": ""}
