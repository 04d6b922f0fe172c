"""Where a compile looks for profiles of earlier runs: what -fprofile-use and similar options read, which `gcc -M` does
not list.

For gcc from its coverage.cc (coverage_init), tested with GCC 12; for clang from its manual ("Profile Guided
Optimization").
"""

from securecc.compiler.command_line.compile_plan import CompilePlan
from securecc.compiler.command_line.outputs import gcc_stem


def read(plan: CompilePlan, cwd: bytes) -> tuple[bytes, ...]:
    """All files that may be read as a profile, whether they exist or not. `cwd` is the working directory as the
    compiler spells it.
    """
    if plan.profile_path is None:
        return ()
    if plan.family == "clang":
        return tuple(
            path + b"default.profdata" if path.endswith(b"/") else path for path in _of_clang(plan.profile_path)
        )
    folder, slash, name = plan.output.rpartition(b"/")
    stem = folder + slash + gcc_stem(name)
    if plan.profile_path:
        mangled = stem if stem.startswith(b"/") else _mangled(cwd.rstrip(b"/") + b"/" + stem)
        return (plan.profile_path + b"/" + mangled + b".gcda",)
    return (stem + b".gcda",)


def _of_clang(named: bytes) -> tuple[bytes, ...]:
    return (named, named.rstrip(b"/") + b"/") if named else (b"./",)


def _mangled(path: bytes) -> bytes:
    """The name that gcc gives to a path in a directory of profiles (coverage.cc: mangle_path)."""
    return b"#".join(b"^" if part == b".." else part for part in path.split(b"/"))
