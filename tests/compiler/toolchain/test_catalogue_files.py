"""securecc.compiler.toolchain.catalogue_files: gcc's messages in other languages, as gcc itself finds them."""

import hashlib
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from securecc.compiler.toolchain import catalogue_files
from securecc.compiler.toolchain.closure import digest_of, whole_digest
from securecc.compiler.toolchain.discovery import discover
from tests.waiting import CEILING_S


@pytest.fixture(scope="module")
def gcc() -> Any:
    return discover(b"/usr/bin/gcc", b"/usr/bin")


def test_the_programs_say_where_they_look(gcc: Any) -> None:
    assert catalogue_files.folders(gcc) == (catalogue_files.SYSTEM,)


def test_names_have_the_versions_number(gcc: Any) -> None:
    assert {b"gcc-12.mo", b"gcc.mo", b"gas.mo"} <= catalogue_files.names(replace(gcc, version="12.2.0"))
    assert b"gcc-12.mo" not in catalogue_files.names(replace(gcc, version="13.1"))
    assert catalogue_files.SYSTEMS_OWN not in catalogue_files.names(gcc)


def test_all_that_gcc_reads_is_among_those_of_its_language(gcc: Any, tmp_path: Path) -> None:
    """The source warns, in cc1 and in the assembler."""
    (tmp_path / "a.c").write_text("static int unused;\n")
    (tmp_path / "a.s").write_text('.warning "a"\n')
    expected = catalogue_files.of_language(gcc, catalogue_files.folders(gcc), (b"fr_FR",))
    found = catalogue_files.standing(gcc)
    for source in ("a.c", "a.s"):
        trace = tmp_path / "trace"
        env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "LANGUAGE": "fr_FR"}
        command = ["strace", "-f", "-e", "trace=openat", "-o", str(trace), "gcc", "-Wall", "-c", source]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, check=True, timeout=CEILING_S)
        assert "attention" in done.stderr.decode() or "Avertissement" in done.stderr.decode()
        lines = [line.split('"') for line in trace.read_text().splitlines() if "/LC_MESSAGES/" in line]
        read = {words[1].encode() for words in lines if words[1].endswith(".mo") and "ENOENT" not in words[2]}
        assert read
        read -= {catalogue_files.SYSTEM + b"/fr/LC_MESSAGES/" + catalogue_files.SYSTEMS_OWN}
        assert read <= set(expected)
        assert read <= {file.path for file in found}


def test_what_stands_is_named_by_its_content(gcc: Any) -> None:
    file = catalogue_files.standing(gcc)[0]
    with open(file.path, "rb") as content:
        assert file.blob == hashlib.sha256(content.read()).digest()
    assert catalogue_files.standing(replace(gcc, family="clang")) == ()


def test_what_cannot_be_read_is_left_out(gcc: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue_files, "SYSTEM", os.fsencode(tmp_path))
    (tmp_path / "de/LC_MESSAGES/gcc.mo").mkdir(parents=True)
    (tmp_path / "fr/LC_MESSAGES").mkdir(parents=True)
    (tmp_path / "fr/LC_MESSAGES/gas.mo").write_bytes(b"x")
    lost = replace(gcc, files=tuple(replace(file, path=file.path + b".gone") for file in gcc.files))
    assert [file.path for file in catalogue_files.standing(lost)] == [os.fsencode(tmp_path) + b"/fr/LC_MESSAGES/gas.mo"]


def test_catalogues_make_no_other_toolchain_but_another_offer(gcc: Any) -> None:
    more = replace(gcc, catalogues=catalogue_files.standing(gcc))
    assert more.digest == gcc.digest == digest_of(gcc.files) == whole_digest(gcc)
    assert whole_digest(more) != more.digest
