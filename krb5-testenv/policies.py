"""Copies a policy, with all files that belong to it, to where a server reads it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from securecc.model import limits
from securecc.model.errors import PolicyError
from securecc.policy.document.policy_document import Part, read_includes, read_policy
from securecc.policy.files import list_folder


def copy(policy: Path, to: Path) -> None:
    """Copies the document as `to`, and beside it the folders that it includes and the files that its groups name. A
    group's file with an absolute path is read where it is.

    Errors in a policy are left for the daemon to report: of one that cannot be read, as much as can be found is copied.

    Raises:
        OSError: the document, or a file that it names, cannot be copied.
        ValueError: a file would not be beside `to`.
    """
    shutil.copyfile(policy, to)
    to.chmod(0o644)
    with contextlib.suppress(PolicyError):
        for name in _belonging(policy):
            if ".." in Path(name).parts:
                raise ValueError(f"{policy} names {name}, outside its folder: such a file is not copied")
            _put(policy.parent / name, to.parent, Path(name))


def _belonging(policy: Path) -> Iterator[str]:
    """All other files of the policy, by their paths relative to its folder; those of folders before those of groups."""
    data, parts = policy.read_bytes(), []
    for folder in read_includes(data, str(policy)):
        for name in list_folder(policy.parent / folder, limits.POLICY_PARTS):
            path = f"{folder}/{name}"
            yield path
            if name.endswith(".yaml"):
                parts.append(Part(path, (policy.parent / path).read_bytes()))
    for group in read_policy(data, str(policy), parts).groups.values():
        if group.file and not Path(group.file).is_absolute():
            yield group.file


def _put(original: Path, folder: Path, name: Path) -> None:
    """Makes the copy readable for the daemon's user, whatever the caller's umask. A missing file is skipped."""
    for part in reversed(name.parents[:-1]):
        (folder / part).mkdir(exist_ok=True)
        (folder / part).chmod(0o755)
    if original.is_file():
        shutil.copyfile(original, folder / name)
        (folder / name).chmod(0o644)
