"""For all tests: signals as usual; and a real MIT realm, started once per pytest worker by the first test that asks for
it, and stopped at the end.
"""

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import k5test
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "any machine",  # however busy
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("any machine")


def pytest_configure() -> None:
    """A shell that starts the tests in the background, or nohup(1), makes them ignore signals, and their children."""
    for number, usual in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
        (signal.SIGQUIT, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that every user may enter. pytest's own belong to one user: a second run of it takes back at its start
    what a first has allowed.
    """
    with tempfile.TemporaryDirectory(prefix="securecc-test-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@dataclass(frozen=True)
class Realm:
    """EXAMPLE.COM with alice, bob and mallory; `keytab` holds securecc/localhost. No ticket is got unasked."""

    kdc: k5test.K5Realm
    folder: Path

    @property
    def keytab(self) -> str:
        return str(self.kdc.keytab)

    @property
    def env(self) -> dict[str, str]:
        return dict(self.kdc.env)

    def password(self, name: str) -> str:
        return str(self.kdc.password(name))

    def ticket(self, name: str, *flags: str) -> str:
        """A fresh credential cache of `name`'s; its path."""
        number = sum(1 for _ in self.folder.glob(f"cc-{name}-*"))
        path = str(self.folder / f"cc-{name}-{number}")
        self.kdc.kinit(f"{name}@EXAMPLE.COM", self.password(name), flags=[*flags, "-c", path])
        return path

    def armoured_ticket(self, name: str) -> str:
        """As `ticket`, with the authentication indicator ``armoured`` (RFC 8129): got by FAST with another's ticket."""
        self.kdc.run_kadminl(f"modify_principal +requires_preauth {name}@EXAMPLE.COM")
        return self.ticket(name, "-T", self.ticket("alice"))

    def add_service(self, principal: str, keytab: str) -> None:
        self.kdc.addprinc(f"{principal}@EXAMPLE.COM")
        self.kdc.extract_keytab(f"{principal}@EXAMPLE.COM", keytab)


def _free_ports() -> int:
    """The first of ten ports in a row that nobody listens on (k5test takes ten)."""
    step = 10
    start = 20000 + (os.getpid() % 1000) * step
    for base in range(start, 32000, step):
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind(("127.0.0.1", base))
                udp.bind(("127.0.0.1", base))
            except OSError:
                continue
            return base
    raise RuntimeError("no free ports for a KDC")


@pytest.fixture(scope="session")
def _realm() -> Iterator[Realm]:
    conf = {
        "libdefaults": {"rdns": "false", "dns_canonicalize_hostname": "false", "dns_lookup_realm": "false"},
        "realms": {"$realm": {"kdc": "127.0.0.1:$port0"}},
    }
    kdc = k5test.K5Realm(
        realm="EXAMPLE.COM",
        portbase=_free_ports(),
        krb5_conf=conf,
        kdc_conf={"realms": {"$realm": {"encrypted_challenge_indicator": "armoured"}}},
        create_user=False,
        create_host=False,
        get_creds=False,
    )
    try:
        for name in ("alice", "bob", "mallory"):
            kdc.addprinc(f"{name}@EXAMPLE.COM", kdc.password(name))
        kdc.addprinc("securecc/localhost@EXAMPLE.COM")
        kdc.extract_keytab("securecc/localhost@EXAMPLE.COM", kdc.keytab)
        yield Realm(kdc, Path(kdc.tmpdir))
    finally:
        kdc.stop()


@pytest.fixture
def realm(_realm: Realm, monkeypatch: pytest.MonkeyPatch) -> Realm:
    """The realm, with KRB5_CONFIG and its kin in this process's environment for the time of one test. KRB5CCNAME
    names a cache that does not exist: a test names the tickets that it wants (`realm.ticket("alice")`).
    """
    for name, value in _realm.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KRB5CCNAME", str(_realm.folder / "nobody"))
    monkeypatch.delenv("KRB5_CLIENT_KTNAME")
    return _realm


@pytest.fixture(scope="session")
def intruder() -> Iterator[str]:
    """A compiler that means harm, where the runner's own user can read it, unlike pytest's folders."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        os.mkdir(folder + "/bin", 0o755)
        source = os.path.join(os.path.dirname(__file__), "intruder.c")
        subprocess.run(["gcc", "-static", "-O1", "-o", folder + "/bin/intruder", source], check=True)
        yield folder + "/bin/intruder"
