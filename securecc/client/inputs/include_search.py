"""Where one compile looks for the files that it reads."""

from dataclasses import dataclass, field

from securecc.model.messages import SharedTree


@dataclass(frozen=True, slots=True)
class SearchPath:
    """The directories in which the compiler looks for includes, in order, absolute as spelled (cpp, "Search Path"):
    `quoted` only for those in quotes, after the directory of the including file; `bracketed` for all.
    """

    quoted: tuple[bytes, ...] = ()
    bracketed: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class IncludeSearch:
    """Everything that decides which files a compile of one command line finds. Paths are absolute as spelled.

    `directories` are all in which it looks, existing or not: those of -I and similar options, the compiler's own, those
    of CPATH; `search_path` is their order. `forced` are the names of -include and -imacros, `crossed` other directories
    on the compile's way, such as those of its outputs, `macros` the texts of -D and -U with their letter. `dated`: the
    compiler is given or can be given the time of day. `shown` are files that are read if they exist, and listed
    nowhere; `marked`: they include every name that #line may give. `assembled`: the source is assembly. In the
    directories `around`, every name counts. Files in `shared_trees` are on the server already, and do not change.
    """

    cwd: bytes
    directories: tuple[bytes, ...]
    forced: tuple[bytes, ...] = ()
    crossed: tuple[bytes, ...] = ()
    macros: tuple[bytes, ...] = ()
    dated: bool = False
    search_path: SearchPath = field(default_factory=SearchPath)
    shown: tuple[bytes, ...] = ()
    shared_trees: tuple[SharedTree, ...] = ()
    assembled: bool = False
    marked: bool = False
    around: tuple[bytes, ...] = ()
