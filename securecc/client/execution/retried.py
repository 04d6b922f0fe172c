"""Sends a compile again if the first attempt shows that it was sent with the wrong files."""

from collections.abc import Callable
from dataclasses import replace

from securecc.client.compile.resolve_inputs import InputResolver
from securecc.client.execution.executor import Compile, Executor, Outcome
from securecc.model.errors import Refused


class Retried:
    """An executor: a server whose shared tree differs is sent the files; a run that read other files than the scan
    found is repeated with those that the compiler names.
    """

    def __init__(self, executor: Executor, inputs: InputResolver, doubt: Callable[[bytes], None]) -> None:
        """`doubt` is called with the path of a shared tree that is different on a server."""
        self._executor = executor
        self._inputs = inputs
        self._doubt = doubt

    async def run(self, compile_: Compile) -> Outcome:
        """See `securecc.client.execution.executor.Executor`.

        Raises:
            StaysLocal: what it reads cannot be known.
            Refused: the server refuses it, and not for its shared trees.
        """
        try:
            outcome = await self._executor.run(compile_)
        except Refused as error:
            if error.code != "layer" or not compile_.invocation.shared_trees:
                raise
            compile_ = await self._without_shared_trees(compile_)
            outcome = await self._executor.run(compile_)
        if outcome.received.result.strays and not compile_.inputs.from_compiler:
            asked = await self._inputs.ask(compile_.launcher, compile_.invocation)
            compile_ = replace(compile_, inputs=asked, attempt=compile_.attempt + 1)
            outcome = await self._executor.run(compile_)
        self._remember(compile_, outcome)
        return outcome

    async def _without_shared_trees(self, compile_: Compile) -> Compile:
        for tree in compile_.invocation.shared_trees:
            self._doubt(tree.path)
        invocation = replace(compile_.invocation, shared_trees=())
        inputs = await self._inputs.resolve(compile_.launcher, invocation)
        return replace(compile_, invocation=invocation, inputs=inputs, attempt=compile_.attempt + 1)

    def _remember(self, compile_: Compile, outcome: Outcome) -> None:
        result, inputs = outcome.received.result, compile_.inputs
        if result.strays or (result.status and not inputs.from_compiler):
            self._inputs.forget(compile_.invocation)
        elif inputs.reachable:
            self._inputs.learn(compile_.invocation, inputs, result.read)
