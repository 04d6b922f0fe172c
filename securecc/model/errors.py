"""The one tree of errors.

An error's class says whose fault it is, `message` what went wrong, and `advice` what to do about it. The module that
owns a library turns its exceptions (OSError, gssapi, OpenSSL, YAML, msgspec) into one of these.
"""


class SecureccError(Exception):
    """Anything that securecc itself reports. `str(error)` is one line for a person: `message`, then `advice`."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message if not advice else f"{message}; {advice}")
        self.message = message
        self.advice = advice


class ConfigError(SecureccError):
    """The administrator's or user's fault: a configuration file is wrong; `message` names file, line and key."""


class PolicyError(ConfigError):
    """The policy document is wrong, or one of its embedded tests fails."""


class ProtocolError(SecureccError):
    """The peer's fault: it sent what the protocol does not allow at this point. The connection ends."""


class FrameError(ProtocolError):
    """The peer's fault: bytes that are not a frame, or a frame over its limit."""


class PathError(ProtocolError):
    """The client's fault: a path in a manifest that must not be built (`securecc.compiler.tree.manifest_check`)."""


class AuthenticationError(SecureccError):
    """The peer's fault: it did not prove who it is, or the proof is not bound to this channel."""


class CredentialError(AuthenticationError):
    """Our fault: nothing to authenticate with; no ticket, an expired one, an unreadable keytab."""


class KdcError(CredentialError):
    """The realm's fault: no KDC answers, or none knows the service. kinit does not help."""


class SkewError(KdcError):
    """The clocks' fault: those of two machines differ by more than Kerberos allows (RFC 4120, section 1.6)."""


class ChannelError(SecureccError):
    """The network's or the peer's fault: there is no connection, or it has ended: refused, timed out, reset, TLS
    failure.
    """


class DeadlineError(ChannelError):
    """The peer did not answer in time."""


class Denied(SecureccError):
    """The policy, or the connection gate, says no. `rule` is for the audit; the peer is not told it."""

    def __init__(self, message: str, advice: str = "", rule: str = "") -> None:
        super().__init__(message, advice)
        self.rule = rule


class StaysLocal(SecureccError):
    """No one's fault: this compile runs on this machine. `reason` is a short stable word for counting (``link``,
    ``option``); `message` names the argument.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Refused(SecureccError):
    """A server does not take a job. `code` is one of `securecc.model.messages.RefuseCode`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ToolchainError(SecureccError):
    """This machine's fault: a compiler's files cannot be determined, or do not match their digest."""


class SandboxError(SecureccError):
    """The server's fault: the sandbox cannot be set up, or ended without a report."""


class StoreError(SecureccError):
    """The blob store cannot take or give a blob: it is full, over quota, or damaged."""


class BlobError(StoreError):
    """The client's fault: a blob is over a limit, or not what was announced."""


class AuditError(SecureccError):
    """The audit log cannot be written, so no job may run, or it does not verify."""


class AgentError(SecureccError):
    """Launcher and agent cannot work together: they differ in owner, namespaces or version."""
