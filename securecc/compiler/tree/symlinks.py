"""Follows a path's symbolic links component by component, as path_resolution(7) describes."""

from collections.abc import Callable

LINKS_MAX = 40
"""MAXSYMLINKS of Linux: one more is ELOOP."""


class TooManyLinksError(Exception):
    """More links on one path than the kernel follows; usually a loop."""


def resolve(
    path: bytes, link_target: Callable[[bytes], bytes | None], enter: Callable[[bytes], None] | None = None
) -> tuple[bytes, int]:
    """The physical path that an absolute `path` leads to, and how many components were walked to find it.

    `link_target` is asked for each named component, by its physical path: it returns what a symlink there points to,
    None for anything else. `enter` is called with each physical path below which the walk continues. Either may end the
    walk by raising.

    Raises:
        TooManyLinksError: the path crosses more than `LINKS_MAX` links.
    """
    remaining = path.split(b"/")[::-1]
    here = b""
    followed = walked = 0
    while remaining:
        walked += 1
        name = remaining.pop()
        if enter is not None:
            enter(here or b"/")
        if name == b"..":
            here = here.rpartition(b"/")[0]
        elif name not in {b"", b"."}:
            step = here + b"/" + name
            target = link_target(step)
            if target is None:
                here = step
                continue
            followed += 1
            if followed > LINKS_MAX:
                raise TooManyLinksError
            here = b"" if target[:1] == b"/" else here
            remaining += target.split(b"/")[::-1]
    return here or b"/", walked
