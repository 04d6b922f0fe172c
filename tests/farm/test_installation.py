"""`make install`: what stands where, and that it runs from there."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from securecc.sandbox import witness_library
from tests.farm.farmside import TOP
from tests.waiting import CEILING_S


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole installation below a directory, as a package is made."""
    root = tmp_path_factory.mktemp("root")
    environment = {**os.environ, "DESTDIR": str(root), "PREFIX": "/usr"}
    done = subprocess.run(
        [TOP / "packaging/install"], env=environment, capture_output=True, text=True, timeout=CEILING_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return root


def test_nothing_stands_elsewhere(installed: Path) -> None:
    assert {path.name for path in installed.iterdir()} == {"etc", "usr"}
    for name in ("securecc", "securecctl", "secureccd"):
        assert (installed / "usr/bin" / name).is_symlink()
        assert (installed / "usr/lib/securecc/bin" / name).is_file()
    for path in (
        "usr/lib/systemd/system/secureccd.service",
        "usr/lib/systemd/system/securecc-runner.socket",
        "usr/lib/sysusers.d/securecc.conf",
        "usr/lib/tmpfiles.d/securecc.conf",
        "etc/logrotate.d/securecc",
        "usr/share/securecc/apparmor.d/securecc-runner",
        "etc/securecc/config.yaml",
        "usr/share/doc/securecc/admin.md",
        "usr/share/doc/securecc/examples/example.yaml",
    ):
        assert (installed / path).is_file(), path
        assert "@BIN@" not in (installed / path).read_text()


def test_no_program_names_the_place_where_it_was_made(installed: Path) -> None:
    for name in ("secureccd", "securecctl"):
        first = (installed / "usr/lib/securecc/bin" / name).read_text().splitlines()[0]
        assert first == "#!/usr/lib/securecc/bin/python3 -I"
    assert str(installed) not in (installed / "usr/lib/securecc/pyvenv.cfg").read_text()


def test_it_runs(installed: Path) -> None:
    """Its own interpreter is there under another name until it stands where it belongs."""
    python = installed / "usr/lib/securecc/bin/python3"
    for module in ("securecc.cli.secureccd", "securecc.cli.securecctl"):
        done = subprocess.run([python, "-I", "-m", module, "--version"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    jail = subprocess.run([installed / "usr/lib/securecc/bin/securecc-jail"], capture_output=True, check=False)
    assert jail.stderr.startswith(b"securecc-jail: cannot read the arguments")


def test_its_runner_finds_the_witness(installed: Path) -> None:
    """Beside its own interpreter, which is a virtual environment's, and nothing of this checkout's."""
    python = installed / "usr/lib/securecc/bin/python3"
    code = "import os; from securecc.sandbox import witness_library; print(os.fsdecode(witness_library.find()))"
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=False, cwd="/")
    found = Path(done.stdout.strip())
    assert found == installed / "usr/lib/securecc/lib/securecc" / witness_library.NAME, done.stderr
    assert found.stat().st_mode & 0o444 == 0o444
    loaded = subprocess.run(
        ["/bin/sh", "-c", "echo runs"], env={"LD_PRELOAD": str(found)}, capture_output=True, text=True, check=False
    )
    assert (loaded.stdout, loaded.stderr) == ("runs\n", "")  # ld.so names a library that it cannot load


def test_every_page_that_it_names_is_there(installed: Path) -> None:
    """In the files for administrators, and in the messages of the programs."""
    files = [path for folder in ("etc", "usr/lib/systemd") for path in (installed / folder).rglob("*")]
    texts = [path.read_text() for path in files if path.is_file()]
    named = {name for text in texts for name in re.findall(r"/(usr/share/doc/securecc/[\w/-]+\.\w+)", text)}
    assert "usr/share/doc/securecc/settings.md" in named
    assert not [name for name in named if not (installed / name).is_file()]
    python = installed / "usr/lib/securecc/bin/python3"
    done = subprocess.run(
        [python, "-I", "-m", "securecc.cli.secureccd", "--config", "/nowhere", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    page = re.search(r"\S+/settings\.md", done.stderr)
    assert page is not None, done.stderr
    assert Path(page[0]).is_file()
    assert Path(page[0]).is_relative_to(installed)


def test_systemd_makes_its_users_and_places(installed: Path) -> None:
    """In the directory, by systemd's own tools."""
    for name in ("passwd", "group"):
        shutil.copy(f"/etc/{name}", installed / "etc" / name)
    done = subprocess.run(["systemd-sysusers", f"--root={installed}"], capture_output=True, text=True, check=False)
    if os.getuid() == 0:
        assert done.returncode == 0, done.stderr
        lines = (installed / "etc/passwd").read_text().splitlines()
        assert {"securecc", "securecc-runner"} <= {line.partition(":")[0] for line in lines}
        done = subprocess.run(
            ["systemd-tmpfiles", f"--root={installed}", "--create"], capture_output=True, text=True, check=False
        )
        assert (installed / "var/lib/securecc").stat().st_mode & 0o777 == 0o700, done.stderr
        assert (installed / "var/log/securecc").stat().st_mode & 0o777 == 0o750
        assert (installed / "etc/securecc/policy.yaml").stat().st_mode & 0o777 == 0o640


def test_what_a_site_has_changed_stays(installed: Path) -> None:
    config = installed / "etc/securecc/config.yaml"
    assert config.read_text()
    script = (TOP / "packaging/install").read_text()
    for path in (
        "$etc/config.yaml",
        "$etc/policy.yaml",
        "/etc/logrotate.d/securecc",
        "/etc/apparmor.d/securecc-runner",
    ):
        [line] = [line for line in map(str.strip, script.splitlines()) if line.startswith("put") and f" {path}" in line]
        assert line.startswith("put_unless_there")
