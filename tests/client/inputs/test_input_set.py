"""securecc.client.inputs.input_set: the files of one compile with their roles, less what lies in a shared tree."""

import os

import pytest

from securecc.client.inputs.file_cache import FileCache
from securecc.client.inputs.input_set import InputSet, _leads_to_one
from securecc.model.errors import StaysLocal
from securecc.model.manifest import Role


@pytest.fixture
def scene(tmp_path):
    (tmp_path / "inc/deep").mkdir(parents=True)
    for name in ("a.c", "inc/a.h", "inc/deep/b.h", "include.h"):
        (tmp_path / name).write_text("")
    (tmp_path / "inc/l.h").symlink_to("a.h")
    made = InputSet(FileCache(), os.fsencode(tmp_path.resolve()))
    made.top = os.fsencode(tmp_path.resolve()) + b"/"
    for name in (b"a.c", b"inc/l.h", b"inc/deep/b.h", b"include.h"):
        made.read(made.top + name, Role.MAY_READ)
    return made


def test_a_path_that_was_read_leads_to_a_place(scene):
    assert scene.spelled[scene.top + b"inc/l.h"] == scene.top + b"inc/a.h"
    assert set(scene.files) == {scene.top + name for name in (b"a.c", b"inc/a.h", b"inc/deep/b.h", b"include.h")}


def test_what_lies_in_a_shared_tree_is_left_out(scene):
    scene.note_nature(scene.top + b"inc/deep")
    scene.leave_out((scene.top + b"inc",))
    assert set(scene.files) == {scene.top + b"a.c", scene.top + b"include.h"}
    assert not scene.natures
    assert not scene.crossings.links
    assert scene.top[:-1] in scene.crossings.directories
    assert scene.top + b"inc" not in scene.crossings.directories
    assert scene.left_out(scene.top + b"inc/deep")
    assert not scene.left_out(scene.top + b"include.h")


def test_without_shared_trees_nothing_is(scene):
    scene.leave_out(())
    assert len(scene.files) == 4
    assert not scene.left_out(scene.top + b"inc")


def test_what_line_names_is_a_file_or_nothing(scene):
    scene.show(scene.top + b"nowhere")
    os.mkfifo(scene.top + b"fifo")
    with pytest.raises(StaysLocal):
        scene.show(scene.top + b"fifo")


def test_a_candidate_that_is_gone_is_looked_at_closely():
    assert _leads_to_one(b"/nowhere/x.h", set())
