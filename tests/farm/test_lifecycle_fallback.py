"""No ticket, no server, denied: the compile succeeds all the same, the reason is said once and counted."""

import contextlib
import socket
from pathlib import Path

import pytest

from tests.farm.farmside import Farm, sources, until

NOBODY = "127.0.0.1:9/2"  # discard: nobody listens there


def no_ticket(farm: Farm, name: str) -> Farm:
    return farm.apart(name, KRB5CCNAME=f"FILE:{farm.folder}/no-such-cache")


def no_server(farm: Farm, name: str) -> Farm:
    return farm.apart(name, SECURECC_HOSTS=NOBODY)


def denied(farm: Farm, name: str) -> Farm:
    other = farm.as_principal("mallory")
    return farm.apart(name, KRB5CCNAME=other.cache)


def no_hosts(farm: Farm, name: str) -> Farm:
    return farm.apart(name, SECURECC_HOSTS="")


def unknown_service(farm: Farm, name: str) -> Farm:
    """127.0.0.1 is the server, but no principal of that name is in the realm."""
    return farm.apart(name, SECURECC_HOSTS=farm.server.host.replace("localhost", "127.0.0.1"))


CASES = {
    "no-ticket": (no_ticket, 119, "kinit"),
    "unreachable": (no_server, 103, "Connection refused"),
    "denied": (denied, 113, "reference"),
    "no-hosts": (no_hosts, 116, "SECURECC_HOSTS"),
    "unknown-service": (unknown_service, 119, "securecc/127.0.0.1@"),
}
REASONS = {"unknown-service": "kdc"}


@pytest.mark.parametrize("case", CASES)
def test_the_build_goes_on_and_hears_why_once(farm: Farm, tmp_path: Path, case: str) -> None:
    make, _, advice = CASES[case]
    other = make(farm, f"once-{case}")
    said = ""
    for source in sources(tmp_path, 4):
        done = other.compile(source)
        assert (done.returncode, done.stdout) == (0, "")
        assert source.with_suffix(".o").exists()
        said += done.stderr
    if case == "no-hosts":
        assert said == ""  # whoever names no server wants none
    else:
        assert said.count("securecc: ") == 1
        assert said.endswith("; compiling locally\n")
        assert advice in said
    assert other.counts(REASONS.get(case, case), 4)
    assert other.journal()["remote"] == 0


@pytest.mark.parametrize("case", [case for case in CASES if case != "no-hosts"])
def test_a_make_of_many_jobs_hears_it_once_as_well(farm: Farm, tmp_path: Path, case: str) -> None:
    make, _, advice = CASES[case]
    other = make(farm, f"many-{case}")
    other.makefile(tmp_path, sources(tmp_path, 16))
    done = other.run("make", "-s", "-j8", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr.count("securecc: ") == done.stderr.count("\n") == 1, done.stderr
    assert advice in done.stderr
    assert other.counts(REASONS.get(case, case), 16)


@pytest.mark.parametrize("case", CASES)
def test_where_local_compiles_are_forbidden_it_fails_as_distcc_does(farm: Farm, tmp_path: Path, case: str) -> None:
    make, status, advice = CASES[case]
    other = make(farm, f"forbidden-{case}")
    (source,) = sources(tmp_path, 1)
    done = other.compile(source, SECURECC_FALLBACK="0")
    assert done.returncode == status
    assert done.stderr.startswith("securecc: ")
    assert done.stderr.endswith("; SECURECC_FALLBACK=0 forbids compiling locally\n")
    assert advice in done.stderr
    assert done.stdout == ""
    assert not source.with_suffix(".o").exists()


def test_a_silent_server_costs_a_deadline_and_distccs_timeout_code(farm: Farm, tmp_path: Path) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as silent:
        other = farm.apart("silent", SECURECC_HOSTS=f"127.0.0.1:{silent.getsockname()[1]}/2")
        (source,) = sources(tmp_path, 1)
        done = other.compile(source, SECURECC_FALLBACK="0")
        assert done.returncode == 118
        assert "did not admit us within" in done.stderr
        done = other.compile(source)
        assert done.returncode == 0
        assert source.with_suffix(".o").exists()
    assert other.counts("unreachable", 2)


STAYS = {
    "preprocessing": (["-E", "s0.c", "-o", "made"], "preprocess-only"),
    "a question": (["-print-prog-name=cc1", "-o", "made"], "information"),
    "linking": (["s0.c", "-shared", "-o", "made"], "link"),
    "an option": (["-c", "s0.c", "-fdump-tree-gimple", "-o", "made"], "dump"),
    "an output": (["-c", "s0.c", "-o", "/dev/null"], "output"),
}


@pytest.mark.parametrize("fallback", ["0", "1"])
@pytest.mark.parametrize("case", STAYS)
def test_what_is_none_of_a_servers_runs_here_even_where_fallback_is_forbidden(
    farm: Farm, tmp_path: Path, case: str, fallback: str
) -> None:
    words, reason = STAYS[case]
    other = farm.apart(f"stays-{case.replace(' ', '-')}-{fallback}")
    sources(tmp_path, 1)
    done = other.run("securecc", "gcc", *words, cwd=tmp_path, SECURECC_FALLBACK=fallback)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "made").exists() == (words[-1] == "made" and case != "a question")
    assert other.counts(reason)
    assert other.journal()["remote"] == 0


def test_a_reason_is_said_again_after_the_farm_was_well(farm: Farm, tmp_path: Path) -> None:
    other = farm.as_principal("bob")
    other = other.apart("again", KRB5CCNAME=other.cache)
    first, second, third = sources(tmp_path, 3)
    other.run("kdestroy", cwd=tmp_path)
    assert "kinit" in other.compile(first).stderr
    other.kinit("bob")
    until(lambda: not other.compile(second).stderr and other.journal()["remote"], what="a remote compile")
    other.run("kdestroy", cwd=tmp_path)
    until(lambda: "kinit" in other.compile(third).stderr, what="word of the ticket's end")


def test_settings_that_cannot_be_understood_are_on_record(farm: Farm, tmp_path: Path) -> None:
    other = farm.apart("settings", SECURECC_HOSTS=f"{farm.server.host} what?")
    for source in sources(tmp_path, 3):
        assert other.compile(source).returncode == 0
    until(lambda: other.journal()["remote"] == 3)
    (reason,) = other.journal()["reasons"]
    assert reason["reason"] == "settings"
    (example,) = reason["examples"]
    assert "what?" in example["detail"]
    assert other.journal()["local"] == 0
