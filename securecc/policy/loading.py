"""Loads a whole policy from disk: the document, those it includes, its groups' files; and runs its tests."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from securecc.model import limits
from securecc.model.errors import PolicyError
from securecc.policy.document.policy_document import Part, read_includes, read_policy, with_files
from securecc.policy.embedded_tests import run_tests
from securecc.policy.files import folders_distrust, list_folder, read_file
from securecc.policy.model import Policy
from securecc.policy.review import review

_SUFFIX = ".yaml"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A policy that passed its tests. `distrust` names those of its files that others could have written: if there are
    any, a daemon does not put the policy in force.
    """

    policy: Policy
    warnings: tuple[str, ...]
    distrust: tuple[str, ...]


class _PolicyFolder:
    """Reads the files of one policy, and keeps why they must not be trusted. `left` are files in included folders that
    are not named like documents.
    """

    def __init__(self, folder: Path, owners: Collection[int]) -> None:
        self._folder = folder
        self._owners = owners
        self._places: set[Path] = set()
        self.distrust: list[str] = []
        self.left: list[str] = []

    def read(self, name: str, most: int) -> bytes:
        """A file by its path from the policy's folder."""
        path = self._folder / name
        content = read_file(path, most, self._owners)
        self._doubt(content.distrust)
        self._look_around(path)
        return content.data

    def parts(self, folders: Collection[str]) -> list[Part]:
        """The documents of the included folders, each folder's sorted by name.

        Raises:
            PolicyError: a folder or file is unreadable, or all of them are too long.
        """
        found: list[Part] = []
        left = limits.POLICY_INCLUDED
        for folder in folders:
            self._look_around(self._folder / folder / "any")
            for name in list_folder(self._folder / folder, limits.POLICY_PARTS):
                path = f"{folder}/{name}"
                if not name.endswith(_SUFFIX):
                    self.left.append(path)
                    continue
                found.append(Part(path, self.read(path, limits.POLICY_FILE)))
                left -= len(found[-1].data)
                if left < 0:
                    most = f"all included files together have over {limits.POLICY_INCLUDED} bytes"
                    raise PolicyError(f"{self._folder / path}: {most}", "check that it is the right folder")
        return found

    def _look_around(self, path: Path) -> None:
        if path.parent not in self._places:
            self._places.add(path.parent)
            self._doubt(folders_distrust(path, self._owners))

    def _doubt(self, distrust: str) -> None:
        if distrust and distrust not in self.distrust:
            self.distrust.append(distrust)


def load(path: Path, owners: Collection[int] = ()) -> Loaded:
    """Reads and tests the policy in a file. `owners` are uids that may own its files besides root's and this process's.

    Raises:
        PolicyError: unreadable, not a policy, or a test fails; names file, line, column and key.
    """
    disk = _PolicyFolder(path.parent, owners)
    data = disk.read(path.name, limits.POLICY_FILE)
    parts = disk.parts(read_includes(data, str(path)))
    policy = read_policy(data, str(path), parts)
    names = dict.fromkeys(group.file for group in policy.groups.values() if group.file)
    filled = with_files(policy, data, {name: disk.read(name, limits.GROUP_FILE) for name in names}, parts)
    run_tests(filled)
    unread = [name for name in disk.left if name not in names]
    warnings = [f"{path.parent / name}: ignored: its name does not end in {_SUFFIX}" for name in unread]
    return Loaded(filled, (*review(filled), *warnings), tuple(disk.distrust))
