"""What `make builds` promises: which builds there are, and when it says that they are as promised."""

import sys
from pathlib import Path
from typing import Any

import pytest

BUILDS = Path(__file__).parents[2] / "builds"


@pytest.fixture(scope="module")
def builds() -> Any:
    sys.path.insert(0, str(BUILDS))
    try:
        import builds
    finally:
        sys.path.remove(str(BUILDS))
    return builds


@pytest.fixture(scope="module")
def listed(builds: Any) -> list[Any]:
    return list(builds.projects((BUILDS / "projects.toml").read_text()))


def compared(builds: Any, listed: list[Any], **fields: object) -> Any:
    good = {"objects": 3, "differ": (), "remote": 98, "reasons": {}, "local_s": 1.0, "remote_s": 1.0}
    return builds.Compared(build=listed[0], **{**good, **fields})


def test_every_system_with_gcc_one_with_clang_and_one_with_debug_information(listed: list[Any]) -> None:
    assert {build.system for build in listed if build.cc == "gcc"} == {"autotools", "cmake", "make", "meson"}
    assert len({build.project for build in listed if build.cc == "gcc"}) >= 4
    assert any(build.cc == "clang" for build in listed)
    assert any("-DCMAKE_BUILD_TYPE=RelWithDebInfo" in build.special for build in listed)


def test_only_the_remote_build_hears_of_securecc(builds: Any, listed: list[Any], tmp_path: Path) -> None:
    for build in listed:
        for remote in (False, True):
            compilers = builds.Compilers(build.cc, build.cxx, remote)
            steps = builds.SYSTEMS[build.system](compilers, build.options, 3, tmp_path / "tree")
            said = str(steps) + ((tmp_path / "tree.ini").read_text() if build.system == "meson" else "")
            assert ("securecc" in said) is remote
            assert "-j3" in said
            assert build.cc in said


@pytest.mark.parametrize(
    ("fields", "good"),
    [
        ({}, True),
        ({"reasons": {"link": 50, "conftest": 900}}, True),
        ({"reasons": {"option": 2}}, True),
        ({"reasons": {"option": 3}}, False),
        ({"differ": ("a.o",)}, False),
        ({"objects": 0}, False),
        ({"objects": 100}, True),
        ({"objects": 101}, False),
        ({"remote": 0, "reasons": {"link": 1}}, False),
    ],
)
def test_when_a_build_is_well(builds: Any, listed: list[Any], fields: dict[str, object], good: bool) -> None:
    assert compared(builds, listed, **fields).good is good


def test_objects_that_differ_or_are_missing(builds: Any, tmp_path: Path) -> None:
    for side in ("one", "other"):
        (tmp_path / side / "sub").mkdir(parents=True)
        (tmp_path / side / "sub/same.o").write_text("same")
        (tmp_path / side / "differs.o").write_text(side)
        (tmp_path / side / f"{side}.o").write_text("")
        (tmp_path / side / "no object").write_text(side)
    one, other = (builds.objects(tmp_path / side) for side in ("one", "other"))
    assert builds.differing(one, other) == ("differs.o", "one.o", "other.o")
    assert builds.differing(one, one) == ()


def test_a_question_with_an_unknown_option_is_a_question(builds: Any) -> None:
    def told(reason: str, count: int, *sources: str) -> dict[str, object]:
        return {"reason": reason, "count": count, "examples": [{"source": source} for source in sources]}

    kinds = [
        told("option", 4, "a.c", "/p/out/meson-private/tmp1/testfile.c", "conftest.c"),
        told("conftest", 3, "conftest.c"),
        told("refused-busy", 1, "/p/out/CMakeFiles/CMakeTmp/src.cxx"),
    ]
    assert builds.reasons({"reasons": kinds}) == {"option": 2, "conftest": 6}


def test_one_bad_build_is_the_exit_status(
    builds: Any, listed: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(builds, "_offer", lambda _: None)
    monkeypatch.setattr(builds, "run", lambda *_, **__: "")
    fates = iter([{}, {"differ": ("a.o",)}, {}, {}])
    monkeypatch.setattr(builds, "_compare", lambda *_: compared(builds, listed, **next(fates)))
    assert builds._all(listed[:2], 1) == 1
    assert "DIFFERS" in capsys.readouterr().out
    assert builds._all(listed[:2], 1) == 0
    assert builds._all([], 1) == 1


def test_no_such_project(builds: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert builds.main(["--check", "nonsense"]) == 1
    assert "no such project: nonsense" in capsys.readouterr().out
