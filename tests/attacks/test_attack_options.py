"""Options that run programs, load files or write elsewhere, sent past the client's own filter: refused by name."""

import asyncio

import pytest
from raw import CWD, SOURCE, Raw

COMPILE = (b"-c", b"a.c", b"-o", b"a.o")
SPECS = b"*cc1:\n touch /tmp/owned\n"
PLUGIN = b"\x7fELF plugin"

OPTIONS = {
    "specs": (b"-specs", b"x.specs"),
    "specs=": (b"-specs=x.specs",),
    "--specs=": (b"--specs=x.specs",),
    "--specs": (b"--specs", b"x.specs"),
    "response file": (b"@x.rsp",),
    "Wp plugin": (b"-Wp,-fplugin=x.so",),
    "Xpreprocessor": (b"-Xpreprocessor", b"-fplugin=x.so"),
    "Xassembler": (b"-Xassembler", b"--listing-lhs-width=1"),
    "Wa listing": (b"-Wa,-a=/tmp/owned",),
    "Wa": (b"-Wa,@x.rsp",),
    "--output=": (b"--output=/tmp/owned",),
    "--output": (b"--output", b"/tmp/owned"),
    "--language": (b"--language=c",),
    "time": (b"-time=/tmp/owned",),
    "compare debug": (b"-fcompare-debug=-O2",),
    "compare debug alone": (b"-fcompare-debug",),
    "module mapper": (b"-fmodule-mapper=|touch /tmp/owned",),
    "modules": (b"-fmodules-ts",),
    "plugin": (b"-fplugin=x.so",),
    "plugin argument": (b"-fplugin-arg-x-y=z",),
    "wrapper": (b"-wrapper", b"/bin/sh,-c"),
    "B": (b"-B", CWD),
    "B joined": (b"-B" + CWD,),
    "--prefix": (b"--prefix=" + CWD,),
    "save temporaries": (b"-save-temps",),
    "save temporaries there": (b"-save-temps=obj",),
    "pipe and dump": (b"-fdump-tree-all=/tmp/owned",),
    "dump passes": (b"-fdump-passes=/tmp/owned",),
    "dumpbase": (b"-dumpbase", b"/tmp/owned"),
    "dumpdir": (b"-dumpdir", b"/tmp/"),
    "aux info": (b"-aux-info", b"/tmp/owned"),
    "auto profile": (b"-fauto-profile=/etc/passwd",),
    "opt info": (b"-fopt-info-all=/tmp/owned",),
    "diagnostics": (b"-fdiagnostics-format=sarif-file",),
    "lto program": (b"-flto=/tmp/owned",),
    "profile note": (b"-fprofile-note=/tmp/owned",),
    "native": (b"-march=native",),
    "ofile": (b"-foffload=nvptx-none",),
    "iplugindir": (b"-iplugindir=/tmp",),
    "undocumented": (b"-fno-such-option-at-all",),
    "print": (b"-print-file-name=x",),
    "help": (b"--help=common",),
    "version": (b"--version",),
    "hash hash": (b"-###",),
    "M alone": (b"-M",),
    "E": (b"-E",),
    "MF elsewhere": (b"-MD", b"-MF", b"/etc/owned"),
    "preprocessed as C": (b"-xc-header",),
    "go": (b"-xgo",),
    "second source": (b"/etc/passwd",),
    "empty": (b"",),
    "sysroot suffix": (b"-no-sysroot-suffix", b"-specs=x.specs"),
    "after double dash": (b"--", b"-fplugin=x.so"),
    "o twice": (b"-o", b"/etc/owned"),
    "o into the toolchain": (b"-o", b"/usr/lib/gcc/x86_64-linux-gnu/12/cc1"),
}

# Commands as a whole.
COMMANDS = {
    "response file after -o": (b"-c", b"a.c", b"-o", b"@x.rsp"),
    "link": (b"a.c", b"-o", b"a.out"),
    "no source": (b"-c", b"-o", b"a.o"),
    "standard input": (b"-c", b"-xc", b"-", b"-o", b"a.o"),
    "standard output": (b"-c", b"a.c", b"-o", b"-"),
    "nothing at all": (),
    "4,097 arguments": (*COMPILE, *(b"-DX",) * 4097),
    "a long argument": (*COMPILE, b"-D" + b"X" * (128 * 1024 + 1)),
    "a long command": (*COMPILE, *(b"-D" + b"X" * 65536,) * 17),
}

# What sounds dangerous and is not: nothing is linked, and a name is only a name.
HARMLESS = {
    "Xlinker": (*COMPILE, b"-Xlinker", b"x"),
    "Wl": (*COMPILE, b"-Wl,--plugin=x.so"),
    "linker": (*COMPILE, b"-fuse-ld=bfd"),
    "newline": (*COMPILE, b"-DX\n-fplugin=x.so\n"),
    "preprocessed as C": (b"-c", b"-xc", b"a.i", b"-o", b"a.o"),
    "empty macro": (*COMPILE, b"-D", b""),
    "semicolon": (*COMPILE, b"-DX=;touch /tmp/owned;"),
    "call graph": (*COMPILE, b"-fcallgraph-info"),
    "lto": (*COMPILE, b"-flto=2"),
    "lto wrapper": (*COMPILE, b"-fuse-linker-plugin"),
    "profile use": (*COMPILE, b"-fprofile-use=/etc/passwd"),
    "assembler after the source": (*COMPILE, b"-xassembler-with-cpp"),
}

DRIVERS = [b"/bin/sh", b"gcc", b"/home/mallory/gcc", b"/usr/bin/../bin/gcc", b"/usr/bin/as", b"", b"/usr/bin/gcc\0x"]

ENVIRONMENTS = {
    "LD_PRELOAD": {b"LD_PRELOAD": CWD + b"/x.so"},
    "GCC_EXEC_PREFIX": {b"GCC_EXEC_PREFIX": CWD},
    "COMPILER_PATH": {b"COMPILER_PATH": CWD},
    "PATH": {b"PATH": CWD},
    "GCONV_PATH": {b"GCONV_PATH": CWD},
    "DEPENDENCIES_OUTPUT": {b"DEPENDENCIES_OUTPUT": b"/tmp/owned"},
    "GCC_COMPARE_DEBUG": {b"GCC_COMPARE_DEBUG": b"-O3"},
    "COLLECT_GCC": {b"COLLECT_GCC": b"/bin/sh"},
    "TMPDIR": {b"TMPDIR": b"/etc"},
    "MALLOC_TRACE": {b"MALLOC_TRACE": b"/tmp/owned"},
    "no name": {b"": b"x"},
    "equals in the name": {b"A=B": b"x"},
    "NUL": {b"TZ": b"a\0b"},
    "large": {b"TZ": b"x" * 100_000},
}

SAID = {
    SOURCE: b"int f(void) { return 3; }\n",
    CWD + b"/x.specs": SPECS,
    CWD + b"/x.so": PLUGIN,
    CWD + b"/x.rsp": b"-v",
}


def attack(farm, arguments, contents=SAID, driver=b"/usr/bin/gcc", **fields):
    async def go():
        async with Raw(farm) as raw:
            return await raw.run(arguments, contents, driver=driver, **fields)

    return asyncio.run(go())


def test_the_raw_client_can_compile_at_all(farm):
    end = attack(farm, COMPILE)
    assert end.how == "result"
    assert end.result.status == 0
    assert list(end.files) == [CWD + b"/a.o"]


def refused_once(health, end, codes):
    """Refused with such a code and a reason, on record once, and nothing has run."""
    assert end.how == "refused", end
    assert end.code in codes, end
    assert end.text
    (record,) = health.records(kind="job-refused")
    assert record["principal"] == "alice@EXAMPLE.COM"
    assert record["code"] == end.code
    assert health.records(kind="job-start") == []


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_is_refused_by_name(farm, health, name):
    end = attack(farm, (*COMPILE, *OPTIONS[name]))
    refused_once(health, end, {"option", "tree"})


@pytest.mark.parametrize("name", HARMLESS)
def test_what_only_sounds_dangerous_makes_its_object_and_nothing_else(farm, health, name):
    contents = {**SAID, CWD + b"/a.i": SAID[SOURCE]}
    end = attack(farm, HARMLESS[name], contents)
    assert end.how == "result" or (end.how, end.code) == ("refused", "option")
    if end.how == "result":
        assert set(end.files) <= {CWD + b"/a.o", *([CWD + b"/a.ci"] if name == "call graph" else [])}
        assert [record["kind"] for record in health.records(reference=end_reference(health))] == [
            "connection",
            "job-start",
            "job-end",
        ]


def end_reference(health) -> str:
    return health.records(kind="connection")[-1]["reference"]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_refused(farm, health, name):
    contents = {**SAID, CWD + b"/a.i": b"int f;\n"}
    refused_once(health, attack(farm, COMMANDS[name], contents), {"option", "tree"})


@pytest.mark.parametrize("path", [b"/etc/passwd", b"/etc/shadow", b"../../../../etc/passwd", b"/proc/self/environ"])
@pytest.mark.parametrize("directive", [b".incbin", b".include", b".macro m\n.inc\\()bin"])
def test_an_assembler_reads_nothing_of_the_servers(farm, directive, path):
    text = b'%s "%s"\n' % (directive, path) + (b".endm\nm\n" if b"macro" in directive else b"")
    end = attack(farm, (b"-c", b"a.s", b"-o", b"a.o"), {CWD + b"/a.s": text})
    assert (end.how, end.result.status, end.files) == ("result", 1, {}), end
    assert b"root:" not in end.content


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_driver_that_is_none_of_the_toolchains_is_refused(farm, health, driver):
    refused_once(health, attack(farm, COMPILE, driver=driver), {"option"})


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_that_chooses_programs_is_refused_or_ignored(farm, health, name):
    end = attack(farm, COMPILE, environment=ENVIRONMENTS[name])
    if end.how == "result":
        assert end.result.status == 0
        assert list(end.files) == [CWD + b"/a.o"]
        assert end.files[CWD + b"/a.o"] == attack(farm, COMPILE).files[CWD + b"/a.o"]
    else:
        refused_once(health, end, {"option"})
