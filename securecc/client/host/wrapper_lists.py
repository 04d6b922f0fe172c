"""The lists of scripts that users and sites vouch for; each script stands for the compiler that it runs."""

import os
import pwd
from collections.abc import Mapping
from pathlib import Path

from securecc.client.state.settings import directories
from securecc.compiler.toolchain.wrapper_scripts import listed
from securecc.model import limits
from securecc.model.errors import ConfigError
from securecc.model.manifest import Digest


def default_paths(environ: Mapping[str, str] | None = None) -> tuple[Path, ...]:
    """The user's list and the site's: `wrappers` beside their other settings."""
    environ = os.environ if environ is None else environ
    return tuple(directory / "wrappers" for directory in directories(environ, environ.get("HOME") or _home()))


def vouched(paths: tuple[Path, ...]) -> frozenset[Digest]:
    """The digests of the scripts that these lists name. A list that cannot be read vouches for nothing."""
    found: frozenset[Digest] = frozenset()
    for path in paths:
        try:
            with path.open("rb") as file:
                found |= listed(file.read(limits.SETTINGS_FILE))
        except OSError:
            continue
    return found


def vouch(path: Path, script: bytes, digest: Digest) -> None:
    """Adds a script to a list.

    Raises:
        ConfigError: the list cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(digest.hex().encode() + b"  " + script.replace(b"\n", b"?") + b"\n")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error


def _home() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return ""
