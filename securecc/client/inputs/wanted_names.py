"""Which names the texts of a compile ask for, and what else in them decides whether it may leave this machine."""

from collections.abc import Iterable
from dataclasses import dataclass

from securecc.client.inputs.include_search import IncludeSearch
from securecc.compiler.source.directives import STAMP, Directives, needs_local, redefined, scan


@dataclass(frozen=True, slots=True)
class WantedNames:
    """`included` are the names of files that are read, `asked` of those that are asked for without including, `shown`
    the names in #line. `computed`: a macro names another one. `uses_time`: a text may use the time of day; `stamped`:
    one may use its own time of last change.
    """

    included: frozenset[bytes]
    asked: frozenset[bytes]
    shown: frozenset[bytes]
    computed: bool
    uses_time: bool
    stamped: bool


def wanted_names(texts: Iterable[Directives], search: IncludeSearch) -> WantedNames:
    """What these texts and the macros of the command line ask for.

    Raises:
        StaysLocal: a text asks for something that no server can answer like this machine.
    """
    included: set[bytes] = set(search.forced)
    asked: set[bytes] = set()
    shown: set[bytes] = set(search.shown)
    computed = uses_time = stamped = False
    redefinitions, macros = zip(*map(redefined, search.macros), strict=True) if search.macros else ((), ())
    given = frozenset(filter(None, redefinitions))
    for text in (*texts, scan(b"\n".join(macros))):
        refusal = needs_local(text, dated=search.dated, stamped=True, marked=search.marked, given=given)
        if refusal is not None:
            raise refusal
        included.update(name.spelled for name in text.includes)
        asked.update(name.spelled for name in text.asked)
        shown.update(text.shown)
        computed = computed or text.computed_include
        uses_time = uses_time or bool(text.times - given - {STAMP})
        stamped = stamped or STAMP in text.times - given
    return WantedNames(frozenset(included), frozenset(asked), frozenset(shown), computed, uses_time, stamped)
