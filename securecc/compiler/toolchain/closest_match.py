"""Says which of a server's toolchains is nearest to one that it does not have, and how they differ."""

from collections.abc import Iterable, Mapping, Sequence

from securecc.model import limits
from securecc.model.messages import Description
from securecc.model.printable import plain, plain_path

NAMED = 3
"""How many files are named for each kind of difference; the rest are counted."""

_LINE = 2048
_NAME = 64  # characters of a client's text that are quoted


def explain_missing(wanted: Description | None, offered: Iterable[Description]) -> str:
    """The message for a client whose toolchain is missing: what was wanted, what is nearest, and how they differ.

    One line, printable, at most 2,048 characters.
    """
    if wanted is None:
        return "no such toolchain here"
    candidates = sorted(offered, key=lambda offer: _distance(wanted, offer))
    if not candidates:
        return f"no such toolchain here: {_shown(wanted)}"
    nearest = candidates[0]
    said = f"no such toolchain here: {_shown(wanted)}; nearest is {_shown(nearest)}, {difference(wanted, nearest)}"
    return said if len(said) <= _LINE else said[: _LINE - 3] + "..."


def _distance(wanted: Description, offer: Description) -> tuple[bool, bool, bool, bool, int, str]:
    ours, theirs = _parts(wanted), _parts(offer)
    return (
        wanted.family != offer.family,
        wanted.target != offer.target,
        wanted.version.partition(".")[0] != offer.version.partition(".")[0],
        wanted.version != offer.version,
        len(ours.items() ^ theirs.items()),
        offer.name,
    )


def difference(wanted: Description, offer: Description) -> str:
    """How the second differs from the first, by files."""
    ours, theirs = _parts(wanted), _parts(offer)
    both = ours.keys() & theirs.keys()
    said = [
        _named("other contents", sorted(path for path in both if ours[path] != theirs[path])),
        _named("not there", sorted(ours.keys() - both)),
        _named("only there", sorted(theirs.keys() - both)),
    ]
    return "; ".join(filter(None, said)) or "which differs in links only"


def _named(what: str, paths: Sequence[bytes]) -> str:
    if not paths:
        return ""
    more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
    return f"{what}: {', '.join(_path(path) for path in paths[:NAMED])}{more}"


def _parts(description: Description) -> Mapping[bytes, bytes]:
    return {part.path: part.digest for part in description.parts[: limits.TOOLCHAIN_PARTS]}


def _shown(description: Description) -> str:
    words = (description.name, description.version, f"for {description.target}" if description.target else "")
    return " ".join(_word(word) for word in words if word) or "one without a name"


def _word(text: str) -> str:
    return plain(text[:_NAME])


def _path(path: bytes) -> str:
    shown = path if len(path) <= 2 * _NAME else b"..." + path[-2 * _NAME :]
    return plain_path(shown)
