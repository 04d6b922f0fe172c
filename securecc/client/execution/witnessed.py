"""Accepts a result only if this machine would have answered alike all that the run asked of its surroundings."""

from dataclasses import replace

from securecc.client.compile.resolve_inputs import InputResolver
from securecc.client.execution.accepted import NotAcceptedError
from securecc.client.execution.executor import Compile, Executor, Outcome
from securecc.client.witness.comparison import Difference
from securecc.client.witness.witness import Witness
from securecc.model.errors import ProtocolError, Refused, StaysLocal
from securecc.model.printable import quote

MOST_ATTEMPTS = 4
"""How often a compile is submitted: each time the server is shown the paths that the run before asked for and lacked,
and a path may lead to others.
"""


class Witnessed:
    """An executor: compares the answers that a run got on the server with those that this machine gives.

    Where the run lacked something that is here, it is repeated with that, also if it failed; any other difference means
    that the compile runs locally. A server or a compiler without a witness is taken at the word of the files that were
    read.
    """

    def __init__(self, executor: Executor, inputs: InputResolver, witness: Witness) -> None:
        self._executor = executor
        self._inputs = inputs
        self._witness = witness

    async def run(self, compile_: Compile) -> Outcome:
        """See `securecc.client.execution.executor.Executor`.

        Raises:
            NotAcceptedError: this machine would have answered otherwise.
            StaysLocal: what the run asked for cannot be shown to a server.
            Refused: the server refuses it, and nothing may be compiled here.
        """
        self._witness.check_foreseen(compile_)
        if self._witness.is_missing(compile_.invocation.toolchain.digest):
            _check_nothing_counts(compile_, "no server is known to")
        first = compile_.attempt
        differences: list[Difference] = []
        while True:
            try:
                outcome = await self._executor.run(compile_)
            except Refused:  # nothing may be compiled here
                if compile_.attempt != first:
                    self._inputs.give_up(compile_.invocation)
                raise
            except StaysLocal as error:
                if compile_.attempt == first or not error.reason.startswith("refused-"):
                    raise
                self._inputs.give_up(compile_.invocation)
                raise NotAcceptedError("witness", differences[0].text) from error
            differences = self._differences(compile_, outcome)
            incurable = [each for each in differences if not each.lacked]
            hopeless = bool(incurable) or compile_.attempt >= MOST_ATTEMPTS
            if not differences or (outcome.failed and hopeless):
                return outcome
            if hopeless:
                raise NotAcceptedError("witness", (incurable or differences)[0].text)
            lacked = tuple(dict.fromkeys(path for each in differences for path in each.lacked))
            compile_ = await self._with(compile_, lacked, differences[0])

    async def _with(self, compile_: Compile, lacked: tuple[bytes, ...], difference: Difference) -> Compile:
        """The compile with further paths for the server.

        Raises:
            NotAcceptedError: the server was shown them all.
            StaysLocal: one cannot be reproduced on a server.
        """
        inputs = await self._inputs.widen(compile_.launcher, compile_.invocation, compile_.inputs, lacked)
        if inputs.digest == compile_.inputs.digest:
            self._inputs.give_up(compile_.invocation)
            raise NotAcceptedError("witness", difference.text)
        return replace(compile_, inputs=inputs, attempt=compile_.attempt + 1)

    def _differences(self, compile_: Compile, outcome: Outcome) -> list[Difference]:
        """What this machine answers differently; nothing if that does not matter or is not known.

        Raises:
            NotAcceptedError: the server sent something else than questions, or none where they matter.
        """
        digest = outcome.received.result.witness
        if not outcome.failed:
            self._witness.note_missing(compile_.invocation.toolchain.digest, missing=not digest)
            if not digest:
                _check_nothing_counts(compile_, f"{outcome.server} does not")
        if not digest or digest == compile_.questions:
            return []
        try:
            return self._witness.judge(compile_, digest, outcome.received.questions.read())
        except ProtocolError as error:
            raise NotAcceptedError("disagreement", f"{outcome.server}: {error}") from error


def _check_nothing_counts(compile_: Compile, nobody: str) -> None:
    """Checks that nothing is kept from the server that only the questions of the run could say not to count. `nobody`
    says who does not tell these questions.

    Raises:
        NotAcceptedError: something is.
    """
    doubtful, unforeseen = compile_.invocation.environment.doubtful, compile_.inputs.unforeseen
    if doubtful:
        raise NotAcceptedError("environment", f"{quote(doubtful)} is set, and {nobody} say if it counts")
    if unforeseen:
        raise NotAcceptedError("witness", f"{unforeseen}, and {nobody} say if it counts")
