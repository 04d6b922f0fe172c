"""From what a client submits to a Job that may run: everything is read again here, nothing of the client's parse is
believed.
"""

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass

import zstandard

from securecc.compiler import cmdline, environment, paths
from securecc.compiler.cmdline import CompilePlan
from securecc.compiler.paths import CheckedManifest
from securecc.words import limits, manifest
from securecc.words.errors import PathError, Refused, StaysLocal
from securecc.words.manifest import Digest, Manifest
from securecc.words.messages import Layer, Submit, Toolchain
from securecc.words.work import Offer

MANIFESTS = 4096
"""Manifests that one channel may name by digest alone; at some 5 kB each."""

MANIFEST_BYTES = 64 * limits.MIB
"""And their bytes, as sent: the largest that a client can make are 4 MiB each."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A submitted compile that has passed every rule but the policy's."""

    submit: Submit
    plan: CompilePlan
    environment: dict[bytes, bytes]
    toolchain: Toolchain
    manifest: CheckedManifest


class Manifests:
    """The manifests of one channel by digest. No other channel's are seen: a manifest names other people's files."""

    def __init__(self) -> None:
        self._known: OrderedDict[Digest, bytes] = OrderedDict()
        self._bytes = 0

    def get(self, digest: Digest) -> Manifest | None:
        """The manifest of this name, if it was sent on this channel and is still kept."""
        compressed = self._known.get(digest)
        if compressed is None:
            return None
        self._known.move_to_end(digest)
        return manifest.decode(_decompress(compressed))

    def put(self, digest: Digest, compressed: bytes) -> Manifest:
        """Takes one in. Raises PathError when it is none, or is not the one that `digest` names."""
        data = _decompress(compressed)
        if manifest.digest(data) != digest:
            raise PathError("the manifest is not the one that was named")
        decoded = manifest.decode(data)
        self._bytes += len(compressed) - len(self._known.pop(digest, b""))
        self._known[digest] = compressed
        while len(self._known) > MANIFESTS or self._bytes > MANIFEST_BYTES:
            self._bytes -= len(self._known.popitem(last=False)[1])
        return decoded


def read(submit: Submit, offer: Offer, sent: Manifest, layers: Collection[Layer] = ()) -> Submission:
    """`layers` are what jobs may have whole. Raises Refused with the code `option`, `tree` or `layer` and a reason that
    names what is wrong.
    """
    if submit.arguments[:1] and submit.arguments[0] not in offer.called_by:
        raise Refused("option", "the command is not a driver of the toolchain that it names")
    try:
        plan = cmdline.parse(submit.arguments, "clang" if offer.family == "clang" else "gcc")
        variables = environment.compiler_environment(submit.environment)
    except StaysLocal as error:
        raise Refused("option", error.message) from error
    try:
        outputs = [paths.absolute(path, submit.cwd) for path in plan.outputs]
        checked = paths.check_manifest(
            sent,
            frozenset(offer.directories),
            frozenset(offer.include_directories),
            submit.cwd,
            outputs,
            catalogues=frozenset(offer.catalogues) if b"LANGUAGE" in variables else frozenset(),
        )
    except PathError as error:
        raise Refused("tree", error.message) from error
    for entry in checked.layers:
        if Layer(entry.path, entry.blob) not in layers:
            raise Refused("layer", f"no layer {entry.blob.hex()[:16]} for {entry.path.decode(errors='replace')!a} here")
    toolchain = Toolchain(offer.digest, offer.name, offer.target)
    return Submission(submit, plan, variables, toolchain, checked)


def _decompress(data: bytes) -> bytes:
    """At most FRAME_CONTROL bytes, whatever the compressed form says of itself."""
    try:
        size = zstandard.get_frame_parameters(data).content_size
        if size > limits.FRAME_CONTROL:
            raise PathError(f"a manifest of more than {limits.FRAME_CONTROL} bytes")
        return _decompressor.decompress(data, max_output_size=limits.FRAME_CONTROL)
    except zstandard.ZstdError as error:
        raise PathError(f"a manifest that is no zstd frame: {error}") from error


_decompressor = zstandard.ZstdDecompressor(max_window_size=1 << limits.ZSTD_WINDOW_LOG)
