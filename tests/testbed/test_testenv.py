"""krb5-testenv/run: what it gives to its command, and that nothing of it is left afterwards."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.waiting import CEILING_S

T = TypeVar("T")
RUN = Path(__file__).parents[2] / "krb5-testenv/run"
SHOW = """
import json, os, pathlib, subprocess, sys
bed = pathlib.Path(os.environ["SECURECC_TESTENV"])
orphan = subprocess.Popen(["sleep", "600"], start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
pids = [int(path.read_text()) for path in [*bed.glob("kdc/*.pid"), *bed.glob("server*/pid")]]
kept = {name: value for name, value in os.environ.items() if name.startswith(("SECURECC", "KRB5", "XDG", "PATH"))}
print(json.dumps({"bed": str(bed), "pids": [*pids, orphan.pid], "environment": kept, "cwd": os.getcwd()}), flush=True)
"""
HOLD = SHOW + "\nimport time\ntime.sleep(600)\n"


def bed(*words: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([RUN, *words], capture_output=True, text=True, timeout=CEILING_S, check=False, **options)


def show(*options: str, **keywords: Any) -> dict[str, Any]:
    done = bed(*options, "--", sys.executable, "-c", SHOW, **keywords)
    assert done.returncode == 0, done.stderr
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


def hold(*options: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    process = subprocess.Popen(
        [RUN, *options, "--", sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def assert_gone(shown: Mapping[str, Any]) -> None:
    assert not Path(shown["bed"]).exists()
    assert [pid for pid in shown["pids"] if Path(f"/proc/{pid}").exists()] == []


@pytest.mark.parametrize(
    ("script", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -15 $$", 143)]
)
def test_exit_status_is_the_commands(script: str, status: int) -> None:
    assert bed("--servers", "0", "--", "sh", "-c", script).returncode == status


def test_a_command_that_does_not_exist_is_named() -> None:
    done = bed("--servers", "0", "--", "no-such-command")
    assert done.returncode == 127
    assert "no-such-command" in done.stderr


def test_nothing_is_left_after_success_not_even_what_the_command_left_running() -> None:
    shown = show("--servers", "0")
    assert len(shown["pids"]) == 3
    assert_gone(shown)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_is_left_after_a_signal(number: signal.Signals) -> None:
    process, shown = hold("--servers", "0")
    with process:
        process.send_signal(number)
        assert process.wait(CEILING_S) == 128 + number
    assert_gone(shown)


def test_nothing_is_left_when_the_command_fails() -> None:
    done = bed("--", sys.executable, "-c", SHOW + "\nsys.exit(3)\n")
    assert done.returncode == 3
    assert_gone(json.loads(done.stdout))


def test_ctrl_c_at_the_terminal_ends_all_of_it() -> None:
    """As somebody types it: the signal goes to whoever is in the foreground, the command included."""
    ours, theirs = pty.openpty()
    command = ["setsid", "--ctty", str(RUN), "--", sys.executable, "-c", HOLD]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        with os.fdopen(ours, "r+b", buffering=0) as terminal:
            said = b""
            while b"\n" not in said:
                said += terminal.read(4096)
            shown = json.loads(said[: said.index(b"\n")])
            assert len(shown["pids"]) == 4
            terminal.write(b"\x03")
            assert process.wait(CEILING_S) == 128 + signal.SIGINT
    assert_gone(shown)


def said_of(pid: int | str) -> str:
    """A process's arguments and environment, where we may read them."""
    said = b""
    with contextlib.suppress(OSError):
        said += Path(f"/proc/{pid}/cmdline").read_bytes()
        said += b"\0" + Path(f"/proc/{pid}/environ").read_bytes()
    return said.decode(errors="replace")


def descendants(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield int(child)
                yield from descendants(int(child))


def in_use(folder: str) -> list[str]:
    """Processes of the whole machine that know of the folder."""
    return [path.name for path in Path("/proc").glob("[0-9]*") if folder in said_of(path.name)]


@contextlib.contextmanager
def setting_up(*options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A bed that has just been begun; it is ended in any case."""
    command = [str(RUN), *options, "--", "sleep", "600"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def seen(process: subprocess.Popen[bytes], look: Callable[[], T]) -> T:
    """What `look` finds at last, while the bed is being set up."""
    deadline = time.monotonic() + CEILING_S
    while not (found := look()):
        assert process.poll() is None
        assert time.monotonic() < deadline
    return found


@pytest.mark.parametrize("program", ["kadmin.local", "krb5kdc", "server1-daemon"])
def test_nothing_is_left_after_ctrl_c_during_set_up(program: str) -> None:
    """Whatever is at work just then."""
    with setting_up() as process:
        folder = seen(process, lambda: bed_at_work(process.pid, program))
        process.send_signal(signal.SIGINT)
        assert process.wait(CEILING_S) == 128 + signal.SIGINT
    assert not Path(folder).exists()
    assert in_use(folder) == []


def bed_at_work(pid: int, program: str) -> str:
    """The bed's folder, once something below `pid` runs the program."""
    for child in descendants(pid):
        said = said_of(child)
        if program in said and (found := re.search(r"/tmp/securecc-testenv-\w+", said)):
            return found[0]
    return ""


def test_a_command_that_ignores_the_signal_is_ended_all_the_same() -> None:
    script = 'trap "" TERM; echo up; while :; do sleep 600; done'
    with subprocess.Popen([RUN, "--servers", "0", "--", "sh", "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        assert process.wait(CEILING_S) == 137


def test_the_command_runs_where_the_caller_stands(tmp_path: Path) -> None:
    assert show("--servers", "0", cwd=tmp_path)["cwd"] == str(tmp_path)


def test_two_at_once_do_not_meet() -> None:
    first, one = hold("--servers", "0")
    second, other = hold("--servers", "0")
    with first, second:
        assert one["bed"] != other["bed"]
        assert not set(one["pids"]) & set(other["pids"])
        first.terminate()
        assert first.wait(CEILING_S) == 143
        assert_gone(one)
        assert all(Path(f"/proc/{pid}").exists() for pid in other["pids"])
        second.terminate()
        assert second.wait(CEILING_S) == 143
    assert_gone(other)


def test_two_farms_at_once_serve_each_its_own(tmp_path: Path) -> None:
    """And the end of one is none of the other's."""
    (tmp_path / "a.c").write_text("int a;\n")
    script = (
        "echo up; read go; securecc gcc -c a.c -o $1.o && cat $SECURECC_TESTENV/server1/audit.jsonl "
        """| grep -c '"kind":"job-end".*"outcome":"done"'"""
    )
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": tmp_path}
    env = {**os.environ, "SECURECC_FALLBACK": "0"}
    with contextlib.ExitStack() as both:
        beds: list[subprocess.Popen[str]] = [
            both.enter_context(subprocess.Popen([str(RUN), "--", "sh", "-c", script, "sh", name], env=env, **pipes))
            for name in ("one", "other")
        ]
        assert [process.stdout.readline() for process in beds if process.stdout] == ["up\n", "up\n"]
        for name, process in zip(("one", "other"), beds, strict=True):
            said, _ = process.communicate("go\n", timeout=CEILING_S)
            assert (process.returncode, said) == (0, "1\n")
            assert (tmp_path / f"{name}.o").exists()


def test_an_unknown_person_is_refused_with_the_names_of_the_known() -> None:
    done = bed("--servers", "0", "--as", "eve", "--", "true")
    assert done.returncode == 125
    assert "eve" in done.stderr
    assert "mallory@EXAMPLE.COM" in done.stderr


@pytest.mark.parametrize("person", ["alice@EXAMPLE.COM", "bob", "mallory", "carol@OTHER.ORG"])
def test_as_gets_that_persons_ticket(person: str) -> None:
    done = bed("--servers", "0", "--as", person, "--", "klist")
    assert f"Default principal: {person}" in done.stdout


def test_every_keytab_and_password_is_good_for_a_ticket() -> None:
    script = """set -e
    cd "$SECURECC_TESTENV/keytabs"
    for who in alice@EXAMPLE.COM bob@EXAMPLE.COM mallory@EXAMPLE.COM carol@OTHER.ORG; do
        kinit -k -t ${who%@*}.keytab $who
        kinit $who <${who%@*}.password >/dev/null
    done"""
    done = bed("--servers", "0", "--", "sh", "-c", script)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_server_stands_in_its_folder_and_is_exported() -> None:
    shown = show("--servers", "2", "--slots", "3")
    hosts = shown["environment"]["SECURECC_HOSTS"].split()
    assert len(set(hosts)) == 2
    assert all(host.startswith("localhost:") and host.endswith("/3") for host in hosts)
    assert len(shown["pids"]) == 5
    assert_gone(shown)


def test_carol_of_the_other_realm_gets_a_ticket_for_the_server() -> None:
    script = "kvno -q securecc/localhost@EXAMPLE.COM && cd $SECURECC_TESTENV/server1 && ls && cat pid log"
    done = bed("--as", "carol", "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    assert {"config.yaml", "policy.yaml", "audit.jsonl", "log", "pid"} <= set(done.stdout.split())


def test_the_three_programs_are_on_the_path() -> None:
    done = bed("--", "sh", "-c", "for name in securecc securecctl secureccd; do command -v $name || exit 1; done")
    assert done.returncode == 0, done.stdout


def test_a_policy_that_the_server_refuses_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\nrules: [{name: nobody, who: [no-such-group]}]\n")
    done = bed("--policy", policy, "--", "true")
    assert done.returncode == 125
    assert "no-such-group" in done.stderr
    (folder,) = set(re.findall(r"/tmp/securecc-testenv-\w+", done.stderr))
    assert not Path(folder).exists()
    assert in_use(folder) == []


def test_a_policy_comes_with_what_it_includes_and_names(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(
        "version: 1\nnetwork: {allow: [127.0.0.0/8]}\ninclude: [policy.d]\ngroups: {team: {file: lists/team.txt}}\n"
        "rules: [{name: team, who: [team]}]\ntests: [{principal: alice@EXAMPLE.COM, from: 127.0.0.1, expect: team}]\n"
    )
    for folder in ("lists", "policy.d"):
        (tmp_path / folder).mkdir(mode=0o700)
    (tmp_path / "lists/team.txt").write_text("alice@EXAMPLE.COM\n")
    (tmp_path / "policy.d/50-guests.yaml").write_text(
        "version: 1\ngroups: {guests: {file: guests.txt}}\nrules: [{name: guests, who: [guests]}]\n"
    )
    (tmp_path / "policy.d/guests.txt").write_text("mallory@EXAMPLE.COM\n")
    (tmp_path / "a.c").write_text("int a;\n")
    for person, rule in (("alice", "team"), ("mallory", "guests")):
        options = ("--servers", "2", "--policy", tmp_path / "policy.yaml", "--as", person)
        script = "for host in $SECURECC_HOSTS; do SECURECC_HOSTS=$host securecc gcc -c a.c -o a.o || exit; done; "
        script += 'grep -ho \'"rule":"[a-z]*"\' "$SECURECC_TESTENV"/server?/audit.jsonl | sort | uniq'
        done = bed(*options, "--", "sh", "-c", script, cwd=tmp_path, env={**os.environ, "SECURECC_FALLBACK": "0"})
        assert (done.returncode, done.stdout, done.stderr) == (0, f'"rule":"{rule}"\n', "")


def test_a_policy_that_names_a_file_outside_its_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    policy = tmp_path / "site/policy.yaml"
    policy.write_text("version: 1\ngroups: {team: {file: ../team.txt}}\nrules: [{name: team, who: [team]}]\n")
    done = bed("--policy", policy, "--", "true")
    assert done.returncode == 125
    assert "../team.txt" in done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="network namespaces take root")
def test_net_gives_each_server_a_network_of_its_own() -> None:
    shown = show("--net", "--servers", "2")
    hosts = {host.partition(":")[0] for host in shown["environment"]["SECURECC_HOSTS"].split()}
    assert len(hosts) == 2
    assert all(host.startswith("10.") for host in hosts)
    listed = subprocess.run(["ip", "-o", "address"], capture_output=True, text=True, check=True).stdout
    assert not [host for host in hosts if host.rpartition(".")[0] in listed]
    assert_gone(shown)


@pytest.mark.skipif(os.getuid() != 0, reason="network namespaces take root")
def test_networks_are_gone_after_ctrl_c_during_set_up() -> None:
    with setting_up("--net") as process:
        made = seen(process, lambda: [name for child in descendants(process.pid) for name in namespaces(child)])
        process.send_signal(signal.SIGINT)
        assert process.wait(CEILING_S) == 128 + signal.SIGINT
    assert not Path(f"/run/netns/{made[0]}").exists()
    listed = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    assert f" {made[0].replace('securecc-', 'scn')}@" not in listed


def namespaces(pid: int) -> list[str]:
    """The namespace that this ip(8) is to make or to work in, or where this daemon already is."""
    words = said_of(pid).split("\0")
    if any(word.endswith("/server1-daemon") for word in words):
        told = subprocess.run(["ip", "netns", "identify", str(pid)], capture_output=True, text=True, check=False)
        return told.stdout.split()
    return [word for word in words if re.fullmatch(r"securecc-\d+", word)]
