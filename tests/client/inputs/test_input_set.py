"""securecc.client.inputs.input_set: the files of one compile with their roles, less what lies in a shared tree."""

import os
from pathlib import Path

import pytest

from securecc.client.inputs.caches.directory_cache import DirectoryCache
from securecc.client.inputs.caches.file_cache import FileCache
from securecc.client.inputs.input_set import InputSet
from securecc.client.inputs.name_watch import NameWatch
from securecc.model.errors import StaysLocal
from securecc.model.manifest import Role


class Scene(InputSet):
    """The inputs of a compile whose working directory is `top`, which ends in a slash."""

    def __init__(self, top: bytes) -> None:
        super().__init__(FileCache())
        self.top = top


@pytest.fixture
def inputs(tmp_path: Path) -> Scene:
    (tmp_path / "inc/deep").mkdir(parents=True)
    for name in ("a.c", "inc/a.h", "inc/deep/b.h", "include.h"):
        (tmp_path / name).write_text("")
    (tmp_path / "inc/l.h").symlink_to("a.h")
    made = Scene(os.fsencode(tmp_path.resolve()) + b"/")
    for read in (b"a.c", b"inc/l.h", b"inc/deep/b.h", b"include.h"):
        made.add_read(made.top + read, Role.MAY_READ)
    return made


def test_a_path_that_was_read_leads_to_a_place(inputs: Scene) -> None:
    assert inputs.spelled[inputs.top + b"inc/l.h"] == inputs.top + b"inc/a.h"
    assert set(inputs.files) == {inputs.top + name for name in (b"a.c", b"inc/a.h", b"inc/deep/b.h", b"include.h")}


def test_what_lies_in_a_shared_tree_is_excluded(inputs: Scene) -> None:
    inputs.add_file_type(inputs.top + b"inc/deep")
    inputs.exclude((inputs.top + b"inc",))
    assert set(inputs.files) == {inputs.top + b"a.c", inputs.top + b"include.h"}
    assert not inputs.file_types
    assert not inputs.walk.links
    assert inputs.top[:-1] in inputs.walk.directories
    assert inputs.top + b"inc" not in inputs.walk.directories
    assert inputs.excludes(inputs.top + b"inc/deep")
    assert not inputs.excludes(inputs.top + b"include.h")


def test_without_shared_trees_nothing_is(inputs: Scene) -> None:
    inputs.exclude(())
    assert len(inputs.files) == 4
    assert not inputs.excludes(inputs.top + b"inc")


def test_what_line_names_is_a_file_or_nothing(inputs: Scene) -> None:
    inputs.add_unlisted(inputs.top + b"nowhere")
    os.mkfifo(inputs.top + b"fifo")
    with pytest.raises(StaysLocal):
        inputs.add_unlisted(inputs.top + b"fifo")


def test_a_candidate_that_is_gone_is_watched_by_its_type(inputs: Scene) -> None:
    listing = DirectoryCache().listing(inputs.top[:-1])
    assert listing is not None
    inputs.add_candidates([NameWatch(listing, (b"x.h",), frozenset([b"x.h"]))], frozenset(), lambda _: True)
    assert inputs.file_types == {inputs.top + b"x.h": 0}


def test_a_candidate_that_was_not_foreseen_is_withheld(inputs: Scene) -> None:
    (Path(os.fsdecode(inputs.top)) / "x.h").touch()
    listing = DirectoryCache().listing(inputs.top[:-1])
    assert listing is not None
    files = dict(inputs.files)
    inputs.add_candidates([NameWatch(listing, (b"x.h",), frozenset([b"x.h"]))], frozenset([b"x.h"]), lambda _: False)
    assert (inputs.withheld, inputs.files) == (inputs.top + b"x.h", files)
