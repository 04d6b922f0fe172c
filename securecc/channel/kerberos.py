"""Kerberos 5 (RFC 4120) through GSSAPI (RFC 4121): who we are, who the peer is. The only file that imports gssapi.

Functions that may talk to a KDC, a credential cache or a replay cache block: call them through
`securecc.channel.deadline.within`.
"""

import contextlib
import ctypes
import stat
import time
from ctypes import byref, c_int, c_void_p
from pathlib import Path
from typing import Final, NoReturn

import gssapi
import gssapi.raw
from gssapi.raw import ChannelBindings, ExpiredCredentialsError, GSSError

from securecc.model import limits
from securecc.model.errors import AuthenticationError, CredentialError, KdcError, SkewError
from securecc.model.service import SERVICE
from securecc.wire.handshake import Facts, binding

_LIBRARY: Final = "libkrb5.so.3"  # MIT's, which its GSSAPI library uses
_Store = dict[bytes | str, bytes | str]
_KRB5: Final = gssapi.MechType.kerberos
_FLAG: Final = gssapi.RequirementFlag
_WANTED: Final = (
    _FLAG.mutual_authentication
    | _FLAG.replay_detection
    | _FLAG.out_of_sequence_detection
    | _FLAG.confidentiality
    | _FLAG.integrity
)
_TABLE: Final = -1765328384 & 0xFFFFFFFF  # ERROR_TABLE_BASE_krb5 of krb5.h, as GSSAPI's unsigned minor status

# Set after the class is made: its metaclass would overwrite it. A failed step must raise, not return a token.
gssapi.SecurityContext.__DEFER_STEP_ERRORS__ = False  # type: ignore[attr-defined]


class KerberosExchange:
    """One GSS context, bound to one TLS connection. `skewed` says that a step failed because the clocks differ."""

    def __init__(self, context: "gssapi.SecurityContext | None", make: "Initiator | None", exporter: bytes) -> None:
        self._context = context
        self._make = make
        self._exporter = exporter
        self.skewed = False

    def step(self, token: bytes | None) -> tuple[bytes | None, Facts | None]:
        """The token for the peer if there is one, and the facts once the context is complete (RFC 2743, section 2.2).

        Raises:
            AuthenticationError: the peer's token is rejected.
            CredentialError: the client has no usable tickets.
            KdcError: the realm gives none for the service.
        """
        try:
            if self._context is None:
                assert self._make is not None
                self._context = self._make.context(self._exporter)
            reply = self._context.step(token)
            return reply, self._facts() if self._context.complete else None
        except GSSError as error:
            self.skewed = _minor(error) == _SKEW
            if self._make is None:
                raise AuthenticationError(f"Kerberos refused the client's token: {_words(error)}") from error
            if token is None:
                _explain(error, f"service {self._make.principal}")
            message = f"the server did not prove to be {self._make.principal}: {_words(error)}"
            raise AuthenticationError(message, "nothing was sent") from error

    def _facts(self) -> Facts:
        context = self._context
        assert context is not None
        flags = context.actual_flags
        accepting = context.usage == "accept"
        peer = context.initiator_name if accepting else context.target_name
        lifetime = float(context.lifetime)
        return Facts(
            principal=bytes(peer),
            # MIT adds the clock skew on the accepting side; a channel must end with its ticket.
            lifetime=lifetime - clock_skew() if accepting else lifetime,
            krb5=context.mech == _KRB5,
            mutual=_FLAG.mutual_authentication in flags,
            replay=_FLAG.replay_detection in flags,
            integrity=_FLAG.integrity in flags,
            confidentiality=_FLAG.confidentiality in flags,
            bound=_FLAG.channel_bound in flags,
            dce=_FLAG.dce_style in flags,
            delegated=_FLAG.delegate_to_peer in flags,
            indicators=_indicators(peer) if accepting else (),
        )

    def mic(self, message: bytes) -> bytes:
        """A MIC (RFC 2743, section 2.3.1), which only the other end of this context can verify.

        Raises:
            AuthenticationError: the context has expired.
        """
        assert self._context is not None
        try:
            return self._context.get_signature(message)
        except GSSError as error:
            raise AuthenticationError(f"cannot sign for this channel: {_words(error)}") from error

    def verify(self, message: bytes, mic: bytes) -> bool:
        """Whether `mic` is the other end's, of `message`, neither replayed nor out of sequence."""
        assert self._context is not None
        try:
            self._context.verify_signature(message, mic)
        except GSSError:
            return False
        return True


class Acceptor:
    """A server's keytab and service: ``securecc``, which accepts any host in the keytab, in any realm; or
    ``securecc/host`` in this machine's own realm, or ``securecc/host@REALM``.
    """

    def __init__(self, keytab: str, service: str = SERVICE, replay_cache: str | None = None) -> None:
        """`replay_cache` is a file for this service alone (by default, MIT shares one among all services of a uid); its
        directory must exist.

        Raises:
            CredentialError: the keytab cannot be used, see `check_keytab`.
        """
        self.keytab = keytab
        self.service = service
        check_keytab(keytab, service)
        store: _Store = {"keytab": f"FILE:{keytab}"}
        if replay_cache is not None:
            store["rcache"] = f"file2:{replay_cache}"
        self._credentials = _accepting(service, store)

    def start(self, exporter: bytes) -> KerberosExchange:
        """A context for one connection. Does not block."""
        context = gssapi.SecurityContext(creds=self._credentials, channel_bindings=_bindings(exporter), usage="accept")
        return KerberosExchange(context, None, exporter)


class Initiator:
    """A client's side, for `service`: ``securecc@host``, or a whole principal ``securecc/host@REALM``.

    The host is used as written: neither DNS nor krb5.conf's canonicalisation changes the principal.
    """

    def __init__(self, service: str, ccache: str | None = None) -> None:
        self.principal = service if "/" in service else service.replace("@", "/", 1) + "@"
        self._ccache = ccache

    def start(self, exporter: bytes) -> KerberosExchange:
        """A context for one connection. Does not block; its first step reads the credential cache."""
        return KerberosExchange(None, self, exporter)

    def context(self, exporter: bytes) -> gssapi.SecurityContext:
        """The context; reads the credential cache.

        Raises:
            CredentialError: there is no credential cache, or no principal in it.
            ExpiredCredentialsError: the tickets have expired.
        """
        name = gssapi.Name(self.principal, gssapi.NameType.kerberos_principal)
        found = _initiating(self._ccache)
        if not found.lifetime:  # raises if it has expired; otherwise a cached service ticket would be tried
            raise ExpiredCredentialsError(0, 0)
        return gssapi.SecurityContext(
            name=name,
            creds=found,
            mech=_KRB5,
            flags=_WANTED,
            channel_bindings=_bindings(exporter),
            usage="initiate",
        )


def credentials(ccache: str | None = None) -> tuple[bytes, float]:
    """Principal and remaining lifetime, in seconds, of the tickets in a cache (None: the default one).

    Raises:
        CredentialError: there are none, or they have expired.
    """
    try:
        found = _initiating(ccache).inquire(name=True, lifetime=True, usage=False, mechs=False)
    except GSSError as error:
        _explain(error, "your tickets")
    assert found.name is not None
    return gssapi.raw.display_name(found.name).name, float(found.lifetime or 0)


def clock_skew() -> float:
    """Seconds by which clocks may be apart before Kerberos refuses: ``clockskew`` as krb5.conf sets it now.

    GSSAPI does not tell, so libkrb5 is asked (krb5_init_context(3), profile.h), which takes 0.1 ms: a second parser of
    krb5.conf might read another value. `limits.CLOCK_SKEW_S`, the library's own default, if it cannot be asked or its
    files do not set it.
    """
    with contextlib.suppress(OSError, AttributeError):
        found = _ask_for_skew(ctypes.CDLL(_LIBRARY))
        if found >= 0:
            return float(found)
    return limits.CLOCK_SKEW_S


def _ask_for_skew(library: ctypes.CDLL) -> int:
    """Seconds; negative if there is no answer."""
    context, profile, seconds = c_void_p(), c_void_p(), c_int(-1)
    if library.krb5_init_context(byref(context)):
        return -1
    try:
        if library.krb5_get_profile(context, byref(profile)):
            return -1
        default = c_int(int(limits.CLOCK_SKEW_S))
        failed = library.profile_get_integer(profile, b"libdefaults", b"clockskew", None, default, byref(seconds))
        library.profile_release(profile)
        return -1 if failed else seconds.value
    finally:
        library.krb5_free_context(context)


def check_keytab(path: str, service: str = SERVICE) -> None:
    """Checks that a keytab's mode gives no access to others (0o007), and that it has keys for `service`, as Acceptor
    takes it.

    Raises:
        CredentialError: a check fails, or the keytab cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            mode = stat.S_IMODE(Path(path).stat().st_mode)
            file.read(1)
    except OSError as error:
        advice = f"make it with `kadmin ktadd -k {path} {_one(service)}` and let the service's user read it"
        raise CredentialError(f"cannot read keytab {path}: {error.strerror}", advice) from error
    if mode & 0o007:
        raise CredentialError(f"keytab {path} is accessible to everybody (mode {mode:04o})", f"chmod 0400 {path}")
    store: _Store = {"keytab": f"FILE:{path}"}
    _accepting(service, store)


def _accepting(service: str, store: _Store) -> gssapi.Credentials:
    kind = gssapi.NameType.kerberos_principal if "/" in service else gssapi.NameType.hostbased_service
    name = gssapi.Name(service, kind)
    try:
        return gssapi.Credentials(name=name, usage="accept", mechs=[_KRB5], store=store)
    except GSSError as error:
        path = str(store["keytab"]).removeprefix("FILE:")
        advice = f"`klist -k {path}` shows what it holds; add keys with `kadmin ktadd -k {path} {_one(service)}`"
        raise CredentialError(
            f"keytab {path} has no usable keys of service {service}: {_words(error)}", advice
        ) from error


def _one(service: str) -> str:
    """A principal of the service, for advice."""
    return service if "/" in service else f"{service}/HOST"


def _initiating(ccache: str | None) -> gssapi.Credentials:
    store: _Store | None = None if ccache is None else {"ccache": ccache}
    try:
        return gssapi.Credentials(usage="initiate", mechs=[_KRB5], store=store)
    except GSSError as error:
        _explain(error, "your tickets")


def _bindings(exporter: bytes) -> ChannelBindings:
    return ChannelBindings(application_data=binding(exporter))


def _indicators(name: gssapi.Name) -> tuple[str, ...]:
    """The KDC's authentication indicators (RFC 8129), if the ticket carries any that it vouches for."""
    try:
        found = gssapi.raw.get_name_attribute(name, b"auth-indicators")
    except GSSError:  # absent, or the library does not know the attribute: no indicators
        return ()
    if not found.authenticated:
        return ()
    return tuple(value.decode("utf-8", "backslashreplace") for value in found.values)


def _minor(error: GSSError) -> int:
    """The krb5 error code as its distance from the table's base, as in RFC 4120 section 7.5.9 below 128."""
    return int(error.min_code) - _TABLE


def _words(error: GSSError) -> str:
    """The library's text: the minor status's if it has one, else the major's (RFC 2744, section 3.9)."""
    minor = [text for text in error.get_all_statuses(error.min_code, is_maj=False) if text != "Success"]
    if error.min_code and minor and minor != ["Unknown error"]:
        return ", ".join(minor)
    return ", ".join(error.get_all_statuses(error.maj_code, is_maj=True))


_SKEW: Final = 37
_OF_THE_REALM: Final = frozenset((7, 12, 14, _SKEW, 148, 154, 156, 220))
_ADVICE: Final = {
    6: "the realm does not know you: check the principal with `klist`",
    7: "the realm does not know the service: check the host's name and that an administrator made this principal",
    12: "the KDC's policy forbids it: ask the realm's administrators",
    14: "client, service and KDC share no encryption type: ask the realm's administrators",
    18: "the account is locked or has expired: ask the realm's administrators",
    32: "run kinit",
    33: "the ticket is not valid yet: set the clock, then run kinit",
    _SKEW: "set the clocks of this machine, the server and the KDC (NTP)",
    44: "the server's key has changed: run kinit again",
    60: "see the server's log",
    135: "check KRB5_CONFIG and /etc/krb5.conf",
    136: "check KRB5_CONFIG and /etc/krb5.conf",
    141: "run kinit",
    148: "set the clocks of this machine and the KDC (NTP)",
    154: "check the realm's name in krb5.conf",
    156: "check the network and the realm's `kdc` in krb5.conf",
    194: "the credential cache is not yours to read: check KRB5CCNAME",
    195: "run kinit",
    199: "the credential cache is damaged: run kinit",
    212: "the credential cache is damaged: run kinit",
    220: "check the realm's `kdc` in krb5.conf",
    224: "set default_realm in krb5.conf",
}


def _explain(error: GSSError, subject: str) -> NoReturn:
    """Raises the error that tells a client about a failure and what to do about it.

    Raises:
        CredentialError: the tickets or their cache are at fault.
        KdcError: the realm is at fault; SkewError: the clocks differ.
    """
    minor = _minor(error)
    if isinstance(error, ExpiredCredentialsError) or minor == 32:  # noqa: PLR2004 (KRB_AP_ERR_TKT_EXPIRED)
        raise CredentialError(f"Kerberos ticket expired ({subject})", "run kinit") from error
    words = _words(error)
    if minor in {_SKEW, 148}:
        words += f" (this machine's clock says {time.strftime('%Y-%m-%d %H:%M:%SZ', time.gmtime())})"
    kind = KdcError if minor in _OF_THE_REALM else CredentialError
    kind = SkewError if minor in {_SKEW, 148} else kind
    raise kind(f"Kerberos, {subject}: {words}", _ADVICE.get(minor, "")) from error
