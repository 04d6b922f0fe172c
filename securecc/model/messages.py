"""The control messages of the compile protocol (docs/protocol.md is normative).

Each is one msgpack array whose first element is the tag. `job` numbers are chosen by the client and unique on their
channel. Paths, arguments and environment are bytes, as the operating system has them, not text.
"""

from typing import Literal

import msgspec

PROTOCOL_VERSIONS = (1,)

RefuseCode = Literal[
    "busy", "denied", "toolchain", "draining", "option", "tree", "layer", "limit", "protocol", "server"
]
LimitName = Literal["", "wall", "cpu", "memory", "processes", "output", "diagnostics", "source"]


class Message(msgspec.Struct, frozen=True, array_like=True, tag_field="t"):
    """Base of all control messages."""


class Terminal(msgspec.Struct, frozen=True, array_like=True):
    """Whether descriptors 0 and 2 of the compiler are terminals, and their size in characters; 0 if unknown."""

    input: bool = False
    error: bool = False
    columns: int = 0
    rows: int = 0


class Toolchain(msgspec.Struct, frozen=True, array_like=True):
    """A toolchain as a server offers it: a name for people and patterns, a digest for machines."""

    digest: bytes
    name: str
    target: str


class Part(msgspec.Struct, frozen=True, array_like=True):
    """A file of a toolchain, or all of one directory (`path` ends in a slash then). `digest` is cut to 8 bytes."""

    path: bytes
    digest: bytes


class Description(msgspec.Struct, frozen=True, array_like=True):
    """What a toolchain is like, to tell how two of them differ. Nothing is decided by it."""

    name: str = ""
    family: str = "gcc"
    version: str = ""
    target: str = ""
    parts: tuple[Part, ...] = ()


class Usage(msgspec.Struct, frozen=True, array_like=True):
    """What a job used, in seconds and bytes; `tree_s` is how long its file tree took to build, before anything ran."""

    wall_s: float = 0.0
    user_s: float = 0.0
    system_s: float = 0.0
    memory: int = 0
    tree_s: float = 0.0


class Output(msgspec.Struct, frozen=True, array_like=True):
    """A file that the compile wrote. Its bytes follow the Result in bulk frames, in the order of the list."""

    path: bytes
    size: int
    mode: int
    digest: bytes


# --- client to server -------------------------------------------------------------------------------------------


class Hello(Message, frozen=True, array_like=True, tag="hello"):
    """First message of the client after authentication."""

    versions: tuple[int, ...]
    software: str


class Ask(Message, frozen=True, array_like=True, tag="ask"):
    """Asks for a slot for a job.

    `key` is the compile's, by which a server that keeps results finds them (`securecc.compiler.compile_key`). `size` is
    the bytes of all inputs. `description` is given if the server is not known to have the toolchain: its refusal then
    says what differs. `reserved` is 0: it was an estimate of the compile's time that was never used.
    """

    job: int
    key: bytes
    toolchain: bytes
    size: int = 0
    reserved: int = 0
    description: Description | None = None


class Submit(Message, frozen=True, array_like=True, tag="submit"):
    """The job itself, for the server whose Invite is accepted.

    `manifest` is the encoded manifest, compressed with zstd, or empty if the client believes that the server knows the
    one named `manifest_digest`; if it does not, its Need asks for it. `attempt` counts the submissions of one compile,
    to any server, and is only for the audit log. `questions`: what the client wants to know about the questions that
    the run asks (docs/protocol.md, section 8); None for nothing, else the digest of those that it remembers, which need
    not be sent again, or empty.
    """

    job: int
    toolchain: bytes
    arguments: tuple[bytes, ...]
    cwd: bytes
    environment: dict[bytes, bytes]
    umask: int
    terminal: Terminal
    manifest_digest: bytes
    manifest: bytes = b""
    attempt: int = 1
    questions: bytes | None = None


class Supply(Message, frozen=True, array_like=True, tag="supply"):
    """Answer to a Need: the manifest if asked for; then the blobs' bytes follow in bulk frames, in the order of the
    Need, each of exactly its entry's size.
    """

    job: int
    manifest: bytes = b""


class Forget(Message, frozen=True, array_like=True, tag="forget"):
    """The job went to another server: gives up the lease or the place in the queue."""

    job: int


class Cancel(Message, frozen=True, array_like=True, tag="cancel"):
    """Ends a job at any stage. No Result follows."""

    job: int


# --- server to client -------------------------------------------------------------------------------------------


class SharedTree(msgspec.Struct, frozen=True, array_like=True):
    """A directory tree that a server has whole, by its path and its digest (`securecc.compiler.tree.shared_tree`)."""

    path: bytes
    digest: bytes


class Welcome(Message, frozen=True, array_like=True, tag="welcome"):
    """First message of the server after authentication. `time_ns` is its clock, 0 from servers that do not give it."""

    version: int
    software: str
    principal: str
    reference: str
    slots: int
    toolchains: tuple[Toolchain, ...]
    shared_trees: tuple[SharedTree, ...] = ()
    time_ns: int = 0


class Invite(Message, frozen=True, array_like=True, tag="invite"):
    """A slot is leased to the job for `lease_ms`; if submitted later, the job waits for the next one."""

    job: int
    lease_ms: int


class Wait(Message, frozen=True, array_like=True, tag="wait"):
    """The job is queued, and an Invite follows. `ahead` counts the jobs before it."""

    job: int
    ahead: int


class Refuse(Message, frozen=True, array_like=True, tag="refuse"):
    """The job is refused. `code` is for the machine, `reason` for the person."""

    job: int
    code: RefuseCode
    reason: str


class Need(Message, frozen=True, array_like=True, tag="need"):
    """What the server lacks: the manifest, or blobs by their index in the manifest's entries (each digest once)."""

    job: int
    manifest: bool
    blobs: tuple[int, ...]


class Result(Message, frozen=True, array_like=True, tag="result"):
    """The job has ended. `status` is an exit status, or minus a signal. `limit` names the limit that ended it.

    The bytes of standard output, standard error, the outputs and the questions follow in bulk frames, in that order.
    `strays` are indices of manifest entries that the run did not read although their role is READ, or read although it
    is PRESENT. `read` has a bit for each entry, beginning with the lowest bit of the first byte: set if the run read
    the file. `server_s` is how long the server had the job, in seconds: its wait for a slot and its run. A Result that
    answers an Ask refers to the manifest that the Ask's key was computed from. `witness` is the digest of all questions
    that the run asked, empty if they are not known; `questions` is how many bytes of them follow, 0 if the client knows
    them.
    """

    job: int
    status: int
    limit: LimitName
    stdout: int
    stderr: int
    outputs: tuple[Output, ...]
    strays: tuple[int, ...]
    usage: Usage
    server_s: float
    read: bytes = b""
    witness: bytes = b""
    questions: int = 0


# --- both -------------------------------------------------------------------------------------------------------


class Ping(Message, frozen=True, array_like=True, tag="ping"):
    """Asks for a sign of life; the peer answers with a Pong of the same number."""

    number: int


class Pong(Message, frozen=True, array_like=True, tag="pong"):
    """Answer to a Ping."""

    number: int


class Goodbye(Message, frozen=True, array_like=True, tag="goodbye"):
    """The last message of a sender that closes: it drains, the ticket ended, the policy changed, an error."""

    code: str
    reason: str
    reference: str


FromClient = Hello | Ask | Submit | Supply | Forget | Cancel | Ping | Pong | Goodbye
FromServer = Welcome | Invite | Wait | Refuse | Need | Result | Ping | Pong | Goodbye
