"""securecc.compiler.command_line.environment: both sides' lists, and what locales mean to real gcc."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.compiler.command_line.environment import (
    EffectiveLocale,
    Locales,
    SentEnvironment,
    compiler_environment,
    effective_locale,
    sent_environment,
)
from securecc.model.errors import Refused, StaysLocal
from tests.waiting import CEILING_S

TAKEN = {b"C.UTF-8", b"en_US.UTF-8", b"en_GB.utf8", b"de_DE.UTF-8", b"de_DE", b"fr_FR.UTF-8@euro", b"en_US.ISO-8859-1"}
LOCALES = Locales(
    TAKEN.__contains__, {b"de", b"fr_FR"}.__contains__, {b"de", b"nl"}.__contains__, {b"de_XX"}.__contains__
)
ENGLISH = EffectiveLocale(b"C")


def test_what_is_sent() -> None:
    environment = {
        b"PWD": b"/home/alice",
        b"HOME": b"/home/alice",
        b"PATH": b"/evil",
        b"COLUMNS": b"80",
        b"TERM": b"xterm",
        b"GCC_COLORS": b"error=01;31",
        b"SOURCE_DATE_EPOCH": b"1700000000",
        b"LIBRARY_PATH": b"/x",
        b"LD_LIBRARY_PATH": b"",
        b"TMPDIR": b"/var/tmp",
    }
    assert sent_environment(environment, "c", ENGLISH) == SentEnvironment(
        {
            b"PWD": b"/home/alice",
            b"COLUMNS": b"80",
            b"TERM": b"xterm",
            b"GCC_COLORS": b"error=01;31",
            b"SOURCE_DATE_EPOCH": b"1700000000",
            b"LC_ALL": b"C",
        }
    )


def test_search_variables_travel_and_name_directories() -> None:
    environment = {
        b"CPATH": b"/a:rel:",
        b"C_INCLUDE_PATH": b"/c",
        b"CPLUS_INCLUDE_PATH": b"/x",
        b"OBJC_INCLUDE_PATH": b"/o",
    }
    sent = sent_environment(environment, "c++", ENGLISH)
    assert sent.directories == (b"/a", b"rel", b".", b"/x")
    assert sent.variables == {b"CPATH": b"/a:rel:", b"CPLUS_INCLUDE_PATH": b"/x", b"LC_ALL": b"C"}
    assert sent_environment(environment, "c", ENGLISH).directories == (b"/a", b"rel", b".", b"/c")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"GCC_EXEC_PREFIX", b"/x/"),
        (b"GCC_COMPARE_DEBUG", b"-O0"),
        (b"COMPILER_PATH", b"/x"),
        (b"CCC_OVERRIDE_OPTIONS", b"+-O0"),
        (b"DEPENDENCIES_OUTPUT", b"x"),
        (b"SUNPRO_DEPENDENCIES", b"x"),
        (b"CXX_MODULE_MAPPER", b"|id"),
        (b"LOCPATH", b"/x"),
        (b"SOURCE_DATE_EPOCH", b"yesterday"),
        (b"PWD", b"/a\nb"),
        (b"CPATH", b"/x" * 20_000),
    ],
)
def test_stays_local(name: Any, value: Any) -> None:
    with pytest.raises(StaysLocal) as caught:
        sent_environment({name: value}, "c", ENGLISH)
    assert caught.value.reason == "environment"


@pytest.mark.parametrize("name", [b"GCC_VERSION", b"COLLECT_GCC", b"CCC_X"])
def test_a_name_like_a_compiler_s_is_doubtful(name: bytes) -> None:
    assert sent_environment({name: b"1"}, "c", ENGLISH).doubtful == name
    assert not sent_environment({name: b""}, "c", ENGLISH).doubtful


@pytest.mark.parametrize(
    ("environment", "meaning"),
    [
        ({}, b"C"),
        ({b"LANG": b"C"}, b"C"),
        ({b"LC_ALL": b"POSIX", b"LANG": b"de_DE.UTF-8"}, b"C"),
        ({b"LANG": b"C.UTF-8"}, b"C.UTF-8"),
        ({b"LANG": b"en_US.UTF-8"}, b"C.UTF-8"),
        ({b"LANG": b"en_GB.utf8"}, b"C.UTF-8"),
        ({b"LC_ALL": b"", b"LANG": b"en_US.UTF-8"}, b"C.UTF-8"),
        ({b"LANG": b"es_ES.UTF-8"}, b"C"),  # not installed
        ({b"LANG": b"de_DE.UTF-8", b"LC_MESSAGES": b"C"}, b"C.UTF-8"),
        ({b"LC_CTYPE": b"C", b"LANG": b"en_US.UTF-8"}, b"C"),
        ({b"LANG": b"de_DE.UTF-8", b"LANGUAGE": b"en_US:en"}, b"C.UTF-8"),
        ({b"LANG": b"C", b"LANGUAGE": b"de"}, b"C"),
    ],
)
def test_locales(environment: Any, meaning: Any) -> None:
    locale = effective_locale(environment, LOCALES)
    assert (locale.ctype, locale.languages) == (meaning, ())


@pytest.mark.parametrize(
    ("environment", "languages", "system"),
    [
        ({b"LANG": b"de_DE.UTF-8"}, (b"de_DE.UTF-8",), True),
        ({b"LC_MESSAGES": b"fr_FR.UTF-8@euro", b"LANG": b"C.UTF-8"}, (b"fr_FR.UTF-8@euro",), False),
        ({b"LC_ALL": b"C.UTF-8", b"LANGUAGE": b"de"}, (b"de",), True),
        ({b"LANG": b"en_US.UTF-8", b"LANGUAGE": b"en::it:fr_FR:de_AT"}, (b"fr_FR", b"de_AT"), True),
        ({b"LANG": b"en_US.UTF-8", b"LANGUAGE": b"en:fr_FR:C:de"}, (b"fr_FR",), False),
        ({b"LANG": b"en_US.UTF-8", b"LANGUAGE": b"nl"}, (), True),
    ],
)
def test_other_languages_travel_by_name(environment: Any, languages: Any, system: Any) -> None:
    locale = effective_locale(environment, LOCALES)
    assert locale == EffectiveLocale(b"C.UTF-8", languages, system)
    sent = sent_environment(environment, "c", locale)
    assert sent.variables.get(b"LANGUAGE", b"") == b":".join(languages)
    assert sent.locale is locale
    assert compiler_environment(sent.variables)[b"LC_ALL"] == b"C.UTF-8"


@pytest.mark.parametrize(
    "environment",
    [
        {b"LC_ALL": b"de_DE"},
        {b"LC_MESSAGES": b"fr_FR.UTF-8@euro"},
        {b"LANG": b"en_US.ISO-8859-1"},
        {b"LANG": b"de_DE.UTF-8", b"LC_CTYPE": b"C"},
        {b"LANG": b"de_DE.UTF-8", b"OUTPUT_CHARSET": b"ISO-8859-1"},
        {b"LANG": b"en_US.UTF-8", b"LANGUAGE": b"de:../x"},
        {b"LANG": b"en_US.UTF-8", b"LANGUAGE": b"de:de_XX"},
        {b"LANG": b"en_US.UTF-8", b"LANGUAGE": b":".join([b"de"] * 9)},
    ],
)
def test_other_languages_and_characters_stay_local(environment: Any) -> None:
    with pytest.raises(StaysLocal) as caught:
        effective_locale(environment, LOCALES)
    assert caught.value.reason == "locale"


@pytest.mark.parametrize("meant", [b"C", b"C.UTF-8"])
@pytest.mark.parametrize("name", ["C", "C.UTF-8", "en_US.UTF-8", "en_GB.UTF-8", "nonsense.UTF-8"])
def test_messages_of_real_gcc_are_as_the_meaning_says(tmp_path: Path, name: Any, meant: Any) -> None:
    if shutil.which("localedef") is None:
        pytest.skip("no localedef to make locales with")
    available = name.startswith("C")
    if name.startswith("en_"):
        command = ["localedef", "-i", name.partition(".")[0], "-f", "UTF-8", str(tmp_path / name)]
        made = subprocess.run(command, capture_output=True, check=False, timeout=CEILING_S)
        if made.returncode:
            pytest.skip("no sources of locales here")
        available = True
    (tmp_path / "a.c").write_text('int f(int a) { int \u00fcn = 1; return b + "x"; }\n')
    base = {"PATH": os.environ["PATH"]}

    def messages(**environment: Any) -> Any:
        command = ["gcc", "-Wall", "-c", "a.c"]
        environment = base | environment
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, check=False, timeout=CEILING_S
        ).stderr

    locales = Locales(lambda _: available, lambda _: False)
    equal = messages(LC_ALL=name, LOCPATH=str(tmp_path)) == messages(LC_ALL=meant.decode())
    if name == "C.UTF-8":  # LOCPATH hides the system's own
        equal = messages(LC_ALL=name) == messages(LC_ALL=meant.decode())
    assert equal == (effective_locale({b"LC_ALL": name.encode()}, locales).ctype == meant)


@pytest.mark.parametrize("zone", [b"UTC0", b"XXX-05:30:00", b"<+0330>-3:30", b"CET-1CEST,M3.5.0,M10.5.0/3"])
def test_a_zone_that_says_itself_what_it_means(zone: Any) -> None:
    assert compiler_environment({b"TZ": zone})[b"TZ"] == zone


def test_the_server_makes_what_chooses_programs() -> None:
    sent = {b"PWD": b"/home/alice", b"LC_ALL": b"C.UTF-8", b"CPATH": b"/a"}
    assert compiler_environment(sent) == {**sent, b"PATH": b"/usr/bin:/bin"}
    assert compiler_environment({}, b"/opt/bin") == {b"LC_ALL": b"C", b"PATH": b"/opt/bin"}


@pytest.mark.parametrize(
    "sent",
    [
        {b"PATH": b"/evil"},
        {b"TZ": b"Europe/Berlin"},
        {b"TZ": b":/home/alice/zone"},
        {b"TZ": b"XXX"},
        {b"TZ": b"UTC0/../x"},
        {b"LD_PRELOAD": b"x.so"},
        {b"GCC_EXEC_PREFIX": b"/x"},
        {b"COMPILER_PATH": b"/x"},
        {b"TMPDIR": b"/x"},
        {b"LANG": b"de"},
        {b"GCC_COLORSX": b""},
        {b"": b""},
        {b"LC_ALL": b"../../x"},
        {b"LC_ALL": b"de_DE.UTF-8"},
        {b"LANGUAGE": b""},
        {b"LANGUAGE": b"de:"},
        {b"LANGUAGE": b"../../x"},
        {b"LANGUAGE": b"de/x"},
        {b"LANGUAGE": b"de:english"},
        {b"SOURCE_DATE_EPOCH": b"-1"},
        {b"SOURCE_DATE_EPOCH": b""},
        {b"PWD": b"/a\0b"},
        {b"TERM": b"\x1b]0;x\x07"},
        {b"CPATH": b"/x" * 20_000},
        {b"CPATH": b"x" * 30_000, b"PWD": b"/" + b"x" * 30_000, b"GCC_COLORS": b"x" * 30_000},
    ],
)
def test_the_server_refuses(sent: Any) -> None:
    with pytest.raises(Refused) as caught:
        compiler_environment(sent)
    assert str(caught.value).isprintable()


NAMES = st.sampled_from([b"PWD", b"LANG", b"LC_ALL", b"CPATH", b"TERM", b"LANGUAGE", b"LD_PRELOAD", b"GCC_URLS", b"X"])


@given(st.dictionaries(NAMES | st.binary(max_size=5), st.binary(max_size=12), max_size=5))
def test_what_a_client_sends_a_server_takes(environment: Any) -> None:
    try:
        sent = sent_environment(environment, "c", effective_locale(environment, LOCALES))
    except StaysLocal:
        return
    made = compiler_environment(sent.variables)
    assert made[b"PATH"] == b"/usr/bin:/bin"
    assert not any(name.startswith(b"LD_") for name in made)
