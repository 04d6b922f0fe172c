"""The executors of an agent, each wrapping the next."""

from collections.abc import Callable

from securecc.client.compile.resolve_inputs import InputResolver
from securecc.client.execution.accepted import Accepted
from securecc.client.execution.executor import Executor
from securecc.client.execution.judged import Judged
from securecc.client.execution.placed import Placed
from securecc.client.execution.retried import Retried
from securecc.client.execution.watched import Watched
from securecc.client.execution.witnessed import Witnessed
from securecc.client.farm.farm import Farm
from securecc.client.host.local_slots import LocalSlots
from securecc.client.ipc.frames import Request
from securecc.client.state.settings import Settings
from securecc.client.witness.witness import Witness


def compose(
    farm: Callable[[Settings, Request], Farm],
    inputs: InputResolver,
    doubt: Callable[[bytes], None],
    slots: LocalSlots,
    witness: Witness,
) -> Executor:
    """Judged by the local compiler, watched for its launcher, accepted, witnessed, retried, placed: the outermost comes
    first. `witness` compares runs with this machine.
    """
    retried = Retried(Placed(farm), inputs, doubt)
    return Judged(Watched(Accepted(Witnessed(retried, inputs, witness))), slots)
