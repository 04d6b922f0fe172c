"""Messages between front and runner, sent as packets over a socketpair, with descriptors attached.

The front trusts nothing in a WorkReport but its structure; the runner knows neither principals nor policy.
"""

import msgspec

from securecc.model.grant import JobLimits
from securecc.model.manifest import Entry
from securecc.model.messages import Description, LimitName, SharedTree, Terminal, Usage


class WorkTree(msgspec.Struct, frozen=True, array_like=True):
    """Sent in a memfd, since it may be larger than a packet. `descriptors[i]` is the index of entry i's content among
    the order's descriptors, -1 if it has none. Equal digests share one descriptor.
    """

    entries: tuple[Entry, ...]
    descriptors: tuple[int, ...]


class WorkOrder(msgspec.Struct, frozen=True, array_like=True, tag="order", tag_field="t"):
    """One job. The packet carries the WorkTree's memfd as its first descriptor; the descriptors of its `blobs` blobs
    come before it, in `WorkBlobs` packets. `questions` is as in `messages.Submit`.
    """

    job: int
    toolchain: bytes
    arguments: tuple[bytes, ...]
    environment: dict[bytes, bytes]
    cwd: bytes
    umask: int
    terminal: Terminal
    limits: JobLimits
    blobs: int
    questions: bytes | None = None


class WorkBlobs(msgspec.Struct, frozen=True, array_like=True, tag="blobs", tag_field="t"):
    """At most 250 descriptors of one job's contents, in order (SCM_MAX_FD is 253)."""

    job: int


class WorkCancel(msgspec.Struct, frozen=True, array_like=True, tag="cancel", tag_field="t"):
    """Kill the job; a report still follows."""

    job: int


class Made(msgspec.Struct, frozen=True, array_like=True):
    """A regular file that is new or has changed; its descriptor is attached to the report. `size` in bytes."""

    path: bytes
    size: int
    mode: int


class WorkReport(msgspec.Struct, frozen=True, array_like=True, tag="report", tag_field="t"):
    """The job has ended, and none of its processes is left.

    Attached descriptors, in order: standard output, standard error, one for each of `made`, and the questions unless
    `questions` is 0; none at all if `failure` is set. `failure` says what went wrong in the runner itself (no sandbox,
    no space), and makes `status` meaningless. Only the first 200 made files are reported; `more` counts the rest.
    `strays`, `read`, `witness` and `questions` are as in `messages.Result`.
    """

    job: int
    status: int
    limit: LimitName
    made: tuple[Made, ...]
    strays: tuple[int, ...]
    usage: Usage
    failure: str = ""
    more: int = 0
    read: bytes = b""
    witness: bytes = b""
    questions: int = 0


class Offer(msgspec.Struct, frozen=True, array_like=True):
    """A toolchain that the runner can run. `called_by` are the paths of its drivers; no client file may be in
    `directories` except below one of `include_directories`, or if path and digest are those of one of the `catalogues`.
    `description` tells toolchains apart in words; `whole` is a digest that changes with any part of it; `witnessed`
    says whether its programs load the witness.
    """

    name: str
    digest: bytes
    target: str
    called_by: tuple[bytes, ...]
    directories: tuple[bytes, ...]
    include_directories: tuple[bytes, ...]
    description: Description = Description()
    catalogues: tuple[tuple[bytes, bytes], ...] = ()
    whole: bytes = b""
    witnessed: bool = False

    @property
    def family(self) -> str:
        """Which command line it understands: ``gcc``, ``clang`` or ``other``."""
        return self.description.family


class WorkRunner(msgspec.Struct, frozen=True, array_like=True, tag="runner", tag_field="t"):
    """To the spawner: start another runner on the packet's one descriptor. A runner that finds exactly the toolchains
    `have` and the shared trees `trees` reports that it is ready with no toolchain, and exits.
    """

    have: tuple[bytes, ...] = ()
    trees: tuple[SharedTree, ...] = ()


class WorkReady(msgspec.Struct, frozen=True, array_like=True, tag="ready", tag_field="t"):
    """The runner's first packet: the sandbox layers in force, the toolchains found, and the shared trees that a job may
    name.
    """

    layers: tuple[str, ...]
    toolchains: tuple[Offer, ...]
    trees: tuple[SharedTree, ...] = ()


FromFront = WorkOrder | WorkBlobs | WorkCancel
FromRunner = WorkReport | WorkReady
