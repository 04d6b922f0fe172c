import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.audit.settings import AuditSettings
from securecc.channel.connection_gate import ConnectionLimits
from securecc.daemon.limits_section import ServerLimits
from securecc.daemon.settings import DaemonSettings, Pair, User, Users, find_user, parse_settings, read_settings
from securecc.model import limits
from securecc.model.errors import ConfigError, PolicyError

NEEDED = """\
keytab: keytab
policy: /etc/securecc/policy.yaml
audit: audit.jsonl
state: state
scratch: scratch
"""
PEOPLE = {"cc-front": User(901, 901, "cc-front"), "cc-run": User(902, 902, "cc-run"), "root": User(0, 0, "root")}


def parse(text: str) -> DaemonSettings:
    return parse_settings(text.encode(), "config.yaml", Path("/srv/cc"), slots=8, lookup=PEOPLE.get)


def test_the_least_configuration() -> None:
    found = parse(NEEDED)
    assert found == DaemonSettings(
        Path("/srv/cc/keytab"),
        Path("/etc/securecc/policy.yaml"),
        AuditSettings(Path("/srv/cc/audit.jsonl")),
        Path("/srv/cc/state"),
        Path("/srv/cc/scratch"),
        slots=8,
    )
    assert (found.port, found.service, found.hostname, found.users) == (3643, "securecc", "", None)


def test_all_of_it() -> None:
    found = parse(
        NEEDED
        + """\
listen: [10.0.0.1, "::1"]
port: 4000
service: compile
hostname: farm.example.com
tls: {certificate: /etc/ssl/farm.pem, key: farm.key}
users: {front: cc-front, runner: cc-run}
slots: 3
toolchains: [/usr/bin/gcc, /opt/gcc-13/bin/g++]
layers: [/usr/include, /opt/site/release-3]
sandbox: {minimum: [netns, seccomp]}
limits: {store: 8GiB, store_per_principal: 2GiB, preauth_deadline: 5s, connections_per_source: 3}
log_level: debug
"""
    )
    assert found.listen == ("10.0.0.1", "::1")
    assert found.users == Users(PEOPLE["cc-front"], PEOPLE["cc-run"])
    assert found.toolchains == (Path("/usr/bin/gcc"), Path("/opt/gcc-13/bin/g++"))
    assert found.shared_trees == (Path("/usr/include"), Path("/opt/site/release-3"))
    assert found.sandbox_minimum == ("netns", "seccomp")
    assert found.limits == ServerLimits(8 << 30, 2 << 30, 5.0, ConnectionLimits(per_source=3))
    assert (found.port, found.service, found.hostname, found.slots) == (4000, "compile", "farm.example.com", 3)
    assert found.tls == Pair(Path("/etc/ssl/farm.pem"), Path("/srv/cc/farm.key"))
    assert found.log_level == "debug"


def test_shared_trees_may_be_none_at_all() -> None:
    assert parse(NEEDED).shared_trees is None
    assert parse(NEEDED + "layers: []\n").shared_trees == ()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("portt: 3\n", 'config.yaml:6:1: portt: unknown key "portt"; did you mean "port"?'),
        ("port: high\n", "config.yaml:6:7: port: 'high' is not a whole number from 0 to 65535"),
        ("port: 65536\n", "is not a whole number"),
        ("port: 1\nport: 2\n", "config.yaml:7:1: port: duplicate key"),
        ("listen: 10.0.0.1\n", "a list"),
        ("listen: []\n", "an empty list"),
        ("listen: [farm]\n", "config.yaml:6:10: listen[0]"),
        ("hostname: a/b\n", "'a/b' is not a host name"),
        ("hostname: a@B@C\n", "'a@B@C' is not a host name"),
        ("hostname: '@B'\n", "'@B' is not a host name"),
        ("hostname: 'a@'\n", "'a@' is not a host name"),
        ("hostname: ''\n", "'' is not a host name"),
        ("slots: 0\n", "from 1 to"),
        ("toolchains: [gcc]\n", "write the whole path, as /usr/bin/gcc"),
        ("layers: [include]\n", "write the whole path, as /usr/include"),
        ("layers: /usr/include\n", "a list"),
        ("users: {front: cc-front}\n", '"runner" is missing'),
        ("users: {front: cc-front, runner: cc-front}\n", "the front's user too"),
        ("users: {front: root, runner: cc-run}\n", "the daemon gives up root"),
        ("users: {front: nobody-here, runner: cc-run}\n", "useradd --system nobody-here"),
        ("users: {front: 99999999999, runner: cc-run}\n", "is not a user id"),
        ("users: {front: \u0663, runner: cc-run}\n", "is not a user id"),
        (f"users: {{front: {'9' * 5000}, runner: cc-run}}\n", "is not a user name"),
        ('users: {front: "a\\0b", runner: cc-run}\n', "'a\\x00b' is not a user name"),
        ("sandbox: {minimum: [chroot]}\n", 'unknown value "chroot"'),
        ("sandbox: {program: chroot}\n", 'unknown value "chroot"'),
        ("sandbox: {program: jail, minimum: [bubblewrap]}\n", "bubblewrap beside jail"),
        ("sandbox: {minimum: [jail, bubblewrap]}\n", "only one program can make the sandbox"),
        ("limits: {store: 8}\n", "write a number and its unit"),
        ("limits: {store: 1B}\n", "out of bounds"),
        ("log_level: inf\n", 'did you mean "info"?'),
        ("state: ~/x\n", "duplicate key"),
        ("- x\n", "config.yaml:6"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(more: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(NEEDED + more)
    assert said in str(caught.value)
    assert not isinstance(caught.value, PolicyError)


@pytest.mark.parametrize("key", ["keytab", "policy", "audit", "state", "scratch"])
def test_what_is_missing_is_named(key: str) -> None:
    text = "".join(line for line in NEEDED.splitlines(keepends=True) if not line.startswith(key))
    with pytest.raises(ConfigError, match=f'"{key}" is missing; (a|the) '):
        parse(text)


@pytest.mark.parametrize("path", ["~/keytab", '"a\\0b"', '""'])
def test_what_is_no_path(path: Path) -> None:
    with pytest.raises(ConfigError, match="keytab"):
        parse(NEEDED.replace("keytab: keytab", f"keytab: {path}"))


def test_a_file_is_read_beside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(NEEDED)
    found = read_settings(tmp_path / "config.yaml")
    assert found.audit.file == tmp_path / "audit.jsonl"
    assert found.slots == len(os.sched_getaffinity(0))


def test_no_file_and_a_huge_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"No such file.*--config"):
        read_settings(tmp_path / "none.yaml")
    (tmp_path / "huge").write_bytes(b"#" * (limits.SETTINGS_FILE + 1))
    with pytest.raises(ConfigError, match="not a configuration"):
        read_settings(tmp_path / "huge")


def test_users_by_name_and_number() -> None:
    assert find_user("root") == find_user("0") == User(0, 0, "root")
    assert find_user("2099999999") == User(2099999999, 2099999999, "2099999999")
    assert find_user("no-such-user-here") is None


@settings(max_examples=150)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=80).map(lambda text: (NEEDED + text).encode())))
def test_any_bytes_are_settings_or_a_config_error(data: bytes) -> None:
    found: DaemonSettings | ConfigError
    try:
        found = parse_settings(data, "config.yaml", Path("/srv"), lookup=PEOPLE.get)
    except ConfigError as error:
        found = error
    assert found.message.startswith("config.yaml") if isinstance(found, ConfigError) else found.keytab.is_absolute()


def test_control_groups_and_the_runners_socket() -> None:
    found = parse(NEEDED)
    assert (found.groups, found.runner_socket) == (None, Path("/run/securecc/runner"))
    found = parse(NEEDED + "sandbox: {groups: /sys/fs/cgroup/securecc}\nrunner_socket: /run/runner\n")
    assert (found.groups, found.runner_socket) == (Path("/sys/fs/cgroup/securecc"), Path("/run/runner"))
    with pytest.raises(ConfigError, match="not an absolute path"):
        parse(NEEDED + "sandbox: {groups: securecc}\n")


def test_cgroup_stands_for_all_that_control_groups_can_do() -> None:
    found = parse(NEEDED + "sandbox: {minimum: [cgroup, seccomp]}\n")
    assert set(found.sandbox_minimum) == {"seccomp", "cgroup-memory", "cgroup-pids", "cgroup-cpu", "cgroup-kill"}
    assert parse(NEEDED + "sandbox: {minimum: [cgroup-kill]}\n").sandbox_minimum == ("cgroup-kill",)


@pytest.mark.parametrize(
    ("said", "program"),
    [
        ("", ""),
        ("sandbox: {}\n", ""),
        ("sandbox: {minimum: [netns]}\n", ""),
        ("sandbox: {program: jail}\n", "jail"),
        ("sandbox: {program: bubblewrap}\n", "bubblewrap"),
        ("sandbox: {minimum: [bubblewrap, netns]}\n", "bubblewrap"),
        ("sandbox: {program: bubblewrap, minimum: [bubblewrap]}\n", "bubblewrap"),
    ],
)
def test_the_program_that_makes_sandboxes(said: str, program: str) -> None:
    """A layer that only one program is asks for that program."""
    found = parse(NEEDED + said)
    assert found.sandbox == program
    assert ("bubblewrap" in found.sandbox_minimum) == ("[bubblewrap" in said)
