"""Other versions of gcc beside the one that clang uses: it looks at each of them before it chooses the newest."""

import os

from securecc.compiler.toolchain.discovery import ToolchainClosure

_MARK = b"/crtbegin.o"  # how clang knows an installation (Gnu.cpp: ScanLibDirForGCCTriple)


def marks(toolchain: ToolchainClosure) -> tuple[bytes, ...]:
    """The files by which clang finds the other versions; none for gcc, which does not look."""
    if toolchain.family != "clang":
        return ()
    used = [file.path for file in toolchain.files if file.path.endswith(_MARK)]
    found: list[bytes] = []
    for path in used:
        versions = os.path.dirname(os.path.dirname(path))
        try:
            names = sorted(os.listdir(versions))
        except OSError:
            continue
        found += (versions + b"/" + name + _MARK for name in names)
    return tuple(path for path in found if path not in used and os.path.isfile(path))
