"""Checks each job against its grant. The policy has admitted the principal; what it may run is checked here."""

from securecc.model.errors import Denied, Refused
from securecc.model.grant import Grant
from securecc.server.execution.executor import Executor, Inputs, Job, Outcome


class Authorised:
    """Runs only what the grant covers."""

    def __init__(self, inner: Executor) -> None:
        self._inner = inner

    async def run(self, job: Job, grant: Grant, inputs: Inputs) -> Outcome:
        """See Executor.

        Raises:
            Denied: the grant is not this principal's, or does not cover the toolchain.
            Refused: the job has more source than the grant allows.
        """
        if grant.principal != job.origin.principal:
            raise Denied("the grant is another principal's", rule=grant.rule)
        if not grant.covers(job.toolchain.name):
            raise Denied(f"rule {grant.rule} does not grant {job.toolchain.name}", rule=grant.rule)
        if job.source > grant.limits.source:
            raise Refused("limit", f"{job.source} bytes of source; rule {grant.rule} grants {grant.limits.source}")
        return await self._inner.run(job, grant, inputs)
