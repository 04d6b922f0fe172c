"""TLS 1.3 (RFC 8446) over memory, and its exporter value (RFC 9266). The only file that imports OpenSSL.

The certificate proves nothing unless a site asks for it: Kerberos authenticates the channel, bound to it by the
exporter value. So a server makes its own certificate at each start, and its key is never on disk.
"""

import datetime as dt
import ipaddress
import os
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from securecc.model.errors import ChannelError, ConfigError

Context = SSL.Context
EXPORTER_LABEL: Final = b"EXPORTER-Channel-Binding"  # RFC 9266 section 4.1
EXPORTER_SIZE: Final = 32
_RECORD: Final = 16 * 1024  # RFC 8446 section 5.1: the most that one read returns
_OUTGOING: Final = 256 * 1024
_UNPROVEN: Final = "certificate verify failed"  # OpenSSL's words
_CERTIFICATE_LIFE: Final = dt.timedelta(days=3650)
_SSL_OP_NO_TICKET: Final = SSL.OP_NO_TICKET


def server_context() -> SSL.Context:
    """A context with a certificate made on the spot: ECDSA P-256, its key in memory only."""
    context = _context()
    key = ec.generate_private_key(ec.SECP256R1())
    context.use_privatekey(key)
    context.use_certificate(_certificate(key))
    return context


def client_context(ca_file: str | None = None) -> SSL.Context:
    """A context that accepts any certificate, or only one that verifies against `ca_file` (PEM).

    Raises:
        ConfigError: `ca_file` is not an absolute path, or has no certificates.
    """
    context = _context()
    if ca_file is None:
        return context
    if not os.path.isabs(ca_file):
        raise ConfigError(f"{ca_file!a} is not an absolute path", "write it as /etc/securecc/ca.pem")
    try:
        context.load_verify_locations(ca_file)
    except SSL.Error as error:
        raise ConfigError(
            f"cannot read certificates from {ca_file}: {_reason(error)}", "give a readable PEM file"
        ) from error
    context.set_verify(SSL.VERIFY_PEER)
    return context


def site_context(certificate_file: str, key_file: str) -> SSL.Context:
    """A server's context with the site's own certificate (PEM, including the chain).

    Raises:
        ConfigError: the files cannot be read, or do not belong together.
    """
    context = _context()
    try:
        context.use_certificate_chain_file(certificate_file)
        context.use_privatekey_file(key_file)
        context.check_privatekey()
    except SSL.Error as error:
        raise ConfigError(
            f"cannot use certificate {certificate_file} with key {key_file}: {_reason(error)}",
            "give PEM files that belong together",
        ) from error
    return context


def _context() -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_max_proto_version(SSL.TLS1_3_VERSION)
    # No session is ever resumed: each channel has an exporter value and a Kerberos exchange of its own. Early data
    # needs a session ticket, so it is off as well.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(_SSL_OP_NO_TICKET | SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    return context


def _certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "securecc")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(
        subject_name=name,
        issuer_name=name,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - dt.timedelta(days=1),
        not_valid_after=now + _CERTIFICATE_LIFE,
    )
    return builder.sign(key, hashes.SHA256())


def _reason(error: Exception) -> str:
    """OpenSSL's text for an error, on one line."""
    queue = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return ", ".join(str(entry[-1]) for entry in queue if entry[-1]) or str(error) or type(error).__name__


class TlsPipe:
    """One end of a TLS connection without a socket.

    Encrypted bytes go in by `feed` and out by `take_outgoing`; plain bytes go in by `send` and out by `take_incoming`.
    `secured` says that the handshake is done, `closed` that the peer has sent close_notify. When TLS fails, methods
    raise ChannelError, and the pipe is useless except that `take_outgoing` returns the alert for the peer.
    """

    __slots__ = ("_connection", "_verify_host", "closed", "secured")

    def __init__(self, context: SSL.Context, *, server: bool, host: str = "") -> None:
        """`host`, for a client, is the server's name: sent as SNI (RFC 6066), and verified if the context verifies."""
        self._connection = SSL.Connection(context, None)
        self._verify_host = ""
        self.secured = False
        self.closed = False
        if server:
            self._connection.set_accept_state()
            return
        self._connection.set_connect_state()
        if host and not _is_address(host):
            self._connection.set_tlsext_host_name(host.encode("idna"))
        if context.get_verify_mode() & SSL.VERIFY_PEER:
            self._verify_host = host
        self._shake()

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Takes encrypted bytes from the network; continues the handshake until it is done.

        Raises:
            ChannelError: the handshake failed, or the certificate is not the server's.
        """
        self._connection.bio_write(data)
        if not self.secured:
            self._shake()

    def _shake(self) -> None:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return
        except SSL.Error as error:
            reason = _reason(error)
            advice = "the `ca` file does not verify this server: ask who runs it" if _UNPROVEN in reason else ""
            raise ChannelError(f"TLS handshake failed: {reason}", advice) from error
        if self._verify_host:
            self._check_host()
        self.secured = True

    def _check_host(self) -> None:
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        if certificate is None or not _names(certificate, self._verify_host):
            raise ChannelError(
                f"the server's certificate is not for {self._verify_host}",
                "use the host name that the certificate carries",
            )

    def send(self, data: bytes) -> None:
        """Takes plain bytes for the peer.

        Raises:
            ChannelError: the handshake is not done, or TLS failed.
        """
        if not self.secured:
            raise ChannelError("bytes to send before the TLS handshake is done")
        try:
            self._connection.sendall(data)
        except SSL.Error as error:
            raise ChannelError(f"cannot encrypt: {_reason(error)}") from error

    def take_incoming(self) -> bytes:
        """Plain bytes from the peer, from the complete records so far.

        Raises:
            ChannelError: a record is damaged, or TLS failed.
        """
        if not self.secured:
            return b""
        receive = self._connection.recv
        chunks: list[bytes] = []
        try:
            while True:
                chunks.append(receive(_RECORD))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.closed = True
        except SSL.Error as error:
            raise ChannelError(f"TLS failed: {_reason(error)}") from error
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def take_outgoing(self, expected: int = 0) -> bytes:
        """Encrypted bytes for the network. `expected` is about how many there are, if that is known."""
        read = self._connection.bio_read
        size = min(expected + _RECORD, _OUTGOING)  # bio_read allocates that much
        chunks: list[bytes] = []
        try:
            while not chunks or len(chunks[-1]) == size:
                chunks.append(read(size))
        except SSL.Error:  # WantReadError: nothing there
            pass
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def shut(self) -> None:
        """Sends close_notify, so that the peer can tell an end from a truncation (RFC 8446 section 6.1)."""
        try:
            self._connection.shutdown()
        except SSL.Error:  # the peer has gone, or TLS never began
            return

    def exporter(self) -> bytes:
        """The exporter value (RFC 9266): 32 bytes that only the two ends of this connection know.

        Raises:
            ChannelError: the handshake is not done.
        """
        if not self.secured:
            raise ChannelError("no exporter value before the TLS handshake is done")
        value = self._connection.export_keying_material(EXPORTER_LABEL, EXPORTER_SIZE, b"")
        if len(value) != EXPORTER_SIZE:
            raise ChannelError(f"an exporter value of {len(value)} bytes, not {EXPORTER_SIZE}")
        return value


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _names(certificate: x509.Certificate, host: str) -> bool:
    """Whether the subject alternative names contain `host` (RFC 9525)."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    if _is_address(host):
        return ipaddress.ip_address(host) in names.get_values_for_type(x509.IPAddress)
    wanted = host.rstrip(".").lower()
    parent = "*." + wanted.partition(".")[2]
    return any(name.lower() in {wanted, parent} for name in names.get_values_for_type(x509.DNSName))
