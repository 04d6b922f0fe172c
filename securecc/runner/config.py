"""What a runner is told when it starts."""

import os

import msgspec

from securecc.model import limits
from securecc.model.errors import ConfigError
from securecc.model.messages import SharedTree


class RunnerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the front's parent tells the runner, as JSON. `base` is any directory (another is used if toolchains lie
    below it): a tmpfs is mounted on it, in the runner's own namespace only. `uid` and `gid` are the user that root
    switches to. `sandbox` is the program that makes sandboxes, ``jail`` or ``bubblewrap``; empty means the first that
    works. `shared_trees` are directories (None: where the toolchains look for headers). `have` are digests of
    toolchains in hex, and `trees` shared trees: a runner that finds exactly these is not needed. `groups` is a prepared
    directory of control groups for the runner alone (`securecc.sandbox.cgroup`), empty for none. `without` are sandbox
    layers to leave out (``seccomp``, ``landlock``), or the ``witness``: only tests set it, to show what each is good
    for. Sizes in bytes.
    """

    compilers: tuple[str, ...]
    base: str = "/mnt"
    uid: int = 0
    gid: int = 0
    store: int = limits.TOOLCHAIN_STORE
    job: int = limits.JOB_TMPFS
    sandbox: str = ""
    search_path: str = "/usr/local/bin:/usr/bin:/bin"
    shared_trees: tuple[str, ...] | None = ()
    have: tuple[str, ...] = ()
    trees: tuple[SharedTree, ...] = ()
    groups: str = ""
    without: tuple[str, ...] = ()


def read_config(descriptor: int) -> RunnerConfig:
    """The configuration read from a descriptor, which is closed.

    Raises:
        ConfigError: it is not one.
    """
    try:
        with os.fdopen(descriptor, "rb") as file:
            return msgspec.json.decode(file.read(limits.POLICY_FILE), type=RunnerConfig)
    except (OSError, msgspec.DecodeError, ValueError) as error:
        raise ConfigError(f"the runner's configuration cannot be read: {error}") from error
