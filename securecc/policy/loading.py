"""A policy from disk, whole: the document, the files that its groups name, and its own tests passed."""

from dataclasses import dataclass
from pathlib import Path

from securecc.policy.document import read_policy, with_files
from securecc.policy.embedded_tests import run_tests
from securecc.policy.files import Content, read_file
from securecc.policy.model import Policy
from securecc.policy.review import review
from securecc.words import limits


@dataclass(frozen=True, slots=True)
class Loaded:
    """A policy that holds what its tests say. `distrust` says which of its files others could have written: a daemon
    does not put it in force then.
    """

    policy: Policy
    warnings: tuple[str, ...]
    distrust: tuple[str, ...]


def load(path: Path) -> Loaded:
    """Reads and tests the policy in a file. Raises PolicyError naming file, line and key."""
    document = read_file(path, limits.POLICY_FILE)
    policy = read_policy(document.data, str(path))
    files: dict[str, Content] = {}
    for group in policy.groups.values():
        if group.file:
            files[group.file] = read_file(path.parent / group.file, limits.GROUP_FILE)
    filled = with_files(policy, document.data, {name: content.data for name, content in files.items()})
    run_tests(filled)
    distrust = tuple(content.distrust for content in (document, *files.values()) if content.distrust)
    return Loaded(filled, review(filled), distrust)
