"""What a server sends after a Result: standard output, standard error, the outputs and the questions, one after the
other.
"""

import hashlib
from dataclasses import dataclass, field

from securecc.client.spool import Content, Spool
from securecc.model import limits
from securecc.model.errors import ProtocolError
from securecc.model.manifest import Digest
from securecc.model.messages import Output, Result


@dataclass(frozen=True, slots=True)
class ReceivedOutput:
    """An output as the server announced it, and what was received. `digest` is that of what was received."""

    announced: Output
    content: Content
    digest: Digest


@dataclass(frozen=True, slots=True)
class ReceivedResult:
    """A Result and all bytes that it announced. `questions` are those that the run asked, if they were sent."""

    result: Result
    stdout: Content
    stderr: Content
    outputs: tuple[ReceivedOutput, ...]
    questions: Content = field(default_factory=lambda: Content.of(b""))

    @property
    def size(self) -> int:
        """How many bytes were received."""
        return _size(self.result)


class ResultReceiver:
    """Takes the bytes of one Result as they arrive, in any pieces."""

    __slots__ = ("_digests", "_hasher", "_left", "_output_left", "_result", "_spool", "_unhashed")

    def __init__(self, result: Result) -> None:
        """For the bytes that `result` announces.

        Raises:
            ProtocolError: they are over the limit of a result.
            AgentError: there is no room for them.
        """
        self._result = result
        self._left = _size(result)
        if self._left > limits.RESULT:
            raise ProtocolError(f"a result of {self._left} bytes is over the limit of {limits.RESULT}")
        self._spool = Spool(self._left)
        self._unhashed = result.stdout + result.stderr
        self._digests: list[Digest] = []
        self._begin_output()

    @property
    def complete(self) -> bool:
        """Whether every byte has arrived."""
        return self._left == 0

    def take(self, data: bytes) -> None:
        """Takes the next bytes.

        Raises:
            ProtocolError: they are more than the result announced.
            AgentError: there is no room for them.
        """
        if len(data) > self._left:
            raise ProtocolError("more bytes than the result announced")
        self._left -= len(data)
        self._spool.append(data)
        self._hash(data)

    def received(self) -> ReceivedResult:
        """The whole result, once it is complete."""
        result = self._result
        at = result.stdout + result.stderr
        outputs = []
        for output, digest in zip(result.outputs, self._digests, strict=True):
            outputs.append(ReceivedOutput(output, Content(self._spool, at, output.size), digest))
            at += output.size
        stdout = Content(self._spool, 0, result.stdout)
        stderr = Content(self._spool, result.stdout, result.stderr)
        return ReceivedResult(result, stdout, stderr, tuple(outputs), Content(self._spool, at, result.questions))

    def _begin_output(self) -> None:
        """Starts hashing the next output that is not empty; empty ones before it are done."""
        self._hasher = hashlib.sha256()
        self._output_left = 0
        while len(self._digests) < len(self._result.outputs):
            self._output_left = self._result.outputs[len(self._digests)].size
            if self._output_left:
                return
            self._digests.append(hashlib.sha256().digest())

    def _hash(self, data: bytes) -> None:
        at = min(self._unhashed, len(data))
        self._unhashed -= at
        while at < len(data) and self._output_left:
            piece = data[at : at + self._output_left] if at or self._output_left < len(data) else data
            at += len(piece)
            self._hasher.update(piece)
            self._output_left -= len(piece)
            if self._output_left == 0:
                self._digests.append(self._hasher.digest())
                self._begin_output()


def _size(result: Result) -> int:
    return result.stdout + result.stderr + sum(output.size for output in result.outputs) + result.questions
