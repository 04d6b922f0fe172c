"""The units and configuration that are installed: what systemd's own tools say of them, and what must stand in them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from securecc.daemon.settings import User, parse_settings
from securecc.model.errors import Denied
from securecc.model.redaction import Redaction
from securecc.policy.policy_in_force import PolicyInForce

TOP = Path(__file__).parents[2]
PACKAGING = TOP / "packaging"
UNITS = sorted(path.name for path in (PACKAGING / "systemd").iterdir())
MOST_EXPOSED = 3.0
SETTINGS = PACKAGING / "etc/config.yaml"


def unit(name: str) -> dict[str, dict[str, str]]:
    """{section: {directive: value}}; a directive that stands more than once has one value, in lines."""
    found: dict[str, dict[str, str]] = {}
    section = ""
    for line in (PACKAGING / "systemd" / name).read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            known = found.setdefault(section, {})
            known[key] = f"{known[key]}\n{value}" if key in known else value
    return found


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The units as `make install` writes them, for the programs of this environment."""
    folder = tmp_path_factory.mktemp("units")
    bin_folder = Path(sys.prefix) / "bin"
    for name in UNITS:
        text = (PACKAGING / "systemd" / name).read_text()
        for what, path in (
            ("@BIN@", bin_folder),
            ("@ETC_ROOT@", "/etc"),
            ("@ETC@", "/etc/securecc"),
            ("@DOC@", TOP / "docs"),
        ):
            text = text.replace(what, str(path))
        (folder / name).write_text(text)
    return folder


def analyze(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *words],
        env={"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": f"{folder}:", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_nothing_wrong(installed: Path, name: str) -> None:
    done = analyze(installed, "verify", "--man=no", str(installed / name))
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "secure" in line]
    assert ours == []


@pytest.mark.parametrize("name", [name for name in UNITS if name.endswith(".service")])
def test_little_is_exposed(installed: Path, name: str) -> None:
    done = analyze(installed, "security", "--offline=yes", "--no-pager", f"--threshold={int(MOST_EXPOSED * 10)}", name)
    said = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
    assert said is not None, done.stderr
    assert float(said[1]) <= MOST_EXPOSED
    assert done.returncode == 0
    page = (TOP / "docs/security/design.md").read_text()
    told = [float(number) for number in re.findall(r"\(exposure ([0-9.]+[0-9])", page)]
    assert any(abs(float(said[1]) - number) < 0.4 for number in told), "versions of systemd-analyze differ a little"


def test_nobody_is_root_and_no_two_are_one() -> None:
    users = {name: unit(name)["Service"]["User"] for name in UNITS if name.endswith(".service")}
    assert users == {"secureccd.service": "securecc", "securecc-runner.service": "securecc-runner"}
    made = (PACKAGING / "sysusers.d/securecc.conf").read_text()
    assert set(re.findall(r"^u\s+(\S+)", made, re.MULTILINE)) == set(users.values())


def test_the_runner_has_no_network_and_no_sight_of_keys() -> None:
    runner = unit("securecc-runner.service")["Service"]
    assert runner["PrivateNetwork"] == "yes"
    assert "AF_INET" not in runner["RestrictAddressFamilies"]
    hidden = runner["InaccessiblePaths"].split()
    configured = parse_settings(SETTINGS.read_bytes(), str(SETTINGS), Path("/etc/securecc"), lookup=somebody)
    for path in (configured.keytab, configured.state, configured.audit.file.parent):
        assert f"-{path}".replace("/etc/securecc", "@ETC@") in hidden
    assert {runner["CapabilityBoundingSet"], runner["AmbientCapabilities"]} == {""}
    assert runner["Delegate"].split() == ["cpu", "memory", "pids"]


def test_the_front_may_make_no_namespace() -> None:
    front = unit("secureccd.service")["Service"]
    assert (front["RestrictNamespaces"], front["NoNewPrivileges"], front["ProtectSystem"]) == ("yes", "yes", "strict")
    assert "Delegate" not in front


@pytest.mark.parametrize("name", [name for name in UNITS if name.endswith(".service")])
def test_a_service_manager_hears_of_each(name: str) -> None:
    service = unit(name)["Service"]
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) >= 10
    assert service["Restart"] == "on-failure"


def somebody(name: str) -> User:
    return User({"securecc": 900, "securecc-runner": 901}[name], 900, name)


def test_the_configuration_that_is_installed_is_one() -> None:
    """And means what the units mean."""
    found = parse_settings(SETTINGS.read_bytes(), str(SETTINGS), Path("/etc/securecc"), lookup=somebody)
    assert str(found.runner_socket) == unit("securecc-runner.socket")["Socket"]["ListenSequentialPacket"]
    assert str(found.port) == unit("secureccd.socket")["Socket"]["ListenStream"]
    service = unit("secureccd.service")["Service"]
    assert found.state == Path("/var/lib") / service["StateDirectory"]
    assert found.audit.file.parent == Path("/var/log") / service["LogsDirectory"]
    runner = unit("securecc-runner.service")["Service"]
    assert found.scratch == Path("/run") / runner["RuntimeDirectory"]


def test_what_the_configuration_only_proposes_is_good_as_well() -> None:
    text = re.sub(r"^( *)# (redact|sandbox):", r"\1\2:", SETTINGS.read_text(), flags=re.MULTILINE)
    found = parse_settings(text.encode(), str(SETTINGS), Path("/etc/securecc"), lookup=somebody)
    assert list(Redaction(found.audit.redact)([b"-DAPI_TOKEN=hunter2"])) == [b"-DAPI_TOKEN=[redacted]"]
    assert "seccomp" in found.sandbox_minimum


def test_the_policy_that_is_installed_lets_nobody_in(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    (tmp_path / "policy.d").mkdir(mode=0o755)
    path.write_bytes((PACKAGING / "etc/policy.yaml").read_bytes())
    path.chmod(0o600)
    with pytest.raises(Denied):
        PolicyInForce(path).judge(b"alice@EXAMPLE.COM", "10.2.3.4", ())


def test_all_that_is_there_is_installed() -> None:
    script = (PACKAGING / "install").read_text()
    files = [path.relative_to(TOP) for path in PACKAGING.rglob("*") if path.is_file() and path.name != "install"]
    for path in files:
        assert str(path) in script or (path.parent.name == "systemd" and path.name in script), path
