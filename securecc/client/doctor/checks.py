"""What keeps a user's compiles from the servers: ticket, variables, names, clocks, proofs, policy and toolchains, each
checked separately. The only part of the client that reports errors instead of compiling locally.
"""

import asyncio
import contextlib
import datetime as dt
import functools
import os
import re
import shutil
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from securecc.channel import kerberos
from securecc.channel.deadline import within
from securecc.channel.dialer import dial
from securecc.client.doctor.kdc_clock import kdc_time
from securecc.client.farm.server_connection import ServerConnection
from securecc.client.host import local_programs
from securecc.client.ipc import agent_socket
from securecc.client.state.host_list import Host
from securecc.client.state.settings import Settings
from securecc.compiler.command_line.environment import EffectiveLocale, sent_environment
from securecc.compiler.toolchain.closure import ToolchainClosure, describe
from securecc.compiler.toolchain.discovery import discover
from securecc.model import limits
from securecc.model.errors import (
    AgentError,
    AuthenticationError,
    ChannelError,
    CredentialError,
    Denied,
    KdcError,
    SecureccError,
    SkewError,
    StaysLocal,
)
from securecc.model.finding import Finding
from securecc.model.messages import Refuse

_EXPIRES_SOON_S = 600.0
_GIVEN_UP_S = 10  # as in client/launcher/launcher_limits.h
_SERVER_CLOCK = re.compile(r"the server's says (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)Z", re.ASCII)
_SET_CLOCKS = "set the clocks of this machine, the server and the KDC (NTP: timedatectl set-ntp true)"

Compilers = dict[str, ToolchainClosure]


async def examine(settings: Settings, compilers: Sequence[str], cache: str | None = None) -> list[Finding]:
    """All findings, in the order in which they depend on each other. `compilers` are names or paths, `cache` names the
    credential cache (None: the default one).
    """
    found: Compilers = {}
    findings = [check_agent(), *check_settings(settings), await check_ticket(cache), *check_compilers(compilers, found)]
    findings += check_environment(os.environb, os.getcwdb(), found.values())
    servers = await asyncio.gather(*(check_server(host, settings, cache, found) for host in settings.hosts))
    return [*findings, *(finding for each in servers for finding in each)]


def check_agent() -> Finding:
    """Whether launchers can reach an agent; without one every compile is local."""
    try:
        path = agent_socket.socket_path()
    except AgentError as error:
        return Finding("agent", "bad", error.message, error.advice or "")
    with contextlib.suppress(OSError):
        mark = agent_socket.failure_mark(path)
        if 0 <= (ago := time.time() - mark.stat().st_mtime) < _GIVEN_UP_S:
            says = f"it did not answer a compile {ago:.0f} s ago; until {_GIVEN_UP_S} s have passed, all run locally"
            return Finding("agent", "bad", says, f"see {path.with_suffix('.log')}; rm {mark}")
    return Finding("agent", "ok", f"its socket is in {path.parent}")


def check_settings(settings: Settings) -> Iterator[Finding]:
    """What is wrong with the settings, and the servers that they name."""
    for trouble in settings.troubles:
        yield Finding("settings", "note", trouble, "correct it; until then it is ignored")
    if settings.hosts:
        yield Finding("servers", "ok", " ".join(map(str, settings.hosts)))
    else:
        yield Finding("servers", "bad", "none is configured", "set SECURECC_HOSTS, or write ~/.config/securecc/hosts")


async def check_ticket(cache: str | None) -> Finding:
    """Whose ticket it is, and for how long it is valid."""
    late = CredentialError("the credential cache does not answer")
    try:
        principal, left_s = await within(limits.GSS_STEP_S, late, kerberos.credentials, cache)
    except SecureccError as error:
        return Finding("ticket", "bad", error.message, error.advice or "run kinit")
    says = f"{principal.decode(errors='backslashreplace')}, for {dt.timedelta(seconds=int(left_s))}"
    if left_s < _EXPIRES_SOON_S:
        return Finding("ticket", "note", says, "run kinit before it expires")
    return Finding("ticket", "ok", says)


def check_compilers(compilers: Sequence[str], found: Compilers) -> Iterator[Finding]:
    """Whether each compiler's toolchain can be determined; puts it into `found`."""
    search_path = os.environ.get("PATH", os.defpath)
    for name in compilers:
        path = shutil.which(name, path=search_path)
        if path is None:
            yield Finding(f"compiler {name}", "bad", "it is not in PATH on this machine", "install it, or name another")
            continue
        try:
            found[name] = discover(os.fsencode(path), os.fsencode(search_path))
        except SecureccError as error:
            yield Finding(f"compiler {name}", "bad", error.message, error.advice or "")
        else:
            yield Finding(f"compiler {name}", "ok", f"{path} is {found[name].name}")


def check_environment(
    environment: Mapping[bytes, bytes], cwd: bytes, compilers: Iterable[ToolchainClosure]
) -> Iterator[Finding]:
    """Which variables keep every compile in this directory on this machine."""
    kept = dict[str, None]()  # several compilers may object to the same variable
    toolchains = tuple(compilers)
    for variable in environment.items():
        try:
            _check_variable(dict([variable]), cwd, toolchains)
        except StaysLocal as error:
            kept[error.message] = None
    for says in kept:
        advice = "change it, or leave it out of the environment of builds"
        yield Finding("environment", "bad", f"{says}: every compile stays here", advice)
    if not kept:
        yield Finding("environment", "ok", "no variable keeps compiles on this machine")


def _check_variable(environment: Mapping[bytes, bytes], cwd: bytes, toolchains: Iterable[ToolchainClosure]) -> None:
    """Checks that compiles with this environment may leave, whatever their locale.

    Raises:
        StaysLocal: they may not.
    """
    sent_environment(environment, "c++", EffectiveLocale(b"C"))
    for toolchain in toolchains:
        local_programs.check(environment, cwd, toolchain)


async def check_server(host: Host, settings: Settings, cache: str | None, compilers: Compilers) -> list[Finding]:
    """One server, from its name to the toolchains that it has."""
    principal = host.principal or f"{settings.service}@{host.name}"
    findings = [await check_name(host)]
    if findings[0].state == "bad":
        return findings
    try:
        channel = await dial(host.name, host.port, principal, cache, ca_file=settings.ca or None)
    except SkewError as error:
        return [*findings, *await explain_skew(host, principal, cache, error)]
    except SecureccError as error:
        return [*findings, *explain_failure(host, kerberos_name(principal), error)]
    connection = ServerConnection(channel, lambda _: None)
    try:
        await asyncio.wait_for(connection.welcomed(), limits.PREAUTH_DEADLINE_S)
    except (SecureccError, TimeoutError) as error:
        return [*findings, Finding(f"{host} server", "bad", f"it stopped answering: {error}", "see the server's log")]
    findings += _welcome(host, kerberos_name(principal), connection)
    for name, closure in compilers.items():
        findings.append(await _toolchain(host, name, closure, connection))
    connection.close("examined")
    return findings


def kerberos_name(principal: str) -> str:
    """The service that a ticket is requested for (``SERVICE@HOST`` to GSSAPI), as Kerberos writes it."""
    return principal if "/" in principal else principal.replace("@", "/", 1)


def resolve_both_ways(name: str, port: int) -> tuple[list[str], list[str]]:
    """The addresses of a name, and the names of these addresses.

    Raises:
        OSError: the name has no address.
    """
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    names = []
    for address in addresses:
        try:
            names.append(socket.getnameinfo((address, port), socket.NI_NAMEREQD | socket.NI_NUMERICSERV)[0])
        except OSError:
            continue
    return addresses, list(dict.fromkeys(names))


async def check_name(host: Host) -> Finding:
    """Whether the host's name resolves, and its addresses back to it. The service requested from the KDC never depends
    on the reverse lookup.
    """
    subject = f"{host} name"
    late = ChannelError(f"cannot resolve {host.name}: no answer from DNS", "check the network and resolv.conf")
    resolve = functools.partial(resolve_both_ways, host.name, host.port)
    try:
        addresses, names = await within(limits.PREAUTH_DEADLINE_S, late, resolve)
    except (SecureccError, OSError) as error:
        words = error.message if isinstance(error, SecureccError) else str(error.strerror or error)
        return Finding(subject, "bad", words, "check the host's name in SECURECC_HOSTS, and resolv.conf")
    says = f"{' '.join(addresses)}; reverse lookup: {' '.join(names) or 'no name'}"
    if host.name in (*addresses, *names) or any(name.partition(".")[0] == host.name for name in names):
        return Finding(subject, "ok", says)
    advice = "harmless here: securecc uses the name as configured; it may matter to other programs"
    return Finding(subject, "note", says, advice)


def explain_failure(host: Host, principal: str, error: SecureccError) -> Iterator[Finding]:
    """What a failed connection shows about each step up to the one that failed."""
    reached = Finding(f"{host} server", "ok", "it answers")
    requested = f"a ticket for {principal} was requested: {error.message}"
    if isinstance(error, KdcError):
        yield reached
        yield Finding(f"{host} service", "bad", requested, error.advice or "ask the realm's administrators")
    elif isinstance(error, CredentialError):
        yield reached
        says = f"would request a ticket for {principal}; {error.message}"
        yield Finding(f"{host} service", "note", says, error.advice or "run kinit")
    elif isinstance(error, Denied):
        yield reached
        yield Finding(f"{host} service", "ok", f"it proved to be {principal}")
        yield Finding(f"{host} policy", "bad", error.message, error.advice or "")
    elif isinstance(error, AuthenticationError) and (said := _SERVER_CLOCK.search(error.message)):
        there = dt.datetime.strptime(said[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=dt.UTC).timestamp()
        yield reached
        yield compare_clocks(host, there, time.time())
    elif isinstance(error, AuthenticationError):
        yield reached
        yield Finding(f"{host} service", "bad", requested, error.advice or "")
    else:
        yield Finding(f"{host} server", "bad", error.message, error.advice or "")


async def explain_skew(host: Host, principal: str, cache: str | None, error: SkewError) -> list[Finding]:
    """Explains that the KDC gives no ticket because the clocks differ; with its time, if it tells."""
    late = ChannelError("the KDC does not tell its time")
    there = None
    with contextlib.suppress(ChannelError):
        there = await within(limits.PREAUTH_DEADLINE_S, late, kdc_time, principal, cache)
    clock = Finding(f"{host} clock", "bad", error.message, _SET_CLOCKS)
    if there is not None:
        clock = compare_clocks(host, there, time.time(), "the KDC's")
    return [Finding(f"{host} server", "ok", "it answers"), clock]


def compare_clocks(host: Host, there: float, here: float, whose: str = "the server's") -> Finding:
    """How far two clocks (seconds since the epoch) are apart. Kerberos tolerates what krb5.conf says, five minutes by
    default; more than half of that is worth a note.
    """
    tolerated = kerberos.clock_skew()
    apart = abs(there - here)
    says = f"this machine's clock says {_moment(here)}, {whose} {_moment(there)}: {apart:.0f} s apart"
    if apart >= tolerated:
        return Finding(f"{host} clock", "bad", says, _SET_CLOCKS)
    return Finding(f"{host} clock", *(("note", says, _SET_CLOCKS) if apart > tolerated / 2 else ("ok", says)))


def _welcome(host: Host, principal: str, connection: ServerConnection) -> Iterator[Finding]:
    welcome = connection.welcome
    assert welcome is not None
    yield Finding(f"{host} server", "ok", f"{welcome.software[:80]}, {welcome.slots} slots")
    yield Finding(f"{host} service", "ok", f"it proved to be {principal}")
    yield Finding(f"{host} policy", "ok", f"it admits {welcome.principal[:200]}, reference {welcome.reference[:80]}")
    if welcome.time_ns:
        yield compare_clocks(host, welcome.time_ns / 1e9, time.time())


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


async def _toolchain(host: Host, name: str, closure: ToolchainClosure, connection: ServerConnection) -> Finding:
    """Whether the server has it; if not, the server's own description of the nearest one."""
    subject = f"{host} {name}"
    if closure.digest in connection.toolchains:
        return Finding(subject, "ok", f"it has this {closure.name}")
    has = ", ".join(sorted(known.name for known in connection.toolchains.values())) or "none that you may use"
    says, advice = f"it lacks this {closure.name}; it has {has}", "install the same packages here and there"
    try:
        job = connection.ask(b"doctor", closure.digest, 0, describe(closure))
        answer = await asyncio.wait_for(job.answer(), limits.PREAUTH_DEADLINE_S)
    except (SecureccError, TimeoutError):
        return Finding(subject, "bad", says, advice)
    job.close()
    return Finding(subject, "bad", answer.reason[:1000] if isinstance(answer, Refuse) else says, advice)
