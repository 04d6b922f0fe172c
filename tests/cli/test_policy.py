import argparse
from pathlib import Path
from typing import Any

import pytest

from securecc.cli import policy
from securecc.policy import unix_groups

TEXT = """\
version: 1
network: {allow: [10.0.0.0/8]}
groups:
  committers:
    file: committers.txt
rules:
  - {name: leavers, action: deny, who: [bob@EXAMPLE.COM]}
  - name: committers
    who: [committers]
    require: {auth_indicators: [pkinit]}
    limits: {wall: 10min, memory: 4GiB}
tests:
  - {principal: alice@OTHER.ORG, from: 10.2.3.4, expect: denied}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(TEXT)
    (tmp_path / "committers.txt").write_text("alice@EXAMPLE.COM\nbob@EXAMPLE.COM\n")
    path.chmod(0o644)
    (tmp_path / "committers.txt").chmod(0o644)
    return path


@pytest.fixture
def securecctl(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*words: Any) -> tuple[Any, ...]:
        parser = argparse.ArgumentParser(prog="securecctl")
        policy.add_arguments(parser.add_subparsers(required=True))
        arguments = parser.parse_args(["policy", *map(str, words)])
        status = arguments.run(arguments)
        return status, *capsys.readouterr()

    return call


class TestCheck:
    def test_good(self, file: Path, securecctl: Any) -> None:
        status, out, err = securecctl("check", file)
        assert (status, err) == (0, "")
        assert out.startswith(f"{file}: valid: 2 rules, 1 group, 1 test passed; revision ")

    def test_a_mistake_is_shown_with_its_line(self, file: Path, securecctl: Any) -> None:
        file.write_text(TEXT.replace("wall: 10min", "wall: 10"))
        status, out, err = securecctl("check", file)
        assert (status, out) == (1, "")
        first, line, caret = err.splitlines()
        assert first.startswith(f"{file}:11:20: rules[1].limits.wall: ")
        assert line.endswith("| " + "    limits: {wall: 10, memory: 4GiB}")
        assert caret.index("^") == line.index("10,")

    def test_a_bad_line_of_a_groups_file_is_shown(self, file: Path, securecctl: Any) -> None:
        (file.parent / "committers.txt").write_text("alice@EXAMPLE.COM\nb\x1bob\n")
        status, _, err = securecctl("check", file)
        assert status == 1
        assert "committers.txt:2:1: " in err
        assert "| b ob" in err
        assert "\x1b" not in err

    def test_a_test_that_fails(self, file: Path, securecctl: Any) -> None:
        file.write_text(TEXT.replace("alice@OTHER.ORG", "alice@EXAMPLE.COM"))
        status, _, err = securecctl("check", file)
        assert status == 1
        assert f"{file}:13:5: tests[0]: expected denied" in err

    def test_warnings(self, file: Path, securecctl: Any) -> None:
        file.write_text(TEXT[: TEXT.index("tests:")])
        status, _, err = securecctl("check", file)
        assert status == 0
        assert err.startswith(f"warning: {file}:1: the policy has no tests")

    def test_permissions(self, file: Path, securecctl: Any) -> None:
        (file.parent / "committers.txt").chmod(0o666)
        status, out, err = securecctl("check", file)
        assert (status, out) == (1, "")
        assert "others than its owner may write it" in err
        status, out, err = securecctl("check", "--ignore-permissions", file)
        assert status == 0
        assert err.startswith("warning: ")

    def test_a_unix_group_that_nobody_knows(self, file: Path, securecctl: Any) -> None:
        file.write_text(
            TEXT.replace("file: committers.txt", "unix_group: {name: no-such-group-here, realm: EXAMPLE.COM}")
        )
        status, _, err = securecctl("check", file)
        assert status == 0
        assert "unix group no-such-group-here: the name service has no such entry" in err

    @pytest.mark.parametrize("data", [b"", b"\xff", b"\n" * 2**21, b"a" * 5000])
    def test_no_policy(self, file: Path, securecctl: Any, data: bytes) -> None:
        file.write_bytes(data)
        assert securecctl("check", file)[0] == 1

    def test_no_file(self, tmp_path: Path, securecctl: Any) -> None:
        status, _, err = securecctl("check", tmp_path / "absent.yaml")
        assert status == 1
        assert "cannot be read: No such file" in err


class TestExplain:
    def test_allowed(self, file: Path, securecctl: Any) -> None:
        status, out, _ = securecctl("explain", file, "alice@EXAMPLE.COM", "10.2.3.4", "--indicator", "pkinit")
        assert status == 0
        assert "alice@EXAMPLE.COM from 10.2.3.4: allowed by rule committers\n" in out
        assert f"{file}:7: leavers: does not match: alice@EXAMPLE.COM is not in bob@EXAMPLE.COM" in out
        assert f"{file}:8: committers: matches: alice@EXAMPLE.COM is in committers by committers.txt, by pkinit" in out
        assert "wall        10min\n" in out
        assert "memory      4GiB\n" in out

    def test_the_quota_is_shown(self, file: Path, securecctl: Any) -> None:
        quota = "quota: {rate: 600/min, memory: 64GiB, store: 2GiB, connections: 9}\n    require:"
        file.write_text(TEXT.replace("require:", quota))
        _, out, _ = securecctl("explain", file, "alice@EXAMPLE.COM", "10.2.3.4", "--indicator", "pkinit")
        for row in ("rate        10/s, 100 at once", "all memory  64GiB", "all store   2GiB", "connections 9"):
            assert f"  {row}\n" in out

    def test_denied_by_a_rule(self, file: Path, securecctl: Any) -> None:
        status, out, _ = securecctl("explain", file, "bob@EXAMPLE.COM", "10.2.3.4")
        assert status == policy.DENIED_STATUS == 3
        assert "denied by rule leavers" in out
        assert "granted" not in out

    def test_denied_because_nothing_matches(self, file: Path, securecctl: Any) -> None:
        status, out, _ = securecctl("explain", file, "alice@EXAMPLE.COM", "10.2.3.4")
        assert status == 3
        assert "denied, no rule matches" in out
        assert "needs indicator pkinit; the ticket has none" in out

    def test_denied_by_the_network(self, file: Path, securecctl: Any) -> None:
        status, out, _ = securecctl("explain", file, "alice@EXAMPLE.COM", "11.2.3.4")
        assert status == 3
        assert "denied by the network section" in out

    def test_the_name_is_shown_escaped(self, file: Path, securecctl: Any) -> None:
        _, out, _ = securecctl("explain", file, "al\x1b\udcffice@EXAMPLE.COM", "10.2.3.4")
        assert r"al\x1b\xffice@EXAMPLE.COM" in out

    @pytest.mark.parametrize("words", [("alice", "10.2.3.4"), ("alice@EXAMPLE.COM", "office")])
    def test_what_is_no_principal_or_address(self, file: Path, securecctl: Any, words: tuple[str, ...]) -> None:
        status, out, err = securecctl("explain", file, *words)
        assert (status, out) == (1, "")
        assert err

    def test_unix_groups_are_asked_for(
        self, file: Path, securecctl: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        getent = tmp_path / "getent"
        getent.write_text('#!/bin/sh\n[ "$1" = passwd ] || echo vcs:x:7:dave\n')
        getent.chmod(0o755)
        monkeypatch.setattr(unix_groups, "_GETENT", str(getent))
        file.write_text(TEXT.replace("file: committers.txt", "unix_group: {name: vcs, realm: EXAMPLE.COM}"))
        status, out, _ = securecctl("explain", file, "dave@EXAMPLE.COM", "10.2.3.4", "--indicator", "pkinit")
        assert status == 0
        assert "is in committers by unix group vcs" in out
