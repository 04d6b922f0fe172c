"""A toolchain as tests of the sandbox and of the runner know it: nothing of it need exist."""

from securecc.compiler.toolchain.closure import ClosureFile, ToolchainClosure
from securecc.model.manifest import Kind

GCC = b"/usr/lib/gcc/x86_64-linux-gnu/12"
FILES = (b"/usr/bin/gcc-12", b"/usr/bin/as", GCC + b"/cc1", b"/usr/lib/x86_64-linux-gnu/libc.so.6")
CLOSURE = ToolchainClosure(
    name="gcc-12",
    target="x86_64-linux-gnu",
    version="12.2.0",
    called_by=(b"/usr/bin/cc",),
    files=(
        *(ClosureFile(path, Kind.FILE, b"d" * 32, 0o755) for path in FILES),
        ClosureFile(b"/lib", Kind.LINK, b"usr/lib"),
    ),
    calls=(
        ClosureFile(b"/usr/bin/cc", Kind.LINK, b"/etc/alternatives/cc"),
        ClosureFile(b"/etc/alternatives/cc", Kind.LINK, b"/usr/bin/gcc-12"),
    ),
    directories=(
        b"/usr/bin",
        GCC,
        b"/usr/lib",
        b"/usr/lib/x86_64-linux-gnu",
        b"/usr/share/locale",
        b"/usr/x86_64-linux-gnu/bin",
    ),
    include_directories=(GCC + b"/include", b"/usr/include", b"/usr/include/c++/12"),
    search_path=b"/usr/bin",
    digest=b"d" * 32,
)
