"""The house rules that a machine can keep: imports go down, foreign libraries have one door, files stay small."""

import ast
import functools
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
PACKAGE = TOP / "securecc"

WORDS, RULES, FOREIGN, JOINING, PROCESS, PERSON = range(6)
NAMES = ("words", "pure rules", "one foreign thing each", "joining", "a process", "a person")

# Every module by name: whoever adds one says on which floor it stands.
HOUSE = {
    WORDS: {
        "words": "address digest errors finding grant limits manifest messages ownership plain principal redaction"
        " work",
    },
    RULES: {
        "wire": "framing handshake proxy session",
        "compiler": "arguments assembly closure cmdline dependencies directives environment frontend gettext languages"
        " nearest option_table options outputs paths profiles questions response specs territory",
        "policy": "decision document document_groups document_rules document_tests embedded_tests fields members model"
        " network quantities review yaml_nodes",
        "channel": "gate known preface",
        "client": "errand errand_fields recent shared special stamp",
        "audit": "chain checkpoint destination events jobs record settings summary text unusual verification",
        "sandbox": "examination layout",
        "server": "accounts bounds bucket holdings reading strangers undelivered",
    },
    FOREIGN: {
        "words": "heap",
        "compiler": "asking catalogues collection layer ledger",
        "policy": "files groups",
        "channel": "deadline kerberos room tcp tls",
        "audit": "sending signing storage",
        "client": "clock crossing fingerprint inotify journal kdc_clock lineage listing local_slots look mounts"
        " patterns place processor response_files settings",
        "sandbox": "cgroup jailer landlock machine scratch seccomp tree",
        "runner": "courier harvest terminal",
        "server": "blob_folder known_file renewed settings supervisor",
    },
    JOINING: {
        "audit": "log posting trail",
        "compiler": "clang gcc toolchain wrapping",
        "policy": "force loading",
        "channel": "channel link reception transport",
        "client": "asked assembled attendance caller compile conversation diagnosis farm farms inputs layers locales"
        " order preferences questions reach recollection scene submission terminals toolchains vigil watch wrappers",
        "sandbox": "bubblewrap jail jailers",
        "runner": "job layers probe shelf stdio",
        "server": "accounting admission amending attendant channels custody delivery dispatch executor keytab"
        " certificate listening offering pipeline store visit",
    },
    PROCESS: {
        "client": "__main__ agent",
        "runner": "nursery runner service",
        "server": "front",
    },
    PERSON: {
        "cli.audit": "command export follow key parts rows selection show summary trace verify",
        "cli.doctor": "client command server",
        "cli": "masquerade policy printing secureccd securecctl stats toolchain why",
    },
}
FLOOR = {
    f"{folder}.{name}": floor
    for floor, folders in HOUSE.items()
    for folder, names in folders.items()
    for name in names.split()
}
DOORS = {
    "OpenSSL": ({"channel.tls"}, "TLS has one door, so that one stub stands for it"),
    "cryptography": (
        {"audit.signing", "channel.tls", "words.digest"},
        "certificates are TLS's business, signatures the audit's, and SHA-256 is everybody's",
    ),
    "gssapi": ({"channel.kerberos"}, "Kerberos has one door, so that one stub stands for it"),
    "re2": ({"words.redaction"}, "patterns are matched in one place"),
    "pyseccomp": ({"sandbox.seccomp"}, "the filter is made in one place"),
    "yaml": ({"policy.yaml_nodes"}, "documents are read to the line and key in one place"),
}
APART = (
    ("client", "server", "the client's machine need not have the server's parts"),
    ("audit", "server", "who reads a log needs no server"),
    ("audit", "client", "who reads a log needs no client"),
    ("client", "audit", "the audit is the server's"),
    ("server", "client", "the server must never trust what the client made of a thing"),
    ("server", "sandbox", "who speaks with strangers makes no walls"),
    ("sandbox", "server", "walls ask nobody"),
    ("sandbox", "runner", "walls ask nobody"),
    ("sandbox", "client", "walls ask nobody"),
    ("runner", "client", "the server must never trust what the client made of a thing"),
    ("runner", "channel", "who runs compilers speaks with no stranger"),
    ("runner", "policy", "who runs compilers decides nothing"),
    ("client", "sandbox", "the client's machine need not have the server's parts"),
    ("client", "runner", "the client's machine need not have the server's parts"),
    ("channel", "client", "both ends speak the same protocol"),
    ("channel", "server", "both ends speak the same protocol"),
)
LONGEST_FILE = 350
LONGEST_FUNCTION = 45
NINE_OF_TEN_FUNCTIONS = 30
MEDIAN_FUNCTION = 8


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
    """Whoever has none yet may import all, and be imported by persons only."""
    return FLOOR.get(module, PERSON)


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
    busy = {"asyncio", "ctypes", "fcntl", "select", "selectors", "signal", "shutil", "socket", "subprocess", "tempfile"}
    found = {name: imports(name)[1] & busy for name in sources() if floor(name) <= RULES}
    assert not {name: names for name, names in found.items() if names}


def test_every_module_has_its_floor_and_every_name_a_module():
    assert set(FLOOR) == set(sources())
    assert len(FLOOR) == sum(len(names.split()) for folders in HOUSE.values() for names in folders.values())


def functions(module):
    """(name, lines) of each."""
    tree = ast.parse(sources()[module].read_text())
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [(node.name, node.end_lineno - node.lineno + 1) for node in found]


@pytest.mark.parametrize("module", sources())
def test_files_and_functions_stay_small(module):
    assert sources()[module].read_text().count("\n") <= LONGEST_FILE
    assert not [(name, lines) for name, lines in functions(module) if lines > LONGEST_FUNCTION]


def test_most_functions_are_seen_at_one_glance():
    lengths = sorted(lines for module in sources() for _, lines in functions(module))
    assert lengths[len(lengths) // 2] <= MEDIAN_FUNCTION
    assert lengths[len(lengths) * 9 // 10] <= NINE_OF_TEN_FUNCTIONS
