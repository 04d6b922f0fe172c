"""What keeps a user's compiles from his servers: ticket, names, clocks, proofs, policy and toolchains, each looked at
by itself. The only part of the client that tells what it finds instead of compiling locally.
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
from collections.abc import Iterator, Sequence

from securecc.channel import kerberos
from securecc.channel.deadline import within
from securecc.channel.dialer import dial
from securecc.client.doctor.kdc_clock import kdc_time
from securecc.client.farm.server_connection import ServerConnection
from securecc.client.ipc import agent_socket
from securecc.client.state.settings import Host, Settings
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
)
from securecc.model.finding import Finding
from securecc.model.messages import Refuse
from securecc.model.principal import Principal

_SOON_S = 600.0
_GIVEN_UP_S = 10  # as in client/launcher/launcher_limits.h
_CLOCK = re.compile(r"the server's says (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)Z", re.ASCII)
_SET_CLOCKS = "set the clocks of this machine, the server and the KDC (NTP: timedatectl set-ntp true)"

Compilers = dict[str, ToolchainClosure]


async def examine(settings: Settings, compilers: Sequence[str], cache: str | None = None) -> list[Finding]:
    """All findings, in the order in which they depend on each other. `compilers` are names or paths, `cache` names the
    credential cache (None: the default one).
    """
    found: Compilers = {}
    findings = [_agent(), *_hosts(settings), await _ticket(cache), *_closures(compilers, found)]
    servers = await asyncio.gather(*(_server(host, settings, cache, found) for host in settings.hosts))
    return [*findings, *(finding for each in servers for finding in each)]


def _agent() -> Finding:
    """Without one every compile is local."""
    try:
        path = agent_socket.socket_path()
    except AgentError as error:
        return Finding("agent", "bad", error.message, error.advice or "")
    with contextlib.suppress(OSError):
        mark = agent_socket.failure_mark(path)
        if 0 <= (ago := time.time() - mark.stat().st_mtime) < _GIVEN_UP_S:
            says = f"{ago:.0f} s ago a compile waited for it in vain; for {_GIVEN_UP_S} s all are local then"
            return Finding("agent", "bad", says, f"see {path.with_suffix('.log')}; rm {mark}")
    return Finding("agent", "ok", f"its place is {path.parent}")


def _hosts(settings: Settings) -> Iterator[Finding]:
    for trouble in settings.troubles:
        yield Finding("settings", "note", trouble, "correct it; until then it is left out")
    if settings.hosts:
        yield Finding("servers", "ok", " ".join(map(str, settings.hosts)))
    else:
        yield Finding("servers", "bad", "none is named", "set SECURECC_HOSTS, or write ~/.config/securecc/hosts")


async def _ticket(cache: str | None) -> Finding:
    late = CredentialError("the credential cache does not answer")
    try:
        principal, left_s = await within(limits.GSS_STEP_S, late, kerberos.credentials, cache)
    except SecureccError as error:
        return Finding("ticket", "bad", error.message, error.advice or "run kinit")
    says = f"{Principal.display(principal)}, for {dt.timedelta(seconds=int(left_s))}"
    if left_s < _SOON_S:
        return Finding("ticket", "note", says, "run kinit before it ends")
    return Finding("ticket", "ok", says)


def _closures(compilers: Sequence[str], found: Compilers) -> Iterator[Finding]:
    search_path = os.environ.get("PATH", os.defpath)
    for name in compilers:
        path = shutil.which(name, path=search_path)
        if path is None:
            yield Finding(f"compiler {name}", "bad", "it is not on this machine's PATH", "install it, or name another")
            continue
        try:
            found[name] = discover(os.fsencode(path), os.fsencode(search_path))
        except SecureccError as error:
            yield Finding(f"compiler {name}", "bad", error.message, error.advice or "")
        else:
            yield Finding(f"compiler {name}", "ok", f"{path} is {found[name].name}")


async def _server(host: Host, settings: Settings, cache: str | None, compilers: Compilers) -> list[Finding]:
    principal = host.principal or f"{settings.service}@{host.name}"
    findings = [await _names(host)]
    if findings[0].state == "bad":
        return findings
    try:
        channel = await dial(host.name, host.port, principal, cache, ca_file=settings.ca or None)
    except SkewError as error:
        return [*findings, *await _skewed(host, principal, cache, error)]
    except SecureccError as error:
        return [*findings, *_refused(host, shown(principal), error)]
    conversation = ServerConnection(channel, lambda _: None)
    try:
        await asyncio.wait_for(conversation.welcomed(), limits.PREAUTH_DEADLINE_S)
    except (SecureccError, TimeoutError) as error:
        return [*findings, Finding(f"{host} server", "bad", f"it went silent: {error}", "see the server's log")]
    findings += _admitted(host, shown(principal), conversation)
    for name, closure in compilers.items():
        findings.append(await _toolchain(host, name, closure, conversation))
    conversation.close("examined")
    return findings


def shown(principal: str) -> str:
    """The name that is asked for, as Kerberos writes it."""
    return principal if "/" in principal else principal.replace("@", "/", 1)


async def _names(host: Host) -> Finding:
    """The way there and back. What is asked for at the KDC never comes from it."""
    subject = f"{host} name"
    late = ChannelError(f"no name server told the address of {host.name}", "check the network and resolv.conf")
    look = functools.partial(_both_ways, host.name, host.port)
    try:
        addresses, names = await within(limits.PREAUTH_DEADLINE_S, late, look)
    except (SecureccError, OSError) as error:
        words = error.message if isinstance(error, SecureccError) else str(error.strerror or error)
        return Finding(subject, "bad", words, "check the host's name in SECURECC_HOSTS, and resolv.conf")
    says = f"{' '.join(addresses)}; back: {' '.join(names) or 'no name'}"
    if host.name in (*addresses, *names) or any(name.partition(".")[0] == host.name for name in names):
        return Finding(subject, "ok", says)
    advice = "securecc asks for the name as it is configured, so this does no harm here; other programs may mind"
    return Finding(subject, "note", says, advice)


def _both_ways(name: str, port: int) -> tuple[list[str], list[str]]:
    """Addresses, and what they are called. Raises OSError."""
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    names = []
    for address in addresses:
        try:
            names.append(socket.getnameinfo((address, port), socket.NI_NAMEREQD | socket.NI_NUMERICSERV)[0])
        except OSError:
            continue
    return addresses, list(dict.fromkeys(names))


def _refused(host: Host, principal: str, error: SecureccError) -> Iterator[Finding]:
    """What a failure says of each step before it."""
    reached = Finding(f"{host} server", "ok", "it answers")
    asked = f"asked for {principal}: {error.message}"
    if isinstance(error, KdcError):
        yield reached
        yield Finding(f"{host} service", "bad", asked, error.advice or "see the realm's administrators")
    elif isinstance(error, CredentialError):
        yield reached
        yield Finding(
            f"{host} service", "note", f"would ask for {principal}; {error.message}", error.advice or "run kinit"
        )
    elif isinstance(error, Denied):
        yield reached
        yield Finding(f"{host} service", "ok", f"it proved to be {principal}")
        yield Finding(f"{host} policy", "bad", error.message, error.advice or "")
    elif isinstance(error, AuthenticationError) and (said := _CLOCK.search(error.message)):
        there = dt.datetime.strptime(said[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=dt.UTC).timestamp()
        yield reached
        yield _clock(host, there, time.time())
    elif isinstance(error, AuthenticationError):
        yield reached
        yield Finding(f"{host} service", "bad", asked, error.advice or "")
    else:
        yield Finding(f"{host} server", "bad", error.message, error.advice or "")


async def _skewed(host: Host, principal: str, cache: str | None, error: SkewError) -> list[Finding]:
    """The KDC gives no ticket: what its clock says, if it tells."""
    late = ChannelError("the KDC does not tell its time")
    there = None
    with contextlib.suppress(ChannelError):
        there = await within(limits.PREAUTH_DEADLINE_S, late, kdc_time, principal, cache)
    clock = Finding(f"{host} clock", "bad", error.message, _SET_CLOCKS)
    if there is not None:
        clock = _clock(host, there, time.time(), "the KDC's")
    return [Finding(f"{host} server", "ok", "it answers"), clock]


def _admitted(host: Host, principal: str, conversation: ServerConnection) -> Iterator[Finding]:
    welcome = conversation.welcome
    assert welcome is not None
    yield Finding(f"{host} server", "ok", f"{welcome.software[:80]}, {welcome.slots} slots")
    yield Finding(f"{host} service", "ok", f"it proved to be {principal}")
    yield Finding(f"{host} policy", "ok", f"it lets {welcome.principal[:200]} in, reference {welcome.reference[:80]}")
    if welcome.time_ns:
        yield _clock(host, welcome.time_ns / 1e9, time.time())


def _clock(host: Host, there: float, here: float, whose: str = "the server's") -> Finding:
    """Kerberos bears what krb5.conf says, five minutes as a rule; half of that is worth a word."""
    bears = kerberos.clock_skew()
    apart = abs(there - here)
    says = f"this machine's says {_moment(here)}, {whose} {_moment(there)}: {apart:.0f} s apart"
    if apart >= bears:
        return Finding(f"{host} clock", "bad", says, _SET_CLOCKS)
    return Finding(f"{host} clock", *(("note", says, _SET_CLOCKS) if apart > bears / 2 else ("ok", says)))


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


async def _toolchain(host: Host, name: str, closure: ToolchainClosure, conversation: ServerConnection) -> Finding:
    """Whether the server has it; if not, what is nearest there, in its own words."""
    subject = f"{host} {name}"
    if closure.digest in conversation.toolchains:
        return Finding(subject, "ok", f"it has this {closure.name}")
    has = ", ".join(sorted(known.name for known in conversation.toolchains.values())) or "none that you may use"
    says, advice = f"it lacks this {closure.name}; it has {has}", "install the same packages here and there"
    try:
        job = conversation.ask(b"doctor", closure.digest, 0, describe(closure))
        answer = await asyncio.wait_for(job.answer(), limits.PREAUTH_DEADLINE_S)
    except (SecureccError, TimeoutError):
        return Finding(subject, "bad", says, advice)
    job.close()
    return Finding(subject, "bad", answer.reason[:1000] if isinstance(answer, Refuse) else says, advice)
