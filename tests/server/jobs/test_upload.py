"""The files of one job as they arrive."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from securecc.model.errors import BlobError, PathError, Refused
from securecc.model.manifest import Manifest
from securecc.server.blobs.blob_store import BlobStore
from securecc.server.jobs.upload import Upload
from tests.server.frontside import CWD, ENTRIES, HEADER, SOURCE, file_entry

ALICE = "alice@EXAMPLE.COM"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[BlobStore]:
    opened = BlobStore(tmp_path / "store")
    yield opened
    opened.close()


def upload(store: BlobStore, *entries: object) -> Upload:
    return Upload(store, ALICE, Manifest((*ENTRIES, *entries)), 0)  # type: ignore[arg-type]


def test_each_content_is_needed_once_and_not_again(store: BlobStore) -> None:
    job = upload(store, file_entry(CWD + b"/b.h", HEADER), file_entry(CWD + b"/empty.h", b""))
    assert (job.needed, job.size) == ((0, 1, 3), len(SOURCE + HEADER))
    assert not job.advance()
    assert not job.receive(SOURCE)
    assert job.receive(HEADER)
    assert (upload(store).needed, upload(store).size) == ((), 0)
    job.release()


def test_bytes_that_were_not_asked_for(store: BlobStore) -> None:
    job = upload(store)
    with pytest.raises(Refused, match="not asked for"):
        job.receive(b"?")
    job.advance()
    with pytest.raises(BlobError, match="longer"):
        job.receive(SOURCE + HEADER)
    job.release()


def test_what_is_abandoned_takes_no_room(store: BlobStore) -> None:
    job = upload(store)
    job.advance()
    job.receive(SOURCE[:2])
    assert store.used
    job.abandon()
    job.release()
    assert store.used == 0
    assert upload(store).needed == (0, 1)


def test_one_content_has_one_size(store: BlobStore) -> None:
    with pytest.raises(PathError, match="one content of 7 and of 0 bytes"):
        upload(store, file_entry(CWD + b"/b.c", SOURCE, size=0))
