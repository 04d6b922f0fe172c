import contextlib
import errno
import hashlib
import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.model import limits
from securecc.model.errors import StoreError
from securecc.server.blobs.blob_index import charge
from securecc.server.blobs.blob_store import BlobStore

UNIT = limits.STORE_CHARGE


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def put(store: BlobStore, data: bytes, principal: str = "alice@EXAMPLE.COM") -> bytes:
    with store.intake(principal, digest(data), len(data)) as intake:
        intake.write(data)
        intake.finish()
    return digest(data)


def open_descriptors() -> int:
    """When no store that was cleared has files to remove any more."""
    for thread in threading.enumerate():
        if thread.name == "store-clear":
            thread.join()
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def files(path: Path) -> list[Path]:
    return sorted(item for item in path.rglob("*") if item.is_file())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Any]:
    store = BlobStore(tmp_path / "blobs", limit=10 * UNIT, quota=6 * UNIT, descriptors=4)
    yield store
    store.close()


def read(store: BlobStore, name: Any, principal: str = "alice@EXAMPLE.COM") -> Any:
    with store.hold(principal, [name]) as hold:
        return os.pread(hold.descriptors([name])[0], 1 << 20, 0)


@pytest.mark.parametrize("data", [b"", b"x", b"int f;\n" * 9000])
def test_what_was_put_is_read(store: BlobStore, data: bytes) -> None:
    assert read(store, put(store, data)) == data


def test_chunks_make_one_blob(store: BlobStore) -> None:
    data = bytes(range(256)) * 10
    intake = store.intake("alice@EXAMPLE.COM", digest(data), len(data))
    for start in range(0, len(data), 100):
        intake.write(memoryview(data)[start : start + 100])
    assert intake.lacking == 0
    intake.finish()
    assert read(store, digest(data)) == data


def test_a_blob_is_readable_by_its_owner_only_and_never_writable(store: BlobStore, tmp_path: Path) -> None:
    put(store, b"x")
    (file,) = files(tmp_path)
    assert file.stat().st_mode & 0o777 == 0o400
    assert (tmp_path / "blobs").stat().st_mode & 0o777 == 0o700
    with store.hold("alice@EXAMPLE.COM", [digest(b"x")]) as hold, pytest.raises(OSError):
        os.write(hold.descriptors([digest(b"x")])[0], b"y")


def test_putting_twice_is_putting_once(store: BlobStore, tmp_path: Path) -> None:
    put(store, b"x")
    put(store, b"x")
    assert len(files(tmp_path)) == 1
    assert store.used == store.charged("alice@EXAMPLE.COM") == UNIT


def test_missing_names_each_once_in_order(store: BlobStore) -> None:
    put(store, b"x")
    a, b = digest(b"a"), digest(b"b")
    assert store.missing("alice@EXAMPLE.COM", [b, digest(b"x"), a, b]) == [b, a]


def test_knowing_a_digest_is_no_way_to_somebody_elses_file(store: BlobStore) -> None:
    name = put(store, b"secret")
    assert store.missing("mallory@EXAMPLE.COM", [name]) == [name]
    with store.hold("mallory@EXAMPLE.COM", [name]) as hold:
        assert hold.missing == [name]
        with pytest.raises(StoreError, match="was not sent"):
            hold.descriptors([name])
    put(store, b"secret", "mallory@EXAMPLE.COM")
    assert read(store, name, "mallory@EXAMPLE.COM") == b"secret"


@pytest.mark.parametrize("sent", [b"evil", b"go", b""])
def test_other_bytes_than_the_digest_names_leave_nothing(store: BlobStore, tmp_path: Path, sent: Any) -> None:
    intake = store.intake("alice@EXAMPLE.COM", digest(b"good"), 4)
    intake.write(sent)
    with pytest.raises(StoreError, match="have another digest"):
        intake.finish()
    assert files(tmp_path) == []
    assert store.used == 0
    assert store.missing("alice@EXAMPLE.COM", [digest(b"good")])


def test_more_bytes_than_announced_leave_nothing(store: BlobStore, tmp_path: Path) -> None:
    intake = store.intake("alice@EXAMPLE.COM", digest(b"good"), 4)
    intake.write(b"goo")
    with pytest.raises(StoreError, match="longer"):
        intake.write(b"dd")
    with pytest.raises(StoreError, match="ended"):
        intake.write(b"d")
    assert (files(tmp_path), store.used) == ([], 0)


def test_an_abandoned_intake_leaves_nothing(store: BlobStore, tmp_path: Path) -> None:
    before = open_descriptors()
    with store.intake("alice@EXAMPLE.COM", digest(b"good"), 4) as intake:
        intake.write(b"go")
        assert store.used == UNIT
    intake.abandon()
    with pytest.raises(StoreError):
        intake.finish()
    assert (files(tmp_path), store.used, store.charged("alice@EXAMPLE.COM")) == ([], 0, 0)
    assert open_descriptors() == before


def test_finishing_twice_is_refused(store: BlobStore) -> None:
    intake = store.intake("alice@EXAMPLE.COM", digest(b""), 0)
    intake.finish()
    with pytest.raises(StoreError):
        intake.finish()
    assert store.used == UNIT


@pytest.mark.parametrize("size", [-1, limits.BLOB + 1, 7 * UNIT])
def test_what_can_never_fit_is_refused_before_a_byte_comes(store: BlobStore, size: int) -> None:
    with pytest.raises(StoreError, match="at most"):
        store.intake("alice@EXAMPLE.COM", digest(b"x"), size)


def test_least_recently_used_goes_first(store: BlobStore) -> None:
    names = [put(store, b"%d" % i) for i in range(6)]
    read(store, names[0])
    put(store, b"new")
    assert store.missing("alice@EXAMPLE.COM", names) == [names[1]]
    assert store.charged("alice@EXAMPLE.COM") == 6 * UNIT


def test_one_principals_quota_does_not_evict_another(store: BlobStore) -> None:
    name = put(store, b"bob's", "bob@EXAMPLE.COM")
    for i in range(20):
        put(store, b"%d" % i)
    assert store.missing("bob@EXAMPLE.COM", [name]) == []


def test_the_total_limit_evicts_the_file_too(store: BlobStore, tmp_path: Path) -> None:
    for who in ("alice", "bob", "carol"):
        for i in range(6):
            put(store, f"{who}{i}".encode(), who)
    assert store.used == 10 * UNIT
    assert len(files(tmp_path)) == 10


def test_a_held_blob_is_not_evicted(store: BlobStore) -> None:
    name = put(store, b"held")
    with store.hold("alice@EXAMPLE.COM", [name]) as hold:
        for i in range(20):
            put(store, b"%d" % i)
        assert os.pread(hold.descriptors([name])[0], 10, 0) == b"held"
    put(store, b"after")
    assert store.missing("alice@EXAMPLE.COM", [name]) == [name]


def test_all_held_is_full_and_recovers(store: BlobStore) -> None:
    names = [put(store, b"%d" % i) for i in range(6)]
    with store.hold("alice@EXAMPLE.COM", names), pytest.raises(StoreError, match="quota"):
        put(store, b"one more")
    put(store, b"one more")


def test_a_hold_keeps_what_arrives_for_it(store: BlobStore) -> None:
    with store.hold("alice@EXAMPLE.COM", [digest(b"a"), digest(b"b"), digest(b"a")]) as hold:
        assert hold.missing == [digest(b"a"), digest(b"b")]
        intake = hold.intake(digest(b"a"), 1)
        intake.write(b"a")
        intake.finish()
        assert hold.missing == [digest(b"b")]
        for i in range(20):
            put(store, b"%d" % i)
        assert os.pread(hold.descriptors([digest(b"a")])[0], 9, 0) == b"a"
    hold.release()


def test_descriptors_are_reused_and_bounded(store: BlobStore) -> None:
    before = open_descriptors()
    names = [put(store, b"%d" % i) for i in range(6)]
    first = [store.hold("alice@EXAMPLE.COM", [name]).descriptors([name])[0] for name in names[:1]]
    for name in names:
        read(store, name)
    assert open_descriptors() == before + 4
    with store.hold("alice@EXAMPLE.COM", names[:1]) as hold:
        assert hold.descriptors(names[:1]) == first


def test_too_many_descriptors_in_use_is_an_error_with_advice(store: BlobStore) -> None:
    names = [put(store, b"%d" % i) for i in range(6)]
    with store.hold("alice@EXAMPLE.COM", names) as hold, pytest.raises(StoreError, match="LimitNOFILE"):
        hold.descriptors(names)


def test_the_processes_own_limit_of_descriptors_is_an_error_with_advice(store: BlobStore) -> None:
    name = put(store, b"x")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with store.hold("alice@EXAMPLE.COM", [name]) as hold:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            with pytest.raises(StoreError, match="LimitNOFILE"):
                hold.descriptors([name])
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert hold.descriptors([name])


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("damage", ["shorten", "alter", "remove", "link"])
def test_a_damaged_blob_is_missing_from_then_on(store: BlobStore, tmp_path: Path, damage: Any, opened: Any) -> None:
    name = put(store, b"content")
    (file,) = files(tmp_path)
    if opened:
        assert read(store, name) == b"content"
    if damage in {"shorten", "alter"}:
        before = file.stat()
        file.chmod(0o600)
        os.truncate(file, 3) if damage == "shorten" else file.write_bytes(b"CONTENT")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    else:
        file.unlink()
    if damage == "link":
        file.symlink_to("/etc/passwd")
    with store.hold("alice@EXAMPLE.COM", [name]) as hold, pytest.raises(StoreError, match="send it again"):
        hold.descriptors([name])
    assert store.missing("alice@EXAMPLE.COM", [name]) == [name]
    put(store, b"content")
    assert read(store, name) == b"content"


@pytest.mark.parametrize("where", ["write", "open", "rename"])
def test_a_full_disk_leaves_nothing_and_says_so(
    store: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: Any
) -> None:
    def full(*_args: Any, **_kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, where, full)
        with pytest.raises(StoreError, match="full; free space"):
            put(store, b"content")
    assert (files(tmp_path), store.used) == ([], 0)
    put(store, b"content")


def test_a_real_full_disk(tmp_path: Path) -> None:
    if os.geteuid() != 0 or os.system(f"mount -t tmpfs -o size=64k none {tmp_path} 2>/dev/null") != 0:
        pytest.skip("needs root and mount")
    try:
        store = BlobStore(tmp_path / "blobs")
        put(store, b"small")
        with pytest.raises(StoreError, match="full; free space"):
            put(store, b"x" * 100_000)
        assert len(files(tmp_path)) == 1
        assert store.used == UNIT
        put(store, b"small too")
        store.close()
    finally:
        os.system(f"umount {tmp_path}")


def test_start_empties_what_a_crash_left_and_nothing_else(tmp_path: Path) -> None:
    left = tmp_path / "ab" / "cd"
    left.mkdir(parents=True)
    (left / ".arriving-7").write_bytes(b"half")
    (tmp_path / "README").write_bytes(b"not ours")
    (tmp_path / "ff").symlink_to("/etc")
    store = BlobStore(tmp_path)
    assert not left.exists()
    store.close()
    assert sorted(item.name for item in tmp_path.iterdir()) == ["README", "ff"]


def test_two_daemons_cannot_share_a_directory(store: BlobStore, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="another daemon"):
        BlobStore(tmp_path / "blobs")


def test_a_link_or_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "file").write_bytes(b"")
    for name in ("link", "file"):
        with pytest.raises(StoreError, match="a directory that the daemon owns"):
            BlobStore(tmp_path / name)


def test_close_leaves_an_empty_directory_and_no_descriptor(tmp_path: Path) -> None:
    before = open_descriptors()
    store = BlobStore(tmp_path)
    read(store, put(store, b"x"))
    store.close()
    store.close()
    assert list(tmp_path.iterdir()) == []
    assert open_descriptors() == before


def test_the_number_of_principals_is_bounded(store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STORE_PRINCIPALS", 3)
    for i in range(10):
        put(store, b"x", f"user{i}@EXAMPLE.COM")
    assert store.used == UNIT
    assert store.charged("user0@EXAMPLE.COM") == 0
    assert store.missing("user9@EXAMPLE.COM", [digest(b"x")]) == []


class Play:
    """Does one operation after the other to a store, as jobs of three principals might."""

    def __init__(self, store: BlobStore) -> None:
        self.store = store
        self.holds: list[Any] = []
        self.arriving: list[Any] = []

    def put(self, principal: str, data: bytes) -> None:
        put(self.store, data, principal)

    def hold(self, principal: str, data: bytes) -> None:
        self.holds.append((self.store.hold(principal, [digest(data)]), data))

    def release(self, _principal: Any, _data: Any) -> None:
        if self.holds:
            self.holds.pop(0)[0].release()

    def arrive(self, principal: str, data: bytes) -> None:
        self.arriving.append(self.store.intake(principal, digest(data), len(data)))
        self.arriving[-1].write(data)

    def end(self, _principal: Any, _data: Any) -> None:
        if self.arriving:
            self.arriving.pop(0).finish()

    def check(self) -> None:
        for hold, data in self.holds:
            if not hold.missing:
                assert os.pread(hold.descriptors([digest(data)])[0], 1 << 20, 0) == data


operations = st.lists(
    st.tuples(
        st.sampled_from(["put", "hold", "release", "arrive", "end"]),
        st.sampled_from(["alice", "bob", "carol"]),
        st.integers(0, 14).map(lambda number: b"%d" % number * (1 if number % 2 else UNIT)),
    ),
    max_size=60,
)


@settings(max_examples=40)
@given(operations)
def test_accounts_always_agree_with_the_disk(tmp_path_factory: pytest.TempPathFactory, ops: Any) -> None:
    path = tmp_path_factory.mktemp("store")
    store = BlobStore(path, limit=10 * UNIT, quota=6 * UNIT, descriptors=64)
    play = Play(store)
    for what, principal, data in ops:
        with contextlib.suppress(StoreError):
            getattr(play, what)(principal, data)
        assert store.used <= 10 * UNIT
        assert store.charged(principal) <= 6 * UNIT
        play.check()
    for intake in play.arriving:
        intake.abandon()
    assert store.used == sum(charge(item.stat().st_size) for item in files(path))
    assert len(files(path)) == len(store)
    store.close()
