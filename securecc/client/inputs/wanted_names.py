"""Which names the texts of a compile ask for, and what else in them decides whether it may leave this machine."""

from collections.abc import Iterable
from dataclasses import dataclass

from securecc.client.inputs.include_search import IncludeSearch
from securecc.compiler.source.directives import STAMP, Directives, needs_local, redefined, scan


@dataclass(frozen=True, slots=True)
class WantedNames:
    """`included` are the names of files that are read, `queried` of those that are asked for without including,
    `unlisted` of those that are read if they exist, such as those in #line. `computed`: a macro names another file that
    is read; `asks_more`: one names a file that is asked for. `uses_time`: a text may use the time of day; `stamped`:
    one may use its own time of last change.
    """

    included: frozenset[bytes]
    queried: frozenset[bytes]
    unlisted: frozenset[bytes]
    computed: bool
    asks_more: bool
    uses_time: bool
    stamped: bool


def wanted_names(texts: Iterable[Directives], search: IncludeSearch) -> WantedNames:
    """What these texts and the macros of the command line ask for.

    Raises:
        StaysLocal: a text asks for something that no server can answer like this machine.
    """
    included: set[bytes] = set(search.forced_includes)
    queried: set[bytes] = set()
    unlisted: set[bytes] = set(search.unlisted_files)
    computed = asks_more = uses_time = stamped = False
    redefinitions, macros = zip(*map(redefined, search.macros), strict=True) if search.macros else ((), ())
    given = frozenset(filter(None, redefinitions))
    for text in (*texts, scan(b"\n".join(macros))):
        refusal = needs_local(
            text,
            knows_time=search.knows_time,
            knows_timestamps=True,
            knows_line_names=search.knows_line_names,
            given=given,
        )
        if refusal is not None:
            raise refusal
        included.update(name.spelled for name in text.includes)
        queried.update(name.spelled for name in text.queried)
        unlisted.update(text.line_names)
        computed = computed or text.computed_include
        asks_more = asks_more or text.computed_query
        uses_time = uses_time or bool(text.times - given - {STAMP})
        stamped = stamped or STAMP in text.times - given
    return WantedNames(
        frozenset(included),
        frozenset(queried),
        frozenset(unlisted),
        computed=computed,
        asks_more=asks_more,
        uses_time=uses_time,
        stamped=stamped,
    )
