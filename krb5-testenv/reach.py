"""Lets the daemon's own users read a checkout in a home directory that is closed to them.

A daemon that starts as root switches to two other users. On Debian, home directories are closed to other users, and
root's is closed everywhere. No permissions are changed for this: the daemon gets its own mount namespace, in which the
closed folder is empty except for the checkout.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

_OTHERS_MAY_PASS = 0o001


def program(link: Path, target: Path) -> None:
    """Makes `link` a program that runs `target` where all users can read it; what that needs is beside `link`."""
    needed = {Path(sys.prefix).parent, Path(sys.base_prefix)}
    closed = {path: gate for path in needed if (gate := _closed_gate(path))}
    if os.getuid() != 0 or not closed:
        link.symlink_to(target)
        return
    link.write_text(_script(link, target, closed))
    link.chmod(0o700)


def _closed_gate(path: Path) -> Path | None:
    """The first folder on the way to `path` that other users may not enter."""
    return next((gate for gate in reversed(path.parents) if not gate.stat().st_mode & _OTHERS_MAY_PASS), None)


def _script(link: Path, target: Path, closed: dict[Path, Path]) -> str:
    lines = ["#!/bin/sh", "set -e"]
    chroot = "/ is not a mount point, as in a chroot: bind-mount its folder onto itself and enter that"
    lines.append(f'[ "$1" = --apart ] || mountpoint -q / || {{ echo "securecc: {chroot}" >&2; exit 1; }}')
    lines.append('[ "$1" = --apart ] || exec unshare --mount --propagation private "$0" --apart "$@"')
    lines.append("shift")
    held = {path: link.with_name(f"{link.name}.reach{number}") for number, path in enumerate(closed)}
    for path, kept in held.items():
        kept.mkdir(mode=0o700)
        lines.append(f"mount --bind {_word(path)} {_word(kept)}")
    lines += [f"mount -t tmpfs -o mode=0755,size=64k tmpfs {_word(gate)}" for gate in sorted(set(closed.values()))]
    lines += [f"mkdir -p {_word(path)}; mount --move {_word(kept)} {_word(path)}" for path, kept in held.items()]
    return "\n".join([*lines, f'exec {_word(target)} "$@"', ""])


def _word(path: Path) -> str:
    return shlex.quote(str(path))
