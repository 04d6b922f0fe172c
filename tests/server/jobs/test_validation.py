"""What a client submits, read by the server itself."""

import contextlib
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.model import limits, manifest
from securecc.model.errors import PathError, Refused
from securecc.model.manifest import Entry, Kind, Manifest
from securecc.model.messages import SharedTree
from securecc.server.jobs.validation import ManifestCache, validate
from tests.server.frontside import CWD, ENTRIES, GCC, SOURCE, file_entry, packed, submit

READS_INPUT = (b"/usr/bin/gcc", b"-x", b"c", b"-c", b"-", b"-o", b"a.o")


def read_submit(entries: Any = ENTRIES, **changes: Any) -> Any:
    return validate(submit(entries=entries, **changes), GCC, Manifest(tuple(entries)))


def test_a_compile_is_read_whole() -> None:
    found = read_submit()
    assert (found.plan.source, found.plan.output) == (b"a.c", b"a.o")
    assert found.environment == {b"LC_ALL": b"C", b"PATH": b"/usr/bin:/bin"}
    assert (found.toolchain.name, found.toolchain.digest) == (GCC.name, GCC.digest)
    assert found.manifest.source == sum(entry.size for entry in ENTRIES)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (b"/usr/bin/clang", b"-c", b"a.c"),
        (b"gcc", b"-c", b"a.c"),
        (b"/home/alice/gcc", b"-c", b"a.c"),
        (b"/usr/bin/gcc", b"-c", b"a.c", b"-wrapper", b"/bin/sh,-c,id"),
        (b"/usr/bin/gcc", b"-c", b"a.c", b"-B", b"/home/alice"),
        (b"/usr/bin/gcc", b"-c", b"a.c", b"-specs=x"),
        (b"/usr/bin/gcc", b"-c", b"a.c", b"@more"),
        (b"/usr/bin/gcc", b"a.c", b"-o", b"a"),
        (b"/usr/bin/gcc", b"-c", b"a.c", b"-no-such-option"),
    ],
)
def test_commands_that_may_not_run_are_refused_as_such(arguments: Any) -> None:
    with pytest.raises(Refused) as refused:
        read_submit(arguments=arguments)
    assert refused.value.code == "option"


@pytest.mark.parametrize("name", [b"LD_PRELOAD", b"GCC_EXEC_PREFIX", b"PATH", b"COMPILER_PATH", b"HOME"])
def test_an_environment_that_chooses_programs_is_refused(name: Any) -> None:
    with pytest.raises(Refused) as refused:
        read_submit(environment={name: b"/home/alice"})
    assert refused.value.code == "option"


@pytest.mark.parametrize(
    ("entries", "changes"),
    [
        ((file_entry(b"/usr/bin/as", SOURCE),), {}),
        ((file_entry(manifest.INPUT, SOURCE), *ENTRIES), {}),
        (ENTRIES, {"arguments": READS_INPUT}),
        ((file_entry(b"/usr/lib/gcc/x86_64-linux-gnu/12/specs", SOURCE),), {}),
        ((file_entry(b"/etc/passwd", SOURCE),), {}),
        ((file_entry(b"/home/../etc/passwd", SOURCE),), {}),
        ((Entry(b"/home/x", Kind.LINK, b"/etc"),), {}),
        (ENTRIES, {"cwd": b"/usr/bin"}),
        (ENTRIES, {"cwd": b"relative"}),
        (ENTRIES, {"arguments": (b"/usr/bin/gcc", b"-c", b"a.c", b"-o", b"/usr/bin/as")}),
        (ENTRIES, {"arguments": (b"/usr/bin/gcc", b"-c", b"a.c", b"-o", b"a.h")}),
    ],
)
def test_trees_that_must_not_be_built_are_refused_as_such(entries: Any, changes: Any) -> None:
    with pytest.raises(Refused) as refused:
        read_submit(entries, **changes)
    assert refused.value.code == "tree"


def test_standard_input_is_a_source() -> None:
    found = read_submit((file_entry(manifest.INPUT, SOURCE), *ENTRIES), arguments=READS_INPUT)
    assert found.plan.source == b"-"
    assert found.manifest.entries[0].path == manifest.INPUT


SITE = SharedTree(b"/opt/site", b"s" * 32)
SHARED_TREES = (SITE, SharedTree(b"/usr/include", b"i" * 32))


def with_shared_trees(*shared_trees: Any) -> Any:
    return sorted(
        [*ENTRIES, *(Entry(named.path, Kind.SHARED_TREE, named.digest) for named in shared_trees)], key=lambda e: e.path
    )


def test_shared_trees_that_are_offered_stand_for_their_files() -> None:
    entries = tuple(with_shared_trees(*SHARED_TREES))
    found = validate(submit(entries=entries), GCC, Manifest(entries), set(SHARED_TREES))
    assert [entry.path for entry in found.manifest.shared_trees] == [b"/opt/site", b"/usr/include"]


@pytest.mark.parametrize(
    "named",
    [
        SharedTree(b"/opt/site", b"i" * 32),
        SharedTree(b"/opt/site", b"x" * 32),
        SharedTree(b"/opt/other\xff", b"s" * 32),
        SharedTree(b"/opt/site/sub", b"s" * 32),
    ],
)
def test_shared_trees_that_are_not_or_not_there_are_refused_as_such(named: Any) -> None:
    for known in (SHARED_TREES, ()):
        with pytest.raises(Refused, match="no shared tree") as refused:
            validate(submit(), GCC, Manifest(tuple(with_shared_trees(named))), known)
        assert refused.value.code == "layer"
        assert refused.value.message.isprintable()


def test_a_shared_tree_where_none_may_stand_is_a_bad_tree_even_if_it_is_offered() -> None:
    programs = SharedTree(b"/usr/bin", b"b" * 32)
    with pytest.raises(Refused) as refused:
        validate(submit(), GCC, Manifest(tuple(with_shared_trees(programs))), [programs])
    assert refused.value.code == "tree"


def test_a_manifest_is_known_once_it_was_sent() -> None:
    known = ManifestCache()
    digest, compressed = packed(ENTRIES)
    assert known.get(digest) is None
    assert known.put(digest, compressed).entries == ENTRIES
    again = known.get(digest)
    assert again is not None
    assert again.entries == ENTRIES


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no zstd",
        zstandard.compress(b"no manifest"),
        zstandard.compress(manifest.encode(Manifest(ENTRIES)))[:-9],
        zstandard.ZstdCompressor(write_content_size=False).compress(manifest.encode(Manifest(ENTRIES))),
        zstandard.compress(bytes(limits.FRAME_CONTROL + 1)),  # a bomb says how large it is
        zstandard.compress(manifest.encode(Manifest(ENTRIES[:1]))),
    ],
)
def test_what_is_not_the_named_manifest_is_refused(data: bytes) -> None:
    digest, _ = packed(ENTRIES)
    known = ManifestCache()
    with pytest.raises(PathError):
        known.put(digest, data)
    assert known.get(digest) is None


def test_a_bomb_that_lies_about_its_size_is_refused() -> None:
    bomb = bytearray(zstandard.compress(bytes(limits.FRAME_CONTROL * 4)))
    parameters = zstandard.get_frame_parameters(bytes(bomb))
    at = bomb.index(parameters.content_size.to_bytes(4, "little"))
    bomb[at : at + 4] = (100).to_bytes(4, "little")
    with pytest.raises(PathError):
        ManifestCache().put(b"", bytes(bomb))


def test_well_packed_nonsense_under_its_own_name_is_no_manifest() -> None:
    with pytest.raises(PathError):
        ManifestCache().put(manifest.digest(b"nonsense"), zstandard.compress(b"nonsense"))


def numbered(number: int) -> Any:
    return packed([file_entry(b"/f%d" % number, SOURCE)])


def test_the_least_recently_used_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MANIFESTS", 2)
    known = ManifestCache()
    sent = [numbered(number) for number in range(3)]
    known.put(*sent[0])
    known.put(*sent[1])
    known.get(sent[0][0])
    known.put(*sent[2])
    assert [known.get(digest) is not None for digest, _ in sent] == [True, False, True]


@settings(max_examples=40)
@given(st.lists(st.integers(0, 9), max_size=30), st.integers(0, 400))
def test_what_is_kept_stays_within_its_bytes(numbers: Any, most: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "MANIFEST_BYTES", most)
        told: list[int] = []
        known = ManifestCache(told.append)
        for number in numbers:
            known.put(*numbered(number))
            assert known.size == sum(told) <= most
        known.clear()
        assert known.size == sum(told) == 0


@settings(max_examples=100)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_a_manifest_or_a_path_error(data: bytes, packed_first: Any) -> None:
    sent = zstandard.compress(data) if packed_first else data
    with contextlib.suppress(PathError):
        ManifestCache().put(manifest.digest(data), sent)


words = st.sampled_from(
    [b"/usr/bin/gcc", b"-c", b"a.c", b"-o", b"a.o", b"-I", b"..", b"-MD", b"-MF", b"/etc/x", b"@f", b"", b"-x", b"\xff"]
)
places = st.sampled_from([CWD, b"/", b"", b"/etc", b"/usr/bin", b"/home/\n", b"/a/../b"])


@settings(max_examples=150)
@given(st.lists(words, max_size=8).map(tuple), places, st.dictionaries(words, words, max_size=2))
def test_any_submission_is_read_or_refused(arguments: Any, cwd: Any, environment: Any) -> None:
    try:
        found = read_submit(arguments=arguments, cwd=cwd, environment=environment)
    except Refused as refused:
        code = refused.code
    else:
        code = ""
        assert found.plan.arguments[0] == b"/usr/bin/gcc"
        assert not found.plan.output.startswith(b"/etc")
    assert code in {"", "option", "tree", "limit"}
