"""Files whose content changes while their stamps do not: other mounts, mappings, a working directory under a mount. And
files that one caller may read, and another may not.
"""

import mmap
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.farm.farmside import Farm
from tests.farm.twins import OLD_NS, Twins, put

SOURCE = '#include "v.h"\nint v = V;\n'


@pytest.fixture
def twins(farm: Farm, tmp_path: Path) -> Twins:
    twins = Twins(farm, tmp_path / "w")
    twins.folder.mkdir()
    return twins


def in_own_mounts(twins: Twins, script: str) -> str:
    """Runs a shell script in a mount namespace of its own, which has an agent of its own; returns what it printed."""
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", script]
    done = twins.farm.run(*command, cwd=twins.folder, SECURECC_VERBOSE="1")
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stderr


def same_as_gcc_makes(twins: Twins, made: str, **files: str) -> bool:
    """Whether an object is the one that gcc makes of SOURCE with these headers."""
    folder = twins.folder / "alone"
    put(folder, {"a.c": SOURCE, **{f"{name}.h": text for name, text in files.items()}})
    subprocess.run(["gcc", "-c", "a.c"], cwd=folder, check=True)
    return (folder / "a.o").read_bytes() == (twins.folder / made).read_bytes()


@pytest.mark.skipif(not os.path.exists("/dev/loop-control"), reason="this kernel has no loop devices")
def test_another_file_system_at_the_same_place_with_equal_stamps(twins: Twins) -> None:
    """The image of a file system, of which a copy differs in one byte of one header."""
    put(twins.folder, {"a.c": SOURCE, "tree/v.h": "#define V 11111\n"})
    image, copy = twins.folder / "1.img", twins.folder / "2.img"
    with image.open("wb") as file:
        file.truncate(4 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-d", twins.folder / "tree", image], check=True)
    for field in ("ctime", "ctime_extra"):  # a header that changed long ago is read once
        set_field = f"set_inode_field /v.h {field} {'20200101000000' if field == 'ctime' else '0'}"
        subprocess.run(["debugfs", "-w", "-R", set_field, image], check=True, capture_output=True)
    content = image.read_bytes()
    assert content.count(b"V 11111") == 1
    copy.write_bytes(content.replace(b"V 11111", b"V 22222"))
    script = """
        mkdir m
        for n in 1 2; do
            mount -o loop,ro $n.img m
            stat -c '%d %i %s %Y %Z' m/v.h >>stamps
            for again in 1 2; do securecc gcc -Im -c a.c -o $n.o; done
            umount m
        done
    """
    said = in_own_mounts(twins, script)
    first, second = (twins.folder / "stamps").read_text().splitlines()
    assert first == second
    assert said.count("compiled on ") == 4
    assert same_as_gcc_makes(twins, "1.o", v="#define V 11111\n")
    assert same_as_gcc_makes(twins, "2.o", v="#define V 22222\n")


def test_a_write_through_a_mapping_that_moves_no_stamp(twins: Twins) -> None:
    """The first write to a page sets the file's time; further writes do not, until the page is written back."""
    put(twins.folder, {"a.c": SOURCE, "v.h": "#define V 1\n"})
    header = twins.folder / "v.h"
    with header.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        mapping[10:11] = b"2"
        stamps = header.stat()
        time.sleep(3)  # no tick of any clock is that long
        for _ in range(2):
            assert twins.securecc("gcc", "-c", "a.c").remote
        mapping[10:11] = b"3"
        assert header.stat().st_mtime_ns == stamps.st_mtime_ns
        assert header.stat().st_ctime_ns == stamps.st_ctime_ns
        assert twins.securecc("gcc", "-c", "a.c").remote
    assert same_as_gcc_makes(twins, "a.o", v="#define V 3\n")


def test_a_working_directory_that_something_was_mounted_over(twins: Twins) -> None:
    """The path of the working directory leads to other files than those in it."""
    put(twins.folder, {"a.c": SOURCE, "m/a.c": SOURCE, "m/v.h": "#define V 1\n", "over/v.h": "#define V 2\n"})
    put(twins.folder, {"over/a.c": SOURCE})
    script = """
        cd m
        mount --bind ../over "$PWD"
        securecc gcc -c a.c -o ../1.o
        cd "$PWD"
        securecc gcc -c a.c -o ../2.o
    """
    said = in_own_mounts(twins, script)
    assert "the path of the working directory leads to what has been mounted over it" in said
    assert said.count("compiled on ") == 1
    assert same_as_gcc_makes(twins, "1.o", v="#define V 1\n")
    assert same_as_gcc_makes(twins, "2.o", v="#define V 2\n")


def test_a_header_set_back_to_all_its_stamps_but_one(twins: Twins) -> None:
    """Size and mtime as before, written through another hard link: only the time of the inode's change moves."""
    put(twins.folder, {"a.c": SOURCE, "v.h": "#define V 1\n"})
    other = twins.folder / "elsewhere"
    os.link(twins.folder / "v.h", other)
    assert twins.securecc("gcc", "-c", "a.c").remote
    other.write_text("#define V 2\n")
    os.utime(other, ns=(OLD_NS, OLD_NS))
    assert twins.securecc("gcc", "-c", "a.c").remote
    assert same_as_gcc_makes(twins, "a.o", v="#define V 2\n")


@pytest.mark.parametrize("fewer", ["--bounding-set=-dac_override,-dac_read_search", "--bounding-set=-all"])
def test_a_header_that_this_caller_may_not_read(twins: Twins, fewer: str) -> None:
    """The agent of a caller who may has read it."""
    put(twins.folder, {"a.c": SOURCE, "v.h": "#define V 1\n"})
    (twins.folder / "v.h").chmod(0)
    command, less = ("gcc", "-c", "a.c"), ("setpriv", "--inh-caps=-all", fewer)
    assert twins.securecc(*command).remote
    (twins.folder / "a.o").unlink()
    alone = twins.gcc(*less, *command)
    through = twins.farm.run(*less, "securecc", *command, cwd=twins.folder)
    assert alone.status
    assert (through.returncode, through.stderr.encode()) == (alone.status, alone.err)
    assert not (twins.folder / "a.o").exists()
    assert twins.securecc(*command).remote
