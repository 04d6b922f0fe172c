"""The last step inside a sandbox of somebody else's: `securecc-confine`."""

import os
import subprocess
from pathlib import Path

import pytest

from securecc.sandbox import jail, seccomp


def confined(filters: str, rulesets: str, *command: str, fds: tuple[int, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [jail.find(jail.CONFINE), filters, rulesets, *command],
        pass_fds=fds,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_filter_alone(intruder: str, tmp_path: Path) -> None:
    """No namespace, no Landlock: still no socket, no mount, no namespace."""
    (tmp_path / "rules").write_bytes(seccomp.program())
    with (tmp_path / "rules").open("rb") as rules:
        done = confined(str(rules.fileno()), "", intruder, "look", fds=(rules.fileno(),))
        seen = dict(line.split("=", 1) for line in done.stdout.splitlines() if not line.startswith("env "))
        assert {seen[name] for name in ("connect", "unshare", "mount", "remount")} == {"ENOSYS"}
        words = ("trace", str(os.getpid()), "fifo", "f", "device", "d")
        done = confined(str(rules.fileno()), "", intruder, *words, fds=(rules.fileno(),))
        assert {line.partition("=")[2] for line in done.stdout.splitlines()} == {"ENOSYS"}


def test_no_descriptor_is_passed_on(intruder: str) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading), os.fdopen(writing):
        done = confined("", "", intruder, "look", fds=(reading, writing))
    assert "descriptor=" not in done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("", ""), "cannot read the arguments: not valid"),
        (("", "", "/nowhere"), "cannot run /nowhere: No such file or directory"),
        (("", "1x", "true"), "cannot read the number 1x: not valid"),
        (("", "9999999999", "true"), "cannot use the descriptor 9999999999: not valid"),
        (("", "0 0 0 0 0", "true"), "cannot use so many rulesets: not valid"),
        (("", "900", "true"), "cannot restrict files by Landlock: Bad file descriptor"),
        (("900", "", "true"), "cannot read the filter: Bad file descriptor"),
        (("-1", "", "true"), "cannot read the number -1: not valid"),
    ],
)
def test_what_cannot_be_confined_does_not_run(words: tuple[str, ...], said: str) -> None:
    done = confined(*words)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"securecc-confine: {said}\n")


def test_a_program_is_never_an_option() -> None:
    assert confined("", "", "--help").stderr == "securecc-confine: cannot run --help: No such file or directory\n"
