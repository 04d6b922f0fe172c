"""A server with something wrong about it: says what and what to do, and neither serves half nor loses anything."""

import os
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.farm.farmside import BIN, POLICY, Farm, Server, slow_source, sources, until
from tests.waiting import CEILING_S

GOOD = POLICY.read_text()
WRONG_TEST = GOOD.replace(
    "mallory@EXAMPLE.COM, from: 127.0.0.1, expect: denied", "mallory@EXAMPLE.COM, from: 127.0.0.1, expect: committers"
)
POLICIES = {
    "no-yaml": ("version: 1\nrules: [\n", 3, ""),
    "unknown-key": (GOOD.replace("rules:", "rulez:"), 7, "rulez"),
    "no-version": (GOOD.replace("version: 1\n", ""), 2, "version"),
    "unknown-group": (GOOD.replace("who: [committers]", "who: [comitters]"), 9, "comitters"),
    "unit": (GOOD.replace("10min", "10 minits"), 11, "wall"),
    "bad-test": (WRONG_TEST, 15, "mallory"),
    "address": (GOOD.replace("127.0.0.0/8", "127.0.0.0/33"), 3, "allow"),
    "bomb": ("a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in pairwise("abcdefgh")), 1, "anchor"),
    "nested": ("[" * 100_000, 1, ""),
    "key-twice": (GOOD.replace("version: 1\n", "version: 1\nversion: 1\n"), 3, "duplicate key"),
    "name-no": (GOOD.replace("- name: committers", "- name: no"), 8, "yes-or-no"),
    "name-yes": (GOOD.replace("  committers:", "  yes:"), 5, "yes-or-no"),
    "tab": (GOOD.replace("    principals", "\tprincipals"), 6, "tab"),
}
"""Text, and the line and word that the message must name."""


@pytest.fixture
def down(farm: Farm) -> Iterator[Server]:
    """The server, stopped; started again as it was afterwards."""
    server = farm.server
    kept = {name: (server.folder / name).read_bytes() for name in ("config.yaml", "policy.yaml", "keytab")}
    server.stop()
    yield server
    server.stop()
    for name, content in kept.items():
        (server.folder / name).write_bytes(content)
    front = (server.folder / "state").stat().st_uid
    os.chown(server.folder / "keytab", front, front)
    (server.folder / "keytab").chmod(0o400)
    (server.folder / "policy.yaml").chmod(0o644)
    server.start()


def fails(server: Server, *prefix: str) -> str:
    """What a daemon says that cannot start."""
    process = server.spawn(*prefix)
    assert process.wait(CEILING_S) == 1
    said = server.log()
    assert "securecc: ready" not in said
    assert "Traceback" not in said
    return said


def well(farm: Farm, folder: Path) -> None:
    """The compile succeeds on the server."""
    source = folder / "well.c"
    source.write_text("int well;\n")
    before = len(farm.audit(kind="job-end", outcome="done"))

    def remote() -> bool:
        assert farm.compile(source).returncode == 0
        return len(farm.audit(kind="job-end", outcome="done")) > before

    until(remote, what="a remote compile")


@pytest.mark.parametrize("case", POLICIES)
def test_a_wrong_policy_keeps_the_daemon_from_starting(down: Server, case: str) -> None:
    text, line, word = POLICIES[case]
    (down.folder / "policy.yaml").write_text(text)
    said = fails(down)
    assert f"policy.yaml:{line}" in said
    assert word in said


@pytest.mark.parametrize("case", POLICIES)
def test_a_wrong_policy_at_reload_leaves_the_old_in_force(farm: Farm, tmp_path: Path, case: str) -> None:
    text, line, word = POLICIES[case]
    farm.server.put_policy(text)
    try:
        record = farm.audit(kind="daemon")[-1]
        assert record["event"] == "reload-refused"
        assert f"policy.yaml:{line}" in record["detail"]
        assert word in record["detail"]
        assert f"policy.yaml:{line}" in farm.server.log()
        well(farm, tmp_path)
    finally:
        farm.server.put_policy(GOOD)
    assert farm.audit(kind="daemon")[-1]["event"] == "reload"


@pytest.mark.parametrize("case", POLICIES)
def test_a_wrong_policy_does_not_pass_the_check(tmp_path: Path, case: str) -> None:
    text, line, word = POLICIES[case]
    policy = tmp_path / "policy.yaml"
    policy.write_text(text)
    command = [str(BIN / "securecctl"), "policy", "check", "--ignore-permissions", str(policy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"policy.yaml:{line}" in done.stderr
    assert word in done.stderr


@pytest.fixture
def huge(farm: Farm) -> Iterator[Path]:
    """100 MiB in the place of the policy."""
    path = farm.server.folder / "policy.yaml"
    path.write_bytes(b"#" * (100 << 20))
    yield path
    path.write_text(GOOD)


def test_a_policy_of_100_mib_is_refused_unread(farm: Farm, huge: Path, tmp_path: Path) -> None:
    before = _peak(farm.server.process.pid)
    records = len(farm.audit(kind="daemon"))
    farm.server.process.send_signal(signal.SIGHUP)
    until(lambda: len(farm.audit(kind="daemon")) > records, what="word of the reload")
    assert f"{huge}: 104857600 bytes; the limit is 1048576" in farm.audit(kind="daemon")[-1]["detail"]
    assert _peak(farm.server.process.pid) - before < 20 << 10
    check = subprocess.run([BIN / "securecctl", "policy", "check", huge], capture_output=True, text=True, check=False)
    assert (check.returncode, "the limit is 1048576" in check.stderr) == (1, True)
    well(farm, tmp_path)


def _peak(pid: int) -> int:
    """The most memory that a process has ever had, in KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def test_a_keytab_that_cannot_be_read(down: Server) -> None:
    keytab = down.folder / "keytab"
    os.chown(keytab, 0, 0)
    keytab.chmod(0o400)
    said = fails(down)
    assert f"cannot read keytab {keytab}: Permission denied" in said
    assert "let the service's user read it" in said


def test_a_keytab_that_is_not_there(down: Server) -> None:
    (down.folder / "keytab").unlink()
    said = fails(down)
    assert "No such file" in said
    assert "kadmin ktadd" in said


def test_a_keytab_that_all_can_read(down: Server) -> None:
    keytab = down.folder / "keytab"
    keytab.chmod(0o444)
    said = fails(down)
    assert f"{keytab}: others than the daemon may read it (mode -r--r--r--)" in said
    assert f"chmod 0400 {keytab}" in said


OTHERS = {"audit.jsonl": 0o646, "state": 0o707, "policy.yaml": 0o646, "policy.d": 0o777}


@pytest.fixture
def owned(farm: Farm) -> Iterator[Farm]:
    """A server with an included folder; all its files are its own again afterwards."""
    folder = farm.server.folder
    (folder / "policy.d").mkdir(mode=0o755)
    farm.server.put_policy(GOOD.replace("version: 1\n", "version: 1\ninclude: [policy.d]\n"))
    modes = {name: stat.S_IMODE((folder / name).stat().st_mode) for name in OTHERS}
    yield farm
    for name, mode in modes.items():
        (folder / name).chmod(mode)
    (folder / "policy.d").rmdir()
    farm.server.put_policy(GOOD)


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_that_others_can_write_keeps_the_daemon_from_starting(owned: Farm, name: str) -> None:
    server = owned.server
    server.stop()
    mode = stat.S_IMODE((server.folder / name).stat().st_mode)
    (server.folder / name).chmod(OTHERS[name])
    try:
        assert f"chmod go-w {server.folder / name}" in fails(server)
    finally:
        (server.folder / name).chmod(mode)
        server.start()


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_that_others_can_write_meanwhile_is_named_at_reload(owned: Farm, tmp_path: Path, name: str) -> None:
    server = owned.server
    (server.folder / name).chmod(OTHERS[name])
    before = len(owned.audit())
    server.process.send_signal(signal.SIGHUP)
    advice = f"chmod go-w {server.folder / name}"
    until(lambda: advice in str(owned.audit()[before:]), what="word of the reload")
    assert advice in server.log()
    well(owned, tmp_path)


@pytest.mark.parametrize("junk", [b"", b"\x05\x02", b"no keytab at all"], ids=["empty", "no-keys", "text"])
def test_a_keytab_without_keys(down: Server, junk: bytes) -> None:
    (down.folder / "keytab").write_bytes(junk)
    said = fails(down)
    assert "has no usable keys of service securecc" in said
    assert "klist -k" in said


def test_a_keytab_that_goes_bad_meanwhile_changes_nothing(farm: Farm, tmp_path: Path) -> None:
    keytab = farm.server.folder / "keytab"
    kept = keytab.read_bytes()
    try:
        keytab.write_bytes(b"junk")
        farm.server.process.send_signal(signal.SIGHUP)
        until(lambda: "the new keytab cannot be used" in farm.server.log())
        other = farm.apart("keytab")
        well(other, tmp_path)
        other.end_agents()
    finally:
        keytab.write_bytes(kept)
    until(lambda: "keytab reloaded" in farm.server.log().splitlines()[-1])


def test_no_bubblewrap(down: Server) -> None:
    """In a mount namespace of the daemon's own, where /usr/bin/bwrap is a file that nobody can run."""
    down.configure(sandbox="{program: bubblewrap}")
    said = fails(down, "unshare", "--mount", "sh", "-c", 'mount --bind /dev/null /usr/bin/bwrap; exec "$@"', "sh")
    assert "bwrap" in said
    assert "apt install bubblewrap" in said


def test_a_bubblewrap_that_fails(down: Server, tmp_path: Path) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2; exit 1\n")
    broken.chmod(0o755)
    down.configure(sandbox="{program: bubblewrap}")
    script = f'mount --bind {broken} /usr/bin/bwrap; exec "$@"'
    said = fails(down, "unshare", "--mount", "sh", "-c", script, "sh")
    assert "sandbox" in said


def hidden(*paths: str) -> list[str]:
    """A command prefix: in a mount namespace of its own these are files that nobody can run."""
    mounts = "; ".join(f"mount --bind /dev/null {path}" for path in paths)
    return ["unshare", "--mount", "sh", "-c", f'{mounts}; exec "$@"', "sh"]


@pytest.mark.parametrize(
    ("setting", "lacking"),
    [
        ("", "/usr/bin/bwrap"),
        ("", f"{BIN}/securecc-jail"),
        ("{program: bubblewrap}", f"{BIN}/securecc-jail"),
        ("{program: jail}", "/usr/bin/bwrap"),
    ],
)
def test_one_program_for_the_sandbox_is_enough(
    farm: Farm, down: Server, tmp_path: Path, setting: str, lacking: str
) -> None:
    """And every record says which it was."""
    used = "jail" if lacking.endswith("bwrap") else "bubblewrap"
    if setting:
        down.configure(sandbox=setting)
    down.start(*hidden(lacking))
    well(farm, tmp_path)
    assert farm.audit(kind="job-end", outcome="done")[-1]["sandbox"][0] == used
    assert ("using bubblewrap" in down.log()) == (not setting and used == "bubblewrap")


def test_a_jail_that_fails(farm: Farm, down: Server, tmp_path: Path) -> None:
    """The log says so, and the daemon goes on with bubblewrap; unless it is told that only the jail will do."""
    broken = tmp_path / "jail"
    broken.write_text("#!/bin/sh\necho 'no namespaces today' >&2; exit 1\n")
    broken.chmod(0o755)
    prefix = ["unshare", "--mount", "sh", "-c", f'mount --bind {broken} {BIN}/securecc-jail; exec "$@"', "sh"]
    down.start(*prefix)
    assert "no compiler runs in the sandbox made by jail" in down.log()
    well(farm, tmp_path)
    assert farm.audit(kind="job-end", outcome="done")[-1]["sandbox"][0] == "bubblewrap"
    down.stop()
    down.configure(sandbox="{program: jail}")
    assert "no compiler runs in the sandbox" in fails(down, *prefix)


def test_an_occupied_port(down: Server) -> None:
    with socket.create_server(("127.0.0.1", down.port)):
        said = fails(down)
    assert f"cannot listen on 127.0.0.1 port {down.port}: Address already in use" in said
    assert "ss -ltnp" in said
    assert [record["event"] for record in down.audit(kind="daemon")][-1] != "start"


def test_a_policy_that_is_not_there(down: Server) -> None:
    (down.folder / "policy.yaml").unlink()
    said = fails(down)
    assert f"{down.folder}/policy.yaml" in said
    assert "No such file" in said


def test_the_same_audit_log_twice(farm: Farm) -> None:
    command = ["secureccd", "--config", str(farm.server.folder / "config.yaml")]
    done = farm.run(*command, cwd=farm.folder)
    assert done.returncode == 1
    assert "in use by another daemon" in done.stderr


@pytest.mark.parametrize("whom", ["front", "runner"])
def test_a_server_killed_mid_job(farm: Farm, tmp_path: Path, whom: str) -> None:
    """The compile succeeds locally; the agent finds the server again after its restart."""
    source = slow_source(tmp_path, parts=3)
    agent = farm.agent if farm.agents() else 0
    process = farm.begin("securecc", "g++", "-c", source.name, "-o", "slow.o", cwd=tmp_path)
    until(lambda: farm.server.sandboxed, what="the remote compile")
    sandboxed = farm.server.sandboxed
    os.kill(farm.server.pid if whom == "front" else farm.server.runner, signal.SIGKILL)
    farm.server.process.wait(CEILING_S)
    out, err = process.communicate(timeout=CEILING_S)
    assert (process.returncode, out) == (0, "")
    assert err.count("\n") <= 1
    assert (tmp_path / "slow.o").stat().st_size > 0
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in sandboxed), what="the sandbox's end")
    farm.server.start()
    well(farm, tmp_path)
    assert agent in {0, farm.agent}
    done = farm.run("securecctl", "audit", "verify", farm.server.folder / "audit.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def mounted(folder: Path, size: str, owner: int) -> None:
    """A small tmpfs there."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700,uid={owner},gid={owner}", "tmpfs", str(folder)]
    subprocess.run(command, check=True)


@pytest.fixture
def small_disks(down: Server) -> Iterator[dict[str, Path]]:
    """Audit and state on small tmpfs of their own; returns their folders."""
    front = (down.folder / "state").stat().st_uid
    disks = {name: down.folder / f"small-{name}" for name in ("audit", "state")}
    try:
        mounted(disks["audit"], "256k", front)
        mounted(disks["state"], "2m", front)
        down.configure(audit=f"{disks['audit']}/audit.jsonl", state=str(disks["state"]))
        down.start()
        yield disks
    finally:
        down.stop()
        for disk in disks.values():
            subprocess.run(["umount", str(disk)], check=False)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            pass


def remote_compiles(farm: Farm) -> int:
    return int(farm.journal()["remote"])


def test_a_full_audit_disk_refuses_jobs_until_there_is_room(
    farm: Farm, small_disks: dict[str, Path], tmp_path: Path
) -> None:
    other = farm.apart("full-audit")
    first, second, third = sources(tmp_path, 3)
    assert other.compile(first).returncode == 0
    until(lambda: remote_compiles(other) == 1)
    fill(small_disks["audit"] / "ballast")
    log = (small_disks["audit"] / "audit.jsonl").read_bytes()
    filler = tmp_path / "filler.c"  # what room is left in the log's last page goes first
    filler.write_text("int filler;\n")
    while not other.why():
        done = other.compile(filler)
        assert done.returncode == 0
    until(lambda: other.why().get("refused-server"))
    done = other.compile(second)
    assert done.returncode == 0
    assert second.with_suffix(".o").exists()
    assert "the server cannot write its audit log" in str(other.journal()["reasons"])
    assert (small_disks["audit"] / "audit.jsonl").read_bytes().startswith(log)
    (small_disks["audit"] / "ballast").unlink()
    before = remote_compiles(other)
    done = other.compile(third)
    assert (done.returncode, done.stderr) == (0, "")
    until(lambda: remote_compiles(other) == before + 1)
    verified = other.run("securecctl", "audit", "verify", small_disks["audit"] / "audit.jsonl", cwd=tmp_path)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "could not be written" in (small_disks["audit"] / "audit.jsonl").read_text()
    other.end_agents()


def test_a_full_state_disk_refuses_what_does_not_fit(farm: Farm, small_disks: dict[str, Path], tmp_path: Path) -> None:
    other = farm.apart("full-state")
    small, after = sources(tmp_path, 2)
    assert other.compile(small).returncode == 0
    until(lambda: remote_compiles(other) == 1)
    fill(small_disks["state"] / "ballast")
    large = tmp_path / "large.c"
    large.write_text("int large;\n" + "/* nothing */\n" * 100_000)
    done = other.compile(large)
    assert done.returncode == 0
    assert large.with_suffix(".o").exists()
    assert "the disk of the blob store is full" in done.stderr
    assert "free space there" in farm.server.log()
    assert other.counts("refused-server")
    assert list((small_disks["state"] / "store").glob("**/*.tmp")) == []
    stranger = farm.as_principal("bob", own_agent=True)
    done = stranger.compile(small)
    assert done.returncode == 0
    assert "compiling locally" in done.stderr
    stranger.end_agents()
    (small_disks["state"] / "ballast").unlink()
    before = remote_compiles(other)
    done = other.compile(after)
    assert (done.returncode, done.stderr) == (0, "")
    until(lambda: remote_compiles(other) > before)
    other.end_agents()
