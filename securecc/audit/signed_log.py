"""The audit log as the daemon keeps it: with its signing key, the forwarding of checkpoints, and rotation."""

import contextlib
import logging
import socket
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from securecc.audit import checkpoint
from securecc.audit.chain import Link
from securecc.audit.collectors.collector_connection import CollectorConnection
from securecc.audit.collectors.forwarder import CheckpointForwarder
from securecc.audit.log import AuditLog
from securecc.audit.records.daemon_events import Checkpoint
from securecc.audit.records.record import Record
from securecc.audit.settings import AuditSettings
from securecc.audit.signing import Signer, load_or_make, proves
from securecc.model.errors import AuditError
from securecc.system.atomic_file import replace_file

log = logging.getLogger("securecc")

_LINE = 1024  # bytes of the file that has the last checkpoint


class SignedAuditLog:
    """For one thread. `state` is the daemon's directory, with the key unless the settings name another place, and with
    ``audit.checkpoint``, the last checkpoint that is on the disk.

    Raises:
        AuditError: the log or the key cannot be opened.
    """

    def __init__(
        self,
        settings: AuditSettings,
        state: Path,
        *,
        clock: Callable[[], int] = time.time_ns,
        host: str = "",
    ) -> None:
        self._settings = settings
        self._kept = state / "audit.checkpoint"
        self._host = checkpoint.host_name(host or socket.gethostname())
        self._signed_at = time.monotonic()
        self._trouble = ""
        self._signer = load_or_make(settings.key or state / "audit.key")
        self._forwarder: CheckpointForwarder | None = None
        self._log = AuditLog(
            settings.file,
            clock=clock,
            sign=self._sign,
            every=settings.every,
            told=self._told,
            known=_known(self._kept, self._signer),
        )
        self._forwarder = CheckpointForwarder(map(CollectorConnection, settings.send), host=self._host, keep=self._keep)
        self.append: Callable[[Record], int] = self._log.append
        """Writes one record; see AuditLog."""

    @property
    def public_key(self) -> str:
        """The key that verifies the checkpoints."""
        return self._signer.public

    def tick(self) -> None:
        """Call this about once a second: signs and rotates when it is time. The daemon's log says what failed."""
        try:
            if self._log.renamed:
                self._log.reopen()
            elif 0 < self._settings.rotate <= self._log.size:
                log.info("audit log rotated: the old file is %s", self.rotate())
            if time.monotonic() - self._signed_at >= self._settings.seconds:
                self._log.checkpoint()
        except AuditError as error:
            self._say(str(error))
        else:
            self._say("")

    def rotate(self) -> Path:
        """Renames the file, signed to its end, and continues in a new one; the old file's path.

        Raises:
            AuditError: the file cannot be renamed, or the new one not made.
        """
        return self._log.rotate()

    def reopen(self) -> None:
        """After the file was renamed: continues in a new one.

        Raises:
            AuditError: the new file cannot be made, or is not empty.
        """
        self._log.reopen()

    def close(self) -> None:
        """Writes the last checkpoint and closes; records that could not be written go into the daemon's own log."""
        for record in self._log.close():
            log.error("not in the audit log: %s", msgspec.json.encode(record).decode())
        if self._forwarder is not None:
            self._forwarder.close()
            self._forwarder = None

    def _sign(self, link: Link, now: str) -> Checkpoint:
        return checkpoint.make(
            link,
            now,
            every=self._settings.every,
            host=self._host,
            key=self._signer.public,
            sign=self._signer.sign,
        )

    def _told(self, record: Checkpoint) -> None:
        self._signed_at = time.monotonic()
        if self._forwarder is None:
            return
        try:
            self._forwarder.put(self._log.descriptor(), checkpoint.anchor_line(record), record.signed_time)
        except AuditError as error:
            self._say(str(error))

    def _keep(self, line: str) -> None:
        """Runs in the thread that waits for the disk."""
        replace_file(self._kept, f"{line}\n".encode(), mode=0o640)

    def _say(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            log.error("%s", trouble)
        self._trouble = trouble


def _known(path: Path, signer: Signer) -> Link | None:
    """The record that the last checkpoint names, if this key has signed it."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        with path.open(encoding="ascii") as file:
            found = checkpoint.parse_anchor(file.read(_LINE))
        if found is not None and found.key == signer.public and checkpoint.anchor_proven(found, proves):
            return found.link
    return None
