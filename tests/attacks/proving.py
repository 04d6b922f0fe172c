"""One line of the truth table of authentication: a GSS exchange with the server, by a client that keeps to no rule."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import gssapi
import msgspec
import yaml
from gssapi.raw import ChannelBindings

from securecc.channel import dialer, tls
from securecc.channel.tls_connection import TlsConnection
from securecc.model.errors import SecureccError
from securecc.wire import handshake
from tests.attacks import second_kdc
from tests.attacks.corpus import FOLDER
from tests.farm.farmside import Farm, testenv_realms

FLAG = gssapi.RequirementFlag
_USUAL = (
    FLAG.mutual_authentication
    | FLAG.replay_detection
    | FLAG.out_of_sequence_detection
    | FLAG.integrity
    | FLAG.confidentiality
)
_MECHS = {"krb5": gssapi.MechType.kerberos, "spnego": gssapi.OID.from_int_seq("1.3.6.1.5.5.2")}
_SERVICE = "securecc/localhost"


@dataclass(frozen=True, slots=True)
class Proof:
    """What the keys mean stands at the head of corpus/authentication.yaml."""

    name: str
    who: str
    target: str
    may: str
    log: str
    audit: Mapping[str, str] | None
    bindings: str = "right"
    flags: tuple[str, ...] = ()
    mech: str = "krb5"
    kinit: tuple[str, ...] = ()
    way: str = "keytab"
    send_at: float = 0.0
    twice: bool = False
    keys: str = ""
    keytab: str = ""
    proof: str = "right"


def proofs() -> Iterator[Proof]:
    """The whole table."""
    table = yaml.safe_load((FOLDER / "authentication.yaml").read_text())
    for name, own in table["cases"].items():
        yield Proof(name=name, **{**table["each"], **own})


def ticket(farm: Farm, person: str, flags: tuple[str, ...] = (), way: str = "keytab") -> str:
    """A fresh credential cache of the person's, who is made known to a KDC where that has not been done."""
    number = len(list(farm.folder.glob("cc-proof-*")))
    cache = f"FILE:{farm.folder}/cc-proof-{number}"
    if way == "anonymous":
        second_kdc.anonymous_ticket(farm, cache)
        return cache
    name, _, realm_name = person.rpartition("@")
    realm = next(realm for realm in farm.realms.realms if realm.realm == realm_name)
    keytab = farm.realms.keytabs / f"{person.replace('/', '-')}.keytab"
    if not keytab.exists():
        known = name in testenv_realms.PEOPLE and testenv_realms.PEOPLE[name] == realm_name
        made = () if known else (f"addprinc -randkey +requires_preauth {name}",)
        testenv_realms.administer(realm, *made, f"ktadd -k {keytab} -norandkey {name}")
    if way == "armoured":
        second_kdc.armoured_ticket(farm, cache, keytab, person)
        return cache
    command = ["kinit", "-k", "-t", str(keytab), "-c", cache, *flags, person]
    subprocess.run(command, check=True, env=farm.env, capture_output=True)
    return cache


def change_key(farm: Farm, *, forget: bool) -> None:
    """A new key for the server, in its keytab beside the old one, which goes with `forget`."""
    home, keytab = farm.realms.realms[0], farm.server.folder / "keytab"
    orders = [f"ktadd -k {keytab} {_SERVICE}"] + ([f"ktremove -k {keytab} {_SERVICE} old"] if forget else [])
    testenv_realms.administer(home, *orders)


def context(proof: Proof, exporter: bytes, cache: str) -> gssapi.SecurityContext:
    """As the line has it."""
    flags = _USUAL
    for said in proof.flags:
        flag = getattr(FLAG, said[1:])
        flags = flags | flag if said[0] == "+" else flags & ~flag
    given = {
        "right": handshake.binding(exporter),
        "wrong": handshake.binding(bytes(32)),
        "bare": exporter,
        "other": b"tls-unique:" + exporter,
        "longer": handshake.binding(exporter) + b"\0",
        "shorter": handshake.binding(exporter)[:-1],
    }
    bindings = None if proof.bindings == "none" else ChannelBindings(application_data=given[proof.bindings])
    return gssapi.SecurityContext(
        name=gssapi.Name(proof.target, gssapi.NameType.kerberos_principal),
        creds=gssapi.Credentials(usage="initiate", store={"ccache": cache}),
        mech=_MECHS[proof.mech],
        flags=flags,
        channel_bindings=bindings,
        usage="initiate",
    )


def attempt(farm: Farm, proof: Proof, cache: str) -> tuple[str, str]:
    """How the server ended it: the verdict, and its words."""
    return asyncio.run(_attempt(farm, proof, cache))


async def _attempt(farm: Farm, proof: Proof, cache: str) -> tuple[str, str]:
    link, exporter = await _connect(farm)
    made = context(proof, exporter, cache)
    token = made.step()
    await asyncio.sleep(proof.send_at)  # the line is about the time that passes
    if proof.twice:
        link.send(b"\x01" + token)
        await link.receive()
        link.finish(SecureccError("the other one counts"))
        link, exporter = await _connect(farm)
    link.send(b"\x02early" if proof.proof == "early" else b"\x01" + token)
    try:
        return await _converse(link, made, exporter, proof)
    except SecureccError as error:
        return "cut", str(error)
    finally:
        link.finish(SecureccError("heard enough"))


async def _connect(farm: Farm) -> tuple[TlsConnection, bytes]:
    link = await dialer.connect(tls.client_context(), "127.0.0.1", farm.server.port)
    return link, await link.secured()


async def _converse(
    link: TlsConnection, made: gssapi.SecurityContext, exporter: bytes, proof: Proof
) -> tuple[str, str]:
    while True:
        answer = await link.receive()
        step, body = handshake.Step(answer[0]), answer[1:]
        if step is handshake.Step.TOKEN:
            last = made.step(body)
            if last:
                link.send(b"\x01" + last)
        elif step is handshake.Step.PROOF:
            assert made.verify_signature(handshake.SERVER_LABEL + exporter, body) is not None
            over = bytes(32) if proof.proof == "wrong" else exporter
            mic = made.get_signature(handshake.CLIENT_LABEL + over)
            link.send(b"\x02" + (b"rubbish" if proof.proof == "rubbish" else mic))
        elif step is handshake.Step.REFUSED:
            code, text, _reference = msgspec.msgpack.decode(body)
            return f"refused {code}", text
        else:
            return "admitted", msgspec.msgpack.decode(body)[0]
