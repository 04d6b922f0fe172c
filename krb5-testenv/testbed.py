"""Runs a command in a throw-away Kerberos realm with a farm of compile servers, then takes everything down."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import types
from pathlib import Path

import processes
import reach
import realms
import servers

_HERE = Path(__file__).resolve().parent
_BIN = Path(sys.prefix) / "bin"
_THREAD_S = 60.0  # for what starts a realm to end
_PROGRAMS = ("securecc", "securecctl", "secureccd")
_PATIENCE_S = 5  # between passing a signal on to the command and killing what is left of it

_EPILOG = """\
The command finds KRB5_CONFIG, KRB5CCNAME and SECURECC_HOSTS set, and securecc, securecctl and secureccd on its PATH.
SECURECC_TESTENV is a folder with server1/ ... serverN/ (config.yaml policy.yaml audit.jsonl log pid each) and
keytabs/ (NAME.keytab and NAME.password), so that for example

    kinit -k -t $SECURECC_TESTENV/keytabs/mallory.keytab mallory@EXAMPLE.COM

makes you mallory. alice and bob are listed in the policy, mallory is not, carol is from another realm (OTHER.ORG).
The exit status is the command's; 128+N if signal N ended it; 125 if the test bed itself could not be set up.
Without a command you get a shell.
"""


class _Signalled(Exception):
    """A signal during set-up."""


class _Relay:
    """What signals do: at first they end the set-up, later they go to the command, and finally they are ignored."""

    def __init__(self) -> None:
        self.command = 0
        self.over = False
        self._starting = False
        self._early: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
            signal.signal(number, self._arrived)

    def _arrived(self, number: int, _frame: types.FrameType | None) -> None:
        if self.over:
            return
        if self._starting:
            self._early.append(number)
            return
        if not self.command:
            raise _Signalled(number)
        if number == signal.SIGALRM:
            processes.send(self.command, signal.SIGKILL)
            return
        if number != signal.SIGINT or not _terminal_is_ours():
            processes.send(self.command, number)
        signal.alarm(_PATIENCE_S)

    def start(self, command: list[str], environment: dict[str, str]) -> None:
        """Starts the command; signals that arrive meanwhile are passed to it as well. Raises OSError."""
        self._starting = True
        try:
            self._process = subprocess.Popen(command, env=environment)  # kept: a collected Popen reaps its child
            self.command = self._process.pid
        finally:
            self._starting = False
        for number in self._early:
            self._arrived(number, None)


def _terminal_is_ours() -> bool:
    """Whether Ctrl-C on the terminal reaches the command without our help."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    finally:
        os.close(terminal)


def _options(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    split = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(
        prog="krb5-testenv/run",
        usage="krb5-testenv/run [options] -- COMMAND [ARGUMENT...]",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--servers", type=int, default=1, metavar="N", help="how many compile servers (1)")
    parser.add_argument(
        "--slots", type=int, default=os.cpu_count(), metavar="K", help="jobs at a time on each (%(default)s)"
    )
    parser.add_argument(
        "--policy",
        type=Path,
        default=_HERE / "policy.yaml",
        metavar="FILE",
        help="the policy of all servers; the folders and files that it names are copied too",
    )
    parser.add_argument("--as", dest="person", default="alice", metavar="PRINCIPAL", help="whose ticket to get (alice)")
    parser.add_argument("--net", action="store_true", help="each server in a network namespace of its own (root only)")
    options = parser.parse_args(arguments[:split])
    if options.net and os.getuid() != 0:
        parser.error("--net creates network namespaces, which requires root")
    if options.servers < 0 or options.slots < 1:
        parser.error("--servers must be at least 0, --slots at least 1")
    if not options.policy.is_file():
        parser.error(f"no policy at {options.policy}")
    return options, arguments[split + 1 :] or [os.environ.get("SHELL", "/bin/sh")]


class _Bed:
    """What has been started so far, so that any of it can be taken down."""

    def __init__(self) -> None:
        # Not under TMPDIR: the daemon's own users often cannot enter that folder.
        self.where = Path(tempfile.mkdtemp(prefix="securecc-testenv-", dir="/tmp"))
        self.where.chmod(0o711)
        self.realms: realms.Realms | None = None
        self.servers: list[servers.Server] = []

    def start(self, options: argparse.Namespace) -> dict[str, str]:
        """Starts everything; returns the environment for the command."""
        folders = {name: self.where / name for name in ("bin", "run", "home")}
        for folder in folders.values():
            folder.mkdir(mode=0o700)
        for program in _PROGRAMS:
            if program == "secureccd":
                reach.program(folders["bin"] / program, _BIN / program)
            else:
                (folders["bin"] / program).symlink_to(_BIN / program)
        self.realms = realms.start(self.where)
        for number in range(1, options.servers + 1):
            server = servers.start(
                number,
                self.where,
                self.realms,
                policy=options.policy,
                daemon=_BIN / "secureccd",
                slots=options.slots,
                apart=options.net,
            )
            self.servers.append(server)
        cache = self.where / "ccache"
        self.realms.ticket(options.person, cache)
        for server in self.servers:
            servers.wait_ready(server)
        return {
            **os.environ,
            **{f"XDG_{kind}_HOME": str(folders["home"] / kind.lower()) for kind in ("CACHE", "CONFIG", "STATE")},
            "XDG_RUNTIME_DIR": str(folders["run"]),
            "KRB5_CONFIG": str(self.realms.config),
            "KRB5CCNAME": f"FILE:{cache}",
            "SECURECC_HOSTS": " ".join(server.host for server in self.servers),
            "SECURECC_TESTENV": str(self.where),
            "PATH": f"{folders['bin']}:{os.environ.get('PATH', os.defpath)}",
        }

    def stop(self) -> None:
        """Ends everything, first what the command left running, so that nothing is using a server that is stopped."""
        kdcs = [realm.kdc_pid for realm in self.realms.realms] if self.realms else []
        processes.end_all(frozenset([*kdcs, *(server.process.pid for server in self.servers)]))
        servers.stop(self.servers)
        if self.realms:
            self.realms.stop()
        for thread in threading.enumerate():  # one may be starting a KDC still
            if thread is not threading.main_thread():
                thread.join(_THREAD_S)
        processes.end_all(frozenset())
        shutil.rmtree(self.where)


def _run(command: list[str], environment: dict[str, str], relay: _Relay) -> int:
    try:
        relay.start(command, environment)
    except OSError as error:
        print(f"krb5-testenv: cannot run {command[0]}: {error.strerror}", file=sys.stderr)
        return 127 if isinstance(error, FileNotFoundError) else 126
    return processes.wait_for(relay.command)


def main(arguments: list[str]) -> int:
    """The command's exit status; 125 if there was no test bed to run it in."""
    options, command = _options(arguments)
    processes.adopt_orphans()
    relay = _Relay()
    bed: _Bed | None = None
    try:
        bed = _Bed()
        return _run(command, bed.start(options), relay)
    except _Signalled as signalled:
        return 128 + int(signalled.args[0])
    except (servers.ServerFailed, RuntimeError, ValueError, OSError, subprocess.CalledProcessError) as error:
        print(f"krb5-testenv: {error}", file=sys.stderr)
        return 125
    finally:
        relay.over = True
        if bed:
            bed.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
