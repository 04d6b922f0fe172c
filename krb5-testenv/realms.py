"""Two real MIT realms, EXAMPLE.COM and OTHER.ORG, with one krb5.conf for both; EXAMPLE.COM trusts OTHER.ORG."""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from claims import Claim, claim_port
from k5test.realm import MITRealm

HOME_REALM = "EXAMPLE.COM"
FAR_REALM = "OTHER.ORG"
PEOPLE = {"alice": HOME_REALM, "bob": HOME_REALM, "mallory": HOME_REALM, "carol": FAR_REALM}

_KRB5_CONF = """\
[libdefaults]
    default_realm = {home}
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    rdns = false
    qualify_shortname = ""
    ticket_lifetime = 10h
[realms]
    {home} = {{
        kdc = 127.0.0.1:{home_port}
    }}
    {far} = {{
        kdc = 127.0.0.1:{far_port}
    }}
[domain_realm]
    localhost = {home}
    .localhost = {home}
"""


class _LocalRealm(MITRealm):  # type: ignore[misc]  # k5test has no types
    """k5test's realm with its KDC on 127.0.0.1 only, in its own session so that Ctrl-C does not end it."""

    @property
    def hostname(self) -> str:
        """Not the machine's name, which might take a DNS query."""
        return "localhost"

    def start_kdc(self, args: list[str] | None = None, env: dict[str, str] | None = None) -> None:
        command = [self.krb5kdc, "-n", *(args or [])]
        self._kdc_proc = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env or self.env,
            start_new_session=True,
        )
        assert self._kdc_proc.stdout
        said = self._kdc_proc.stdout.readline()
        if b"starting..." not in said:
            raise RuntimeError(f"krb5kdc of {self.realm} does not start: {said.decode(errors='replace').strip()}")

    @property
    def kdc_pid(self) -> int:
        return self._kdc_proc.pid


@dataclass(frozen=True, slots=True)
class Realms:
    """The running realms. `config` is the krb5.conf; `keytabs` holds NAME.keytab and NAME.password of each person, and
    host.keytab of host/localhost, for other servers that are compared with ours.
    """

    config: Path
    keytabs: Path
    realms: tuple[_LocalRealm, _LocalRealm]
    claims: tuple[Claim, Claim]

    def service_keytab(self, principal: str, where: Path) -> None:
        """Adds `principal` of the home realm to the keytab file `where`, and creates the principal if needed."""
        administer(self.realms[0], f"addprinc -randkey {principal}", f"ktadd -k {where} -norandkey {principal}")

    def ticket(self, person: str, cache: Path) -> None:
        """Gets a fresh ticket for `person` into `cache`.

        Raises:
            ValueError: nobody of that name is in these realms.
        """
        name, _, realm = person.partition("@")
        if name not in PEOPLE or realm not in {"", PEOPLE[name]}:
            raise ValueError(
                f"no such principal: {person}; there are {', '.join(f'{n}@{r}' for n, r in PEOPLE.items())}"
            )
        keytab = str(self.keytabs / f"{name}.keytab")
        command = ["kinit", "-k", "-t", keytab, "-c", str(cache), f"{name}@{PEOPLE[name]}"]
        subprocess.run(command, check=True, env={**os.environ, "KRB5_CONFIG": str(self.config)})

    def stop(self) -> None:
        """Ends both KDCs; the caller removes their folders."""
        for realm in self.realms:
            if realm._kdc_proc:  # noqa: SLF001  k5test offers no other way to ask
                realm._kdc_proc.kill()  # noqa: SLF001
        for claim in self.claims:
            claim.close()


def start(where: Path) -> Realms:
    """Both realms, ready to answer. Files go below `where`, which others may traverse but not list."""
    private = where / "kdc"
    private.mkdir(mode=0o700)
    keytabs = where / "keytabs"
    keytabs.mkdir(mode=0o700)
    claims = claim_port(), claim_port()
    config = where / "krb5.conf"
    ports = {"home_port": claims[0].number, "far_port": claims[1].number}
    config.write_text(_KRB5_CONF.format(home=HOME_REALM, far=FAR_REALM, **ports))
    tempfile.tempdir = str(private)  # where k5test makes the folder of a realm
    trust = secrets.token_hex(16)
    with ThreadPoolExecutor(2) as both:
        home, far = both.map(_make, (HOME_REALM, FAR_REALM), claims, (trust, trust), (keytabs, keytabs))
    tempfile.tempdir = None
    for realm in (home, far):
        (where / f"kdc/{realm.realm}.pid").write_text(f"{realm.kdc_pid}\n")
    return Realms(config, keytabs, (home, far), claims)


def _make(name: str, port: Claim, trust: str, keytabs: Path) -> _LocalRealm:
    listen = f"127.0.0.1:{port.number}"
    profile = {
        "kdc_ports": None,
        "kdc_tcp_ports": None,
        "kdc_listen": listen,
        "kdc_tcp_listen": listen,
        "max_life": "10h",
    }
    realm = _LocalRealm(
        name,
        port.number,
        kdc_conf={"realms": {name: profile}},
        create_user=False,
        create_host=False,
        start_kdc=False,
        get_creds=False,
    )
    orders = [f"addprinc -pw {trust} krbtgt/{HOME_REALM}@{FAR_REALM}"]
    if name == HOME_REALM:
        orders += ["addprinc -randkey host/localhost", f"ktadd -k {keytabs}/host.keytab -norandkey host/localhost"]
    for person in (person for person, home in PEOPLE.items() if home == name):
        password = secrets.token_urlsafe(12)
        (keytabs / f"{person}.password").write_text(f"{password}\n")
        orders += [f"addprinc -pw {password} {person}", f"ktadd -k {keytabs}/{person}.keytab -norandkey {person}"]
    administer(realm, *orders)
    realm.start_kdc()
    return realm


def administer(realm: _LocalRealm, *orders: str) -> None:
    """Makes kadmin.local carry out `orders`. It continues after one that fails, and exits with 0 all the same.

    Raises:
        RuntimeError: an order failed; the message is kadmin.local's.
    """
    command = [realm.kadmin_local, "-p", f"admin/admin@{realm.realm}"]  # for the record; it opens the database itself
    orders_text = "".join(f"{order}\n" for order in orders)
    done = subprocess.run(command, input=orders_text, env=realm.env, capture_output=True, text=True, check=False)
    wrong = [line for line in done.stderr.splitlines() if " while " in line and "already exists" not in line]
    if done.returncode or wrong:
        raise RuntimeError(f"kadmin.local of {realm.realm}: {' / '.join(wrong) or done.stderr.strip()}")
