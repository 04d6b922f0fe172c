"""A whole farm for tests: a realm, servers, people with tickets, launchers and agents, all of it real."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.farm.serverside import BIN, TOP, Server, alive, below, command_lines
from tests.waiting import CEILING_S, until

import realms as testenv_realms  # isort: skip  (found where serverside has pointed)
import servers as testenv_servers  # isort: skip

__all__ = [
    "BIN",
    "POLICY",
    "TOP",
    "Farm",
    "FarmMaker",
    "Realms",
    "Server",
    "alive",
    "below",
    "some_farm",
    "some_realms",
    "sources",
    "testenv_realms",
    "until",
]

Realms = testenv_realms.Realms
POLICY = TOP / "krb5-testenv/policy.yaml"
_PASSED_ON = ("PATH", "HOME", "LANG", "TERM", "USER")


def sources(folder: Path, count: int, text: str = "int f{n}(void) {{ return {n}; }}\n") -> list[Path]:
    """So many small C files, no two of them equal."""
    made = [folder / f"s{number}.c" for number in range(count)]
    for number, path in enumerate(made):
        path.write_text(text.format(n=number))
    return made


def slow_source(folder: Path, parts: int = 20, name: str = "slow.cc") -> Path:
    """A C++ file that is preprocessed at once and takes about half a second a part to compile, in little memory."""
    path = folder / name
    path.write_text(
        "template <int K> constexpr long spin() { long n = K;"
        " for (int i = 0; i < 300; ++i) for (int j = 0; j < 1000; ++j) n += j ^ K; return n; }\n"
        "template <int K> struct Spun { static constexpr long value = spin<K>(); };\n"
        f"long spun[] = {{{', '.join(f'Spun<{part}>::value' for part in range(parts))}}};\n"
    )
    return path


@dataclass(slots=True)
class Farm:
    """The farm as one person sees it. `env` is all that the person's commands get."""

    folder: Path
    realms: Realms
    servers: list[Server]
    env: dict[str, str]

    @property
    def server(self) -> Server:
        """The first, for farms of one."""
        return self.servers[0]

    @property
    def runtime(self) -> Path:
        """The folder with the agent's socket and log."""
        return Path(self.env["XDG_RUNTIME_DIR"]) / "securecc"

    @property
    def cache(self) -> str:
        """The credential cache's name."""
        return self.env["KRB5CCNAME"]

    def run(self, *command: object, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
        """Runs a command as the person, to its end."""
        return subprocess.run(
            [str(word) for word in command],
            cwd=cwd,
            env={**self.env, **env},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=CEILING_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def begin(self, *command: object, cwd: Path | str, **options: Any) -> subprocess.Popen[str]:
        """Begins a command as the person, in a session of its own. `env` in `options` adds to the environment."""
        env = {**self.env, **options.pop("env", {})}
        kept = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen(
            [str(word) for word in command], cwd=cwd, env=env, text=True, start_new_session=True, **kept
        )

    def compile(self, source: Path, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
        """`securecc gcc -c` of a file, in its folder; the object stands beside it."""
        driver = "g++" if source.suffix == ".cc" else "gcc"
        output = source.with_suffix(".o").name
        return self.run("securecc", driver, "-c", source.name, "-o", output, *options, cwd=source.parent, **env)

    def audit(self, **wanted: object) -> list[dict[str, Any]]:
        """The records of all servers whose fields are as `wanted`."""
        return [record for server in self.servers for record in server.audit(**wanted)]

    def why(self) -> dict[str, int]:
        """Local compiles by reason, as `securecctl why` counts them; the agent writes them within a second."""
        return {reason["reason"]: reason["count"] for reason in self.journal()["reasons"]}

    def journal(self) -> dict[str, Any]:
        """All that `securecctl why` knows."""
        done = self.run("securecctl", "why", "--format", "json", cwd=self.folder)
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def makefile(self, folder: Path, files: list[Path], *, between: str = "") -> None:
        """A Makefile that compiles these files; the command `between` stands between make and the launcher."""
        objects = " ".join(file.with_suffix(".o").name for file in files)
        rules = f"all: {objects}\n"
        for file in files:
            driver = "g++" if file.suffix == ".cc" else "gcc"
            command = f"{between} securecc {driver} -c {file.name} -o {file.stem}.o"
            rules += f"{file.stem}.o: {file.name}\n\t{command.strip()}\n"
        (folder / "Makefile").write_text(rules)

    def counts(self, reason: str, at_least: int = 1) -> bool:
        """Whether so many compiles have stayed local for this reason."""
        until(lambda: self.why().get(reason, 0) >= at_least, what=f"{at_least} x {reason} among {self.why()}")
        return True

    def forget(self) -> None:
        """Begins the journal anew."""
        (Path(self.env["XDG_STATE_HOME"]) / "securecc/recent.json").unlink(missing_ok=True)

    def agents(self) -> list[int]:
        """The process ids of this person's agents."""
        place = f"{self.runtime}/"
        return [
            pid
            for pid, words in command_lines()
            if "securecc.client" in words and any(word.startswith(place) for word in words)
        ]

    @property
    def agent(self) -> int:
        """The agent's process id; there must be one."""
        (pid,) = self.agents()
        return pid

    def end_agents(self) -> None:
        """So that the next compile starts a new one, whatever became of the old."""
        for pid in self.agents():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not self.agents(), what="the agent's end")
        for left in self.runtime.glob("*.sock*"):
            left.unlink()

    def kinit(self, person: str, *flags: str, cache: str = "") -> None:
        """A new ticket in the person's own cache (or in another), by kinit with these flags."""
        name, _, realm = person.partition("@")
        principal = f"{name}@{realm or testenv_realms.PEOPLE[name]}"
        keytab = self.realms.keytabs / f"{name}.keytab"
        done = self.run("kinit", "-k", "-t", keytab, "-c", cache or self.cache, *flags, principal, cwd=self.folder)
        assert done.returncode == 0, done.stderr

    def as_principal(self, person: str, *flags: str, own_agent: bool = False) -> Farm:
        """The same farm as another person sees it, with a ticket in a cache of its own."""
        number = len(list(self.folder.glob(f"cc-{person}*")))
        env = {**self.env, "KRB5CCNAME": f"FILE:{self.folder}/cc-{person}-{number}"}
        if own_agent:
            env |= _own_places(self.folder / f"p{number}-{person}")
        other = Farm(self.folder, self.realms, self.servers, env)
        other.kinit(person, *flags)
        return other

    def with_env(self, **env: str) -> Farm:
        """The same farm with these variables set."""
        return Farm(self.folder, self.realms, self.servers, {**self.env, **env})

    def apart(self, name: str, **env: str) -> Farm:
        """The same person in other folders: with an agent and a journal of its own."""
        return self.with_env(**_own_places(self.folder / name), **env)

    def close(self) -> None:
        """Ends agents and servers; removes everything."""
        for runtime in self.folder.glob("**/run"):
            self.with_env(XDG_RUNTIME_DIR=str(runtime)).end_agents()
        for server in self.servers:
            server.stop()
        testenv_servers.stop([server.made for server in self.servers])
        shutil.rmtree(self.folder)


def _own_places(folder: Path) -> dict[str, str]:
    folder.mkdir(mode=0o700)
    places = {"XDG_RUNTIME_DIR": folder / "run", "XDG_STATE_HOME": folder / "state"}
    places |= {"XDG_CONFIG_HOME": folder / "config", "XDG_CACHE_HOME": folder / "cache"}
    for place in places.values():
        place.mkdir(mode=0o700)
    return {name: str(place) for name, place in places.items()}


@contextlib.contextmanager
def some_realms() -> Iterator[Realms]:
    """EXAMPLE.COM and OTHER.ORG."""
    folder = Path(tempfile.mkdtemp(prefix="securecc-realms-", dir="/tmp"))
    folder.chmod(0o711)
    made = testenv_realms.start(folder)
    try:
        yield made
    finally:
        made.stop()
        for realm in made.realms:
            realm._kdc_proc.wait()
            assert realm._kdc_proc.stdout is not None
            realm._kdc_proc.stdout.close()
        shutil.rmtree(folder)


@contextlib.contextmanager
def some_farm(
    realms: Realms, *, servers: int = 1, slots: int = 2, policy: Path = POLICY, settings: str = ""
) -> Iterator[Farm]:
    """A farm as alice sees it, with so many servers; `settings` are further lines of their config.yaml."""
    folder = Path(tempfile.mkdtemp(prefix="securecc-farm-", dir="/tmp"))
    folder.chmod(0o711)
    env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    env |= _own_places(folder / "alice")
    env["SECURECC_AGENT_TIMEOUT"] = f"{CEILING_S:.0f}"  # however busy the machine, a compile is a remote one
    env["TMPDIR"] = str(folder / "tmp")  # compilers that are killed leave files there
    (folder / "tmp").mkdir(mode=0o700)
    farm = Farm(folder, realms, [], env)
    try:
        for number in range(1, servers + 1):
            made = testenv_servers.start(
                number, folder, realms, policy=policy, daemon=BIN / "secureccd", slots=slots, settings=settings
            )
            farm.servers.append(Server(made, realms.config))
        env |= {
            "KRB5_CONFIG": str(realms.config),
            "KRB5CCNAME": f"FILE:{folder}/ccache",
            "SECURECC_HOSTS": " ".join(server.host for server in farm.servers),
            "SECURECC_TESTENV": str(folder),
            "PATH": f"{BIN}:{env.get('PATH', os.defpath)}",
        }
        farm.kinit("alice")
        for server in farm.servers:
            testenv_servers.wait_ready(server.made)
        yield farm
    finally:
        farm.close()


FarmMaker = Callable[..., contextlib.AbstractContextManager[Farm]]
"""As `some_farm`, the realms given."""
