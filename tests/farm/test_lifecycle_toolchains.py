"""Compilers that the server has not, gets while it runs, and that stand behind scripts."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.farm.farmside import Farm, FarmMaker, until

CROSS = "/usr/bin/aarch64-linux-gnu-gcc"
SOURCE = "#include <string.h>\nunsigned long n(const char *s) { return strlen(s); }\n"


def compiled(farm: Farm, folder: Path, *command: str) -> tuple[str, str]:
    """Compiles; the server's name, or empty for a local compile, and what was said besides. Bytes are as at home."""
    (folder / "a.c").write_text(SOURCE)
    done = farm.run("securecc", *command, "-g", "-c", "a.c", "-o", "a.o", cwd=folder, SECURECC_VERBOSE="1")
    assert done.returncode == 0, done.stderr
    made = (folder / "a.o").read_bytes()
    subprocess.run([*command, "-g", "-c", "a.c", "-o", "a.o"], cwd=folder, check=True)
    assert made == (folder / "a.o").read_bytes()
    _, _, server = done.stderr.partition("compiled on ")
    return server.partition("\n")[0], done.stderr


def offered(farm: Farm) -> list[str]:
    done = farm.run(
        "securecctl", "toolchain", "list", "--format", "json", "--config", farm.server.folder / "config.yaml",
        cwd=farm.folder,
    )  # fmt: skip
    return [one["name"] for one in json.loads(done.stdout)]


def add(farm: Farm, compiler: str) -> None:
    config = farm.server.folder / "config.yaml"
    done = farm.run("securecctl", "toolchain", "add", compiler, "--config", config, cwd=farm.folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"process {farm.server.pid}" in done.stdout


@pytest.mark.skipif(not Path(CROSS).exists(), reason="no cross compiler")
def test_one_farm_gets_more_targets_and_families_while_it_runs(some_farm: FarmMaker, tmp_path: Path) -> None:
    with some_farm(servers=1) as farm:
        assert compiled(farm, tmp_path, "gcc")[0]
        server, said = compiled(farm, tmp_path, CROSS)
        assert not server
        assert "nearest is gcc-12 " in said
        assert "only there: /usr/bin" in said
        [refused] = farm.server.audit(code="toolchain")
        assert refused["toolchain"] == "gcc-12-aarch64-linux-gnu"
        until(lambda: "refused-toolchain" in farm.why(), what="the agent's record")
        assert "nearest is gcc-12 " in farm.run("securecctl", "why", cwd=tmp_path).stdout
        agent = farm.agent

        add(farm, CROSS)
        until(lambda: len(offered(farm)) == 2, what="the cross compiler")
        assert compiled(farm, tmp_path, CROSS)[0]
        add(farm, "/usr/bin/clang")
        until(lambda: "clang-14" in offered(farm), what="clang")
        for compiler in ("/usr/bin/clang", "gcc", CROSS):
            assert compiled(farm, tmp_path, compiler)[0], compiler
        assert farm.agent == agent
        assert len(farm.server.audit(event="reload")) >= 4


def test_a_compiler_behind_a_script(some_farm: FarmMaker, tmp_path: Path) -> None:
    script = tmp_path / "site" / "gcc"
    script.parent.mkdir()
    script.write_text('#!/bin/sh\nexec /usr/bin/gcc "$@"\n')
    script.chmod(0o755)
    with some_farm(servers=1) as farm:
        server, said = compiled(farm, tmp_path, str(script))
        assert not server
        assert "nobody has vouched" in said
        agent = farm.agent
        done = farm.run("securecctl", "toolchain", "add", "--client", script, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert compiled(farm, tmp_path, str(script))[0]
        assert farm.agent == agent
        script.write_text('#!/bin/sh\nexec /usr/bin/gcc -O2 "$@"\n')
        until(lambda: not compiled(farm, tmp_path, str(script))[0], what="the changed script to stay local")
