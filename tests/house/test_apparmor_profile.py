"""The profile for the runner where AppArmor restricts user namespaces: read by the real parser."""

import os
import re
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
PROFILE = TOP / "packaging/apparmor.d/securecc-runner"
NAME = "securecc-runner"
PARSER = "/usr/sbin/apparmor_parser"
ABI = Path("/etc/apparmor.d/abi/4.0")  # comes with the parsers that know `userns`
LOADED = Path("/sys/kernel/security/apparmor/profiles")


def parse(path: Path, *words: str) -> tuple[int, str, str]:
    done = subprocess.run([PARSER, "--skip-cache", *words, path], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def as_the_parser_here_knows_it(folder: Path) -> Path:
    """The profile; for a parser before version 4 without the rule that came with it."""
    if ABI.exists():
        return PROFILE
    older = folder / NAME
    older.write_text(PROFILE.read_text().replace("abi/4.0", "abi/3.0").replace("  userns,\n", ""))
    return older


def test_the_parser_takes_it(tmp_path: Path) -> None:
    status, _, said = parse(as_the_parser_here_knows_it(tmp_path), "--skip-kernel-load")
    assert (status, "error" in said) == (0, False), said
    _, flat, _ = parse(as_the_parser_here_knows_it(tmp_path), "--preprocess")
    assert re.search(rf"^profile {NAME} flags=\(unconfined\) {{$", flat, re.MULTILINE)


def test_the_parser_finds_mistakes(tmp_path: Path) -> None:
    """So what it takes above was read."""
    broken = tmp_path / "broken"
    broken.write_text(as_the_parser_here_knows_it(tmp_path).read_text().replace("flags=(unconfined)", "flags=(loose)"))
    assert parse(broken, "--skip-kernel-load")[0] != 0


@pytest.mark.skipif(ABI.exists(), reason="the parser here is of version 4 or later: it is to take the whole profile")
def test_an_older_parser_does_not() -> None:
    """Which is why it is installed only beside a parser that does: see packaging/install."""
    assert parse(PROFILE, "--skip-kernel-load")[0] != 0
    assert "/etc/apparmor.d/abi/4.0" in (TOP / "packaging/install").read_text()


def test_all_that_it_allows_is_user_namespaces() -> None:
    rules = PROFILE.read_text().partition("{")[2].rpartition("}")[0].split("\n")
    assert [rule.strip() for rule in rules if rule.strip()] == ["userns,", "include if exists <local/securecc-runner>"]


def test_it_is_the_one_that_the_unit_names() -> None:
    unit = (TOP / "packaging/systemd/securecc-runner.service").read_text()
    assert f"\nAppArmorProfile=-{NAME}\n" in unit
    assert f"profile {NAME} " in PROFILE.read_text()


@pytest.mark.skipif(not LOADED.exists(), reason="this kernel runs without AppArmor: nothing can be loaded")
@pytest.mark.skipif(os.getuid() != 0, reason="only root loads profiles")
def test_it_can_be_loaded(tmp_path: Path) -> None:
    path = as_the_parser_here_knows_it(tmp_path)
    was_there = f"{NAME} " in LOADED.read_text()
    status, _, said = parse(path, "--replace")
    try:
        assert status == 0, said
        assert f"{NAME} (unconfined)" in LOADED.read_text()
    finally:
        if not was_there:
            parse(path, "--remove")
