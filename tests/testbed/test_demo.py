"""What `make demo` promises by its exit status, shown by outcomes that are not as promised. (The whole of it is run by
`make demo`.)
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "builds"))
sys.path.insert(0, str(Path(__file__).parents[2] / "demo"))

from fetching import BuildFailed

import demo

OBJECTS = {f"{number}.o": f"digest {number}" for number in range(100)}
WELL = demo.Outcome(compiles=100, made_there=OBJECTS, objects=OBJECTS, reference=OBJECTS)


def some(count: int) -> dict[str, str]:
    return dict(list(OBJECTS.items())[:count])


def test_all_through_the_server_and_all_alike_is_as_promised() -> None:
    assert WELL.is_as_promised
    assert (WELL.through, WELL.share, WELL.differ) == (100, 1.0, ())


@pytest.mark.parametrize(("count", "promised"), [(89, False), (90, True), (0, False)])
def test_nine_tenths_have_to_go_through_the_server(count: int, promised: bool) -> None:
    outcome = replace(WELL, made_there=some(count))
    assert outcome.through == count
    assert outcome.is_as_promised == promised


@pytest.mark.parametrize(
    "objects",
    [{**OBJECTS, "7.o": "other bytes"}, some(99), {**OBJECTS, "more.o": "digest"}, {}],
    ids=["another", "missing", "one too many", "none"],
)
def test_one_object_that_is_not_the_local_builds_is_enough(objects: dict[str, str]) -> None:
    outcome = replace(WELL, objects=objects, made_there={**some(98), **objects})
    assert outcome.differ
    assert not outcome.is_as_promised


def test_a_make_that_compiles_nothing_promises_nothing() -> None:
    assert not demo.Outcome(0, {}, {}, {}).is_as_promised
    assert not demo.Outcome(0, {}, OBJECTS, OBJECTS).is_as_promised


def test_a_result_that_was_not_taken_did_not_go_through_the_server() -> None:
    """The server made something else, and the object is that of the local run that judged."""
    refused = {path: f"not {digest}" for path, digest in some(20).items()}
    outcome = replace(WELL, made_there={**OBJECTS, **refused})
    assert (outcome.through, outcome.is_as_promised) == (80, False)


def test_what_the_server_made_is_what_its_audit_says_of_this_tree(tmp_path: Path) -> None:
    outputs = [
        {"path": f"{tmp_path}/a/b.o", "sha256": "1"},
        {"path": f"{tmp_path}/a/b.d", "sha256": "2"},
        {"path": "/elsewhere/c.o", "sha256": "3"},
    ]
    assert demo._made_by([{"outputs": outputs}, {"outputs": []}], tmp_path) == {"a/b.o": "1"}


SAID = "libtool: compile:  securecc gcc -DX -c a.c -o a.o\nsecurecc gcc -O2 -c b.c\nlibtool: link: gcc a.o b.o\n"


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Runs what stands in the test bed, where alice's build ends with these objects and records."""

    def run(objects: dict[str, str], records: list[Callable[[Path], dict[str, object]]]) -> int:
        tree = tmp_path / "tree"
        tree.mkdir()
        for name, text in objects.items():
            (tree / name).write_text(text)
        monkeypatch.setattr(demo, "_TREE", tree)
        monkeypatch.setattr(demo, "_REFERENCE", tmp_path)
        (tmp_path / "server1").mkdir()
        lines = [{"kind": "job-end", "principal": "alice@EXAMPLE.COM", **record(tree)} for record in records]
        (tmp_path / "server1/audit.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        monkeypatch.setenv("SECURECC_TESTENV", str(tmp_path))
        monkeypatch.setenv("SECURECC_HOSTS", "localhost:1")
        monkeypatch.setattr(demo, "run", lambda *words, **_: "")
        monkeypatch.setattr(demo, "_build", lambda *_: demo.Build(0.0, 1.0, SAID))
        for later in ("_deny_mallory", "_show_audit", "_answer"):
            monkeypatch.setattr(demo, later, lambda: None)
        return demo.main(["--inside", "archive"])

    alike = {"a.o": "a", "b.o": "b"}
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in alike.items()}
    (tmp_path / "reference.json").write_text(json.dumps({"make_s": 1.0, "objects": digests}))
    made = [
        lambda tree, name=name: {
            "time": "2999-01-01T00:00:00Z",
            "exit": 0,
            "usage": {"wall_s": 0.1},
            "outputs": [{"path": f"{tree}/{name}", "sha256": digests[name]}],
        }
        for name in alike
    ]
    return SimpleNamespace(run=run, alike=alike, made=made)


def test_the_status_is_0_when_all_is_well(inside: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    assert inside.run(inside.alike, inside.made) == 0
    said = capsys.readouterr().out
    assert "2 (100%), for alice@EXAMPLE.COM" in said
    assert "2 of 2, byte for byte" in said
    assert said.endswith("as promised\n")


def test_the_status_is_1_when_half_stayed_here(inside: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    assert inside.run(inside.alike, inside.made[:1]) == 1
    assert "1 (50%)" in capsys.readouterr().out


def test_the_status_is_1_when_an_object_differs_and_it_is_named(
    inside: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert inside.run({**inside.alike, "b.o": "another"}, inside.made) == 1
    assert "DIFFERS: b.o" in capsys.readouterr().out


@pytest.mark.parametrize("ended", [[], [{"kind": "job-end", "principal": "mallory@EXAMPLE.COM"}]])
def test_a_mallory_who_compiles_on_the_server_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: list[dict[str, str]]
) -> None:
    monkeypatch.setenv("SECURECC_TESTENV", str(tmp_path))
    monkeypatch.setattr(demo, "_WORK", tmp_path)
    (tmp_path / "server1").mkdir()
    (tmp_path / "server1/audit.jsonl").write_text("".join(json.dumps(record) + "\n" for record in ended))

    def run(*words: str, **_: object) -> str:
        if words[0] == "securecc":
            (tmp_path / "mallory.o").write_text("made here")
        return ""

    monkeypatch.setattr(demo, "run", run)
    status = 0 if not ended else 113
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=status, stderr=""))
    with pytest.raises(BuildFailed, match="ran on the server"):
        demo._deny_mallory()


def test_a_step_that_fails_is_shown_and_the_status_is_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> None:
        raise BuildFailed("make ended with status 2:\nno rule")

    monkeypatch.setattr(demo, "_outside", fails)
    assert demo.main([]) == 1
    assert "no rule" in capsys.readouterr().out


def test_the_test_beds_status_is_the_demos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_REFERENCE", tmp_path / "reference")
    monkeypatch.setattr(demo, "_TREE", tmp_path / "tree")
    monkeypatch.setattr(demo, "_alone", lambda: 0)
    monkeypatch.setattr(demo, "archive", lambda *_: Path("archive"))
    monkeypatch.setattr(demo, "_build", lambda *_: demo.Build(0.0, 0.0, ""))
    for status in (0, 1, 125):
        done: subprocess.CompletedProcess[str] = subprocess.CompletedProcess([], status)
        monkeypatch.setattr(subprocess, "run", lambda *_, done=done, **__: done)
        assert demo.main([]) == status
