"""The house rules that a machine can keep: imports go down, foreign libraries have one door, files stay small."""

import ast
import functools
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
PACKAGE = TOP / "securecc"

WORDS, RULES, FOREIGN, JOINING, PROCESS, PERSON = range(6)
NAMES = ("words", "pure rules", "one foreign thing each", "joining", "a process", "a person")

# Whole folders first; then the modules that stand elsewhere than their folder.
FOLDERS = {
    "words": WORDS,
    "wire": RULES,
    "compiler": RULES,
    "policy": RULES,
    "channel": JOINING,
    "client": JOINING,
    "server": JOINING,
    "cli": PERSON,
}
MODULES = {
    "channel.tls": FOREIGN,
    "channel.kerberos": FOREIGN,
    "client.agent": PROCESS,
    "server.front": PROCESS,
    "server.runner": PROCESS,
    "server.sandbox": FOREIGN,
    "server.seccomp": FOREIGN,
    "server.store": FOREIGN,
    "server.audit": FOREIGN,
    "server.audit_record": RULES,
    "server.audit_chain": RULES,
    "server.holdings": RULES,
    "server.layout": RULES,
    "compiler.toolchain": FOREIGN,
    "policy.groups": FOREIGN,
    "policy.files": FOREIGN,
    "policy.loading": JOINING,
    "policy.force": JOINING,
    "client.stamp": RULES,
    "client.errand": RULES,
    "client.errand_fields": RULES,
    "client.place": FOREIGN,
}
DOORS = {
    "OpenSSL": ({"channel.tls"}, "TLS has one door, so that one stub stands for it"),
    "cryptography": ({"channel.tls"}, "certificates are TLS's business"),
    "gssapi": ({"channel.kerberos"}, "Kerberos has one door, so that one stub stands for it"),
    "pyseccomp": ({"server.seccomp"}, "the filter is made in one place"),
    "yaml": ({"policy.yaml_nodes"}, "documents are read to the line and key in one place"),
}
APART = (
    ("client", "server", "the client's machine need not have the server's parts"),
    ("server", "client", "the server must never trust what the client made of a thing"),
    ("channel", "client", "both ends speak the same protocol"),
    ("channel", "server", "both ends speak the same protocol"),
)
LONGEST_FILE = 350
LONGEST_FUNCTION = 45


@functools.cache
def sources():
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name != "__init__.py"
    }


@functools.cache
def imports(module):
    """Own modules and foreign packages that this module names anywhere."""
    own, foreign = set(), set()
    for node in ast.walk(ast.parse(sources()[module].read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            whole = name.removeprefix("securecc.")
            if whole == name:
                foreign.add(name.partition(".")[0])
            else:
                own |= {candidate for candidate in (whole, whole.rpartition(".")[0]) if candidate in sources()}
    return own, foreign


def floor(module):
    return MODULES.get(module, FOLDERS[module.partition(".")[0]])


@pytest.mark.parametrize("module", sources())
def test_imports_go_down_only(module):
    upstairs = [other for other in imports(module)[0] if floor(other) > floor(module)]
    assert not upstairs, f"{module} ({NAMES[floor(module)]}) imports from above: {upstairs}"


@pytest.mark.parametrize("module", [name for name in sources() if floor(name) == FOREIGN])
def test_modules_of_one_foreign_thing_do_not_know_each_other(module):
    beside = [other for other in imports(module)[0] if floor(other) == FOREIGN]
    assert not beside, f"{module} imports {beside}: join them on the floor above"


@pytest.mark.parametrize("library", DOORS)
def test_a_foreign_library_has_one_door(library):
    door, reason = DOORS[library]
    importers = {module for module in sources() if library in imports(module)[1]}
    assert importers <= door, reason


@pytest.mark.parametrize(("one", "other", "reason"), APART)
def test_parts_that_stand_apart(one, other, reason):
    crossing = {
        (module, name)
        for module in sources()
        if module.startswith(f"{one}.")
        for name in imports(module)[0]
        if name.startswith(f"{other}.")
    }
    assert not crossing, reason


def test_rules_do_no_input_and_output():
    busy = {"asyncio", "socket", "subprocess", "select", "selectors", "signal"}
    found = {name: imports(name)[1] & busy for name in sources() if floor(name) <= RULES}
    assert not {name: names for name, names in found.items() if names}


def test_every_named_module_is_there():
    assert not set(MODULES) - set(sources())


@pytest.mark.parametrize("module", sources())
def test_files_and_functions_stay_small(module):
    text = sources()[module].read_text()
    assert text.count("\n") <= LONGEST_FILE
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert not [n.name for n in functions if n.end_lineno - n.lineno >= LONGEST_FUNCTION]
