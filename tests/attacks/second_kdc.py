"""A second KDC over the database of EXAMPLE.COM. It gives tickets that the first one does not: to nobody in particular
(anonymous PKINIT, RFC 8062), and such as carry the indicator ``armoured`` (RFC 8129), got by FAST.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from claims import claim_port
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.farm.farmside import Farm, testenv_realms

_KDC = x509.ObjectIdentifier("1.3.6.1.5.2.3.5")  # id-pkinit-KPKdc, RFC 4556
_USAGES = "content_commitment key_encipherment data_encipherment key_agreement key_cert_sign crl_sign"
_NO_MORE = dict.fromkeys([*_USAGES.split(), "encipher_only", "decipher_only"], False)
_SIGNS = x509.KeyUsage(digital_signature=True, **_NO_MORE)
_HOST = "localhost"
ANONYMOUS = "WELLKNOWN/ANONYMOUS"


def anonymous_ticket(farm: Farm, cache: str) -> None:
    """A ticket for whoever asks. Needs MIT's plugin for PKINIT, with the KDC and with kinit."""
    with _second_kdc(farm) as env:
        _kinit(env, "-n", "-c", cache, f"@{testenv_realms.HOME_REALM}")


def armoured_ticket(farm: Farm, cache: str, keytab: Path, principal: str) -> None:
    """A ticket of `principal`, who has to pre-authenticate, got under the cover of alice's."""
    with _second_kdc(farm) as env:
        _kinit(env, "-k", "-t", str(keytab), "-c", cache, "-T", farm.cache, principal)


def _kinit(env: Mapping[str, str], *arguments: str) -> None:
    done = subprocess.run(["kinit", *arguments], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def _second_kdc(farm: Farm) -> Iterator[Mapping[str, str]]:
    """The KDC, and the environment in which a client asks it."""
    home = farm.realms.realms[0]
    with tempfile.TemporaryDirectory() as name, contextlib.closing(claim_port()) as claim:
        folder, listen = Path(name), f"127.0.0.1:{claim.number}"
        _certify(folder)
        profile = Path(home.env["KRB5_KDC_PROFILE"]).read_text()
        more = {
            "kdc_listen": listen,
            "kdc_tcp_listen": listen,
            "pkinit_identity": f"FILE:{folder}/kdc.pem,{folder}/kdc.key",
            "pkinit_anchors": f"FILE:{folder}/kdc.pem",
            "encrypted_challenge_indicator": "armoured",
        }
        kept = [line for line in profile.splitlines() if line.split("=")[0].strip() not in more]
        at = next(number for number, line in enumerate(kept) if "database_module" in line)
        kept[at:at] = [f"{key} = {value}" for key, value in more.items()]
        (folder / "kdc.conf").write_text("\n".join(kept) + "\n")
        (folder / "krb5.conf").write_text(_client(listen, folder))
        testenv_realms.administer(home, f"addprinc -randkey {ANONYMOUS}")
        with _running({**home.env, "KRB5_KDC_PROFILE": str(folder / "kdc.conf")}, home.krb5kdc):
            yield {**farm.env, "KRB5_CONFIG": str(folder / "krb5.conf")}


@contextlib.contextmanager
def _running(env: Mapping[str, str], program: str) -> Iterator[None]:
    process = subprocess.Popen([program, "-n"], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    try:
        assert b"starting..." in process.stdout.readline()
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _client(listen: str, folder: Path) -> str:
    realm = testenv_realms.HOME_REALM
    return f"""\
[libdefaults]
    default_realm = {realm}
    dns_lookup_kdc = false
[realms]
    {realm} = {{
        kdc = {listen}
        pkinit_anchors = FILE:{folder}/kdc.pem
        pkinit_kdc_hostname = {_HOST}
    }}
"""


def _certify(folder: Path) -> None:
    """A self-made certificate of a KDC on this host."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, _HOST)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(_HOST)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([_KDC]), critical=False)
        .add_extension(_SIGNS, critical=True)  # without it MIT takes no notice of the extended usage
        .sign(key, hashes.SHA256())
    )
    text = serialization.Encoding.PEM
    (folder / "kdc.pem").write_bytes(certificate.public_bytes(text))
    plain = serialization.NoEncryption()
    (folder / "kdc.key").write_bytes(key.private_bytes(text, serialization.PrivateFormat.PKCS8, plain))
