"""No command prints what a terminal acts upon, whatever stands in the files that it reads and in its own arguments."""

import contextlib
import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from securecc.cli import securecctl
from securecc.cli.doctor import server
from securecc.client.state import journal_record
from securecc.compiler.toolchain import toolchain_list
from securecc.model.messages import Description, Part

NASTY = "\x1b[2J\x9b31m\x07\r\x00\u202e\u2028\x7f\n"


def name_of(text: str) -> str:
    """Fit for a file's name."""
    return "x" + os.fsdecode(os.fsencode(text.replace("/", "").replace("\0", ""))[:60])


def log_of(folder: Path, text: str) -> Path:
    kinds = ("connection", "job-refused", "job-start", "job-end", "daemon", "strangers", "checkpoint", "repair", text)
    keys = (
        "time", "principal", "peer", "rule", "reason", "code", "toolchain", "cwd", "outcome", "event", "detail",
        "source", "problem", "host", "key", "version", "policy", "minute", "input_sha256", "reference",
    )  # fmt: skip
    fields = dict.fromkeys(keys, text)
    lists = {"arguments": [text], "sandbox": [text], "outputs": [{"path": text, "sha256": "a" * 64, "size": text}]}
    mixed = {"counts": {text: 1}, "usage": {"wall_s": text}, "seq": text, "layers_sha256": [text]}
    lines = [json.dumps({**fields, **lists, **mixed, "kind": kind}).encode() for kind in kinds]
    lines += [json.dumps({**fields, "time": "2999-01-01T00:00:00Z", "kind": "connection"}).encode()]
    path = folder / name_of(text)
    path.write_bytes(b"\n".join([*lines, text.encode("utf-8", "surrogateescape"), b'{"kind":"job-end"}\n']))
    return path


def audit(folder: Path, text: str) -> Iterator[Any]:
    log = str(log_of(folder, text))
    yield from (["show", log], ["show", log, "--format", "json"], ["summary", log], ["verify", log])
    yield from (["export", log, "--format", "csv"], ["export", log, "--format", "json"])
    yield from (["trace", "a" * 64, log], ["trace", text, log], ["trace", "a" * 64, log, "--format", "json"])
    yield from (["show", log, "--since", text], ["verify", log, "--key", text], ["verify", log, "--head", text])
    yield from (["key", "--config", log], ["summary", log, "--zone", text], ["verify", log, "--anchor", log])


def policy(folder: Path, text: str) -> Iterator[Any]:
    path = folder / name_of(text)
    said = json.dumps(text)
    path.write_text(f"version: 1\nrules:\n  - name: {said}\n    who: [{said}]\n", errors="surrogateescape")
    path.chmod(0o600)
    yield from (["check", str(path)], ["explain", str(path), text, "10.0.0.1"])
    path.write_text("version: 1\nrules: []\n")
    yield from (["explain", str(path), "alice@EXAMPLE.COM", text], ["check", str(path)])
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    yield ["check", str(path)]


def record_of(folder: Path, text: str) -> str:
    told = journal_record.JournalRecord(
        since=1.0,
        servers={text: journal_record.ServerTotals(1, 2, 3, 4.0, 5.0)},
        reasons={text: journal_record.ReasonTotals(1, 2.0, (journal_record.LocalCompile(1.0, text, text),))},
        disagreements=(journal_record.Disagreement(1.0, text, (text,), 1, text),),
    )
    path = folder / name_of(text)
    path.write_text(json.dumps(msgspec.to_builtins(told)))
    return str(path)


def stats(folder: Path, text: str) -> Iterator[Any]:
    file = record_of(folder, text)
    yield from (["--file", file], ["--file", file, "--format", "json"], [text])


def why(folder: Path, text: str) -> Iterator[Any]:
    file = record_of(folder, text)
    yield from (["--file", file], ["--file", file, "--format", "json"], ["--file", file, "--since", text])


def toolchain(folder: Path, text: str) -> Iterator[Any]:
    state = folder / "state" / "securecc"
    state.mkdir(parents=True)
    raw = text.encode("utf-8", "surrogateescape")
    shown = raw.decode("utf-8", "replace")
    known = toolchain_list.KnownToolchain(
        b"d" * 32, (raw,), Description(shown, shown, shown, shown, (Part(raw, b"1"),))
    )
    toolchain_list.write(state / "toolchains.json", [known])
    for format_of in ([], ["--format", "json"]):
        yield from (["list", "--client", *format_of], ["show", shown, "--client", *format_of])
    yield from (["verify", "--client"], ["show", text, "--client"], ["list", "--config", text])
    yield ["add", text or "x", "--print", "--client"]


def masquerade(folder: Path, text: str) -> Iterator[Any]:
    links = folder / name_of(text)
    yield from (["install", str(links), "--compilers", text], ["list", str(links)], ["remove", str(links)])


def doctor(folder: Path, text: str) -> Iterator[Any]:
    path = folder / name_of(text)
    paths = ("keytab", "policy", "audit", "state", "scratch", text)
    path.write_text("".join(f"{json.dumps(key)}: {json.dumps('/' + text)}\n" for key in paths))
    yield from (["--server", "--config", str(path)], ["--server", "--config", text])
    path.write_text("".join(f"{key}: {json.dumps('/' + text.replace(chr(0), ''))}\n" for key in paths[:5]))
    with mock.patch.object(server, "_compilers", return_value=[]):  # starts a runner, which takes seconds
        yield from (["--server", "--config", str(path)], ["--server", "--config", str(path), "--format", "json"])
    yield from (["--format", text], [text or "x", "--format", "json"])


SCENES = {scene.__name__: scene for scene in (audit, doctor, policy, stats, why, toolchain, masquerade)}


def printed(*arguments: Any) -> str:
    """All that a command prints; it ends by itself."""
    said = io.StringIO(newline="")
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), contextlib.suppress(SystemExit):
        securecctl.main([argument.replace("\0", "") for argument in arguments])  # as execve(2) gives them
    return said.getvalue()


def test_every_command_has_its_scene() -> None:
    assert set(SCENES) == set(securecctl.present()), "say here which files of others the new command prints from"


ODD = st.text(st.sampled_from(NASTY + "aA1/. \u00e4\udcff\"'{}[]:-"), max_size=12)


@pytest.mark.parametrize("command", SCENES)
@settings(max_examples=20)
@given(text=ODD)
@example(text=NASTY)
@example(text="-" + NASTY)
def test_no_command_prints_what_a_terminal_acts_upon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, text: str
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "scene" / "state"))
    monkeypatch.setenv("HOME", str(tmp_path / "scene"))
    folder = tmp_path / "scene"
    folder.mkdir()
    try:
        for arguments in SCENES[command](folder, text):
            said = printed(command, *arguments)
            assert said.replace("\n", "").isprintable(), (arguments, said)
        assert printed(command, text).replace("\n", "").isprintable()
    finally:
        shutil.rmtree(folder)
    assert Path(tmp_path).is_dir()


def test_the_daemon_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it is told on the command line and finds in its configuration."""
    from securecc.cli import secureccd

    (tmp_path / "config.yaml").write_text(f"keytab: {json.dumps(NASTY)}\n{json.dumps(NASTY)}: 1\n")
    for arguments in (["--config", str(tmp_path / "config.yaml")], ["--config", NASTY.replace("\0", "")], [NASTY]):
        with contextlib.suppress(SystemExit):
            secureccd.main(arguments)
        out, err = capsys.readouterr()
        assert (out + err).replace("\n", "").isprintable()
        assert err
