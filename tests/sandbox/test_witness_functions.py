"""Which functions the witness stands in front of: all by which a compiler can learn of its surroundings."""

import os
import re
import shutil
import subprocess

import pytest

from tests.sandbox.witness_stand import Stand

BINARIES = ("as", "cc1", "cc1plus", "lto1", "collect2", "lto-wrapper")
"""gcc's programs, as gcc names them; the drivers and clang are found in PATH."""
ASKING = re.compile(
    r"(f?open|creat|freopen|l?stat|fstatat|fxstatat|lxstat|xstat|statx|access|eaccess|euidaccess|readlink|realpath|canonicalize_file_name|opendir"
    r"|fdopendir|scandir|glob|n?ftw|fts_open|exec[lv]p?e?|fexecve|posix_spawnp?|system|popen|wordexp|chdir|fchdir|getcwd"
    r"|get_current_dir_name|secure_getenv|getenv|time|ftime|gettimeofday|clock_gettime|localtime|ctime|mktime|uname"
    r"|gethost\w+|getdomainname|sethostname|getaddrinfo|getp?pid|gete?[ug]id|getlogin|getpw\w+|getgr\w+|sysconf"
    r"|get_nprocs(_conf)?|sched_getaffinity|sysinfo|getrandom|getentropy|arc4random\w*|l?rand|rand_r|random|[dlm]rand48"
    r"|statv?fs|fstatv?fs|setmntent|getmntent|mk\w*temps?|tmp(nam|file)|tempnam|mkdir|mknod|link|symlink|rename|unlink"
    r"|remove|rmdir|truncate|chmod|chown|utimes?|dlopen|syscall|getauxval|times|clock|getrusage|pathconf|confstr)"
    r"(at|at2|64|_r|_chk|_2|64_2)*"
)
UNNOTED = {
    "mkdir mknod link symlink unlink unlinkat remove rmdir truncate chmod fchmodat": "they only say how it went",
    "getcwd": "the client says where the compile runs",
    "dlopen": "plugins: options that name one stay local; others are the toolchain's",
    "syscall": "C++'s own waiting for threads",
    "statfs statvfs fstatfs fstatvfs": "how to read a file, by what file system it is on",
    "getpwnam getpwuid getpwent getpwuid_r getpwnam_r": "what ~ means: files below are asked for by name",
    "getgrnam_r getgrgid_r": "of libraries that no compile calls them in",
    "getppid geteuid getegid getgid": "for files of a user's own, which are asked for by name",
    "get_nprocs sched_getaffinity": "how many threads work",
    "times clock getrusage": "how long things take",
    "rand rand_r": "the same each time",
    "getauxval": "which instructions libraries use",
    "setmntent getmntent_r": "libffi, where it may make executable memory",
    "gethostbyname getaddrinfo": "libraries of clang's for networks",
    "mktime": "from what localtime has said",
}


def linked(program: str) -> set[str]:
    """A program and its libraries, without libc and the loader."""
    listing = subprocess.run(("ldd", program), capture_output=True, text=True, check=False).stdout
    found = {program, *re.findall(r"=> (/\S+)", listing)}
    return {path for path in found if not re.search(r"/(libc|libm|ld-linux\S*)\.so", path)}


def symbols(path: str, which: str) -> set[str]:
    listing = subprocess.run(("nm", "-D", which, path), capture_output=True, text=True, check=True).stdout
    return {line.split()[-1].partition("@")[0] for line in listing.splitlines()}


@pytest.fixture(scope="module")
def noted(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The functions that the witness stands in front of."""
    return symbols(str(Stand(tmp_path_factory.mktemp("names")).library), "--defined-only")


def test_all_that_compilers_call_to_learn_of_their_surroundings_is_noted(noted: set[str]) -> None:
    programs = [shutil.which(name) for name in ("gcc", "g++", "clang", "aarch64-linux-gnu-gcc")]
    for compiler in ("gcc", "aarch64-linux-gnu-gcc"):
        if shutil.which(compiler):
            for name in BINARIES:
                asked = (compiler, f"-print-prog-name={name}")
                programs.append(shutil.which(subprocess.check_output(asked, text=True).strip()))
    files = set().union(*(linked(os.path.realpath(program)) for program in programs if program))
    there = symbols(libc(), "--defined-only")
    reasons = {name for names in UNNOTED for name in names.split()}
    found = {
        name: path
        for path in files
        for name in symbols(path, "--undefined-only")
        if ASKING.fullmatch(name.lstrip("_")) and name in there and name not in noted and name not in reasons
    }
    assert found == {}


def test_each_function_is_there_by_all_its_names(noted: set[str]) -> None:
    there = symbols(libc(), "--defined-only")
    variants = {form.format(name) for name in noted for form in ("{}64", "__{}_chk", "__{}_2", "__{}64_2")}
    assert variants & there <= noted


def libc() -> str:
    """The path of the C library."""
    listing = subprocess.run(("ldd", "/bin/sh"), capture_output=True, text=True, check=True).stdout
    [path] = [path for path in re.findall(r"=> (/\S+)", listing) if "/libc.so" in path]
    return str(path)
