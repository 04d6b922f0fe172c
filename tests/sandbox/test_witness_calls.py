"""Each function that the witness stands in front of does what libc's own does, and its question is noted."""

import contextlib
import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.compiler.questions import Answer, Kind, Question, names_checksum
from tests.sandbox.witness_stand import Incomplete, Stand

HERE = Path(__file__).parent
SCRIPT = '#!/bin/sh\necho "$0" "$@"\nexit 3\n'


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Stand:
    made = Stand(tmp_path_factory.mktemp("calls"))
    source = str(HERE / "caller.c")
    subprocess.run(("gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(made.own / "caller"), source), check=True)
    return made


def filled(place: Path) -> None:
    """A small tree, always the same."""
    subprocess.run(("rm", "-rf", "--", *place.iterdir()), check=True)
    for folder in ("inc/deep", "bin", "empty"):
        (place / folder).mkdir(parents=True)
    (place / "file").write_text("content")
    (place / "inc/h.h").write_text("header")
    (place / "unreadable").write_text("secret")
    for name, to in (
        ("link", "file"),
        ("dangling", "nowhere"),
        ("loop", "loop"),
        ("up", "inc/deep/.."),
        ("far", "link"),
    ):
        (place / name).symlink_to(to)
    for name, text in (("bin/tool", SCRIPT), ("bin/plain", "echo plain $0 $1\n"), ("tool", SCRIPT)):
        (place / name).write_text(text)
        (place / name).chmod(0o755)
    (place / "bin/file").write_text("no program")


MISSING, NOT = "missing", "file/below"
CALLS = {
    # call: names, and kinds of the questions that they are: N and L with the answer that follows
    "open": {"file": "Nf", "inc": "Nd", MISSING: "N-", NOT: "N-", "link": "Nf", "dangling": "N-", "loop": "N!"},
    "open-write": {"file": "Nf", "inc": "N!", MISSING: "N-"},
    "open-create": {"file": "Wf", "new": "W-", "inc": "Wd", "inc/new": "W-", "missing/new": "W-"},
    "open-truncate": {"file": "Wf", "new": "W-", "link": "Wf"},
    "open-new": {"file": "Lf", "new": "", "dangling": "Ll", "missing/new": ""},
    "open-nofollow": {"file": "Nf", "link": "N!"},
    "open-directory": {"inc": "Nd", "file": "N-"},
    "open64": {"file": "Nf", MISSING: "N-"},
    "openat": {"file": "Nf", MISSING: "N-"},
    "openat-there": {"h.h": "Uf", "missing": "U-"},
    "creat": {"file": "Wf", "new": "W-"},
    "fopen-r": {"file": "Nf", MISSING: "N-", "inc": "Nd"},
    "fopen-r+": {"file": "Nf", MISSING: "N-"},
    "fopen-rb": {"file": "Nf"},
    "fopen-re": {"file": "Nf"},
    "fopen-w": {"file": "Wf", "new": "W-", "inc": "Wd", "missing/new": "W-"},
    "fopen-w+": {"file": "Wf", "new": "W-"},
    "fopen-wx": {"file": "Lf", "new": ""},
    "fopen-a": {"file": "Wf", "new": "W-"},
    "fopen-a+": {"file": "Wf", "new": "W-"},
    "fopen-charset": {"file": "Nf"},
    "fopen-nonsense": {"file": "", "new": ""},
    "fopen64": {"file": "Nf"},
    "freopen-r": {"file": "Nf", MISSING: "N-"},
    "freopen-w+": {"file": "Wf", "new": "W-"},
    "freopen-nonsense": {"file": ""},
    "freopen-same": {"-": ""},
    "stat": {"file": "Nf", "inc": "Nd", "link": "Nf", MISSING: "N-", NOT: "N-", "loop": "N!", "": "N-"},
    "lstat": {"file": "Lf", "inc": "Ld", "link": "Ll", "dangling": "Ll", MISSING: "L-"},
    "fstatat": {"file": "Nf", MISSING: "N-"},
    "fstatat-nofollow": {"link": "Ll", MISSING: "L-"},
    "fstatat-there": {"h.h": "Uf", "missing": "U-", "/dev/null": "Ns"},
    "fstatat-itself": {"-": ""},
    "statx": {"file": "Nf", "link": "Nf", MISSING: "N-"},
    "statx-nofollow": {"link": "Ll"},
    "access": {"file": "Nf", MISSING: "N-", NOT: "N-", "loop": "N!"},
    "access-r": {"file": "Nf A+", MISSING: "N-"},
    "access-x": {"tool": "Nf A+", "file": "Nf A!", "inc": "Nd A+"},
    "access-nonsense": {"file": "Nf A!"},
    "eaccess-r": {"file": "Nf A+"},
    "faccessat-nofollow": {"link": "Nl", "file": "Nf"},
    "faccessat-there": {"h.h": "Uf U+"},
    "rename": {"file": "W-", MISSING: "W-"},
    "renameat": {"file": "W-"},
    "readlink": {"link": "Ll", "far": "Ll", "file": "Lf", "inc": "Ld", MISSING: "L-", "loop": "Ll"},
    "readlink-short": {"link": "Ll"},
    "readlinkat": {"link": "Ll", MISSING: "L-"},
    "opendir": {"inc": "Nd Dd", "empty": "Nd Dd", "file": "Nf", MISSING: "N-", "up": "Nd Dd"},
    "fdopendir": {"inc": "Nd U+"},
    "scandir": {"inc": "U+", MISSING: "U+"},
    "scandir64": {"inc": "U+"},
    "glob": {"*.none": "U+", "fil*": "U+"},
    "glob64": {"fil*": "U+"},
    "nftw": {"inc": "U+"},
    "chdir": {"inc": "U+", MISSING: "U+"},
    "fchdir": {"-": "U+"},
    "mkstemp": {"aXXXXXX": "", "XXXXXX": "", "short": "", "missing/XXXXXX": "", "XXXXXX.c": ""},
    "mkostemp": {"aXXXXXX": ""},
    "mkstemps": {"aXXXXXX.c": "", "aXXXXX.c": ""},
    "mkstemps-nonsense": {"aXXXXXX.c": ""},
    "mkdtemp": {"aXXXXXX": "", "missing/XXXXXX": ""},
    "getenv": {"LC_ALL": "V+", "NOBODY": "V-", "LC_AL": "V-", "LC_ALLL": "V-"},
    "secure_getenv": {"LC_ALL": "V+"},
    "time": {"-": "T+"},
    "gettimeofday": {"-": "T+"},
    "clock_gettime": {"-": "T+"},
    "clock_gettime-monotonic": {"-": ""},
    "clock_gettime-nonsense": {"-": ""},
    "localtime": {"-": "T+"},
    "localtime_r": {"-": "T+"},
    "ctime": {"-": "T+"},
    "uname": {"-": "M+"},
    "gethostname": {"-": "M+"},
    "gethostname-short": {"-": "M+"},
    "getpid": {"-": "M+"},
    "getuid": {"-": "M+"},
    "sysconf": {"-": "M+"},
    "sysconf-page": {"-": ""},
    "sysconf-nonsense": {"-": ""},
    "getrandom": {"-": "C+"},
    "getentropy": {"-": "C+"},
}  # fmt: skip
PROGRAMS = {
    "execv": ("bin/tool", "bin/plain", "bin/file", "tool", MISSING, "inc"),
    "execve": ("bin/tool", "bin/plain"),
    "execvp": ("tool", "plain", "file", "deep", MISSING, "", "./tool", "bin/plain", "x" * 300, "file/below"),
    "execvpe": ("tool", "plain"),
    "execl": ("bin/tool", "bin/plain", MISSING),
    "execlp": ("tool", "plain", MISSING),
    "posix_spawn": ("bin/tool", "bin/plain", MISSING),
    "posix_spawnp": ("tool", "bin/tool", MISSING),
}
CALLED = [(call, name) for call, names in CALLS.items() for name in names]
RUN = [(call, name) for call, names in PROGRAMS.items() for name in names]


def both(stand: Stand, call: str, name: str, **env: str) -> tuple[bytes, bytes, tuple[Question, ...]]:
    """What the call says alone and with a witness, each time in the same tree, and its questions."""
    caller = str(stand.own / "caller")
    filled(stand.place)
    alone = stand.alone(caller, call, name, env=env)
    filled(stand.place)
    witnessed, questions = stand.asked(caller, call, name, env=env)
    return alone, witnessed, questions


@pytest.mark.parametrize(("call", "name"), CALLED, ids=lambda word: word or "nothing")
def test_a_call_says_the_same_and_is_noted(stand: Stand, call: str, name: str) -> None:
    alone, witnessed, questions = both(stand, call, name)
    assert not alone.startswith(b"99\n"), "no such call"
    assert witnessed == alone
    wanted = CALLS[call][name].split()
    noted = {(f"{each.kind}{each.answer}", each.text) for each in questions}
    if name != "inc" or "Nd" not in wanted:
        noted.remove(("Nd", b"inc"))  # which the caller itself opens
    assert sorted(kind for kind, _ in noted) == sorted(wanted)


@pytest.mark.parametrize(("call", "name"), RUN, ids=lambda word: word[:20] or "nothing")
@pytest.mark.parametrize("path", ["inc:bin::/usr/bin:/bin", "missing:file:bin", ""])
def test_programs_are_found_and_run_as_libc_does(stand: Stand, call: str, name: str, path: str) -> None:
    alone, witnessed, questions = both(stand, call, name, PATH=path)
    assert not alone.startswith(b"99\n"), "no such call"
    assert witnessed == alone
    if b"tool one" in witnessed or b"plain " in witnessed:
        assert any(each.kind is Kind.PROGRAM and each.text.endswith(name.encode()) for each in questions)
    if call in {"execvp", "execvpe", "execlp"} and "/" not in name and name:
        assert Question(Kind.VARIABLE, Answer.PRESENT, b"PATH", by_driver=True) in questions


@pytest.mark.parametrize("call", ["system", "popen"])
def test_what_a_shell_is_told_is_noticed(stand: Stand, call: str) -> None:
    """The C library starts it by itself: one program more has begun than the witness counted."""
    filled(stand.place)
    with pytest.raises(Incomplete):
        stand.asked(str(stand.own / "caller"), call, "exit 5")


def test_many_processes_write_one_log(stand: Stand) -> None:
    code = (
        "import os\nfor n in range(8):\n  if os.fork() == 0:\n"
        "    for i in range(500): os.path.exists(f'/q/{n}/{i}')\n    os._exit(0)\nfor n in range(8): os.wait()\n"
    )
    _, questions = stand.asked(sys.executable, "-I", "-c", code)
    wanted = {b"/q/%d/%d" % (number, at) for number in range(8) for at in range(500)}
    assert wanted == {each.text for each in questions if each.text.startswith(b"/q/")}


# Within this process: the library's own functions, beside libc's.


class Functions:
    """realpath(3) and opendir(3) of a library."""

    def __init__(self, library: str) -> None:
        loaded = ctypes.CDLL(library, use_errno=True)
        self._realpath, self._opendir, self._closedir = loaded.realpath, loaded.opendir, ctypes.CDLL(None).closedir
        self._realpath.restype = self._opendir.restype = ctypes.c_void_p
        self._closedir.argtypes = [ctypes.c_void_p]

    def realpath(self, path: bytes) -> bytes | int:
        """The path, or an errno."""
        room = ctypes.create_string_buffer(4096)
        return room.value if self._realpath(path, room) else ctypes.get_errno()

    def opendir(self, path: bytes) -> None:
        self._closedir(self._opendir(path))


@pytest.fixture(scope="module")
def own(stand: Stand) -> Functions:
    stand.begin()
    return Functions(str(stand.library))


NAMES = st.sampled_from(["a", "b", "c", "d"])
STEPS = st.lists(NAMES | st.sampled_from([".", "..", "", "x" * 256]), max_size=6).map("/".join)
ENTRIES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=3).map("/".join), st.none() | st.just("file") | STEPS, max_size=8
)


@settings(max_examples=150)
@given(entries=ENTRIES, paths=st.lists(st.tuples(st.booleans(), STEPS), min_size=1, max_size=8))
def test_realpath_says_what_libcs_does(
    own: Functions,
    tmp_path_factory: pytest.TempPathFactory,
    entries: dict[str, str | None],
    paths: list[tuple[bool, str]],
) -> None:
    """In any small tree: None is a directory, "file" a file, anything else what a link leads to."""
    top = Path(tempfile.mkdtemp(dir=tmp_path_factory.getbasetemp()))
    before = Path.cwd()
    try:
        os.chdir(top)
        for path, what in entries.items():
            with contextlib.suppress(OSError):
                (top / path).parent.mkdir(parents=True, exist_ok=True)
                if what is None:
                    (top / path).mkdir()
                elif what == "file":
                    (top / path).touch()
                else:
                    (top / path).symlink_to(what)
        for absolute, path in paths:
            asked = os.fsencode(f"{top}/{path}" if absolute else path)
            said = own.realpath(asked)
            assert said == Functions("libc.so.6").realpath(asked)
            if isinstance(said, bytes):
                assert said == os.path.realpath(asked)
    finally:
        os.chdir(before)
        shutil.rmtree(top)


@pytest.mark.parametrize(
    "path", [b"", b"/", b"//", b"/..", b"/usr/./bin/../lib", b"/proc/self", b"x" * 5000, b"/" * 100]
)
def test_realpath_of_curious_paths(own: Functions, path: bytes) -> None:
    assert own.realpath(path) == Functions("libc.so.6").realpath(path)


@settings(max_examples=30)
@given(names=st.sets(st.binary(min_size=1, max_size=250).filter(lambda name: not {0, 47} & {*name}), max_size=60))
def test_the_names_of_a_directory_have_the_checksum_that_the_client_computes(
    stand: Stand, own: Functions, tmp_path_factory: pytest.TempPathFactory, names: set[bytes]
) -> None:
    names -= {b".", b".."}
    top = os.fsencode(tempfile.mkdtemp(dir=tmp_path_factory.getbasetemp()))
    for name in names:
        os.close(os.open(top + b"/" + name, os.O_CREAT, 0o600))
    own.opendir(top)
    marks = {each.mark for each in stand.questions() if each.kind is Kind.DIRECTORY and each.text == top}
    assert marks == {names_checksum(names)}
    shutil.rmtree(top)
