"""Variables that would make other programs or libraries run here."""

import os
from pathlib import Path

import pytest

from securecc.client.host.local_programs import check
from securecc.compiler.toolchain.closure import ClosureFile
from securecc.compiler.toolchain.discovery import ToolchainClosure
from securecc.model.errors import StaysLocal
from securecc.model.manifest import Kind

GCC = ToolchainClosure(
    "gcc-12", "", "", (), (ClosureFile(b"/usr/lib/libmpfr.so.6", Kind.FILE, b""),), (), (), (), b"", b"d"
)


def reason(tmp_path: Path, **environment: str) -> str:
    """Why a compile stays local; empty if it does not."""
    variables = {name.encode(): value.encode() for name, value in environment.items()}
    try:
        check({b"PATH": b"/usr/bin:/bin", **variables}, os.fsencode(tmp_path), GCC)
    except StaysLocal as error:
        return error.message
    return ""


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LD_LIBRARY_PATH": "/nowhere"},
        {"LD_LIBRARY_PATH": ""},
        {"LD_PRELOAD": "libfakeroot-sysv.so"},
        {"LD_PRELOAD": "/usr/lib/libfakeroot/libfakeroot-tcp.so"},
        {"LD_RUN_PATH": "/x"},
        {"LD_AUDIT": ""},
        {"PATH": ".:/usr/bin"},
    ],
)
def test_these_change_nothing(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "own").mkdir()
    assert reason(tmp_path, **environment) == ""


@pytest.mark.parametrize(
    "environment",
    [
        {"LD_AUDIT": "x.so"},
        {"LD_DEBUG": "all"},
        {"LD_PRELOAD": "x.so"},
        {"LD_PRELOAD": "libfakeroot.so x.so"},
        {"LD_LIBRARY_PATH": "/nowhere:lib"},
        {"LD_LIBRARY_PATH": "/nowhere:"},
        {"PATH": "bin:/usr/bin"},
        {"PATH": "/usr/bin:"},
        {"PATH": "loop:/usr/bin"},
        {"PATH": "/usr/bin:" + "x" * 256},
    ],
)
def test_these_do(tmp_path: Path, environment: dict[str, str]) -> None:
    for name in ("lib", "bin"):
        (tmp_path / name).mkdir()
    (tmp_path / "loop").symlink_to("loop")
    for place in (tmp_path, tmp_path / "lib"):
        (place / "libmpfr.so.6").touch()
    for place in (tmp_path, tmp_path / "bin"):
        (place / "as").touch()
    assert reason(tmp_path, **environment)


def test_a_directory_of_variants_may_have_anything(tmp_path: Path) -> None:
    (tmp_path / "glibc-hwcaps").mkdir()
    assert "glibc-hwcaps" in reason(tmp_path, LD_LIBRARY_PATH=str(tmp_path))
