"""`securecctl doctor` in each state that keeps compiles from going where they should, in a real realm."""

from __future__ import annotations

import json
import re
import socket

import pytest

from tests.farm.farmside import Farm, until


def doctor(farm: Farm, *words: str, **env: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Exit status, and the findings by subject; a server's without its address."""
    done = farm.run(*words, "securecctl", "doctor", "--format", "json", cwd=farm.folder, **env)
    assert done.stderr == ""
    rows = json.loads(done.stdout)
    return done.returncode, {row["subject"].rpartition(":")[2].lstrip("0123456789 "): row for row in rows}


def states(found: dict[str, dict[str, str]]) -> dict[str, str]:
    return {subject: row["state"] for subject, row in found.items()}


def test_all_is_well(farm: Farm) -> None:
    status, found = doctor(farm)
    assert (status, set(states(found).values())) == (0, {"ok"})
    assert list(found) == [
        "agent", "servers", "ticket", "compiler gcc", "environment",
        "name", "server", "service", "policy", "clock", "gcc",
    ]  # fmt: skip
    assert found["ticket"]["says"].startswith("alice@EXAMPLE.COM, for ")
    assert "securecc/localhost" in found["service"]["says"]
    assert "127.0.0.1; reverse lookup: localhost" in found["name"]["says"]


def test_lines_for_people(farm: Farm) -> None:
    done = farm.run("securecctl", "doctor", cwd=farm.folder)
    assert done.returncode == 0
    assert all(line.startswith("ok  ") for line in done.stdout.splitlines())


def test_a_place_that_is_not_ours_alone(farm: Farm) -> None:
    """No agent listens where others could stand in for it, so nothing leaves."""
    place = farm.runtime
    was = place.stat().st_mode if place.exists() else 0
    place.mkdir(mode=0o700, exist_ok=True)
    place.chmod(0o755)
    status, found = doctor(farm)
    (place.chmod if was else lambda _mode: place.rmdir())(0o700)
    assert (status, found["agent"]["state"]) == (1, "bad")
    assert "is not private" in found["agent"]["says"]
    assert "mode 0700" in found["agent"]["advice"]


def test_a_variable_that_keeps_every_compile_here(farm: Farm) -> None:
    status, found = doctor(farm, COMPILER_PATH="/usr/bin")
    assert (status, found["environment"]["state"]) == (1, "bad")
    assert "'COMPILER_PATH' is set" in found["environment"]["says"]


def test_no_ticket(farm: Farm) -> None:
    status, found = doctor(farm, KRB5CCNAME="FILE:/nonexistent/cache")
    assert (status, found["ticket"]["state"], found["ticket"]["advice"]) == (1, "bad", "run kinit")
    assert found["server"]["state"] == "ok", "what can be seen without one is"
    assert "would request a ticket for securecc/localhost" in found["service"]["says"]


def test_a_ticket_that_has_ended(farm: Farm) -> None:
    cache = f"FILE:{farm.folder}/cc-short"
    farm.kinit("alice", "-l", "1s", cache=cache)
    until(lambda: farm.run("klist", "-s", "-c", cache, cwd=farm.folder).returncode != 0, what="the ticket's end")
    status, found = doctor(farm, KRB5CCNAME=cache)
    assert (status, found["ticket"]["state"], found["ticket"]["advice"]) == (1, "bad", "run kinit")
    assert "expired" in found["ticket"]["says"]


def test_a_service_that_the_realm_does_not_know(farm: Farm) -> None:
    status, found = doctor(farm, SECURECC_SERVICE="nobody")
    assert (status, found["service"]["state"]) == (1, "bad")
    assert "nobody/localhost" in found["service"]["says"]
    assert "not found in Kerberos database" in found["service"]["says"]
    assert "the realm does not know the service" in found["service"]["advice"]


def test_another_service_s_name(farm: Farm) -> None:
    """A ticket is to be had for it, and the server has not its key."""
    status, found = doctor(farm, SECURECC_SERVICE="host")
    assert (status, found["service"]["state"]) == (1, "bad")
    assert "a ticket for host/localhost was requested" in found["service"]["says"]
    assert "reference" in found["service"]["advice"]


CLOCKS = re.compile(r"this machine's clock says (\S+), the (KDC|server)'s (\S+): (\d+) s apart")


@pytest.mark.parametrize("whose", ["KDC", "server"])
def test_clocks_that_differ_are_both_named(farm: Farm, whose: str) -> None:
    """By ten minutes: a KDC gives no ticket for the server; a server refuses one that was got before."""
    cache = f"FILE:{farm.folder}/cc-skew-{whose}"
    farm.kinit("alice", cache=cache)
    if whose == "server":
        assert doctor(farm, KRB5CCNAME=cache)[0] == 0
    status, found = doctor(farm, "faketime", "-f", "+10m", KRB5CCNAME=cache)
    assert (status, found["clock"]["state"]) == (1, "bad")
    told = CLOCKS.fullmatch(found["clock"]["says"])
    assert told is not None, found["clock"]
    here, who, there, apart = told.groups()
    assert who == whose
    assert 595 <= int(apart) <= 605
    assert here > there
    assert "NTP" in found["clock"]["advice"]


def test_clocks_that_begin_to_differ(farm: Farm) -> None:
    """By four minutes of the five that Kerberos bears: it works, and is worth a word."""
    _, found = doctor(farm, "faketime", "-f", "+4m")
    assert found["clock"]["state"] == "note"
    assert "libfaketime" in found["environment"]["says"], "a library that compiles would have here alone"


def test_a_server_that_is_down(farm: Farm) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        status, found = doctor(farm, SECURECC_HOSTS=f"localhost:{taken.getsockname()[1]}")
    assert (status, found["server"]["state"]) == (1, "bad")
    assert "Connection refused" in found["server"]["says"]
    assert "firewall" in found["server"]["advice"]


def test_a_name_that_nobody_has(farm: Farm) -> None:
    status, found = doctor(farm, SECURECC_HOSTS="nowhere.invalid:4000")
    assert (status, found["name"]["state"]) == (1, "bad")
    assert "SECURECC_HOSTS" in found["name"]["advice"]


def test_no_servers(farm: Farm) -> None:
    status, found = doctor(farm, SECURECC_HOSTS="")
    assert (status, found["servers"]["state"]) == (1, "bad")


def test_a_setting_that_cannot_be_understood(farm: Farm) -> None:
    status, found = doctor(farm, SECURECC_FALLBACK="perhaps")
    assert (status, found["settings"]["state"]) == (0, "note")


def test_somebody_whom_the_policy_denies(farm: Farm) -> None:
    mallory = farm.as_principal("mallory")
    status, found = doctor(mallory)
    assert (status, found["service"]["state"], found["policy"]["state"]) == (1, "ok", "bad")
    assert "mallory@EXAMPLE.COM is not admitted" in found["policy"]["says"]
    assert re.search(r"the reference [0-9a-f]{8}", found["policy"]["advice"])


def test_a_compiler_that_the_server_lacks(farm: Farm) -> None:
    done = farm.run("securecctl", "doctor", "--format", "json", "as", "no-such-compiler", cwd=farm.folder)
    rows = {row["subject"]: row for row in json.loads(done.stdout)}
    assert done.returncode == 1
    lacking = next(row for subject, row in rows.items() if subject.endswith(" as") and not subject.startswith("comp"))
    assert lacking["state"] == "bad"
    assert "no such toolchain here" in lacking["says"]
    assert rows["compiler no-such-compiler"]["state"] == "bad"


def test_the_compiler_of_the_environment(farm: Farm) -> None:
    _, found = doctor(farm, CC="securecc /usr/bin/gcc -m32")
    assert "compiler /usr/bin/gcc" in found


def test_a_server_that_is_silent(farm: Farm) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        status, found = doctor(farm, SECURECC_HOSTS=f"localhost:{silent.getsockname()[1]}")
    assert (status, found["server"]["state"]) == (1, "bad")
