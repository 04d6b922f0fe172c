"""The log of one job's witness (`securecc/sandbox/witness`): made before the run, read after it as a stranger's input.

Every program of the job that has loaded the witness writes its questions there. The log is complete only if none was
cut short, there was room for all, and each program that was started has begun to write: a program that cannot load the
witness, such as a statically linked one, is noticed by this.
"""

import os
import struct
from dataclasses import dataclass

from securecc.model import limits
from securecc.model.errors import SandboxError
from securecc.model.manifest import Digest, digest
from securecc.sandbox import mount_plan

_FORMAT = int.from_bytes(b"SCW1", "little")
_HEADER = struct.Struct("=IIQQQII24x")  # `struct log` of securecc/sandbox/witness/log.c
_NEW = _HEADER.pack(_FORMAT, 0, limits.WITNESS, 0, 0, 0, 0)
SIZE = _HEADER.size + limits.WITNESS
"""Bytes that the log of one job may take of its tmpfs."""


@dataclass(frozen=True, slots=True)
class Witnessed:
    """All questions of one run, each once, sorted, separated by NUL, and the digest of that."""

    questions: bytes
    digest: Digest


class WitnessLog:
    """One job's log."""

    def __init__(self, root: bytes) -> None:
        """Makes the log in the job's tree at `root`.

        Raises:
            SandboxError: there is no room.
        """
        self._questions = b""
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.open(root + mount_plan.WITNESS_LOG, flags, 0o600)
            os.ftruncate(self._file, SIZE)
            os.pwrite(self._file, _NEW, 0)
        except OSError as error:
            raise SandboxError(f"no file for a job's questions: {error.strerror}") from error

    def read(self) -> Witnessed | None:
        """What was asked; None if that is not known completely. Call it when no process of the job is left.

        Raises:
            SandboxError: the file cannot be read.
        """
        try:
            header = os.pread(self._file, _HEADER.size, 0)
            if len(header) < _HEADER.size:  # the job has truncated it
                return None
            form, overflow, _, taken, finished, begun, started = _HEADER.unpack(header)
            whole = form == _FORMAT and not overflow and taken == finished <= limits.WITNESS
            if not whole or begun != started + 1:
                return None
            found = os.pread(self._file, taken, _HEADER.size)
        except OSError as error:
            raise SandboxError(f"a job's questions cannot be read: {error.strerror}") from error
        if len(found) < taken:
            return None
        asked = set(found.split(b"\0")) - {b""}
        if len(asked) > limits.QUESTIONS:
            return None
        self._questions = questions = b"\0".join(sorted(asked))
        return Witnessed(questions, digest(questions))

    def keep(self) -> int:
        """The questions that `read` found, in a file of their own: the job may have left its log under the name of an
        output. The caller closes the descriptor.

        Raises:
            SandboxError: there is no room for it.
        """
        try:
            file = os.memfd_create("questions", os.MFD_CLOEXEC)
        except OSError as error:
            raise SandboxError(f"a job's questions cannot be kept: {error.strerror}") from error
        try:
            os.pwrite(file, self._questions, 0)  # all of it at once: it is far below the limit of one write
        except OSError as error:
            os.close(file)
            raise SandboxError(f"a job's questions cannot be kept: {error.strerror}") from error
        return file

    def close(self) -> None:
        """Closes the log."""
        os.close(self._file)
