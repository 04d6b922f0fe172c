from pathlib import Path

from securecc.cli.audit.log_parts import in_order, rotated_beside


def test_what_lies_beside_a_log_is_its_own(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    for name in ("audit.jsonl", "audit.jsonl.1", "audit.jsonl.2.gz", "audit.jsonl-20261121", "audit.jsonl.1-7"):
        (tmp_path / name).touch()
    for name in ("audit.jsonl.head", "audit.jsonl.torn", "other.jsonl", "audit.json"):
        (tmp_path / name).touch()
    (tmp_path / "audit.jsonl.d").mkdir()
    assert {part.name for part in rotated_beside(path)} == {
        "audit.jsonl.1", "audit.jsonl.2.gz", "audit.jsonl-20261121", "audit.jsonl.1-7",
    }  # fmt: skip


def test_parts_are_ordered_by_their_first_record_and_each_file_once(tmp_path: Path, audit_log: Path) -> None:
    lines = audit_log.read_bytes().splitlines(keepends=True)
    old, new, empty = tmp_path / "z", tmp_path / "a", tmp_path / "m"
    old.write_bytes(b"".join(lines[:9]))
    new.write_bytes(b"".join(lines[3:]))
    empty.touch()
    (tmp_path / "link").symlink_to(old)
    parts = in_order([new, old, empty, tmp_path / "link", old])
    assert [(part.path, part.first) for part in parts] == [(empty, None), (old, 1), (new, 4)]
    assert [len(list(part.lines())) for part in parts] == [0, 6, 3]


def test_what_does_not_begin_with_a_record_comes_first(tmp_path: Path, audit_log: Path) -> None:
    (tmp_path / "odd").write_bytes(b"odd\n")
    assert [part.path.name for part in in_order([audit_log, tmp_path / "odd"])] == ["odd", "audit.jsonl"]
