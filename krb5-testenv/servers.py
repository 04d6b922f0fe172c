"""Compile servers of a test bed: a folder, a configuration and a secureccd each."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import policies
import reach
from claims import Claim, claim_network, claim_port, claim_users
from realms import Realms

READY = "securecc: ready"
_START_S = 300.0  # tracing a toolchain for the first time takes a few seconds; minutes on a very busy machine
_STOP_S = 60.0  # a quiet machine needs one
_NETS = int(ipaddress.ip_address("10.192.0.0"))

_CONFIG = """\
listen: ["{address}"]
port: {port}
service: securecc
hostname: {hostname}
keytab: {folder}/keytab
policy: {folder}/policy.yaml
audit: {folder}/audit.jsonl
state: {folder}/state
scratch: {folder}/scratch
slots: {slots}
toolchains: [/usr/bin/gcc]
"""


class ServerFailed(Exception):
    """A secureccd did not start; the message ends with the end of its log."""


@dataclass(frozen=True, slots=True)
class Server:
    """One running secureccd."""

    number: int
    folder: Path
    process: subprocess.Popen[bytes]
    where: str
    slots: int
    claims: tuple[Claim, ...]
    namespace: str = ""

    @property
    def host(self) -> str:
        """As SECURECC_HOSTS names it."""
        return f"{self.where}/{self.slots}"

    def release(self) -> None:
        """Releases what outlives the process."""
        if self.namespace:
            _remove_network(self.namespace)
        for claim in self.claims:
            claim.close()


def start(
    number: int,
    where: Path,
    realms: Realms,
    *,
    policy: Path,
    daemon: Path,
    slots: int,
    apart: bool = False,
    settings: str = "",
) -> Server:
    """Starts server `number`; `wait_ready` returns once it answers. `apart` gives it its own network namespace,
    `settings` are further lines of its config.yaml.
    """
    folder = where / f"server{number}"
    folder.mkdir(mode=0o711)
    port, users = claim_port(), claim_users()
    net = claim_network() if apart else None
    address, namespace = (str(_base(net) + 2), f"securecc-{net.number}") if net else ("127.0.0.1", "")
    hostname = address if apart else "localhost"
    config = _CONFIG.format(address=address, port=port.number, hostname=hostname, folder=folder, slots=slots) + settings
    if os.getuid() == 0:
        config += f"users: {{front: {users.number}, runner: {users.number + 1}}}\n"
    (folder / "config.yaml").write_text(config)
    policies.copy(policy, folder / "policy.yaml")
    realms.service_keytab(f"securecc/{hostname}", folder / "keytab")
    _give_away(folder, users.number, users.number + 1)
    with contextlib.ExitStack() as undone:
        if net:
            undone.callback(_remove_network, namespace)
            _make_network(net, namespace)
        prefix = ["ip", "netns", "exec", namespace] if net else []
        process = _spawn(folder, [*prefix, str(daemon)], realms.config)
        undone.pop_all()
    claims = (port, users, *([net] if net else []))
    return Server(number, folder, process, f"{hostname}:{port.number}", slots, claims, namespace)


def _give_away(folder: Path, front: int, runner: int) -> None:
    """Gives each of the daemon's users what it needs, and nothing more."""
    for name, user in (("state", front), ("rcache", front), ("scratch", runner)):
        (folder / name).mkdir(mode=0o700)
        if os.getuid() == 0:
            os.chown(folder / name, user, user)
    (folder / "keytab").chmod(0o400)
    if os.getuid() == 0:
        os.chown(folder / "keytab", front, front)
        os.chown(folder, front, front)  # the front creates and rotates the audit log


def _spawn(folder: Path, command: list[str], krb5_config: Path) -> subprocess.Popen[bytes]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    environment = {**kept, "KRB5_CONFIG": str(krb5_config), "KRB5RCACHEDIR": str(folder / "rcache")}
    *prefix, daemon = command
    within_reach = folder.with_name(f"{folder.name}-daemon")  # not in the folder, where the front could change it
    if not within_reach.exists():
        reach.program(within_reach, Path(daemon))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*prefix, str(within_reach), "--config", str(folder / "config.yaml")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            cwd="/",
            start_new_session=True,
        )
    (folder / "pid").write_text(f"{process.pid}\n")
    return process


def _base(net: Claim) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(_NETS + 256 * net.number)


def _make_network(net: Claim, namespace: str) -> None:
    """A namespace connected to ours by a veth pair, whose far end has the second address."""
    near, far = f"scn{net.number}", f"scf{net.number}"
    ours, theirs = _base(net) + 1, _base(net) + 2
    subprocess.run(["ip", "netns", "add", namespace], check=True)
    steps = (
        f"link add {near} type veth peer name {far}",
        f"link set {far} netns {namespace}",
        f"address add {ours}/24 dev {near}",
        f"link set {near} up",
    )
    inside = ("link set lo up", f"address add {theirs}/24 dev {far}", f"link set {far} up")
    subprocess.run(["ip", "-batch", "-"], input="\n".join(steps), text=True, check=True)
    subprocess.run(["ip", "-n", namespace, "-batch", "-"], input="\n".join(inside), text=True, check=True)


def _remove_network(namespace: str) -> None:
    """Removes as much of it as was made. The link goes first and by name, because the kernel takes its time to clear a
    deleted namespace.
    """
    near = namespace.replace("securecc-", "scn")
    for command in (["ip", "link", "delete", near], ["ip", "netns", "delete", namespace]):
        subprocess.run(command, check=False, stderr=subprocess.DEVNULL)


def wait_ready(server: Server) -> None:
    """Returns once the daemon's log says that it serves.

    Raises:
        ServerFailed: it exited instead, or did not start in time.
    """
    log = server.folder / "log"
    deadline = time.monotonic() + _START_S
    while READY not in log.read_text(errors="replace"):
        ended = server.process.poll()
        if ended is not None or time.monotonic() > deadline:
            why = "took too long to start" if ended is None else f"ended with status {ended} instead of serving"
            end = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise ServerFailed(f"server{server.number} {why}; the end of its log:\n{end}")
        time.sleep(0.01)


def stop(servers: list[Server]) -> None:
    """Terminates all at once, then kills those that remain."""
    for server in servers:
        if server.process.poll() is None:
            server.process.terminate()
    deadline = time.monotonic() + _STOP_S
    for server in servers:
        try:
            server.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait()
        server.release()
