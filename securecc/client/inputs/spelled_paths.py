"""Paths as a command or a source spells them. Nothing is normalised, since `a/../b` is `b` only if `a` exists."""


def absolute(path: bytes, cwd: bytes) -> bytes:
    """`path` relative to the directory `cwd`."""
    return path if path.startswith(b"/") else under(cwd, path)


def under(directory: bytes, name: bytes) -> bytes:
    """`name` below a directory; the directory itself for an empty name."""
    if not name:
        return directory
    if name.startswith(b"/"):
        return name
    return b"/" + name if directory == b"/" else directory + b"/" + name


def without_dots(path: bytes) -> bytes:
    """An absolute path without its empty and `.` components, which mean nothing to any file system."""
    return b"/" + b"/".join(part for part in path.split(b"/") if part not in {b"", b"."})
