"""The house rules that a machine can keep: imports go down, foreign libraries have one door, files stay small."""

import ast
import functools
from pathlib import Path

import pytest

from tests.house.circles import circles

TOP = Path(__file__).parents[2]
PACKAGE = TOP / "securecc"

WORDS, RULES, SYSTEM, FOREIGN, JOINING, PROCESS, PERSON = range(7)
NAMES = (
    "words",
    "pure rules",
    "system calls that all share",
    "one foreign thing each",
    "joining",
    "a process",
    "a person",
)

# Every module by name: whoever adds one says on which floor it stands.
HOUSE = {
    WORDS: {
        "model": "address digest documentation errors file_trust finding generational_cache grant limits manifest"
        " messages principal printable redaction service",
        "runner_protocol": "messages",
    },
    RULES: {
        "audit": "chain checkpoint settings verification",
        "audit.collectors": "destination",
        "audit.records": "daemon_events escaped_text job_events record",
        "audit.review": "anomalies summary",
        "channel": "channel connection_gate exchange known_sources pre_tls_buffer",
        "client.compile": "diagnostics failure",
        "client.inputs": "include_search special_files spelled_paths wanted_names",
        "client.inputs.caches": "interning mount_changes",
        "client.ipc": "fields frames",
        "client.state": "host_list journal_record",
        "compiler": "compile_key questions",
        "client.witness": "without_effect",
        "compiler.command_line": "arguments clang_frontend compile_plan environment languages option_table options"
        " outputs profile_data response_files specs_files",
        "compiler.source": "assembler_directives dependency_output directives",
        "compiler.toolchain": "closest_match closure gettext",
        "compiler.tree": "manifest_check path_rules symlinks",
        "config_file": "json_schema quantities section words yaml_nodes",
        "daemon": "config_document limits_section",
        "policy": "decision embedded_tests member_list model network review",
        "policy.document": "groups_section policy_document rules_section tests_section words",
        "sandbox": "machine_advice mount_plan",
        "server.blobs": "blob_index",
        "server.connections": "refusal_tally",
        "server.execution": "refusal",
        "server.jobs": "delivery_backlog principal_accounts token_bucket validation",
        "wire": "client_stages framing handshake proxy_protocol server_stages session",
    },
    SYSTEM: {
        "system": "atomic_file descriptors file_type peer_credentials stat_key",
    },
    FOREIGN: {
        "audit": "append_file signing",
        "audit.collectors": "collector_connection",
        "channel": "backpressure deadline kerberos tcp_options tls",
        "client": "spool",
        "client.compile": "argument_files",
        "client.doctor": "kdc_clock",
        "client.host": "digest_cache inotify local_slots local_time mount_table native_options",
        "client.inputs": "foreseen_paths path_walk",
        "client.inputs.caches": "directory_cache file_cache",
        "client.ipc": "agent_socket process_ancestry",
        "client.state": "journal redaction_patterns settings",
        "client.witness": "followed_paths",
        "compiler.toolchain": "catalogue_files closure_builder program_queries toolchain_list",
        "compiler.tree": "shared_tree",
        "daemon": "reloadable service_manager settings",
        "model": "heap",
        "policy": "files unix_groups",
        "runner": "config log output_scan pseudo_terminal witness_log",
        "runner_protocol": "packets",
        "sandbox": "cgroup landlock machine_probe namespaces process_tree sandbox seccomp tree_builder witness_library",
        "server.blobs": "blob_directory",
        "server.connections": "known_sources_file",
    },
    JOINING: {
        "audit": "log signed_log",
        "audit.collectors": "forwarder",
        "channel": "client_handshake dialer server server_handshake tls_channel tls_connection",
        "client.compile": "compiler_query invocation prepare request_handler resolve_inputs submission",
        "client.doctor": "checks",
        "client.execution": "accepted executor judged pipeline placed retried watched witnessed",
        "client.farm": "farm farm_registry received_result remote_job server server_connection",
        "client.host": "file_watch gcc_installations local_programs message_catalogues shared_trees system_directories"
        " terminal_types toolchain_cache wrapper_lists",
        "client.inputs": "assembler_inputs compile_inputs include_scanner input_set"
        " manifest_builder manifest_entries name_watch",
        "client.inputs.caches": "dependency_cache",
        "client.ipc": "launcher launcher_connection",
        "client.witness": "comparison local_answers question_memory witness",
        "client.state": "settings_cache",
        "compiler.toolchain": "clang discovery gcc wrapper_scripts",
        "daemon": "config_edit file_permissions privileges",
        "policy": "loading policy_in_force",
        "runner": "front_connection job job_stdio root toolchain_copies toolchain_probe tree_copies",
        "sandbox": "bubblewrap jail selection supervised_process",
        "server.blobs": "blob_files blob_store",
        "server.connections": "audit_events certificate client_connection connection_registry keytab listener",
        "server.execution": "audited authorised executor measured pipeline queued runner_client runner_pool"
        " toolchain_catalogue",
        "server.jobs": "fair_queue job_session result_delivery service upload",
    },
    PROCESS: {
        "client": "__main__ agent",
        "runner": "runner runner_service runner_spawner",
        "server": "front",
    },
    PERSON: {
        "cli": "masquerade policy printing secureccd securecctl stats toolchain why",
        "cli.audit": "command export follow key log_parts rows selection show summary trace verify",
        "cli.doctor": "client command server",
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
        {"audit.signing", "channel.tls"},
        "certificates are TLS's business, signatures the audit's",
    ),
    "gssapi": ({"channel.kerberos"}, "Kerberos has one door, so that one stub stands for it"),
    "re2": ({"model.redaction"}, "patterns are matched in one place"),
    "pyseccomp": ({"sandbox.seccomp"}, "the filter is made in one place"),
    "yaml": ({"config_file.yaml_nodes"}, "documents are read to the line and key in one place"),
}
APART = (
    ("client", "server", "the client's machine need not have the server's parts"),
    ("audit", "server", "who reads a log needs no server"),
    ("audit", "client", "who reads a log needs no client"),
    ("client", "audit", "the audit is the server's"),
    ("server", "client", "the server must never trust what the client made of a thing"),
    ("server", "runner", "front and runner share runner_protocol, and nothing of each other's"),
    ("runner", "server", "front and runner share runner_protocol, and nothing of each other's"),
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
def sources() -> dict[str, Path]:
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name != "__init__.py"
    }


@functools.cache
def imports(module: str) -> tuple[set[str], set[str]]:
    """Own modules and foreign packages that this module names anywhere."""
    own: set[str] = set()
    foreign: set[str] = set()
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


def floor(module: str) -> int:
    """Whoever has none yet may import all, and be imported by persons only."""
    return FLOOR.get(module, PERSON)


@pytest.mark.parametrize("module", sources())
def test_imports_go_down_only(module: str) -> None:
    upstairs = [other for other in imports(module)[0] if floor(other) > floor(module)]
    assert not upstairs, f"{module} ({NAMES[floor(module)]}) imports from above: {upstairs}"


def test_no_imports_go_in_a_circle() -> None:
    found = circles({module: imports(module)[0] for module in sources()})
    assert not found, "where two need each other, a third holds what both need"


@pytest.mark.parametrize("module", [name for name in sources() if floor(name) == FOREIGN])
def test_modules_of_one_foreign_thing_do_not_know_each_other(module: str) -> None:
    beside = [other for other in imports(module)[0] if floor(other) == FOREIGN]
    assert not beside, f"{module} imports {beside}: join them on the floor above"


@pytest.mark.parametrize("library", DOORS)
def test_a_foreign_library_has_one_door(library: str) -> None:
    door, reason = DOORS[library]
    importers = {module for module in sources() if library in imports(module)[1]}
    assert importers <= door, reason


@pytest.mark.parametrize(("one", "other", "reason"), APART)
def test_parts_that_stand_apart(one: str, other: str, reason: str) -> None:
    crossing = {
        (module, name)
        for module in sources()
        if module.startswith(f"{one}.")
        for name in imports(module)[0]
        if name.startswith(f"{other}.")
    }
    assert not crossing, reason


def test_rules_do_no_input_and_output() -> None:
    busy = {"asyncio", "ctypes", "fcntl", "select", "selectors", "signal", "shutil", "socket", "subprocess", "tempfile"}
    found = {name: imports(name)[1] & busy for name in sources() if floor(name) <= RULES}
    assert not {name: names for name, names in found.items() if names}


def test_every_module_has_its_floor_and_every_name_a_module() -> None:
    assert set(FLOOR) == set(sources())
    assert len(FLOOR) == sum(len(names.split()) for folders in HOUSE.values() for names in folders.values())


def functions(module: str) -> list[tuple[str, int]]:
    """(name, lines) of each."""
    tree = ast.parse(sources()[module].read_text())
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [(node.name, (node.end_lineno or 0) - node.lineno + 1) for node in found]


@pytest.mark.parametrize("module", sources())
def test_files_and_functions_stay_small(module: str) -> None:
    assert sources()[module].read_text().count("\n") <= LONGEST_FILE
    assert not [(name, lines) for name, lines in functions(module) if lines > LONGEST_FUNCTION]


def test_most_functions_are_seen_at_one_glance() -> None:
    lengths = sorted(lines for module in sources() for _, lines in functions(module))
    assert lengths[len(lengths) // 2] <= MEDIAN_FUNCTION
    assert lengths[len(lengths) * 9 // 10] <= NINE_OF_TEN_FUNCTIONS
