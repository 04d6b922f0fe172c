import os
from pathlib import Path

import pytest

from securecc.cli import masquerade
from securecc.cli.securecctl import main
from securecc.system.stat_key import stat_key

ROOT = Path(__file__).parents[2]


def program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def bin_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH of one directory, with compilers and other things in it; the launcher beside the interpreter."""
    found = tmp_path / "bin"
    for name in ("gcc", "g++-12", "cc", "clang++", "aarch64-linux-gnu-gcc-12", "gcc-ar", "as", "c99-gcc", "clang-cpp"):
        program(found / name)
    (found / "g++").write_text("no program")
    program(tmp_path / "bin/ccache")
    (found / "clang").symlink_to("ccache")
    monkeypatch.setattr("sys.executable", str(tmp_path / "own/python3"))
    program(tmp_path / "own/securecc")
    monkeypatch.setenv("PATH", str(found))
    return found


@pytest.fixture
def place(bin_: Path, tmp_path: Path) -> Path:
    return tmp_path / "links"


NAMES = ["aarch64-linux-gnu-gcc-12", "cc", "clang++", "g++-12", "gcc"]


def test_every_compiler_in_path(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["masquerade", "install", str(place)]) == 0
    assert sorted(os.listdir(place)) == NAMES
    assert {os.readlink(place / name) for name in NAMES} == {str(tmp_path / "own/securecc")}
    assert f'export PATH="{place}:$PATH"' in capsys.readouterr().out


def test_only_those_that_are_named(place: Path) -> None:
    assert main(["masquerade", "install", str(place), "--compilers", "gcc-13", "gcc", "gcc"]) == 0
    assert sorted(os.listdir(place)) == ["gcc", "gcc-13"]


@pytest.mark.parametrize("name", ["securecc", "../gcc", "gcc/", "nvcc", "", "rustc", "gcc\n"])
def test_names_that_are_no_compilers(place: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["masquerade", "install", str(place), "--compilers", "gcc", name]) == 1
    assert "not the name of a gcc or clang" in capsys.readouterr().err
    assert not place.exists()


def test_again_mends_what_has_moved(place: Path, bin_: Path, tmp_path: Path) -> None:
    place.mkdir()
    (place / "gcc").symlink_to("/gone/securecc")
    (place / "cc").symlink_to(tmp_path / "own/securecc")
    before = stat_key(os.lstat(place / "cc"))
    assert main(["masquerade", "install", str(place)]) == 0
    assert os.readlink(place / "gcc") == str(tmp_path / "own/securecc")
    assert stat_key(os.lstat(place / "cc")) == before
    assert sorted(os.listdir(place)) == NAMES


@pytest.mark.parametrize("kind", ["file", "link", "dangling"])
def test_nothing_of_others_is_replaced(place: Path, bin_: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    place.mkdir()
    if kind == "file":
        program(place / "gcc")
    else:
        (place / "gcc").symlink_to(bin_ / "gcc" if kind == "link" else "/gone/gcc")
    assert main(["masquerade", "install", str(place)]) == 1
    assert "is not a link to securecc" in capsys.readouterr().err
    assert os.listdir(place) == ["gcc"]


def test_a_place_that_cannot_be(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place.write_text("")
    assert main(["masquerade", "install", str(place)]) == 1
    assert main(["masquerade", "install", str(place / "below")]) == 1
    assert main(["masquerade", "install", f"{place}:2"]) == 1
    assert "choose another" in capsys.readouterr().err


def test_no_compiler_at_all(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["masquerade", "install", str(place)]) == 1
    assert "there is no compiler in PATH" in capsys.readouterr().err


def test_no_launcher(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own/securecc").unlink()
    assert main(["masquerade", "install", str(place)]) == 1
    assert "securecc is not installed" in capsys.readouterr().err


def test_the_launcher_in_path(place: Path, tmp_path: Path, bin_: Path) -> None:
    (tmp_path / "own/securecc").rename(bin_ / "securecc")
    assert main(["masquerade", "install", str(place)]) == 0
    assert os.readlink(place / "gcc") == str(bin_ / "securecc")


def test_list_says_what_each_runs(
    place: Path, bin_: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["masquerade", "install", str(place), "--compilers", "gcc", "clang"])
    second = tmp_path / "second"
    main(["masquerade", "install", str(second), "--compilers", "gcc"])
    monkeypatch.setenv("PATH", f"{place}:{second}:{bin_}")
    capsys.readouterr()
    assert main(["masquerade", "list"]) == 1  # the only clang is ccache
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()[1:]]
    assert lines == [
        [f"{place}/clang", "no such compiler in PATH"],
        [f"{place}/gcc", f"{bin_}/gcc"],
        [f"{second}/gcc", f"{bin_}/gcc"],
    ]
    assert main(["masquerade", "list", str(second)]) == 0


def test_list_looks_behind_the_links_only(
    place: Path, bin_: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["masquerade", "install", str(place), "--compilers", "gcc"])
    monkeypatch.setenv("PATH", f"{bin_}:{place}")
    capsys.readouterr()
    assert main(["masquerade", "list", str(place)]) == 1
    assert "no such compiler" in capsys.readouterr().out


def test_list_of_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["masquerade", "list"]) == 1
    assert main(["masquerade", "list", str(place)]) == 1
    assert "PATH has no links to securecc" in capsys.readouterr().err


def test_remove_takes_its_own_and_leaves_the_rest(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["masquerade", "install", str(place)])
    program(place / "mine")
    assert main(["masquerade", "remove", str(place), "--compilers", "gcc"]) == 0
    assert sorted(os.listdir(place)) == sorted({*NAMES, "mine"} - {"gcc"})
    assert main(["masquerade", "remove", str(place)]) == 0
    assert os.listdir(place) == ["mine"]
    assert main(["masquerade", "remove", str(place)]) == 1
    assert "has no such links" in capsys.readouterr().err


def test_remove_takes_the_empty_directory(place: Path) -> None:
    main(["masquerade", "install", str(place)])
    assert main(["masquerade", "remove", str(place)]) == 0
    assert not place.exists()


def test_the_launcher_passes_over_the_same_programs() -> None:
    text = (ROOT / "securecc/client/launcher/compiler/search.c").read_text()
    listed = ", ".join(f'"{name}"' for name in masquerade.STAND_INS)
    assert f"stand_ins[] = {{{', '.join(sorted(listed.split(', ')))}}};" in text
