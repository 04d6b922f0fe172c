"""Calls and includes of the programs in C go down only, and in no circle."""

import functools
import re
from pathlib import Path

import pytest

from tests.house.circles import circles

PACKAGE = Path(__file__).parents[2] / "securecc"

VALUES, BASIS, PARTS, JOINING, DECISIONS, PROGRAM = range(6)
NAMES = ("values", "basis", "one thing each", "joining", "decisions", "a program")

# Every source by name, a header with the source of its name: whoever adds one says on which floor it stands.
HOUSE = {
    "client/launcher": {
        VALUES: "compile exit_status launcher_limits",
        BASIS: "report descriptors",
        PARTS: "agent/frame agent/agent_socket compiler/child compiler/outputs compiler/recursion compiler/search",
        JOINING: "agent/agent_connection agent/agent_start agent/replies agent/request compiler/capture compiler/input"
        " signals",
        DECISIONS: "commands fallback",
        PROGRAM: "main",
    },
    "sandbox/witness": {
        VALUES: "kernel",
        BASIS: "libc",
        PARTS: "log",
        JOINING: "directories files links programs surroundings temporary variables",
    },
    "sandbox/jail": {BASIS: "failure", PARTS: "number restriction", PROGRAM: "confine jail"},
}
FLOOR = {
    f"{folder}/{name}": floor
    for folder, floors in HOUSE.items()
    for floor, names in floors.items()
    for name in names.split()
}
_NO_CODE = re.compile(r'/\*.*?\*/|"(?:[^"\\\n]|\\.)*"|^#.*?$', re.DOTALL | re.MULTILINE)
_DEFINITION = re.compile(r"^(static )?[a-z_][\w *]*?\b(\w+)\([^;{]*\)\n\{", re.MULTILINE)  # as the house writes them


@functools.cache
def sources() -> dict[str, tuple[Path, ...]]:
    """Source and header of each name."""
    found: dict[str, tuple[Path, ...]] = {}
    for path in sorted(path for folder in HOUSE for path in (PACKAGE / folder).rglob("*.[ch]")):
        name = path.relative_to(PACKAGE).with_suffix("").as_posix()
        found[name] = (*found.get(name, ()), path)
    return found


@functools.cache
def functions(name: str) -> tuple[frozenset[str], frozenset[str]]:
    """The names of the functions defined there: for others, and for itself."""
    shared: set[str] = set()
    own: set[str] = set()
    for path in sources()[name]:
        for static, function in _DEFINITION.findall(_NO_CODE.sub("", path.read_text())):
            (own if static else shared).add(function)
    return frozenset(shared), frozenset(own)


@functools.cache
def needs(name: str) -> frozenset[str]:
    """The sources of the same program whose headers are included or whose functions are used there."""
    folder = next(folder for folder in HOUSE if name.startswith(f"{folder}/"))
    text = "".join(path.read_text() for path in sources()[name])
    included = {f"{folder}/{header}" for header in re.findall(r'^#include "(.*)\.h"', text, re.MULTILINE)}
    words = set(re.findall(r"\w+", _NO_CODE.sub("", text))) - functions(name)[1]
    used = {other for other in sources() if other.startswith(f"{folder}/") and words & (functions(other)[0] - {"main"})}
    return frozenset((included | used) - {name})


@pytest.mark.parametrize("name", sources())
def test_calls_and_includes_go_down_only(name: str) -> None:
    upstairs = [other for other in needs(name) if FLOOR[other] > FLOOR[name]]
    assert not upstairs, f"{name} ({NAMES[FLOOR[name]]}) needs what is above it: {upstairs}"


@pytest.mark.parametrize("name", [name for name in sources() if FLOOR.get(name) == PARTS])
def test_parts_do_not_know_each_other(name: str) -> None:
    beside = [other for other in needs(name) if FLOOR[other] == PARTS]
    assert not beside, f"{name} needs {beside}: join them on the floor above"


def test_nothing_goes_in_a_circle() -> None:
    assert not circles({name: needs(name) for name in sources()})


def test_every_source_has_its_floor() -> None:
    assert set(FLOOR) == set(sources())


def test_definitions_and_calls_are_found() -> None:
    """What the tests above rest on."""
    assert functions("client/launcher/compiler/child")[0] >= {"child_start", "child_wait", "child_kill"}
    assert "overridden" in functions("client/launcher/compiler/child")[1]
    assert "client/launcher/compiler/outputs" in needs("client/launcher/signals")
    assert "sandbox/jail/failure" in needs("sandbox/jail/number")
