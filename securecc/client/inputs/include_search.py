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
    of CPATH; `search_path` is their order. `other_directories` are on the compile's way for other reasons, such as
    those of its outputs. In `watched_directories` every name counts: a new one may lead the compiler elsewhere.
    `project` are the directories of the source's own tree (`securecc.client.inputs.foreseen_paths`).
    `forced_includes` are the names of -include and -imacros, `macros` the texts of -D and -U with their letter.
    `unlisted_files` are read if they exist, and no compiler lists them; `knows_line_names`: they include every name
    that #line may give. `knows_time`: the compiler is given or can be given the time of day. `is_assembly`: the source
    is assembled without being compiled. Files in `shared_trees` are on the server already, and do not change.
    """

    cwd: bytes
    directories: tuple[bytes, ...]
    search_path: SearchPath = field(default_factory=SearchPath)
    other_directories: tuple[bytes, ...] = ()
    watched_directories: tuple[bytes, ...] = ()
    project: tuple[bytes, ...] = ()
    forced_includes: tuple[bytes, ...] = ()
    macros: tuple[bytes, ...] = ()
    unlisted_files: tuple[bytes, ...] = ()
    knows_line_names: bool = False
    knows_time: bool = False
    is_assembly: bool = False
    shared_trees: tuple[SharedTree, ...] = ()
