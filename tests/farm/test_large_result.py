"""A large object passes through the agent and the launcher in pieces: neither holds it in memory."""

from pathlib import Path

import pytest

from tests.farm.farmside import Farm, sources

MIB = 1 << 20
OBJECT = 200 * MIB
GROWS = 16 * MIB  # what the agent may need beside what it has: buffers of two connections, and one chunk
LAUNCHER_KIB = 64 << 10  # all the address space that the launcher gets


def memory(process: int, what: str) -> int:
    """Bytes, of /proc/PID/status (proc(5))."""
    status = Path(f"/proc/{process}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith(what + ":"))
    return int(line.split()[1]) << 10


@pytest.mark.timeout(1200)
def test_a_large_object_is_in_nobodys_memory(farm: Farm, tmp_path: Path) -> None:
    [small] = sources(tmp_path, 1)
    assert farm.compile(small).returncode == 0
    Path(f"/proc/{farm.agent}/clear_refs").write_text("5")  # VmHWM begins anew (proc(5))
    before = memory(farm.agent, "VmRSS")
    (tmp_path / "large.c").write_text(f"char large[{OBJECT}] = {{1}};\n")
    command = f"ulimit -v {LAUNCHER_KIB}; exec securecc gcc -c large.c -o large.o"
    done = farm.run("sh", "-c", command, cwd=tmp_path, SECURECC_FALLBACK="0")
    assert (done.returncode, done.stderr) == (0, "")
    with (tmp_path / "large.o").open("rb") as made:
        assert made.read(4) == b"\x7fELF"
    assert (tmp_path / "large.o").stat().st_size > OBJECT
    assert memory(farm.agent, "VmHWM") - before <= GROWS
    (tmp_path / "large.o").unlink()
