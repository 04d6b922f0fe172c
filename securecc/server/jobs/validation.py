"""Checks what a client submits: the server parses all of it again and trusts nothing of the client's parse."""

from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass

import zstandard

from securecc.compiler.command_line import compile_plan, environment
from securecc.compiler.command_line.compile_plan import CompilePlan
from securecc.compiler.command_line.languages import STDIN
from securecc.compiler.tree import manifest_check
from securecc.compiler.tree.manifest_check import CheckedManifest
from securecc.model import limits, manifest
from securecc.model.errors import PathError, Refused, StaysLocal
from securecc.model.manifest import DIGEST, Digest, Manifest
from securecc.model.messages import SharedTree, Submit, Toolchain
from securecc.runner_protocol.messages import Offer


@dataclass(frozen=True, slots=True)
class Submission:
    """A submitted compile that has passed every rule but the policy's."""

    submit: Submit
    plan: CompilePlan
    environment: dict[bytes, bytes]
    toolchain: Toolchain
    manifest: CheckedManifest


class ManifestCache:
    """The manifests of one principal, by digest. They are never used for another principal: they name the files of the
    one that sent them.

    `grown` is called with the change in bytes kept, which may be negative.
    """

    def __init__(self, grown: Callable[[int], None] = lambda _size: None) -> None:
        self._known: OrderedDict[Digest, bytes] = OrderedDict()
        self._grown = grown
        self.size = 0

    def get(self, digest: Digest) -> Manifest | None:
        """The manifest with this digest, if its principal has sent it and it is still kept."""
        compressed = self._known.get(digest)
        if compressed is None:
            return None
        self._known.move_to_end(digest)
        return manifest.decode(_decompress(compressed))

    def put(self, digest: Digest, compressed: bytes) -> Manifest:
        """Keeps a manifest, and returns it decoded.

        Raises:
            PathError: it is not a manifest, or not the one that `digest` names.
        """
        data = _decompress(compressed)
        if manifest.digest(data) != digest:
            raise PathError("the manifest is not the one that its digest names")
        decoded = manifest.decode(data)
        if digest in self._known:
            self._known.move_to_end(digest)
        else:
            self._known[digest] = compressed
            self._grow(len(compressed))
            while len(self._known) > limits.MANIFESTS or self.size > limits.MANIFEST_BYTES:
                self.drop_oldest()
        return decoded

    def drop_oldest(self) -> None:
        """Forgets the least recently used one."""
        self._grow(-len(self._known.popitem(last=False)[1]))

    def clear(self) -> None:
        """Forgets all of them."""
        while self._known:
            self.drop_oldest()

    def _grow(self, size: int) -> None:
        self.size += size
        self._grown(size)


def validate(submit: Submit, offer: Offer, sent: Manifest, shared_trees: Collection[SharedTree] = ()) -> Submission:
    """Checks a submitted job. `shared_trees` are those that a job may use.

    Raises:
        Refused: the job breaks a rule; its code is `protocol`, `option`, `tree` or `layer`.
    """
    if submit.questions is not None and len(submit.questions) not in {0, DIGEST}:
        raise Refused("protocol", "the digest of the questions is not one")
    if submit.arguments[:1] and submit.arguments[0] not in offer.called_by:
        raise Refused("option", "the command is not a driver of the toolchain that the job names")
    try:
        plan = compile_plan.parse(submit.arguments, "clang" if offer.family == "clang" else "gcc")
        variables = environment.compiler_environment(submit.environment)
    except StaysLocal as error:
        raise Refused("option", error.message) from error
    try:
        outputs = [manifest_check.absolute(path, submit.cwd) for path in plan.outputs]
        checked = manifest_check.check_manifest(
            sent,
            frozenset(offer.directories),
            frozenset(offer.include_directories),
            submit.cwd,
            outputs,
            catalogues=frozenset(offer.catalogues) if b"LANGUAGE" in variables else frozenset(),
            reads_input=plan.source == STDIN,
        )
    except PathError as error:
        raise Refused("tree", error.message) from error
    for entry in checked.shared_trees:
        if SharedTree(entry.path, entry.blob) not in shared_trees:
            raise Refused(
                "layer", f"no shared tree {entry.blob.hex()[:16]} for {entry.path.decode(errors='replace')!a} here"
            )
    toolchain = Toolchain(offer.digest, offer.name, offer.target)
    return Submission(submit, plan, variables, toolchain, checked)


def _decompress(data: bytes) -> bytes:
    """At most FRAME_CONTROL bytes, whatever size the compressed form states.

    Raises:
        PathError: it is too large, or not a zstd frame.
    """
    try:
        size = zstandard.get_frame_parameters(data).content_size
        if size > limits.FRAME_CONTROL:
            raise PathError(f"a manifest of more than {limits.FRAME_CONTROL} bytes")
        return _decompressor.decompress(data, max_output_size=limits.FRAME_CONTROL)
    except zstandard.ZstdError as error:
        raise PathError(f"the manifest is not a zstd frame: {error}") from error


_decompressor = zstandard.ZstdDecompressor(max_window_size=1 << limits.ZSTD_WINDOW_LOG)
