"""What all connections of one front share."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from securecc.audit.records.record import Record
from securecc.model.redaction import Redact, unredacted
from securecc.server.blobs.blob_store import BlobStore
from securecc.server.execution.executor import Executor
from securecc.server.execution.toolchain_catalogue import ToolchainCatalogue
from securecc.server.jobs.delivery_backlog import DeliveryBacklog
from securecc.server.jobs.fair_queue import FairQueue


@dataclass(frozen=True, slots=True)
class Service:
    """`executor` takes its slots from `queue`. `append` writes one audit record, and `redact` takes secrets out of it
    first. `on_lacking` is called when a client asks for a toolchain that the catalogue lacks. `numbers` counts the
    daemon's jobs; `running` are the tasks of those that have not ended, killed ones included; `backlog` holds the
    results that wait for their clients.
    """

    queue: FairQueue
    store: BlobStore
    executor: Executor
    catalogue: ToolchainCatalogue
    append: Callable[[Record], object]
    redact: Redact = unredacted
    on_lacking: Callable[[], None] = lambda: None
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    running: "set[asyncio.Task[None]]" = field(default_factory=set)
    backlog: DeliveryBacklog = field(default_factory=DeliveryBacklog)
