"""The one tree of errors.

Each error says whose fault it is by its class, what went wrong by `message`, and what to do about it by `advice`.
Foreign exceptions (OSError, gssapi, OpenSSL, YAML, msgspec) become one of these at the module that owns the library.
"""


class SecureccError(Exception):
    """Anything that securecc itself reports. `str(error)` is one line fit for a person."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message if not advice else f"{message}; {advice}")
        self.message = message
        self.advice = advice


class ConfigError(SecureccError):
    """A configuration or policy file is wrong; `message` names file, line and key."""


class PolicyError(ConfigError):
    """The policy document is wrong, or one of its embedded tests fails."""


class ProtocolError(SecureccError):
    """The peer sent what the protocol does not allow at this point. The connection ends."""


class FrameError(ProtocolError):
    """Bytes that are no frame, or a frame over its limit."""


class PathError(ProtocolError):
    """A path or tree in a manifest that must not be built (see `securecc.model.manifest`)."""


class AuthenticationError(SecureccError):
    """The peer did not prove who it is, or the proof is not bound to this channel."""


class CredentialError(AuthenticationError):
    """We have nothing to prove ourselves with: no ticket, an expired one, an unreadable keytab."""


class KdcError(CredentialError):
    """The realm does not give what is asked for: no KDC answers, or none knows the service. No kinit mends that."""


class SkewError(KdcError):
    """The clocks of two machines differ by more than Kerberos bears."""


class ChannelError(SecureccError):
    """The channel could not be made or has gone: refused, timed out, reset, TLS failure."""


class DeadlineError(ChannelError):
    """The peer did not answer within its deadline."""


class Denied(SecureccError):
    """The policy says no. `rule` is for the audit; the peer is told `message` only."""

    def __init__(self, message: str, advice: str = "", rule: str = "") -> None:
        super().__init__(message, advice)
        self.rule = rule


class StaysLocal(SecureccError):
    """This command line is not one that may leave the machine. `reason` is a short stable word for counting
    (for example ``link``, ``preprocess-only``, ``option``); `message` names the argument.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Refused(SecureccError):
    """A server would not take a job. `code` is one of `securecc.model.messages.RefuseCode`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ToolchainError(SecureccError):
    """A compiler's closure of files cannot be determined or does not match its digest."""


class SandboxError(SecureccError):
    """The sandbox cannot be set up here, or died without a word."""


class StoreError(SecureccError):
    """The blob store cannot take or give a blob: full, over quota, damaged."""


class BlobError(StoreError):
    """The blob itself is at fault: over a limit, or not what was announced. The store is well."""


class AuditError(SecureccError):
    """The audit log cannot be written (no job may run then) or does not verify."""


class AgentError(SecureccError):
    """Launcher and agent cannot work together: wrong owner, other world, other version."""
