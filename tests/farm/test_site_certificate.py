"""A site whose own authority vouches for its servers, beside Kerberos."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from tests.farm.farmside import Farm, sources, until
from tests.site_certificate import certificate


@pytest.fixture(scope="module")
def shown(farm: Farm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The server shows a site's certificate; a folder with it (`cert.pem`) and another site's (`other/cert.pem`)."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "other").mkdir()
    certificate(folder / "other", [x509.DNSName("localhost")])
    server = farm.server
    put(farm, folder, "localhost")
    before = (server.folder / "config.yaml").read_text()
    server.configure(tls="{certificate: cert.pem, key: key.pem}")
    server.restart()
    yield folder
    (server.folder / "config.yaml").write_text(before)
    server.restart()


def put(farm: Farm, folder: Path, name: str) -> None:
    """A new certificate for the server, the key the daemon's own; renewed files take their places at once."""
    certificate(folder, [x509.DNSName(name)])
    owner = (farm.server.folder / "keytab").stat()
    for file in ("key.pem", "cert.pem"):
        new = farm.server.folder / f"new-{file}"
        shutil.copy(folder / file, new)
        os.chown(new, owner.st_uid, owner.st_gid)
        new.chmod(0o400)
        new.rename(farm.server.folder / file)


def is_remote(farm: Farm, folder: Path, **env: str) -> bool:
    """Whether a compile went to the server; it succeeds in any case."""
    before = len(farm.audit(kind="job-end"))
    done = farm.compile(sources(folder, 1)[0], **env)
    assert done.returncode == 0, done.stderr
    return len(farm.audit(kind="job-end")) > before


def test_a_server_that_the_sites_authority_vouches_for(farm: Farm, shown: Path, tmp_path: Path) -> None:
    assert is_remote(farm, tmp_path, SECURECC_CA=str(shown / "cert.pem"))
    assert is_remote(farm, tmp_path)  # who does not ask for one does not look


@pytest.mark.parametrize(
    ("ca", "why"),
    [
        ("other/cert.pem", "the `ca` file does not verify this server"),
        ("none.pem", "cannot read certificates from"),
        ("../cert.pem", "not an absolute path"),
    ],
)
def test_nothing_goes_to_a_server_that_nobody_vouches_for(
    farm: Farm, shown: Path, tmp_path: Path, ca: str, why: str
) -> None:
    path = ca if ca.startswith("..") else str(shown / ca)
    connections = len(farm.audit(kind="connection"))
    assert not is_remote(farm, tmp_path, SECURECC_CA=path)
    assert len(farm.audit(kind="connection")) == connections
    until(lambda: why in str(farm.journal()["reasons"]), what="the reason")


def test_a_renewed_certificate_is_taken_into_use(farm: Farm, shown: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.pem"
    shutil.copy(shown / "cert.pem", old)
    put(farm, shown, "localhost")
    until(lambda: "TLS certificate reloaded" in farm.server.log(), what="the renewal")
    assert is_remote(farm, tmp_path, SECURECC_CA=str(shown / "cert.pem"))
    assert not is_remote(farm, tmp_path, SECURECC_CA=str(old))
