"""docs/admin.md, from a bare machine to the first compile: its commands are run as they stand there.

The machine is this one with a throw-away layer over what is installed, and a name, an address and processes of its own.
Three things stand in: `apt-get` simulates, `systemctl` starts the daemon itself (for the units see test_units_live.py),
and FreeIPA's and Active Directory's commands are not run.
"""

from __future__ import annotations

import os
import re
import subprocess
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.farm.farmside import TOP, until
from tests.waiting import CEILING_S

pytestmark = [
    pytest.mark.skipif(os.getuid() != 0, reason="a machine's own installation takes root"),
    pytest.mark.timeout(1200),  # the first of them installs all of it
]

PAGE = TOP / "docs/admin.md"
HOST = "farm1.example.com"
PATH = "/opt/stands-in:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MACHINE = """\
mount -t tmpfs tmpfs "$1" && cd "$1" || exit 1
for folder in etc usr/local var run opt home; do
    name=$(echo $folder | tr / -)
    mkdir -p "upper-$name" "work-$name"
    mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$1/upper-$name,workdir=$1/work-$name" "/$folder" || exit 1
done
hostname farm1.example.com
ip link set lo up && ip address add 10.2.3.4/8 dev lo || exit 1
echo '10.2.3.4 farm1.example.com farm1' >>/etc/hosts
echo ready
exec sleep infinity
"""
SYSTEMCTL = """\
#!/bin/sh
for unit in secureccd.socket secureccd.service securecc-runner.service; do
    [ -e /usr/local/lib/systemd/system/$unit ] || exit 4
done
case "$*" in
    daemon-reload | 'status secureccd securecc-runner') ;;
    'enable --now secureccd.socket secureccd.service')
        setsid secureccd --config /etc/securecc/config.yaml >/var/log/secureccd 2>&1 </dev/null &
        echo $! >/var/log/secureccd.pid ;;
    'reload secureccd')
        secureccd --config /etc/securecc/config.yaml --check && kill -HUP $(cat /var/log/secureccd.pid) ;;
    *) echo "no such command: $*" >&2; exit 1 ;;
esac
"""
KRB5 = """\
[libdefaults]
    default_realm = EXAMPLE.COM
    dns_lookup_kdc = false
    rdns = false
    default_ccache_name = FILE:/home/%{username}/tickets
[realms]
    EXAMPLE.COM = {
        kdc = 10.2.3.4
        admin_server = 10.2.3.4
        database_name = /var/lib/krb5kdc/principal
        key_stash_file = /var/lib/krb5kdc/stash
        acl_file = /var/lib/krb5kdc/acl
    }
"""
PASSWORD = "for tests"
PEOPLE = ("alice", "mallory")


@dataclass(slots=True)
class Ran:
    """One command of the page, and what became of it."""

    command: str
    status: int
    said: str


@dataclass(slots=True)
class Machine:
    """Where the guide is followed. `ran` holds what was run, by the section of the page."""

    pid: int
    ran: dict[str, list[Ran]] = field(default_factory=dict)

    def run(self, command: str, *, person: str = "", cwd: str = "/", given: str = "") -> Ran:
        """A command of a shell's, as root or as a person."""
        inside = ["nsenter", "-t", str(self.pid), "-m", "-u", "-p"]
        inside += [] if command.startswith("make") else ["-n"]  # pip is to reach its index
        become = ["setpriv", f"--reuid={person}", f"--regid={person}", "--init-groups"] if person else []
        home = f"/home/{person}" if person else "/root"
        environment = [f"PATH={PATH}", f"HOME={home}", f"USER={person or 'root'}", "LANG=C.UTF-8"]
        environment += [f"XDG_RUNTIME_DIR={home}/run"] if person else []
        done = subprocess.run(
            [*inside, *become, "env", "-i", *environment, "sh", "-c", f"cd {cwd} || exit\n{command}"],
            input=given,
            capture_output=True,
            text=True,
            timeout=CEILING_S,
            check=False,
        )
        return Ran(command, done.returncode, done.stdout + done.stderr)

    def prepare(self, command: str, **options: str) -> Ran:
        """What the page takes for granted."""
        done = self.run(command, **options)
        assert done.status == 0, done
        return done

    def follow(self, section: str, block: int, **options: str) -> None:
        """Each command of a block of the page."""
        for command in commands(section, block):
            person = "alice" if re.match(r"kinit|securecc ", command) or command in USERS_OWN else ""
            given = f"{PASSWORD}\n" if re.match(r"kadmin|kinit", command) else ""
            cwd = "/home/alice" if person else str(TOP)
            self.ran.setdefault(section, []).append(self.run(command, person=person, cwd=cwd, given=given, **options))


USERS_OWN = ("securecctl doctor", "securecctl stats")


def blocks(section: str) -> list[str]:
    """The indented blocks below a heading, as they stand."""
    body = re.split(r"^#{2,3} ", PAGE.read_text(), flags=re.MULTILINE)
    (text,) = [part for part in body if part.startswith(f"{section}\n")]
    return [textwrap.dedent(found) for found in re.findall(r"(?:^ {4}.*\n)+", text, re.MULTILINE)]


def commands(section: str, block: int) -> list[str]:
    return [line for line in blocks(section)[block].splitlines() if line.strip()]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("machine")
    apart = ["unshare", "--mount", "--net", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child"]
    with subprocess.Popen([*apart, "sh", "-c", MACHINE, "sh", folder], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            made = Machine(int(children.split()[0]))
            make_realm(made)
            follow_the_guide(made)
            yield made
        finally:
            process.kill()


def make_realm(machine: Machine) -> None:
    """A realm with its administrator, and people with accounts."""
    put(machine, "/etc/krb5.conf", KRB5)
    machine.prepare("mkdir -p /var/lib/krb5kdc /opt/stands-in")
    put(machine, "/var/lib/krb5kdc/acl", "root/admin@EXAMPLE.COM *\n")
    machine.prepare(f"kdb5_util create -s -P '{PASSWORD}'")
    for name in ("root/admin", *PEOPLE):
        machine.prepare(f"kadmin.local -q 'addprinc -pw \"{PASSWORD}\" {name}'")
    machine.prepare("krb5kdc && kadmind")
    for person in PEOPLE:
        machine.prepare(f"useradd --create-home {person} && install -d -o {person} -m 700 /home/{person}/run")
    put(machine, "/home/alice/hello.c", '#include <stdio.h>\nint main(void) { return puts("hello") < 0; }\n')
    put(machine, "/opt/stands-in/systemctl", SYSTEMCTL)
    put(machine, "/opt/stands-in/apt-get", '#!/bin/sh\nexec /usr/bin/apt-get --simulate --no-download "$@"\n')
    machine.prepare("chmod 755 /opt/stands-in/*")


def put(machine: Machine, path: str, text: str) -> None:
    machine.prepare(f"cat >{path}", given=text)


def follow_the_guide(machine: Machine) -> None:
    machine.follow("1. Install", 0)
    machine.follow("2. A key", 0)
    machine.follow("2. A key", -1)
    put(machine, "/etc/securecc/policy.yaml", blocks("3. A policy")[0])
    machine.follow("3. A policy", 1)
    machine.follow("4. Check and start", 0)
    until(lambda: "securecc: ready" in machine.run("cat /var/log/secureccd").said, what="the daemon")
    machine.follow("A client", 0)


def outcome(machine: Machine, section: str, command: str) -> Ran:
    (found,) = [ran for ran in machine.ran[section] if ran.command.partition(" #")[0].strip() == command]
    return found


def test_every_command_succeeds(machine: Machine) -> None:
    """systemd-tmpfiles speaks of other packages' lines as well; `policy explain` says by its status who is denied."""
    for section, each in machine.ran.items():
        for ran in each:
            if ran.command.startswith("systemd-tmpfiles"):
                assert "securecc" not in ran.said, (section, ran)
            else:
                assert ran.status == (3 if "explain" in ran.command else 0), (section, ran)


def test_no_block_of_the_page_is_left_out(machine: Machine) -> None:
    """But those that another kind of site needs."""
    ran = {each.command for section in machine.ran.values() for each in section}
    assert len(ran) >= 15
    other = re.compile(r"ipa|New-ADUser|setspn|ktpass|cp .*apparmor|apparmor_parser")
    sections = ("1. Install", "2. A key", "3. A policy", "4. Check and start", "A client")
    for section in sections:
        for block in blocks(section):
            lines = [line for line in block.splitlines() if line.strip()]
            if block != blocks("3. A policy")[0]:
                assert all(line in ran or other.match(line) for line in lines), (section, lines)


def test_files_have_the_owners_that_the_page_names(machine: Machine) -> None:
    """But the socket between the halves, which a unit makes (tests/house/test_units.py)."""
    rows = re.findall(r"^\| `(/(?!run)\S+?)`.*?\| (\w+)(?::(\w+))? (\d{4}) \|", PAGE.read_text(), re.MULTILINE)
    assert len(rows) >= 5
    for path, owner, group, mode in rows:
        said = machine.run(f"stat -c '%U %G 0%a' {path}").said.split()
        assert (said[0], said[2].zfill(4)[-4:]) == (owner, mode), (path, said)
        assert not group or said[1] == group


def test_the_server_has_its_key(machine: Machine) -> None:
    assert (
        f"securecc/{HOST}@EXAMPLE.COM" in outcome(machine, "2. A key", "klist -kte /etc/securecc/securecc.keytab").said
    )


def test_the_policy_means_what_is_said_of_it(machine: Machine) -> None:
    explained = outcome(
        machine, "3. A policy", "securecctl policy explain /etc/securecc/policy.yaml mallory@EXAMPLE.COM 10.2.3.4"
    )
    assert "denied" in explained.said


def test_the_server_is_found_well(machine: Machine) -> None:
    lines = outcome(machine, "4. Check and start", "securecctl doctor --server").said.splitlines()
    assert not [line for line in lines if line.startswith("BAD")]


def test_the_first_compile_was_the_server_s(machine: Machine) -> None:
    assert all(line.startswith("ok ") for line in outcome(machine, "A client", "securecctl doctor").said.splitlines())
    assert outcome(machine, "A client", "securecc gcc -c hello.c -o hello.o").said == ""
    assert f"{HOST}  1 " in outcome(machine, "A client", "securecctl stats").said


def test_what_is_done_every_day(machine: Machine) -> None:
    """The commands of the table, for the first compile and for somebody who is refused."""
    machine.prepare("kinit", person="mallory", cwd="/home/mallory", given=f"{PASSWORD}\n")
    refused = machine.run("securecctl doctor", person="mallory", cwd="/home/mallory")
    (number,) = set(re.findall(r"reference ([0-9a-f]{8})", refused.said))
    rows = re.findall(r"`((?:securecctl|systemctl reload) [^`]+|follow|summary|trace OBJECT)`", PAGE.read_text())
    said = {}
    for row in dict.fromkeys(rows):
        command = row if " " in row and not row.startswith("trace") else f"securecctl audit {row}"
        command = command.replace("NUMBER", number).replace("OBJECT", "/home/alice/hello.o")
        if command.endswith("follow"):
            command = f"timeout 3 {command} || [ $? = 124 ]"
        person = "alice" if command in ("securecctl why", "securecctl doctor") else ""
        ran = machine.run(command, person=person, cwd="/home/alice" if person else "/")
        assert ran.status == 0, (row, ran)
        said[row] = ran.said
    assert "mallory@EXAMPLE.COM" in said["securecctl audit show --reference NUMBER"]
    assert "alice@EXAMPLE.COM" in said["trace OBJECT"]
    assert "alice@EXAMPLE.COM" in said["summary"]
    assert {"securecctl audit verify", "securecctl why", "systemctl reload secureccd"} <= said.keys()
